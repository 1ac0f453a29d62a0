# SPDX-License-Identifier: BSD-3-Clause
"""A holdfastd in the target's namespace, and its fence helper by hand."""
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from network import LIMIT, PORT, TARGET, V4, V6, wait_until

IQN = 'iqn.2026-11.org.example:fenced'
STAMP = re.compile(r'^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z ')
ADDRESSES = ('%s:%d' % (V4, PORT), '[%s]:%d' % (V6, PORT))


class Settings:
    daemon, plugins = None, ''


def in_target(*words):
    return ['ip', 'netns', 'exec', TARGET, *map(str, words)]


class Server:
    """Use server(). fence is the value of `fence:` in the configuration, or None."""

    def __init__(self, folder, fence, listen=ADDRESSES):
        self.folder = pathlib.Path(folder)
        self.config, self.log_file = self.folder / 'holdfast.yaml', self.folder / 'log'
        self.state = self.folder / 'state'
        self.state.mkdir()
        self.process = None
        self.environment = {**os.environ, 'HOLDFAST_PLUGIN_DIR': Settings.plugins,
                            'CONFIG': str(self.config)}
        config = {
            'version': 1,
            'daemon': {'reactors': 1, 'state-directory': str(self.state), 'log-level': 'debug',
                       'control-socket': str(self.folder / 'control.sock')},
            'portals': {'wire': {'listen': list(listen)}},
            'targets': {IQN: {'luns': {'0': {'handler': 'ram', 'options': {'size': '16M'}}}}}}
        if fence:
            config['fence'] = fence
        self.config.write_text(json.dumps(config, indent=1), encoding='utf-8')
        self.log_file.touch()

    # --- the daemon

    def launch(self):
        """Starts it; returns how many lines its log had."""
        before = len(self.log())
        with open(self.log_file, 'ab') as log:
            self.process = subprocess.Popen(in_target(Settings.daemon, '-c', self.config), stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env=self.environment)
        return before

    def check(self):
        """--check, completed."""
        return subprocess.run([Settings.daemon, '--check', '-c', self.config], capture_output=True,
                              text=True, timeout=LIMIT, check=False, env=self.environment)

    def start(self):
        """Starts it and waits until initiators can log in; returns how many lines its log had."""
        before = self.launch()
        self.wait_log(' ready generation=', before)
        return before

    def log(self):
        return self.log_file.read_text(encoding='utf-8', errors='replace').splitlines()

    def find(self, words, after=0):
        return [line for line in self.log()[after:] if words in line]

    def wait_log(self, words, after=0):
        """The first line beyond `after` with these words."""
        try:
            return wait_until(words, lambda: self.find(words, after))[0]
        except AssertionError as error:
            raise AssertionError('%s\n%s' % (error, '\n'.join(self.log()[-60:]))) from None

    def stop(self):
        """SIGTERM; the exit code must be 0."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LIMIT)
        assert code == 0, 'exit code %d\n%s' % (code, '\n'.join(self.log()[-60:]))

    def worker(self):
        """The process id of the worker, or None; helpers are children, too."""
        path = pathlib.Path('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid))
        for pid in path.read_text(encoding='ascii').split():
            with contextlib.suppress(OSError):
                words = pathlib.Path('/proc/%s/cmdline' % pid).read_bytes().split(b'\0')
                if b'--worker' in words:
                    return int(pid)
        return None

    def kill_everything(self):
        """SIGKILL for keeper and worker."""
        worker = self.worker()
        self.process.kill()
        self.process.wait()
        wait_until('the worker dies with the keeper',
                   lambda: not pathlib.Path('/proc/%d' % worker).exists())

    def crash_loop(self):
        """Kills worker after worker until the fence is raised for it."""
        for death in range(1, 20):
            before = len(self.log())
            os.kill(wait_until('a worker', self.worker), signal.SIGABRT)
            self.wait_log('ended by signal 6', before)
            if death >= 5:
                return self.wait_log('raised plugin', before)
            self.wait_log(' ready generation=', before)
        raise AssertionError('no fence after 20 deaths')

    # --- by hand

    def control(self, *words, code=0):
        """holdfastctl; what it says, as JSON when it is that."""
        program = pathlib.Path(Settings.daemon).parent / 'ctl' / 'holdfastctl'
        done = subprocess.run(
            [program, '--socket', self.folder / 'control.sock', '--json', *words],
            capture_output=True, text=True, timeout=LIMIT, check=False)
        assert done.returncode == code, '%s: exit code %d\n%s' % (words, done.returncode, done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    # --- the helper

    @property
    def instance(self):
        """The name of the daemon's own rules."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:12]

    def helper(self, verb, age_ms=60000, code=0, instance=None):
        done = subprocess.run(
            in_target('bash', '-c', 'exec "$@" 3<"$CONFIG"', 'helper', Settings.daemon,
                      '--fence-helper', verb, instance or self.instance, age_ms, self.config),
            capture_output=True, text=True, timeout=LIMIT, check=False, env=self.environment)
        assert done.returncode == code, '%s: exit code %d\n%s' % (verb, done.returncode, done.stderr)

    def lower_whatever_happened(self):
        """So that a case that failed is not the reason for the next one to fail."""
        self.close()
        with contextlib.suppress(AssertionError):
            self.helper('lower')

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def stamp(line):
    """When a line was logged, in seconds of the wall clock."""
    when = datetime.datetime.fromisoformat(STAMP.match(line).group(1))
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


@contextlib.contextmanager
def server(fence, **more):
    folder = tempfile.mkdtemp(prefix='holdfast-fence.')
    one = Server(folder, fence, **more)
    try:
        yield one
    except Exception:
        print('# the daemon said last:')
        for line in one.log()[-40:]:
            print('#   ' + line)
        one.lower_whatever_happened()
        raise
    finally:
        one.close()
        shutil.rmtree(folder, ignore_errors=True)
