# SPDX-License-Identifier: BSD-3-Clause
"""holdfastctl on a terminal of its own: what it draws, as a screen, and what it makes of the terminal."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import client

BEGIN, END = b'\x1b[?1049h', b'\x1b[?1049l'
SEQUENCE = re.compile(rb'\x1b\[[?0-9;]*[A-Za-z]')


def as_a_shell(arguments):
    """Runs a job on the terminal; when it stops says so, and goes on with it after a line. Its exit code."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execv(arguments[0], arguments)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        os.tcsetpgrp(0, os.getpid())
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.write(1, b'stopped\r\n')
        os.read(0, 100)
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)


class Terminal:
    """A program that leads it, or its shell; `seen` is all that it wrote."""

    def __init__(self, daemon, words, rows, columns, shell):
        self.seen = b''
        size = struct.pack('HHHH', rows, columns, 0, 0)
        arguments = [client.program(), '--socket', client.path_of(daemon), *map(str, words)]
        # The other end is held open: its modes would be the first ones again when the program has gone.
        self.end, self.other_end = pty.openpty()
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, size)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.end)
            os.login_tty(self.other_end)
            if shell:
                os._exit(as_a_shell(arguments))
            os.execv(arguments[0], arguments)
        self.code = None

    def resize(self, rows, columns):
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.end, keys)

    def modes(self):
        """Whether what is typed is echoed, and read by the line."""
        flags = termios.tcgetattr(self.end)[3]
        return bool(flags & termios.ECHO), bool(flags & termios.ICANON)

    def _read(self, seconds):
        if select.select([self.end], [], [], seconds)[0]:
            self.seen += os.read(self.end, 1 << 16)

    def wait_for(self, found, what):
        """Until found(bytes since now) is true; those bytes."""
        start, deadline = len(self.seen), time.monotonic() + client.LIMIT
        while not found(self.seen[start:]):
            assert time.monotonic() < deadline, '%s: %r' % (what, self.seen[start:][-3000:])
            self._read(1)
        return self.seen[start:]

    def wait_word(self, word):
        return self.wait_for(lambda seen: word in seen, word)

    def screen(self, good=lambda lines: True):
        """The lines of a whole picture drawn from now on, one that is good."""
        def pictures(seen):     # each begins with HOME and ends with ERASE BELOW
            return [piece[:piece.index(b'\x1b[J')] for piece in seen.split(b'\x1b[H')[1:] if b'\x1b[J' in piece]

        def lines(picture):
            return [line.rstrip('\r') for line in SEQUENCE.sub(b'', picture).decode().split('\n')]
        seen = self.wait_for(lambda seen: any(good(lines(picture)) for picture in pictures(seen)), 'a good picture')
        return next(filter(good, map(lines, pictures(seen))))

    def wait_end(self):
        """The exit code, once it has ended; what it still writes is read."""
        deadline = time.monotonic() + client.LIMIT
        while self.code is None:
            assert time.monotonic() < deadline, self.seen
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        while select.select([self.end], [], [], 0)[0]:
            self._read(0)
        return self.code


@contextlib.contextmanager
def on_terminal(daemon, *words, rows=24, columns=80, shell=False):
    terminal = Terminal(daemon, words, rows, columns, shell)
    try:
        yield terminal
    finally:
        if terminal.code is None:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        os.close(terminal.end)
        os.close(terminal.other_end)
