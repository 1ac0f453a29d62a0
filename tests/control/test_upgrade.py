#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""holdfastctl upgrade and fence: what the keeper does on behalf of an administrator."""
import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import client
from client import DONE, PARAMS, REFUSAL, REFUSED, USAGE, as_user, connected, look, path_of, run
from daemon import Settings
from peer import IQN, Skip, case, main, ram
import scsi

DOWN = 'there is no fence'


@contextlib.contextmanager
def copy_of_binary():
    """Where a copy of the daemon's binary lies that is its owner's alone."""
    with tempfile.TemporaryDirectory(prefix='holdfast-upgrade.') as folder:
        path = pathlib.Path(folder) / 'holdfastd'
        shutil.copy2(Settings.daemon, path)
        path.chmod(0o755)
        yield path


def fails(daemon, *words):
    """Progress may have been told before: what was wrong is on standard error, the exit code is 1."""
    with client.start(daemon, *words) as process:
        _, error = process.communicate(timeout=client.LIMIT)
    assert process.returncode == REFUSED and error.startswith('holdfastctl: '), (process.returncode, error)
    return error


@case('upgrade waits for the new worker, and tells what happens and the pause', own={})
def _(target):
    target.daemon.killed_workers = True
    session = target.login()
    told = run(target.daemon, 'upgrade')
    assert 'preparing ' + os.path.realpath(Settings.daemon) in told, told
    assert 'done: generation 2, process ' in told and 'pause' in told, told
    assert look(target.daemon, 'status')['generation'] == 2
    session.alive()


SLOW = {IQN: {'portals': ['test'], 'luns': {0: ram('128M', **{'sanitize-rate': '16M'}), 1: ram('8M')}}}
SANITIZING, BLOCK_ERASE = (2, 0x041b), b'\x48\x02' + bytes(8)


@case('a SANITIZE that waits for its end is answered by the worker that has it by then', own={'targets': SLOW})
def _(target):
    target.daemon.killed_workers = True
    session, other = target.login(), target.login()
    for lba in (0, 1000, 128 * 2048 - 8):
        assert session.write(lba, b's' * 4096).status == scsi.GOOD
    task = session.start(BLOCK_ERASE)
    other.alive(lun=1)
    said = [other.command(scsi.test_unit_ready())]
    for _ in range(2):      # to a worker that has it from another, too
        run(target.daemon, 'upgrade')
        said.append(other.command(scsi.test_unit_ready()))
    client.kill_worker(target.daemon)
    assert task.wait().status == scsi.GOOD, task.sense
    for lba in (0, 1000, 128 * 2048 - 8):
        assert session.read(lba, 8).data == bytes(4096), lba
    other.alive()
    if any(answer.status == scsi.GOOD for answer in said):
        raise Skip('it was over before the second upgrade')
    assert [answer.sense.what() for answer in said] == [SANITIZING] * 3, said


@case('upgrade --json prints the outcome alone', own={})
def _(target):
    target.daemon.killed_workers = True
    for generation in (2, 3):
        outcome = look(target.daemon, 'upgrade')
        assert outcome['state'] == 'done' and outcome['generation'] == generation, outcome
        assert outcome['number'] == generation - 1 and outcome['pause-seconds'] > 0, outcome
        assert outcome['pid'] in target.daemon.workers() and outcome['why'] is None, outcome


@case('upgrade to a binary that is named, by a relative path too', own={})
def _(target):
    target.daemon.killed_workers = True
    with copy_of_binary() as path:
        outcome = look(target.daemon, 'upgrade', path)
        assert outcome['state'] == 'done' and outcome['binary'] == str(path), outcome
        worker = os.readlink('/proc/%d/exe' % outcome['pid'])
        assert worker == str(path), worker
        with client.start(target.daemon, '--json', 'upgrade', 'holdfastd', cwd=path.parent) as process:
            told, error = process.communicate(timeout=client.LIMIT)
        assert process.returncode == DONE, error
        assert json.loads(told)['binary'] == str(path), told


