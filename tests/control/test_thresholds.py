#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Thresholds of thin provisioning: who is told that storage fills up, once, and where it can be seen."""
import time

from client import REFUSED, kill_worker, look, run
from peer import IQN, case, file, main, ram
import scsi

MIB = 1 << 20
REACHED = (6, 0x3807)
PATIENCE = 30


def with_thresholds(**thresholds):
    return {IQN: {'portals': ['test'], 'luns': {0: ram('16M', thresholds=thresholds), 1: ram('16M')}}}


HALF = with_thresholds(used=['50%', '75%'])


def fill(session, first, count, what=b'a'):
    for mib in range(first, first + count):
        for part in range(4):
            assert session.write(mib * 2048 + part * 512, what * (256 << 10)).status == scsi.GOOD


def unmap(session, first, count):
    descriptor = (first * 2048).to_bytes(8, 'big') + (count * 2048).to_bytes(4, 'big') + bytes(4)
    parameters = (22).to_bytes(2, 'big') + (16).to_bytes(2, 'big') + bytes(4) + descriptor
    task = session.command(b'\x42' + bytes(6) + (24).to_bytes(2, 'big') + b'\0', write=parameters)
    assert task.status == scsi.GOOD, task.sense


def lun(target, number=0):
    return look(target.daemon, 'luns')[number]


def wait_for(what):
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, 'it does not happen'
        time.sleep(0.1)


def reached(target, number=0):
    return [threshold['reached'] for threshold in lun(target, number)['thresholds']]


def expect_told(session):
    """One unit attention, and no other."""
    task = session.command(scsi.test_unit_ready())
    assert task.status == 2 and task.sense.what() == REACHED, task.sense
    assert session.command(scsi.test_unit_ready()).status == scsi.GOOD


def log_page(session):
    """Threshold sets by parameter."""
    task = session.command(b'\x4d\0\x4c' + bytes(4) + b'\0\xff\0', read=255)
    assert task.status == scsi.GOOD, task.sense
    at, sets = 4, {}
    while at < len(task.data):
        code, length = int.from_bytes(task.data[at:at + 2], 'big'), task.data[at + 3]
        sets[code] = int.from_bytes(task.data[at + 4:at + 8], 'big'), task.data[at + 8]
        at += 4 + length
    return sets


def mode_page(session, control=0):
    """The descriptors of page 1Ch/02h that are enabled: armed, resource, count."""
    task = session.command(bytes([0x5a, 8, control << 6 | 0x1c, 2, 0, 0, 0, 0, 255, 0]), read=255)
    assert task.status == scsi.GOOD, task.sense
    page = task.data[8:]
    assert page[:4] == b'\x5c\x02\x00\x2c' and len(page) == 48, page.hex()
    descriptors = [page[at:at + 8] for at in range(16, len(page), 8)]
    return [(d[0] & 7, d[1], int.from_bytes(d[4:8], 'big')) for d in descriptors if d[0] & 0x80]


@case('every initiator is told once, when the share is reached', own={'targets': HALF})
def _(target):
    one, two = target.login(), target.login()
    for session in (one, two):
        session.alive()
    fill(one, 0, 9)
    wait_for(lambda: reached(target) == [True, False])
    for session in (one, two):
        expect_told(session)
    assert 'threshold=used:50%' in target.daemon.log()
    assert 'threshold=used:75%' not in target.daemon.log()
    assert lun(target)['used-bytes'] == 9 * MIB
    assert 'holdfast_lun_thresholds_reached{target="%s",lun="0"} 1' % IQN in run(target.daemon, 'metrics')
    assert ' 1/2 ' in run(target.daemon, 'luns')
    fill(one, 9, 4)
    wait_for(lambda: reached(target) == [True, True])
    for session in (one, two):
        expect_told(session)


@case('it is told again after the storage had room, and a death of the worker repeats nothing',
      own={'targets': HALF})
def _(target):
    session = target.login()
    session.alive()
    fill(session, 0, 9)
    wait_for(lambda: reached(target) == [True, False])
    expect_told(session)
    kill_worker(target.daemon)
    wait_for(lambda: lun(target)['used-bytes'])
    assert reached(target) == [True, False]
    assert session.command(scsi.test_unit_ready()).status == scsi.GOOD
    unmap(session, 0, 1)        # 8 of 8: still there
    unmap(session, 1, 2)
    wait_for(lambda: reached(target) == [False, False])
    assert 'storage has room again' in target.daemon.log()
    assert session.command(scsi.test_unit_ready()).status == scsi.GOOD
    fill(session, 0, 3)
    wait_for(lambda: reached(target) == [True, False])
    expect_told(session)


@case('log page and mode page say how much there is and where the thresholds are',
      own={'targets': with_thresholds(used='30%', available=['3M', '2048T'])})
def _(target):
    session = target.login()
    session.alive()
    fill(session, 4, 2)
    assert log_page(session)[2] == (2, 1)
    wait_for(lambda: 1 in log_page(session))
    sets, scope = log_page(session)[1]
    assert sets > 0 and scope == 2
    assert mode_page(session) == [(1, 2, 5), (2, 1, 3), (2, 1, 2 << 30)]
    assert not mode_page(session, control=1)    # nothing can be changed


@case('thresholds change under running sessions; others than before are told anew', own={'targets': HALF})
def _(target):
    session = target.login()
    session.alive()
    fill(session, 0, 9)
    wait_for(lambda: reached(target) == [True, False])
    expect_told(session)
    target.daemon.write_config(with_thresholds(used='90%'))
    assert 'nothing' in run(target.daemon, 'plan', target.daemon.config_file, expect=4)
    run(target.daemon, 'reload')
    assert reached(target) == [False]
    assert mode_page(session) == [(1, 2, 15)]
    target.daemon.write_config(with_thresholds(used='40%'))
    run(target.daemon, 'reload')
    wait_for(lambda: reached(target) == [True])
    expect_told(session)


def wrapped(**more):
    return {IQN: {'portals': ['test'], 'luns': {
        0: {'handler': 'fault', 'options': {'of': file('$FOLDER/disk.img', '16M')},
            'thresholds': {'used': '10%'}},
        1: dict({'handler': 'null', 'options': {'size': '16M'}}, **more)}}}


@case('a handler that wraps another tells what that one does; one that cannot tell has none',
      own={'targets': wrapped()})
def _(target):
    session = target.login()
    session.alive()
    fill(session, 0, 3)
    wait_for(lambda: reached(target) == [True])
    expect_told(session)
    assert lun(target, 1)['used-bytes'] is None and lun(target, 1)['available-bytes'] is None
    target.daemon.write_config(wrapped(thresholds={'used': '10%'}))
    said = run(target.daemon, 'reload', expect=REFUSED)
    assert 'thresholds: handler null cannot tell how much room there is' in said, said
    assert lun(target, 1)['thresholds'] == []


if __name__ == '__main__':
    main(__file__)
