# SPDX-License-Identifier: BSD-3-Clause
# Which Debian packages the tests need, and how they are installed without starting a service.
# Sourced by tests/run; a package is listed once, next to what it is for.

test_packages=(
    # to build the daemon, its plugins and the unit tests
    meson ninja-build pkg-config gcc libc6-dev libglib2.0-dev libyaml-dev liburing-dev libisal-dev
    libjson-glib-dev libmicrohttpd-dev libseccomp-dev nettle-dev libsystemd-dev
    # public headers compile as C++; the fuzz programs are built against clang's libFuzzer
    g++ clang libclang-rt-14-dev
    # man pages are linted, metrics are read as Prometheus reads them
    mandoc python3-prometheus-client python3-yaml
    # Debian packages are built and lived with
    debhelper dpkg-dev
    # the scripted initiator, and the plain tools the scripts use
    python3 procps util-linux
    # what completes in one shell and in the other
    zsh
    # other people's initiators, and a target to measure against
    libiscsi-bin libiscsi-dev qemu-utils qemu-block-extra tgt
    # disks of NBD servers
    libnbd-dev nbdkit
    # a service manager that keeps descriptors: process 1 of namespaces of its own
    systemd
    # fences, and what is on the wire meanwhile
    libnftables-dev nftables iptables tcpdump
    # a diskless machine that boots over iSCSI
    qemu-system-x86 ipxe-qemu
    # a real Linux kernel as initiator, and what runs inside it
    user-mode-linux kmod iproute2 open-iscsi sg3-utils fio e2fsprogs xfsprogs
)

packages_missing() {
    local package
    for package in "${test_packages[@]}"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' ||
            echo "$package"
    done
}

# Installs what is missing. Services that come with the packages (tgt, iscsid) must not start: the
# tests run their own, on ports of their own.
packages_install() {
    local missing policy=/usr/sbin/policy-rc.d ours= status=0
    mapfile -t missing < <(packages_missing)
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "tests/run: installing from Debian: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        echo "tests/run: not root: run as root once, or: apt-get install ${missing[*]}" >&2
        return 1
    fi
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && ours=yes
    fi
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"${1:-/dev/null}" 2>&1 || status=$?
    [ -z "$ours" ] || rm -f "$policy"
    if [ $status -ne 0 ]; then
        tail -n 20 "${1:-/dev/null}"
        echo "tests/run: the packages could not be installed" >&2
    fi
    return $status
}
