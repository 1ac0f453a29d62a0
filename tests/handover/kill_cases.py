# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of the worker under load. The load generator judges: a wrong byte, a wrong number, a lost
connection or a command that failed ends it with an error."""
import contextlib
import time

from cases import case
from load import Load, Machine, in_words
from server import IQN, ram, file, serving

FIRST, SECOND, THIRD = IQN + '-a', IQN + '-b', IQN + '-c'
DIGESTS = ('--header-digest', '--data-digest')
ASKED = ('--initial-r2t', '--no-immediate-data', '--max-burst', '65536', '--first-burst', '65536')
SMALL_PDUS = ('--receive-segment', '8192', '--max-burst', '262144')


HUNDRED = [(FIRST, dict(connections=50, depth=4)),
           (SECOND, dict(connections=30, depth=2, block='64K', options=DIGESTS)),
           (THIRD, dict(connections=20, depth=2, block='64K', options=ASKED))]


THOUSAND = [(FIRST, dict(connections=600, depth=1)),
            (SECOND, dict(connections=200, depth=1, block='64K', options=DIGESTS)),
            (THIRD, dict(connections=200, depth=1, block='64K'))]


def targets(size='256M', path='$FOLDER/disk.img'):
    """Three targets, for loads that do not meet: two in memory, one in a file."""
    return {FIRST: {'portals': ['test'], 'luns': {0: ram(size)}},
            SECOND: {'portals': ['test'], 'luns': {0: ram(size)}},
            THIRD: {'portals': ['test'], 'luns': {0: file(path, size)}}}


@contextlib.contextmanager
def loads_on(server, *wanted):
    """Loads under way; afterwards each must end well. wanted: (iqn, keywords of Load)."""
    loads = []
    try:
        for number, (iqn, more) in enumerate(wanted):
            loads.append(Load(server, iqn, name='load%d' % number, **more))
        for load in loads:
            load.wait_running()
        yield loads
        for load in loads:
            load.finish()
    finally:
        for load in loads:
            load.kill()


# Of the commands a second that fill the machine: it is some 60 % busy with the one, and what clients wait for is the
# target's pause, not their turn on a CPU, with the other.
ROOM, MUCH_ROOM = 0.4, 0.1
QUIET_MARKS = 100


def paced(server, wanted, share):
    """The same loads, held at a share of what they reach when nothing holds them; no share: as they are."""
    if not share:
        return wanted
    with loads_on(server, *wanted) as loads:
        time.sleep(2)
    return [(iqn, dict(more, rate=max(1, round(load.figures['iops'] * share))))
            for (iqn, more), load in zip(wanted, loads)]


def leave_alone(scale, loads, marks):
    """Marks while nothing happens: less than what clients see then no pause can be."""
    for _ in range(marks):
        time.sleep(scale.between(0.6, 0.8))
        for load in loads:
            load.mark()
    time.sleep(0.6 if marks else 0)


def pauses_seen(loads, begin, end=None):
    """In words; of the marks from `begin` on to before `end`."""
    seen = [pause for load in loads for pause in load.pauses[begin:end]]
    return ['nobody served: ' + in_words([pause[0] for pause in seen]),
            'the longest waiting session: ' + in_words([pause[1] for pause in seen])] if seen else []


def report(server, loads, machine=None, quiet=0):
    """One line: kills, what was resumed and checked, the pauses clients saw; the first `quiet` marks are the floor."""
    taken = server.taken()
    parts = ['%d kills' % server.kills] if server.kills else []
    if server.upgrades:
        parts.append('%d upgrades' % server.upgrades)
    parts.append('%d commands under way resumed' % sum(t['tasks'] for t in taken))
    parts.append('%d commands, %d blocks read again' % (
        sum(load.figures.get('commands', 0) for load in loads),
        sum(load.figures.get('checked', 0) for load in loads)))
    if machine:
        parts.append('the machine was %.0f %% busy' % (100 * machine.busy))
    if machine and server.pauses():
        parts.append('from FREEZE to READY: ' + in_words(server.pauses()))
    parts += pauses_seen(loads, quiet)
    if quiet:
        parts.append('before, when nothing happened (%s)' % ', '.join(pauses_seen(loads, 0, quiet)))
    return '; '.join(parts)


def kill_under_load(scale, kills, wanted, rest=(0.05, 0.6), busy_poll='0', share=None, **config):
    """Kills at random moments; each waits for the worker before."""
    quiet = min(kills, QUIET_MARKS) if share else 0
    with serving(targets(**config), daemon={'reactors': 2, 'busy-poll': busy_poll}) as server:
        with loads_on(server, *paced(server, wanted, share)) as loads:
            leave_alone(scale, loads, quiet)
            machine = Machine()
            for _ in range(kills):
                time.sleep(scale.between(*rest))
                for load in loads:
                    load.mark()
                server.kill()
                for load in loads:
                    load.check()
            machine.stop()
            time.sleep(0.3)
        server.check()
        return report(server, loads, machine, quiet)


def nothing_under_load(scale, marks, wanted, share=None):
    """What clients measure when nothing happens."""
    with serving(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, *paced(server, wanted, share)) as loads:
            machine = Machine()
            leave_alone(scale, loads, marks)
            machine.stop()
        server.check()
        return report(server, loads, machine)


@case('kill: one session, 4k')
def _(scale):
    return kill_under_load(scale, scale.count(5, 1000), [(FIRST, dict(depth=16))])


@case('kill: 100 sessions, 4k and 64k, RAM and file, with and without digests')
def _(scale):
    return kill_under_load(scale, scale.count(6, 1000), HUNDRED)


@case('floor: 100 sessions, nothing happens: what a full machine itself makes them wait', soak_only=True)
def _(scale):
    return nothing_under_load(scale, scale.count(6, 1000), HUNDRED)


@case('floor: 100 sessions, the machine not full, nothing happens', soak_only=True)
def _(scale):
    return nothing_under_load(scale, scale.count(6, 1000), HUNDRED, share=ROOM)


@case('kill: 100 sessions, the machine not full', soak_only=True)
def _(scale):
    return kill_under_load(scale, scale.count(6, 1000), HUNDRED, share=ROOM)


@case('kill: 100 sessions, the machine not full: a tenth of the load', soak_only=True)
def _(scale):
    return kill_under_load(scale, scale.count(6, 1000), HUNDRED, share=MUCH_ROOM)


@case('kill: large commands, R2Ts, many Data-In PDUs')
def _(scale):
    return kill_under_load(scale, scale.count(5, 500), [
        (FIRST, dict(connections=4, depth=4, block='1M', options=SMALL_PDUS + DIGESTS)),
        (SECOND, dict(connections=4, depth=8, block='256K', options=ASKED + DIGESTS)),
        (THIRD, dict(connections=4, depth=4, block='2M', options=ASKED))])


@case('kill: reactors that busy-poll, few connections and many')
def _(scale):
    return kill_under_load(scale, scale.count(3, 300), [
        (FIRST, dict(connections=1, depth=1)),
        (SECOND, dict(connections=2, depth=4, block='64K', options=DIGESTS)),
        (THIRD, dict(connections=12, depth=2, options=ASKED))], busy_poll='50us')


@case('kill: 1000 sessions', soak_only=True)
def _(scale):
    return kill_under_load(scale, scale.count(3, 500), THOUSAND, rest=(0.3, 1.2))


@case('kill: bursts of kills, also while a worker recovers')
def _(scale):
    with serving(targets(), daemon={'reactors': 2}) as server:
        with loads_on(server, (FIRST, dict(connections=20, depth=8)),
                      (SECOND, dict(connections=10, depth=4, block='64K', options=DIGESTS)),
                      (THIRD, dict(connections=10, depth=4, block='256K', options=ASKED))) as loads:
            for _ in range(scale.count(2, 200)):
                for _ in range(5):
                    server.kill_now()
                    time.sleep(scale.between(0, 0.06))
                server.kill()
                time.sleep(scale.between(1, 1.5)) # the keeper forgives five a second
                for load in loads:
                    load.check()
        server.check()
        return report(server, loads)
