# SPDX-License-Identifier: BSD-3-Clause
"""Who hurries, and for how long: keeper, worker and their session while initiators wait for a worker that takes
over, and nobody afterwards. The worker in reserve is stopped (SIGSTOP), so that there is time to look, and
longer than anybody may run before everything else."""
import contextlib
import os
import pathlib
import re
import signal
import time

from cases import case
from kill_cases import FIRST, loads_on, targets
from server import LIMIT, serving
from tap import Skip
from watchdog_cases import threads

STEPS = 10


def session_nice(pid):
    """None: this kernel does not share the machine between sessions."""
    with contextlib.suppress(OSError):
        found = re.search(r'nice (-?\d+)', pathlib.Path('/proc/%d/autogroup' % pid).read_text(encoding='ascii'))
        return int(found[1]) if found else None
    return None


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, 'not in time: ' + what
        time.sleep(0.002)


def is_realtime(tid):
    with contextlib.suppress(ProcessLookupError):       # it has ended
        return os.sched_getscheduler(tid) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER
    return False


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path('/proc/%d/comm' % pid).read_text(encoding='ascii').strip()
    return ''


def children(pid):
    return [int(word) for word in
            pathlib.Path('/proc/%d/task/%d/children' % (pid, pid)).read_text(encoding='ascii').split()]


def in_reserve(server):
    """The process id of the worker in reserve, prepared."""
    server.wait_for(lambda text: 'in reserve generation=' in text)
    found = re.findall(r'in reserve generation=\d+ pid=(\d+)', server.log())
    return int(found[-1])


def usual_again(server, keeper, nice, session):
    pid = server.worker()
    everyone = list(threads(pid))
    data = [tid for tid, name in threads(pid).items() if name.startswith(('hf-data', 'holdfast-worker'))]
    rest = [child for child in children(keeper) if name_of(child) == 'holdfast-rest']
    wait_until(lambda: not any(is_realtime(tid) for tid in [keeper] + everyone + rest), 'nobody is before all others')
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, keeper) == nice, 'the keeper is calm')
    wait_until(lambda: session_nice(keeper) == session, 'the session is calm')
    wait_until(lambda: all(os.getpriority(os.PRIO_PROCESS, tid) == nice for tid in data), 'the worker is calm')


@case('priority: keeper, worker and session hurry while a worker takes over, and no longer')
def _(scale):
    if os.geteuid() != 0 or os.getpriority(os.PRIO_PROCESS, 0) > 19 - STEPS:
        raise Skip('needs root, and not the lowest priority')
    with serving(targets(size='16M')) as server:
        keeper = server.daemon.process.pid
        nice, session = os.getpriority(os.PRIO_PROCESS, keeper), session_nice(keeper)
        with loads_on(server, (FIRST, dict(connections=4, depth=2))) as loads:
            for _ in range(scale.count(2, 20)):
                spare, ready = in_reserve(server), server.ready_count()
                os.kill(spare, signal.SIGSTOP)
                server.kill_now()
                wait_until(lambda: os.getpriority(os.PRIO_PROCESS, keeper) == nice - STEPS, 'the keeper hurries')
                if session is not None:
                    wait_until(lambda: session_nice(keeper) == session - STEPS, 'the session hurries')
                    assert not is_realtime(keeper) and not is_realtime(spare)
                wait_until(lambda: os.getpriority(os.PRIO_PROCESS, spare) == nice - STEPS,     # pylint: disable=cell-var-from-loop
                           'the worker hurries')
                os.kill(spare, signal.SIGCONT)
                server.wait_log(' ready generation=', ready + 1)
                usual_again(server, keeper, nice, session)
                server.upgrade()
                usual_again(server, keeper, nice, session)
                server.wait_for(lambda text: text.count('in reserve generation=') >     # the next round's
                                text[:text.rindex('upgrade: done')].count('in reserve generation='))
                for load in loads:
                    load.check()
        server.check()
        return 'the session, too' if session is not None else 'no sessions of their own in this kernel'


def rest_of(pid):
    """The process that is left when this worker dies; None: a sanitizer's build has none."""
    for path in pathlib.Path('/proc').glob('[0-9]*/comm'):
        with contextlib.suppress(OSError):
            if path.read_text(encoding='ascii') == 'holdfast-rest\n' and os.getpgid(int(path.parent.name)) == pid:
                return int(path.parent.name)
    return None


@case('priority: what is left of a worker that was in reserve once does not keep the next one waiting')
def _(scale):
    if os.geteuid() != 0 or os.getpriority(os.PRIO_PROCESS, 0) > 19 - STEPS:
        raise Skip('needs root, and not the lowest priority')
    with serving(targets(size='16M')) as server:
        nice = os.getpriority(os.PRIO_PROCESS, server.daemon.process.pid)
        for turn in range(scale.count(1, 20)):
            in_reserve(server)
            if turn % 2:
                server.upgrade()
            else:
                server.kill()
            server.wait_only(server.worker())
            rest, ready = rest_of(server.worker()), server.ready_count()
            if rest is None:
                raise Skip('nothing is left of a worker of this build')
            os.kill(rest, signal.SIGSTOP)
            server.kill_now()
            wait_until(lambda: os.getpriority(os.PRIO_PROCESS, rest) == nice - STEPS,  # pylint: disable=cell-var-from-loop
                       'it hurries, too')
            os.kill(rest, signal.SIGCONT)
            server.wait_log(' ready generation=', ready + 1)
