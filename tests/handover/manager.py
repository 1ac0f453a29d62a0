# SPDX-License-Identifier: BSD-3-Clause
"""A small service manager: it hears what the daemon tells it (sd_notify), keeps descriptors by name
(FDSTORE, as systemd 252 does it), and starts the daemon again with them when it has ended."""
import array
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import daemon as dialogue_daemon
from server import LIMIT, Server

FIRST = 3           # descriptors are passed from here on
MESSAGE = 4096
AT_ONCE = 253       # descriptors of one message


class Manager:
    """Use managed()."""

    def __init__(self, limit=1 << 16, watchdog=None, sockets=()):
        """sockets: (name, listening socket) of socket activation."""
        self.limit, self.watchdog = limit, watchdog
        self.folder = tempfile.mkdtemp(prefix='holdfast-manager.')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.folder + '/notify')
        self.lock = threading.Lock()
        self.store = []         # [name, descriptor]
        self.sockets = [[name, one.fileno()] for name, one in sockets]
        self.told = []          # all assignments but those of the store
        self.refused = 0        # descriptors there was no room for
        self.thread = threading.Thread(target=self._hear, daemon=True)
        self.thread.start()

    def _hear(self):
        while True:
            data, ancillary, _, _ = self.socket.recvmsg(
                MESSAGE, socket.CMSG_SPACE(AT_ONCE * array.array('i').itemsize))
            fds = array.array('i')
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(content)
            for fd in fds:
                os.set_inheritable(fd, False)   # the daemon gets duplicates, by their numbers
            words = dict(line.split('=', 1) for line in data.decode().splitlines())
            if words.get('TEST') == 'over':
                return
            with self.lock:
                self._obey(words, fds)

    def _obey(self, words, fds):
        name = words.get('FDNAME', 'stored')
        if 'FDSTORE' in words:
            for fd in fds:
                self._keep(name, fd, words)
        elif 'FDSTOREREMOVE' in words:
            for entry in [entry for entry in self.store if entry[0] == name]:
                os.close(entry[1])
                self.store.remove(entry)
        else:
            self.told += words.items()

    def _keep(self, name, fd, words):
        assert words.get('FDPOLL') == '0', words
        same = os.stat(fd).st_ino
        known = any(os.stat(entry[1]).st_ino == same and os.path.sameopenfile(entry[1], fd)
                    for entry in self.store)
        if known or len(self.store) >= self.limit:
            self.refused += not known
            os.close(fd)
        else:
            self.store.append([name, fd])

    def names(self):
        with self.lock:
            return [name for name, _ in self.store]

    def wait_told(self, word, count=1):
        deadline = time.monotonic() + LIMIT
        while sum('%s=%s' % pair == word for pair in list(self.told)) < count:
            assert time.monotonic() < deadline, '%s was not told: %r' % (word, self.told[-20:])
            time.sleep(0.005)

    def start(self, command, **more):
        """Popen with the descriptors of the store, as systemd passes them."""
        with self.lock:
            passed = self.sockets + self.store
            names, fds = [name for name, _ in passed], [fd for _, fd in passed]

            def child():
                room = FIRST + len(fds)
                high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, room) for fd in fds]
                for number, fd in enumerate(high):
                    os.dup2(fd, FIRST + number)
                if fds:
                    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)),
                                      LISTEN_FDNAMES=':'.join(names))
                os.environ['NOTIFY_SOCKET'] = self.folder + '/notify'
                if self.watchdog:
                    os.environ.update(WATCHDOG_USEC=str(int(self.watchdog * 1e6)),
                                      WATCHDOG_PID=str(os.getpid()))
            return subprocess.Popen(command, preexec_fn=child, close_fds=False, **more)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b'TEST=over', self.folder + '/notify')
        self.thread.join(LIMIT)
        with self.lock:
            for _, fd in self.store:
                os.close(fd)
            self.store = []
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class ManagedServer(Server):
    """The daemon as a service of the manager."""

    def __init__(self, daemon, manager):
        super().__init__(daemon)
        self.manager = manager
        self.restarts = 0

    def start(self):
        with open(self.daemon.log_file, 'ab') as log:
            self.daemon.process = self.manager.start(
                [dialogue_daemon.Settings.daemon, '-c', str(self.daemon.config_file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def start_again(self):
        """After its end; waits until a worker serves."""
        before = self.ready_count()
        self.daemon.process.wait(LIMIT)
        self.start()
        self.wait_log(' ready generation=', before + 1)
        self.restarts += 1

    def restart(self):
        """SIGUSR1: the daemon leaves everything to the manager and ends; then the next start."""
        self.daemon.signal(10)
        assert self.daemon.wait_exit() == 0
        self.start_again()

    def kill_both(self, random):
        """SIGKILL for keeper and worker, then the next start."""
        victims = [self.daemon.process.pid] + self.workers()
        random.shuffle(victims)
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.start_again()


@contextlib.contextmanager
def managed(targets=None, limit=1 << 16, watchdog=None, sockets=None, **config):
    """A ManagedServer that serves. sockets: a function from the address to the sockets it gets."""
    with dialogue_daemon.serve(targets, start=False, **config) as daemon:
        given = sockets(daemon.address) if sockets else ()
        manager = Manager(limit, watchdog, given)
        server = ManagedServer(daemon, manager)
        try:
            server.start()
            server.wait_log(' ready generation=')
            yield server
            daemon.signal(15)
            code = daemon.wait_exit()
            assert code == 0, 'SIGTERM ended the daemon with %d:\n%s' % (code, server.tail())
            daemon.check_log()
        except Exception as error:
            error.add_note('the daemon said last:\n' + server.tail())
            raise
        finally:
            if daemon.process:
                daemon.kill()
            manager.close()
