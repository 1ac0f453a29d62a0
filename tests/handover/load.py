# SPDX-License-Identifier: BSD-3-Clause
"""The load generator (tests/bench/load.c) as a child: it writes patterns, checks every read and every
number of the protocol, and ends with an error when one byte is wrong or a connection is lost."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

PAUSE = re.compile(r'pause any_ms=([\d.]+) each_ms=([\d.]+)')
FIGURE = re.compile(r'(\w+)=([\d.]+)')
LIMIT = 300.0
FOR_EVER = 500000   # seconds


class Load:
    program = None      # path of `load`

    def __init__(self, server, iqn, lun=0, connections=1, depth=8, block='4K', read=50, options=(),
                 name='load', amount=None, rate=None):
        self.name = name
        self.out = tempfile.TemporaryFile('w+')     # pylint: disable=consider-using-with
        command = [self.program, '--address', '%s:%d' % server.address, '--target', iqn, '--lun', str(lun),
                   '--initiator', 'iqn.2026-11.org.example:' + name, '--connections', str(connections),
                   '--depth', str(depth), '--block', block, '--read', str(read), '--verify',
                   '--warm-up', '0', '--seconds', str(FOR_EVER)] + list(options)
        if amount:
            command += ['--range', amount]
        if rate:
            command += ['--rate', str(rate)]
        self.process = subprocess.Popen(command, stdout=self.out, stderr=subprocess.STDOUT, text=True)
        self.figures, self.pauses, self.said = {}, [], ''

    def wait_running(self):
        """Until it has measured something: all its sessions are logged in."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            self.check()
            if 'running' in self.text():
                return
            time.sleep(0.01)
        raise AssertionError('%s does not get going: %s' % (self.name, self.text()))

    def text(self):
        return os.pread(self.out.fileno(), 1 << 24, 0).decode('utf-8', 'replace')

    def check(self):
        assert self.process.poll() is None, '%s ended with %d: %s' % (
            self.name, self.process.returncode, self.text()[-2000:])

    def mark(self):
        """Something happens to the target now: its pause is measured from here."""
        self.process.send_signal(signal.SIGUSR1)

    def finish(self):
        """No more load, then every written block is read again. All must have been right."""
        self.check()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError('%s does not end: %s' % (self.name, self.text()[-2000:])) from None
        text = self.said = self.text()
        assert self.process.returncode == 0, '%s ended with %d: %s' % (
            self.name, self.process.returncode, text[-2000:])
        self.pauses = [(float(a), float(b)) for a, b in PAUSE.findall(text)]
        self.figures = {key: float(value) for key, value in
                        FIGURE.findall(text.strip().splitlines()[-1])}
        assert self.figures['errors'] == 0, text[-2000:]
        return self.figures

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.out.close()


class Machine:
    """How busy it is: all processors, all processes, from now to stop()."""

    def __init__(self):
        self.busy = 0.0
        self._before = self._ticks()

    @staticmethod
    def _ticks():
        line = pathlib.Path('/proc/stat').read_text(encoding='ascii').split('\n', 1)[0]
        ticks = [int(word) for word in line.split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]      # idle, and idle while something waits for a disk

    def stop(self):
        total, idle = (now - then for now, then in zip(self._ticks(), self._before))
        self.busy = 1 - idle / max(1, total)


def build_of(daemon):
    """The load program of the build that the daemon belongs to."""
    core = pathlib.Path(daemon).resolve().parent
    for path in (core.parent / 'tests' / 'bench' / 'load', core / 'load'):
        if path.exists():
            return str(path)
    raise SystemExit('no load program beside ' + daemon)


def percentile(values, share):
    """The value below which so large a share of them lies."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def in_words(values):
    return 'p50 %.1f p99 %.1f max %.1f ms' % (percentile(values, 0.5), percentile(values, 0.99),
                                              max(values, default=0.0))
