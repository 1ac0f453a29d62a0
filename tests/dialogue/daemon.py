# SPDX-License-Identifier: BSD-3-Clause
"""Starts the real daemon on a free port with a generated configuration, and ends it.

Ending it is part of every test: SIGTERM must end it with exit code 0, the worker must be the one that
was started (unless a test killed it), and neither process may have written a sanitizer's report.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

IQN = 'iqn.2026-11.org.example:disk'
LIMIT = 60.0
REPORT = re.compile(r'ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer'
                    r'|SUMMARY: \w+Sanitizer|Assertion .* failed|\*\*\* stack smashing')
PLAIN = re.compile(r'[A-Za-z0-9/][A-Za-z0-9/._-]*')


class Settings:
    """How the tests were called."""
    daemon = None       # path of holdfastd
    plugins = ()        # directories
    target = None       # (host, port, iqn) of something else that is already running


def ram(size='64M', **options):
    return dict({'handler': 'ram', 'options': {'size': size}}, **options)


def file(path, size='64M', **options):
    return dict({'handler': 'file', 'options': {'path': str(path), 'size': size}}, **options)


def yaml(value, indent=0):
    """YAML for nested dicts, lists and scalars."""
    pad = '  ' * indent
    if isinstance(value, dict):
        if not value:
            return ' {}\n'
        return '\n' + ''.join('%s%s:%s' % (pad, key if isinstance(key, int) else '"%s"' % key,
                                           yaml(item, indent + 1)) for key, item in value.items())
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        return ' %s\n' % json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return ' [%s]\n' % ', '.join(yaml(item).strip() for item in value)
    if isinstance(value, bool):
        return ' yes\n' if value else ' no\n'
    if isinstance(value, int):
        return ' %d\n' % value
    return (' %s\n' if PLAIN.fullmatch(value) else ' "%s"\n') % value


@contextlib.contextmanager
def free_port():
    """A port below the ephemeral range that no other test has: the lock lasts as long as the block."""
    folder = pathlib.Path(tempfile.gettempdir()) / 'holdfast-test-ports'
    folder.mkdir(exist_ok=True)
    while True:
        port = random.randrange(12000, 32000)
        with open(folder / str(port), 'w', encoding='ascii') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(('127.0.0.1', port))
            except OSError:
                continue
            yield port
            return


class Daemon:
    """A running holdfastd. Use serve()."""

    def __init__(self, port, folder):
        self.port, self.folder = port, folder
        self.address = ('127.0.0.1', port)
        self.config_file = folder / 'holdfast.yaml'
        self.log_file = folder / 'log'
        self.process = None
        self.killed_workers = False     # set by a test that kills a worker

    def write_config(self, targets, daemon=None, **sections):
        config = {
            'version': 1,
            'daemon': dict({
                'reactors': 2, 'state-directory': str(self.folder / 'state'),
                'busy-poll': os.environ.get('HOLDFAST_TEST_BUSY_POLL', '0'),
                'watchdog': '20s',      # a sanitizer's threads wait longer for a busy machine
                'control-socket': str(self.folder / 'control.sock'),
                'plugin-path': [str(path) for path in Settings.plugins]}, **(daemon or {})),
            'portals': {'test': {'listen': ['127.0.0.1:%d' % self.port], 'tag': 1}},
        }
        config.update(sections)
        config['targets'] = targets
        (self.folder / 'state').mkdir(exist_ok=True)
        text = yaml(config).lstrip().replace('$PORT', str(self.port))
        text = text.replace('$FOLDER', str(self.folder))
        self.config_file.write_text(text, encoding='utf-8')

    def start(self):
        environment = dict(os.environ)
        if 'HOLDFAST_TEST_PRELOAD' in environment:      # see glib-order.c
            environment['LD_PRELOAD'] = environment['HOLDFAST_TEST_PRELOAD']
        with open(self.log_file, 'ab') as log:
            self.process = subprocess.Popen([Settings.daemon, '-c', str(self.config_file)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, env=environment)
        self.wait_listening()

    def wait_listening(self):
        """Until a worker answers, and nothing is left of the connection that shows it."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError('the daemon ended with %d:\n%s' % (
                    self.process.returncode, self.log()))
            with contextlib.suppress(OSError), socket.create_connection(self.address, timeout=1) as probe:
                probe.shutdown(socket.SHUT_WR)
                if not probe.recv(1):
                    return
            time.sleep(0.02)
        raise AssertionError('the daemon does not listen:\n' + self.log())

    def log(self):
        return self.log_file.read_text(encoding='utf-8', errors='replace')

    def wait_log(self, word, after=0):
        """Waits until a line beyond the first `after` holds the word; returns those lines."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            lines = self.log().splitlines()[after:]
            if any(word in line for line in lines):
                return lines
            time.sleep(0.02)
        raise AssertionError('never logged: %r\n%s' % (word, self.log()[-8000:]))

    def workers(self):
        """Process ids of the keeper's children that are workers: it has helpers, too."""
        return sorted(int(pid) for path in pathlib.Path(
            '/proc/%d/task' % self.process.pid).glob('*/children')
            for pid in path.read_text(encoding='ascii').split() if self._is_worker(pid))

    @staticmethod
    def _is_worker(pid):
        try:
            return pathlib.Path('/proc/%s/comm' % pid).read_text(encoding='ascii') == 'holdfast-worker\n'
        except OSError:
            return False

    def wait_for_worker(self, not_among=()):
        """The process id of a worker that is not one of these."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            new = [pid for pid in self.workers() if pid not in not_among]
            if new:
                return new[0]
            time.sleep(0.02)
        raise AssertionError('no worker')

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait_exit(self, limit=LIMIT):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError('the daemon does not end') from None

    def kill(self):
        """Ends whatever is left of it, without manners."""
        for pid in self.workers() if self.process.poll() is None else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def report(self):
        """The lines of a sanitizer's report in the log, or none."""
        lines = self.log().splitlines()
        for number, line in enumerate(lines):
            if REPORT.search(line):
                return lines[max(0, number - 3):number + 60]
        return []

    def last_words(self):
        return self.report() or self.log().splitlines()[-15:]

    def check_log(self):
        report = self.report()
        assert not report, 'the daemon complains:\n' + '\n'.join(report)