@case('an upgrade that fails says why and exits with 1; the worker goes on', own={})
def _(target):
    session, (worker,) = target.login(), target.daemon.workers()
    with copy_of_binary() as path:
        assert 'No such file' in fails(target.daemon, 'upgrade', path.with_suffix('.no'))
        assert 'Permission denied' in fails(target.daemon, 'upgrade', path.parent)
        path.chmod(0o775)
        assert 'others than root can write' in fails(target.daemon, 'upgrade', path)
        path.chmod(0o644)
        assert 'is no program' in fails(target.daemon, 'upgrade', path)
        path.write_bytes(b'no program\n')
        path.chmod(0o755)
        assert 'is no program' in fails(target.daemon, 'upgrade', path)
        path.write_bytes(b'\x7fELF, and no program all the same\n')
        assert 'everything goes on as before' in fails(target.daemon, 'upgrade', path)
    with connected(target.daemon) as rpc:
        last = rpc.call('upgrade.show')
        assert last['state'] == 'failed' and last['why'] and last['number'] == 6, last
    assert target.daemon.workers() == [worker]
    session.alive()


@case('before any upgrade there is nothing to show', own={})
def _(target):
    with connected(target.daemon) as rpc:
        assert rpc.call('upgrade.show')['state'] == 'none'


@case('two upgrades at once: one of them is refused', own={})
def _(target):
    target.daemon.killed_workers = True
    for _ in range(50):     # the first may be over before the second is looked at
        before = look(target.daemon, 'status')['generation']
        with connected(target.daemon) as one, connected(target.daemon) as two:
            for rpc in (one, two):
                rpc.call('log.level')
            for rpc in (one, two):
                rpc.ask('upgrade')
            answers = [json.loads(line) for line in (one.line(), two.line()) if line]
        target.daemon.wait_log('upgrade: done generation=%d' % (before + 1))
        errors = [answer['error'] for answer in answers if 'error' in answer]
        if errors:
            assert len(errors) == 1 and errors[0]['code'] == REFUSAL, answers
            assert 'one is under way' in errors[0]['message'], errors
            return
    raise AssertionError('never two at once')


@case('words of upgrade and fence that are wrong', own={})
def _(target):
    run(target.daemon, 'upgrade', 'a', 'b', expect=USAGE)
    run(target.daemon, 'fence', expect=USAGE)
    run(target.daemon, 'fence', 'up', expect=USAGE)
    run(target.daemon, 'fence', 'raise', 'now', expect=USAGE)
    with connected(target.daemon) as rpc:
        assert 'absolute' in rpc.fails(PARAMS, 'upgrade', {'binary': 'holdfastd'})
        assert 'absolute' in rpc.fails(PARAMS, 'upgrade', {'binary': '/' + 'x' * 1000})
        rpc.fails(PARAMS, 'upgrade', {'binary': 7})


@case('without a fence, show says so, raise and lower are refused', own={})
def _(target):
    assert DOWN in run(target.daemon, 'fence', 'show')
    shown = look(target.daemon, 'fence', 'show')
    assert shown['configured'] is False and shown['up'] is False and shown['plugin'] is None, shown
    for verb in ('raise', 'lower'):
        assert DOWN in run(target.daemon, 'fence', verb, expect=REFUSED)


@case('a plugin that drops nothing is no fence', own={'fence': {'plugin': 'none'}})
def _(target):
    target.daemon.killed_workers = True     # the helper that looks at the plugin was a child, too
    target.daemon.wait_log('there is no fence')
    assert DOWN in run(target.daemon, 'fence', 'raise', expect=REFUSED)


@case('the group of the socket may upgrade, but not name a binary; others may look', own={})
def _(target):
    if not client.is_root():
        raise Skip('not root: there is nobody else to be')
    group, stranger = 4242, 65534
    target.daemon.killed_workers = True
    target.daemon.folder.chmod(0o711)
    os.chown(path_of(target.daemon), -1, group)
    member, other = as_user(stranger, stranger, [group]), as_user(stranger, stranger)
    run(target.daemon, 'upgrade', **member)
    error = run(target.daemon, 'upgrade', '/bin/true', expect=REFUSED, **member)
    assert 'name a binary' in error, error
    os.chmod(path_of(target.daemon), 0o666)
    for words in (['upgrade'], ['fence', 'raise'], ['fence', 'lower']):
        assert 'only root' in run(target.daemon, *words, expect=REFUSED, **other)
    assert DOWN in run(target.daemon, 'fence', 'show', **other)


if __name__ == '__main__':
    main(__file__)
