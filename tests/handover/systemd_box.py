# SPDX-License-Identifier: BSD-3-Clause
"""systemd itself as process 1 of namespaces of its own, with nothing but the daemon's unit: the one that is
installed, with another binary, configuration and log. Needs root."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import daemon as dialogue_daemon
from server import LIMIT, Server, Settings
from tap import Skip

SYSTEMD = '/lib/systemd/systemd'
UNIT = 'holdfast.service'

# Its control groups are below one of ours. What the unit makes in /run and /var/lib is gone afterwards.
OUTER = r'''
mkdir "$BOX/cgroup" && mount -t cgroup2 none "$BOX/cgroup" && mkdir "$BOX/cgroup/$GROUP" || exit 1
echo $$ >"$BOX/cgroup/$GROUP/cgroup.procs" || exit 1
exec unshare --mount --pid --fork --kill-child --mount-proc --cgroup --ipc --uts sh -c "$INNER"
'''
INNER = r'''
mount --make-rprivate / && mount -t tmpfs none /run && mount -t tmpfs none /var/lib || exit 1
mkdir -p /run/systemd/system && mount -t cgroup2 none /sys/fs/cgroup && cp -r "$BOX/units/." /run/systemd/system || exit 1
export container=holdfast SYSTEMD_UNIT_PATH=/run/systemd/system: SYSTEMD_LOG_TARGET=console
exec /lib/systemd/systemd --system --unit=nothing.target --show-status=0 --log-level=info
'''
AFTERWARDS = r'''mount -t cgroup2 none "$BOX/cgroup" && find "$BOX/cgroup/$GROUP" -depth -type d -exec rmdir {} +'''


def children(pid):
    found = []
    for path in pathlib.Path('/proc/%d/task' % pid).glob('*/children'):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text(encoding='ascii').split()]
    return found


def inner_pid(pid):
    """Its number among systemd's, or 0."""
    with contextlib.suppress(OSError):
        status = pathlib.Path('/proc/%d/status' % pid).read_text(encoding='ascii', errors='replace')
        return int(re.search(r'^NSpid:.*\s(\d+)$', status, re.M)[1])
    return 0


class Box:
    """A running systemd. Use systemd()."""

    def __init__(self, unit):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-systemd.'))
        self.group = 'holdfast-%d' % os.getpid()
        units = self.folder / 'units'
        units.mkdir()
        for name, text in unit.items():
            (units / name).parent.mkdir(exist_ok=True)
            (units / name).write_text(text, encoding='utf-8')
        (units / 'nothing.target').write_text('[Unit]\nDefaultDependencies=no\n', encoding='utf-8')
        environment = dict(os.environ, BOX=str(self.folder), GROUP=self.group, INNER=INNER)
        self.environment = environment
        self.console = self.folder / 'console'
        with open(self.console, 'wb') as console:
            self.process = subprocess.Popen(['unshare', '--mount', 'sh', '-c', OUTER], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            self.first = self._wait_up()
        except BaseException:
            self.close()
            raise

    def _wait_up(self):
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and self.process.poll() is None:
            for pid in children(self.process.pid):
                with contextlib.suppress(OSError):
                    if os.path.realpath('/proc/%d/exe' % pid) == os.path.realpath(SYSTEMD):
                        self.first = pid
                        if self.ctl('is-system-running', check=False).strip() in ('running', 'degraded'):
                            return pid
            time.sleep(0.05)
        raise Skip('systemd does not come up here: ' + self.console.read_text(errors='replace')[-300:])

    def ctl(self, *words, check=True):
        """systemctl; returns what it says."""
        done = subprocess.run(['nsenter', '-t', str(self.first), '-m', '-p', '-C', '-i', '-u', 'systemctl',
                               *words], capture_output=True, text=True, check=False, timeout=LIMIT)
        assert not check or done.returncode == 0, 'systemctl %s: %s%s%s' % (
            ' '.join(words), done.stdout, done.stderr, self.console.read_text(errors='replace')[-2000:])
        return done.stdout

    def show(self, name):
        return self.ctl('show', '--value', '-p', name, UNIT).strip()

    def main(self):
        """The unit's main process, as the number it has here; 0: none."""
        wanted = int(self.show('MainPID'))
        return next((pid for pid in children(self.first) if wanted and inner_pid(pid) == wanted), 0)

    def close(self):
        self.process.kill()     # and with it all of the namespace
        self.process.wait()
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and subprocess.run(
                ['unshare', '--mount', 'sh', '-c', AFTERWARDS], env=self.environment, check=False,
                capture_output=True).returncode:
            time.sleep(0.05)    # until the last process is gone
        shutil.rmtree(self.folder, ignore_errors=True)


def unit_of(daemon, **drop_in):
    """The files of the unit that is installed, for this daemon."""
    built = pathlib.Path(Settings.daemon).resolve().parents[1] / 'conf' / UNIT
    if not built.exists():
        raise Skip('no unit in this build')
    text = re.sub(r'^ExecStart=.*', 'ExecStart=%s -c %s' % (pathlib.Path(Settings.daemon).resolve(), daemon.config_file),
                  built.read_text(encoding='utf-8'), flags=re.M)
    control = '%s --socket %s' % (pathlib.Path(Settings.daemon).resolve().parent / 'ctl/holdfastctl',
                                  daemon.folder / 'control.sock')
    text = re.sub(r"'\S+/holdfastctl ", "'%s " % control, text)
    lines = ['ConfigurationDirectory='] + ['%s=%s' % pair for pair in drop_in.items()]
    lines += ['Standard%s=append:%s' % (name, daemon.log_file) for name in ('Output', 'Error')]
    return {UNIT: text, UNIT + '.d/test.conf': '[Unit]\nDefaultDependencies=no\n[Service]\n%s\n' % '\n'.join(lines)}


class SystemdServer(Server):
    """The daemon as systemd's unit."""

    def __init__(self, daemon, box):
        super().__init__(daemon)
        self.box = box
        self.restarts = 0

    def keeper(self):
        """Its process, as soon as there is one."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            pid = self.box.main()
            if pid:
                return pid
            time.sleep(0.01)
        raise AssertionError('the unit has no process:\n' + self.tail())

    def workers(self):
        return [pid for pid in children(self.box.main() or 1 << 30) if self.daemon._is_worker(pid)]  # pylint: disable=protected-access

    def again(self, act):
        """What ends the daemon, and waits until it serves again."""
        before = self.ready_count()
        act()
        deadline = time.monotonic() + LIMIT
        while self.ready_count() <= before:
            assert time.monotonic() < deadline, 'it does not come back:\n' + self.tail()
            time.sleep(0.005)
        self.restarts += 1


@contextlib.contextmanager
def systemd(targets=None, drop_in=None, **config):
    """A SystemdServer that is started."""
    if os.getuid() or not os.path.exists(SYSTEMD) or not shutil.which('nsenter'):
        raise Skip('needs root, systemd and nsenter')
    with dialogue_daemon.serve(targets, start=False, **config) as daemon:
        box = Box(unit_of(daemon, **(drop_in or {})))
        server = SystemdServer(daemon, box)
        try:
            box.ctl('start', UNIT)
            yield server
            daemon.check_log()
        except Exception as error:
            error.add_note('the daemon said last:\n' + (server.tail() if daemon.log_file.exists() else '-'))
            error.add_note('systemd said last:\n' + box.console.read_text(errors='replace')[-3000:])
            raise
        finally:
            box.close()