@contextlib.contextmanager
def serve(targets=None, start=True, folder=None, files=None, **config):
    """A daemon with these targets (a dict as in YAML; default: one with a RAM and a file LUN).

    In the configuration $PORT is the port and $FOLDER a folder of the daemon's own, in which `files`
    (name: text) are written first, readable by their owner alone. start=False: configured only.
    """
    own = None if folder else tempfile.mkdtemp(prefix='holdfast-test.')
    where = pathlib.Path(folder or own)
    try:
        with free_port() as port:
            server = Daemon(port, where)
            for name, text in (files or {}).items():
                (where / name).write_text(text, encoding='utf-8')
                (where / name).chmod(0o600)
            if targets is None:
                targets = {IQN: {'portals': ['test'],
                                 'luns': {0: ram(), 1: file(where / 'disk.img')}}}
            server.write_config(targets, **config)
            if not start:
                yield server
                return
            server.start()
            first = server.workers()
            try:
                yield server
                ended_already = server.process.poll() is not None
                if not ended_already:
                    assert server.killed_workers or server.workers() == first, \
                        'the worker died:\n' + server.log()[-8000:]
                    server.signal(signal.SIGTERM)
                    code = server.wait_exit()
                    assert code == 0, 'SIGTERM ended the daemon with %d:\n%s' % (
                        code, server.log()[-8000:])
                server.check_log()
            finally:
                server.kill()
    finally:
        if own:
            shutil.rmtree(own, ignore_errors=True)
