#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""lun resize: what grows, who notices, what is refused, and that it lasts."""
import os
import resource
import signal

import client
from client import REFUSED, look, run
from peer import IQN, case, file, main, ram
import scsi

GROWING = {IQN: {'portals': ['test'], 'luns': {
    0: file('$FOLDER/sized.img', '8M'),
    1: file('$FOLDER/plain.img', '8M', **{'initiators': ['*']}),
    2: {'handler': 'null', 'options': {'size': '8M'}},
    3: ram('8M')}}}
MIB = 1 << 20


def bytes_of(session, lun):
    task = session.command(scsi.read_capacity_16(), read=32, lun=lun)
    assert task.status == scsi.GOOD, task.sense
    return (int.from_bytes(task.data[:8], 'big') + 1) * int.from_bytes(task.data[8:12], 'big')


def expect_capacity_changed(session, lun):
    """The next command gets CAPACITY DATA HAS CHANGED, the one after it is served."""
    task = session.command(scsi.test_unit_ready(), lun=lun)
    assert task.status == 2 and task.sense.what() == (6, 0x2a09), task.sense
    session.alive(lun=lun)


def resize(target, lun, size, **more):
    return run(target.daemon, 'lun', 'resize', IQN, lun, size, **more)


@case('a disk in a file grows under its initiators, who are told', own={'targets': GROWING})
def _(target):
    one, two = target.login(), target.login()
    for session in (one, two):
        session.alive(lun=0)
        assert bytes_of(session, 0) == 8 * MIB
    assert one.write(0, b'a' * 4096, lun=0).status == scsi.GOOD
    said = resize(target, 0, '16M')
    assert 'has 16M (%d bytes), before: 8M' % (16 * MIB) in said, said
    for session in (one, two):
        expect_capacity_changed(session, 0)
        assert bytes_of(session, 0) == 16 * MIB
    last = 16 * MIB // 512 - 8
    assert two.write(last, b'z' * 4096, lun=0).status == scsi.GOOD
    assert one.read(last, 8, lun=0).data == b'z' * 4096
    assert one.read(0, 8, lun=0).data == b'a' * 4096
    assert os.path.getsize(target.daemon.folder / 'sized.img') == 16 * MIB
    assert look(target.daemon, 'luns')[0]['bytes'] == 16 * MIB
    one.alive(lun=1)
    assert bytes_of(one, 1) == 8 * MIB


@case('the file is changed, too, and only there', own={'targets': GROWING})
def _(target):
    path = target.daemon.config_file
    before = path.read_text(encoding='utf-8').replace('targets:', '# kept\ntargets:', 1)
    path.write_text(before, encoding='utf-8')
    run(target.daemon, 'reload')
    result = look(target.daemon, 'lun', 'resize', IQN, 0, '12M')
    assert 'stale' not in result and result['bytes'] == 12 * MIB, result
    lines = list(zip(before.splitlines(), path.read_text(encoding='utf-8').splitlines(), strict=True))
    changed = [(old, new) for old, new in lines if old != new]
    assert len(changed) == 1 and changed[0][1].strip() == '"size": 12M', changed
    assert run(target.daemon, 'reload') == 'nothing to do\n'


@case('a file that is managed elsewhere stays, and the place that says otherwise is named',
      own={'targets': GROWING})
def _(target):
    target.daemon.config_file.chmod(0o444)
    result = look(target.daemon, 'lun', 'resize', IQN, 0, '12M')
    assert result['bytes'] == 12 * MIB and result['bytes-before'] == 8 * MIB, result
    stale = result['stale']
    lines = target.daemon.config_file.read_text(encoding='utf-8').splitlines()
    assert stale['file'] == str(target.daemon.config_file)
    assert (stale['says'], stale['should-say']) == ('8M', '12M')
    assert lines[stale['line'] - 1][stale['column'] - 1:].strip('"\'') == '8M', (stale, lines)
    said = resize(target, 0, '13M')
    place = ':%d:%d: the configuration still says' % (stale['line'], stale['column'])
    assert place in said, said
    assert place in resize(target, 0, '13M')    # asked for again: the place is as it was


