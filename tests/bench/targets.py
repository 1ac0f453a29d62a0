# SPDX-License-Identifier: BSD-3-Clause
"""Starts and stops the targets that the measurements and the conformance runs drive.

Every target gets a directory of its own, a free port on 127.0.0.1 and is stopped by its own
process id. Use them in a `with` block, or through `cleanup()`, which also runs at exit.
"""
import atexit
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TARGET = "iqn.2026-11.org.example:bench"
_started = []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process, seconds=10.0):
    """Seconds until the port accepts; RuntimeError when the process ends before."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return time.monotonic() - begin
        if process.poll() is not None:
            raise RuntimeError("the target ended with code %s" % process.returncode)
        time.sleep(0.0005)
    raise RuntimeError("the target did not accept within %g s" % seconds)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def shares_memory(pid):
    """With a worker: nothing of what it maps is its own (core/undertaker.h)."""
    with open("/proc/%d/comm" % pid) as f:
        return f.read() == "holdfast-rest\n"


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        try:
            if shares_memory(at):
                continue
            found.append(at)
            for thread in os.listdir("/proc/%d/task" % at):
                with open("/proc/%d/task/%s/children" % (at, thread)) as f:
                    todo += [int(n) for n in f.read().split()]
        except OSError:
            pass
    return found


def need(program, package, present=None):
    """Installs a Debian package when a program is missing, or what `present` looks for."""
    if present if present is not None else (shutil.which(program) or
                                            os.path.exists("/usr/sbin/" + program)):
        return
    print("installing the package %s" % package, flush=True)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    if os.geteuid() != 0:
        command.insert(0, "sudo")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))


class Target:
    name = "target"

    def __init__(self, cpu=None):
        self.port = free_port()
        self.directory = tempfile.mkdtemp(prefix="hf-%s-" % self.name)
        self.cpu = cpu
        self.process = None
        self.log = os.path.join(self.directory, "log")
        _started.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def spawn(self, command, environment=None):
        if self.cpu is not None:
            command = ["taskset", "-c", str(self.cpu)] + command
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=die_with_parent,
                                            env=dict(os.environ, **(environment or {})))

    def pids(self):
        return descendants(self.process.pid)

    def deaths(self):
        """Of workers, and of the daemon."""
        with open(self.log, errors="replace") as f:
            return f.read().count(" keeper/worker: ended ") + (self.process.poll() is not None)

    def pause(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    def url(self, lun, target=TARGET, user=None):
        return "iscsi://%s127.0.0.1:%d/%s/%d" % (user + "@" if user else "", self.port, target, lun)

    def show_log(self):
        with open(self.log, errors="replace") as f:
            sys.stderr.write("".join(f.readlines()[-30:]))

    def stop(self):
        """Returns the exit code, or None when the target had to be killed."""
        code = None
        if self.process and self.process.poll() is None:
            self.go_on()
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(10)
            except subprocess.TimeoutExpired:
                for pid in self.pids():
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
        elif self.process:
            code = self.process.returncode
        self.process = None
        shutil.rmtree(self.directory, ignore_errors=True)
        if self in _started:
            _started.remove(self)
        return code


class Tgt(Target):
    """Debian's tgt; every LUN is a sparse file on tmpfs. Its LUNs start at 1."""
    name = "tgt"
    first_lun = 1

    def __init__(self, sizes, users=(), read_only=(), removable=(), cpu=None, target=TARGET):
        super().__init__(cpu)
        need("tgtd", "tgt")
        self.control = random.randrange(1000, 30000)
        self.memory = tempfile.mkdtemp(prefix="hf-tgt-", dir="/dev/shm")
        self.spawn(["/usr/sbin/tgtd", "-f", "-C", str(self.control), "--iscsi",
                    "portal=127.0.0.1:%d" % self.port], {"TGT_IPC_SOCKET": self.directory + "/ipc"})
        wait_for_port(self.port, self.process)
        self.admin("--mode", "target", "--op", "new", "--tid", "1", "--targetname", target)
        for digest in "HeaderDigest", "DataDigest":  # off unless allowed
            self.admin("--mode", "target", "--op", "update", "--tid", "1", "--name", digest,
                       "--value", "CRC32C,None")
        for i, size in enumerate(sizes):
            lun = str(i + 1)
            path = os.path.join(self.memory, "lun" + lun)
            with open(path, "wb") as f:
                f.truncate(size)
            self.admin("--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", lun, "-b", path)
            options = ["thin_provisioning=1"]
            if i in read_only:
                options.append("readonly=1")
            if i in removable:
                options.append("removable=1")
            self.admin("--mode", "logicalunit", "--op", "update", "--tid", "1", "--lun", lun,
                       "--params", ",".join(options))
        for user, secret in users:
            self.admin("--mode", "account", "--op", "new", "--user", user, "--password", secret)
            self.admin("--mode", "account", "--op", "bind", "--tid", "1", "--user", user)
        self.admin("--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL")

    def admin(self, *arguments):
        subprocess.run(["/usr/sbin/tgtadm", "-C", str(self.control), "--lld", "iscsi", *arguments],
                       check=True, env=dict(os.environ, TGT_IPC_SOCKET=self.directory + "/ipc"))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.go_on()
            self.process.kill()  # tgtd does not end on SIGTERM while a target exists
            self.process.wait()
        shutil.rmtree(self.memory, ignore_errors=True)
        return super().stop()


class Holdfast(Target):
    """holdfastd with a configuration made here. `luns`: a dict of LUN to lines of YAML."""
    name = "holdfast"
    first_lun = 0

    def __init__(self, daemon, plugins, targets=None, luns=None, daemon_lines=(), auth=None,
                 cpu=None, wait=True):
        super().__init__(cpu)
        self.daemon = daemon
        self.config = os.path.join(self.directory, "holdfast.yaml")
        if targets is None:
            targets = {TARGET: luns}
        with open(self.config, "w") as f:
            f.write(self.yaml(plugins, targets, daemon_lines, auth))
        self.begin = time.monotonic()
        self.spawn([daemon, "-c", self.config])
        if wait:
            try:
                wait_for_port(self.port, self.process)
            except RuntimeError:
                self.show_log()
                raise

    def yaml(self, plugins, targets, daemon_lines, auth):
        lines = ["version: 1", "daemon:",
                 "  state-directory: " + self.directory,
                 "  control-socket: %s/control.sock" % self.directory]
        if plugins:
            lines.append("  plugin-path: [%s]" % ", ".join('"%s"' % p for p in plugins))
        lines += ["  " + line for line in daemon_lines]
        lines += ["portals:", '  san: { listen: ["127.0.0.1:%d"], tag: 1 }' % self.port]
        if auth:
            secret = os.path.join(self.directory, "secret")
            with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
                f.write(auth[1])
            lines += ["auth:", "  lab:", "    plugin: chap", "    options:",
                      '      users: [ { name: "%s", secret-file: "%s" } ]' % (auth[0], secret)]
        lines.append("targets:")
        for target, luns in targets.items():
            lines += ['  "%s":' % target, "    portals: [san]"]
            if auth:
                lines.append("    auth: lab")
            lines.append("    luns:")
            lines += ["      %d: %s" % (lun, text) for lun, text in luns.items()]
        return "\n".join(lines) + "\n"


def cleanup(*_):
    for target in list(_started):
        target.stop()


def _signalled(number, _frame):
    sys.exit(128 + number)  # atexit cleans up


atexit.register(cleanup)
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, _signalled)
