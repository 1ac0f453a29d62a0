# SPDX-License-Identifier: BSD-3-Clause
"""Workers that hang: the keeper's watchdog ends them, and the next one goes on with all sessions."""
import contextlib
import ctypes
import os
import pathlib
import signal
import time

from cases import case
from kill_cases import FIRST, loads_on, report, targets
from server import LIMIT, serving
from upgrade_cases import SHARE

PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000


def threads(pid):
    """Names of a process' threads by their number."""
    found = {}
    for path in pathlib.Path('/proc/%d/task' % pid).iterdir():
        with contextlib.suppress(OSError):
            found[int(path.name)] = (path / 'comm').read_text(encoding='ascii').strip()
    return found


class Held:
    """One thread that stands still, all others run: as one that goes round in circles."""

    def __init__(self, tid):
        self.tid, self.libc = tid, ctypes.CDLL(None, use_errno=True)
        assert self.libc.ptrace(PTRACE_ATTACH, tid, None, None) == 0, os.strerror(ctypes.get_errno())
        os.waitpid(tid, WALL)

    def end(self):
        """It is gone, or goes on."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            try:
                pid, status = os.waitpid(self.tid, WALL | os.WNOHANG)
            except ChildProcessError:
                return
            if pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                return
            if pid:
                self.libc.ptrace(PTRACE_DETACH, self.tid, None, None)
                return
            time.sleep(0.005)
        raise AssertionError('the thread is still there')


def hang(scale, times, how):
    with serving(targets(), daemon={'reactors': 2, 'watchdog': '500ms'}) as server:
        server.daemon.killed_workers = True
        with loads_on(server, *SHARE) as loads:
            for turn in range(times):
                time.sleep(scale.between(0.2, 0.6))
                for load in loads:
                    load.mark()
                before = server.ready_count()
                release = how(server.worker(), turn)
                server.wait_log('does not answer for', turn + 1)
                release()
                server.wait_log(' ready generation=', before + 1)
                for load in loads:
                    load.check()
                time.sleep(scale.between(1, 1.5))
            time.sleep(0.3)
        server.check()
        return report(server, loads)


@case('watchdog: the worker is stopped')
def _(scale):
    def stop(pid, _turn):
        os.kill(pid, signal.SIGSTOP)
        return lambda: None
    return hang(scale, scale.count(2, 50), stop)


@case('watchdog: one thread stands still: a reactor of data, that of logins, the control thread',
      soak_only=True)   # ptrace makes it slow: minutes, at times
def _(scale):
    names = ('hf-data-0', 'hf-login', 'holdfast-worker', 'hf-data-1')

    def hold(pid, turn):
        wanted = names[turn % len(names)]
        return Held(next(tid for tid, name in threads(pid).items() if name == wanted)).end
    return hang(scale, scale.count(3, 48), hold)


@case('watchdog: a worker that is busy is left alone')
def _(scale):
    with serving(targets(), daemon={'reactors': 2, 'watchdog': '500ms'}) as server:
        worker = server.worker()
        with loads_on(server, (FIRST, dict(connections=50, depth=16))) as loads:
            time.sleep(scale.count(3, 600))
        assert server.worker() == worker
        return report(server, loads)
