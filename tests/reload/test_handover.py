#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reloads that take another worker (reactors, buffer memory, limits): sessions go on, and what fails
leaves the old worker with the old configuration. Under I/O of which every byte is verified."""
import pathlib
import signal
import sys
import time

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / 'handover'), str(TESTS / 'control')]
from client import DONE, REFUSED, kill_worker, look, run, start  # noqa: E402
from load import Load, build_of  # noqa: E402
from daemon import Settings  # noqa: E402
from peer import IQN, case, file, main, ram  # noqa: E402
import scsi  # noqa: E402

TARGETS = {IQN: {'portals': ['test'], 'luns': {0: ram('64M'), 1: file('$FOLDER/f.img', '64M')}}}
MIB = 1 << 20
BESIDE = 65536     # a block that the load does not write to
BUSY = (('4K', 8), ('256K', 4))     # what is under way when the worker is replaced


def refused(target, **daemon):
    """Why a reload is refused, be it at once or after the new worker was begun."""
    target.daemon.write_config(TARGETS, daemon=daemon)
    with start(target.daemon, 'reload') as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == REFUSED, (process.returncode, error)
    return error


def reload(target, *words, expect=DONE, targets=None, **daemon):
    target.daemon.killed_workers = True     # they are replaced
    target.daemon.write_config(targets or TARGETS, daemon=daemon)
    return run(target.daemon, 'reload', *words, expect=expect)


class Busy:
    """Verified I/O on both LUNs, in small and large blocks, until the end of the block."""
    def __init__(self, target):
        self.server = type('Server', (), {'address': ('127.0.0.1', target.daemon.port)})

    def __enter__(self):
        Load.program = build_of(Settings.daemon)
        self.loads = [Load(self.server, IQN, lun=i, depth=depth, block=block, name='busy%d' % i,
                           connections=2, amount='16M') for i, (block, depth) in enumerate(BUSY)]
        for load in self.loads:
            load.wait_running()
        return self

    def __exit__(self, kind, *_):
        for load in self.loads:
            if kind is None:
                assert load.finish()['commands'] > 0
            load.kill()


def state(target):
    status = look(target.daemon, 'status')
    return status['generation'], len(status['reactors']) - 1     # the last one serves logins


@case('reactors: 1 -> 2 -> 1 under I/O; all sessions go on', own={'targets': TARGETS, 'daemon': {'reactors': 1}})
def _(target):
    session = target.login()
    session.write(BESIDE, b'r' * 4096).good()
    with Busy(target):
        said = reload(target, reactors=2)
        assert 'hand-over' in said and 'a pause of some milliseconds' in said and 'done: generation 2' in said, said
        assert state(target) == (2, 2)
        time.sleep(0.3)
        reload(target, reactors=1)
        assert state(target) == (3, 1)
        time.sleep(0.3)
    assert session.read(BESIDE, 8).good().data == b'r' * 4096
    assert run(target.daemon, 'reload') == 'nothing to do\n'


@case('buffer memory grows and shrinks under I/O', own={'targets': TARGETS, 'daemon': {'buffer-memory': '64M'}})
def _(target):
    session = target.login()
    with Busy(target):
        reload(target, **{'buffer-memory': '128M'})
        time.sleep(0.3)
        reload(target, **{'buffer-memory': '32M', 'reactors': 1})
        assert state(target) == (3, 1)
        time.sleep(0.3)
    session.write(0, b'm' * 4096).good()


@case('buffer memory with no room for the data under way is refused, and nobody notices', own={
    'targets': TARGETS, 'daemon': {'buffer-memory': '64M', 'reactors': 1}})
def _(target):
    session = target.login(InitialR2T='Yes', ImmediateData='No', MaxBurstLength=MIB)
    held = [session.start(scsi.write_10(2048 * i, 2048), write=b'h' * MIB, hold_r2ts=True) for i in range(24)]
    session.alive(lun=1)     # they have their buffers, and wait for the data
    error = refused(target, **{'buffer-memory': '16M', 'reactors': 1})
    assert 'the data under way is more than buffer-memory has room for' in error, error
    assert state(target)[0] == 1
    for task in held:
        task.hold_r2ts = False
        for r2t in task.r2ts:
            task.answer(r2t)
        task.wait().good()


@case('limits of connections and logins change; the sessions that are there stay', own={
    'targets': TARGETS, 'daemon': {'max-connections': 8}})
def _(target):
    sessions = [target.login() for _ in range(4)]
    with Busy(target):
        reload(target, **{'max-connections': 64, 'login-concurrency': 8})
        sessions += [target.login() for _ in range(12)]
        error = refused(target, **{'max-connections': 8})
        assert 'there are more of them than max-connections allows' in error, error
        for session in sessions[6:]:
            session.close()
        for session in sessions[:6]:
            session.alive()
    reload(target, **{'max-connections': 8})
    for session in sessions[:6]:
        session.alive()


@case('a worker that cannot come up leaves everything as it was', own={'targets': TARGETS})
def _(target):
    session = target.login()
    with Busy(target):
        error = reload(target, expect=REFUSED, reactors=2, **{'buffer-memory': '64G', 'state-directory': '/proc/no'})
        assert 'state-directory' in error and 'stop and a start' in error, error
        assert state(target)[0] == 1
    session.alive()


@case('what changes disks is not done in one step with what takes another worker', own={'targets': TARGETS})
def _(target):
    other = {IQN: {'portals': ['test'], 'luns': {0: ram('64M')}}}
    error = reload(target, '--force', expect=REFUSED, targets=other, reactors=1)
    assert 'cannot be changed together with reactors' in error and '.yaml:' in error, error
    said = reload(target, reactors=1, **{'log-level': 'debug', 'nop-interval': '7s'})
    assert 'reactors' in said and state(target) == (2, 1)
    assert run(target.daemon, 'log').strip().endswith('debug')


@case('SIGHUP does it, too; a worker killed afterwards is followed by one with the new configuration',
      own={'targets': TARGETS})
def _(target):
    session = target.login()
    session.write(0, b'z' * 4096).good()
    target.daemon.write_config(TARGETS, daemon={'reactors': 1})
    target.daemon.signal(signal.SIGHUP)
    target.daemon.wait_log('upgrade: done')
    target.daemon.killed_workers = True
    while len(target.daemon.workers()) > 1:     # the old one is on its way out
        time.sleep(0.01)
    kill_worker(target.daemon)
    assert session.read(0, 8).good().data == b'z' * 4096
    assert state(target) == (3, 1)


if __name__ == '__main__':
    main(__file__)
