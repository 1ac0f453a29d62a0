# SPDX-License-Identifier: BSD-3-Clause
"""A daemon whose worker gets killed: what tests/dialogue/daemon.py starts, and what happens to it."""
import contextlib
import os
import pathlib
import re
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ('dialogue', 'control', 'lib')]
# pylint: disable=wrong-import-position
import daemon as dialogue_daemon  # noqa: E402
from daemon import IQN, Settings, file, ram  # noqa: E402,F401

LIMIT = 60.0
FORGIVEN, A_SECOND = 45, 5    # deaths by others' hands at once, and beyond that (core/keeper/supervise.c)
DULL = re.compile(r'logged in |LUN opened|no auth|(session|connection) ended')
EXPECTED = re.compile('reason="(session logout|connection logout|closed by the initiator)"')
UPGRADED = re.compile(r'upgrade: done generation=\d+ pid=\d+ pause=([\d.]+)ms')
TAKEN = re.compile(r'taken over sessions=(\d+) connections=(\d+) tasks=(\d+) not-resumed=(\d+) '
                   r'closed=(\d+) took=([\d.]+)ms')


class Server:
    """Wraps a running Daemon. Kills are counted, and what each new worker said about its inheritance."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.address = daemon.address
        self.kills = 0
        self.upgrades = 0
        self._due = 0.0         # when the keeper will have forgotten the kills so far
        self._offset = 0
        self._text = ''

    def log(self):
        """All that was logged; only news are read."""
        with open(self.daemon.log_file, 'rb') as log:
            log.seek(self._offset)
            news = log.read()
        self._offset += len(news)
        self._text += news.decode('utf-8', 'replace')
        return self._text

    def tail(self, lines=25):
        """The last of the log that tells something: not every login, LUN and logout."""
        return '\n'.join([line for line in self.log().splitlines() if not DULL.search(line)][-lines:])

    def wait_log(self, word, count=1, limit=LIMIT):
        """Waits until the word was logged so many times."""
        deadline = time.monotonic() + limit
        while self.log().count(word) < count:
            if time.monotonic() > deadline or self.daemon.process.poll() is not None:
                raise AssertionError('%r was logged %d times, not %d:\n%s' % (
                    word, self._text.count(word), count, self.tail()))
            time.sleep(0.002)

    def wait_for(self, condition, limit=LIMIT):
        """Waits until the condition holds for all that was logged."""
        deadline = time.monotonic() + limit
        while not condition(self.log()):
            assert time.monotonic() < deadline, 'not logged in time:\n' + self.tail()
            time.sleep(0.002)

    def ready_count(self):
        return self.log().count(' ready generation=')

    def workers(self):
        """Process ids of all workers, oldest first."""
        found = []
        for pid in self.daemon.workers():
            with contextlib.suppress(OSError):
                if pathlib.Path('/proc/%d/comm' % pid).read_text(encoding='ascii').strip() == \
                        'holdfast-worker':
                    found.append(pid)
        return found

    def worker(self):
        """The process id of a worker, as soon as there is one."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            found = self.workers()
            if found:
                return found[-1]
            time.sleep(0.0005)
        raise AssertionError('no worker:\n' + self.tail())

    def stop_worker(self):
        """SIGSTOP, which takes its threads one after the other; returns when the last one stands still."""
        def is_still(thread):
            name, _, rest = (thread / 'stat').read_text().partition('(')[2].rpartition(')')
            return rest.split()[0] == 'T' or name.startswith('iou-')    # those are the kernel's
        pid = self.worker()
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT
        while not all(map(is_still, pathlib.Path('/proc/%d/task' % pid).iterdir())):
            assert time.monotonic() < deadline, 'it does not stand still'
            time.sleep(0.001)
        return pid

    def kill_now(self):
        """SIGKILL for whatever worker there is; returns its process id."""
        self.daemon.killed_workers = True
        pid = self.worker()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills += 1
        return pid

    def kill(self):
        """SIGKILL for the worker, and wait until the next one is ready."""
        now = time.monotonic()
        self._due = max(self._due, now) + 1 / A_SECOND
        time.sleep(max(0, self._due - now - FORGIVEN / A_SECOND))
        before = self.ready_count()
        self.kill_now()
        self.wait_log(' ready generation=', before + 1)

    def begin_upgrade(self):
        self.daemon.killed_workers = True
        self.daemon.signal(signal.SIGUSR2)
        self.upgrades += 1

    def upgrade(self, good=True):
        """SIGUSR2, and wait until the keeper says how it went."""
        word = 'upgrade: done' if good else 'upgrade: failed'
        before = self.log().count(word)
        self.begin_upgrade()
        self.wait_log(word, before + 1)

    def kill_any(self, random):
        """SIGKILL for one of the workers, when there are two."""
        self.daemon.killed_workers = True
        found = self.workers()
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(found), signal.SIGKILL)
                self.kills += 1

    def wait_only(self, pid):
        """Until this process, which must not end, is the only worker."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            found = self.workers()
            assert pid in found, 'the worker was replaced:\n' + self.tail()
            if found == [pid]:
                return
            time.sleep(0.002)
        raise AssertionError('the new worker does not go:\n' + self.tail())

    def wait_serving(self):
        """Until the newest worker that was started is ready."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            text = self.log()
            workers = self.workers()
            if len(workers) == 1 and ' ready generation=' in text and \
                    ' pid=%d ' % workers[0] in text[text.rindex(' ready generation='):]:
                return
            time.sleep(0.005)
        raise AssertionError('no worker is ready:\n' + self.tail())

    def taken(self):
        """What new workers said they took over: a list of dicts."""
        names = ('sessions', 'connections', 'tasks', 'doubtful', 'closed', 'ms')
        return [dict(zip(names, map(float, found.groups()))) for found in TAKEN.finditer(self.log())]

    def pauses(self):
        """What the keeper said of each upgrade: ms from FREEZE to READY."""
        return [float(found[1]) for found in UPGRADED.finditer(self.log())]

    def check(self, but_last=False):
        """No session may have been given up or closed by anybody; but_last: until the last new worker came."""
        text = self.log()
        bad = [line for line in text.splitlines() if 'not resumed' in line or
               'connection ended' in line and not EXPECTED.search(line)]
        all_taken = self.taken()
        bad += ['%r' % taken for taken in all_taken[:len(all_taken) - but_last] if taken['doubtful'] or taken['closed']]
        assert not bad, 'sessions were lost:\n' + '\n'.join(bad[:20])


@contextlib.contextmanager
def serving(targets=None, **config):
    """A Server. What the daemon logs is part of the failure when the block fails."""
    with dialogue_daemon.serve(targets, **config) as daemon:
        server = Server(daemon)
        try:
            yield server
        except Exception as error:
            error.add_note('the daemon said last:\n' + server.tail())
            raise