@case('a reload of a file that says the old size still is refused: no later worker could open the disk',
      own={'targets': GROWING})
def _(target):
    path = target.daemon.config_file
    path.chmod(0o444)
    resize(target, 0, '12M')
    for words in ((), ('--force',)):
        error = run(target.daemon, 'reload', *words, expect=REFUSED)
        assert 'write 12M here first' in error and str(path) in error, error
    path.chmod(0o644)
    path.write_text(path.read_text(encoding='utf-8').replace('8M', '12M', 1), encoding='utf-8')
    run(target.daemon, 'reload')
    target.daemon.killed_workers = True
    os.kill(target.daemon.wait_for_worker(), signal.SIGKILL)
    assert look(target.daemon, 'luns')[0]['bytes'] == 12 * MIB


@case('the size lasts when the worker dies', own={'targets': GROWING})
def _(target):
    for lun in (0, 1, 2):
        resize(target, lun, '24M')
    resize(target, 0, 40 * MIB)
    target.daemon.killed_workers = True
    for generation in (2, 3):
        os.kill(target.daemon.wait_for_worker(), signal.SIGKILL)
        assert look(target.daemon, 'status')['generation'] == generation
        assert [lun['bytes'] // MIB for lun in look(target.daemon, 'luns')] == [40, 24, 24, 8]
        session = target.login()
        assert bytes_of(session, 0) == 40 * MIB
    resize(target, 0, '41M')
    assert look(target.daemon, 'luns')[0]['bytes'] == 41 * MIB


@case('the size it has already is no change', own={'targets': GROWING})
def _(target):
    session = target.login()
    session.alive(lun=0)
    resize(target, 0, '8M')
    resize(target, 3, '8M')
    assert session.command(scsi.test_unit_ready(), lun=0).status == scsi.GOOD


@case('what cannot be is refused with a reason, and nothing has changed', own={'targets': GROWING})
def _(target):
    for lun, size, reason in ((0, '4M', 'not made smaller'), (0, 0, 'not made smaller'),
                              (0, 16 * MIB + 1, 'blocks of 512'),
                              (0, 2 ** 63 - 512, ''), (3, '16M', 'cannot change the size'),
                              (9, '16M', 'no LUN 9')):
        error = resize(target, lun, size, expect=REFUSED)
        assert reason in error, error
    assert [lun['bytes'] // MIB for lun in look(target.daemon, 'luns')] == [8, 8, 8, 8]
    assert os.path.getsize(target.daemon.folder / 'sized.img') == 8 * MIB
    target.daemon.killed_workers = True
    os.kill(target.daemon.wait_for_worker(), signal.SIGKILL)
    assert [lun['bytes'] // MIB for lun in look(target.daemon, 'luns')] == [8, 8, 8, 8]


@case('a file system without room refuses, and the disk stays as it was', own={'targets': GROWING})
def _(target):
    worker = target.daemon.wait_for_worker()
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (64 * MIB, 64 * MIB))
    error = resize(target, 0, '128M', expect=REFUSED)
    assert 'too large' in error, error
    session = target.login()
    assert bytes_of(session, 0) == 8 * MIB
    target.daemon.killed_workers = True
    os.kill(worker, signal.SIGKILL)
    assert look(target.daemon, 'luns')[0]['bytes'] == 8 * MIB


@case('many at once are done one after the other or refused, and none is half done', own={'targets': GROWING})
def _(target):
    processes = [client.start(target.daemon, 'lun', 'resize', IQN, 0, '%dM' % (9 + n)) for n in range(12)]
    codes = []
    for process in processes:
        with process:
            process.communicate(timeout=client.LIMIT)
        codes.append(process.returncode)
    assert set(codes) <= {0, REFUSED} and 0 in codes, codes
    size = look(target.daemon, 'luns')[0]['bytes']
    assert size == os.path.getsize(target.daemon.folder / 'sized.img')
    best = max(9 + n for n, code in enumerate(codes) if code == 0)
    assert size == best * MIB, (size, codes)


if __name__ == '__main__':
    main(__file__)
