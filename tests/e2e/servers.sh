# SPDX-License-Identifier: BSD-3-Clause
# The target in the namespace: a RAM LUN of 256 MiB and a file LUN of 512 MiB on 10.66.0.1:3260, and a second way to them on :3261.

wait_for_port() {
    local left
    for ((left = 200; left > 0; left--)); do
        kill -0 "$server" 2>/dev/null || { tail -n 20 "$box/log"; return 1; }
        ip netns exec "$space" bash -c ': </dev/tcp/10.66.0.1/3260' 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

serve_holdfast() {
    mkdir "$box/state"
    cat >"$box/holdfast.yaml" <<Y
version: 1
daemon:
  state-directory: $box/state
  control-socket: $box/control.sock
  plugin-path: [$(echo "$plugins" | sed 's/[^:]\+/"&"/g; s/:/, /g')]
portals:
  san: { listen: ["10.66.0.1:3260"], tag: 1 }
  side: { listen: ["10.66.0.1:3261"], tag: 2, access-state: active-non-optimized }
targets:
  $iqn:
    portals: [san, side]
    luns:
      0: { handler: ram, options: { size: 256M } }
      1: { handler: file, options: { path: "$box/disk.img", size: 512M } }
Y
    ip netns exec "$space" "$daemon" -c "$box/holdfast.yaml" >"$box/log" 2>&1 &
    server=$!
    wait_for_port
}

# tgt has a controller at LUN 0, so its disks are LUN 1 and 2.
serve_tgt() {
    local control="ip netns exec $space tgtadm -C 66 --lld iscsi"
    export E2E_LUN=1
    truncate -s 256M "$box/ram.img"
    truncate -s 512M "$box/disk.img"
    ip netns exec "$space" tgtd -f -C 66 --iscsi portal=10.66.0.1:3260 >"$box/log" 2>&1 &
    server=$!
    wait_for_port && sleep 0.5 &&
        $control --mode target --op new --tid 1 -T "$iqn" &&
        $control --mode logicalunit --op new --tid 1 --lun 1 -b "$box/ram.img" &&
        $control --mode logicalunit --op new --tid 1 --lun 2 -b "$box/disk.img" &&
        $control --mode logicalunit --op update --tid 1 --lun 1 --params thin_provisioning=1 &&
        $control --mode logicalunit --op update --tid 1 --lun 2 --params thin_provisioning=1 &&
        $control --mode target --op update --tid 1 -n HeaderDigest -v None,CRC32C &&
        $control --mode target --op update --tid 1 -n DataDigest -v None,CRC32C &&
        $control --mode target --op update --tid 1 -n InitialR2T -v No &&
        $control --mode target --op bind --tid 1 -I ALL
}
