#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What takes its time is seen while it goes on: drains, SANITIZE, EXTENDED COPY."""
import time

import client
from client import DONE, REFUSED, USAGE, look, run
from peer import IQN, case, main, ram
import scsi
from terminal import on_terminal

OTHER = 'iqn.2026-11.org.example:other'
DRAINED = {IQN: {'luns': {0: ram('8M'), 1: ram('8M')}}, OTHER: {'luns': {0: ram('8M')}}}
NOTHING = ['ACTION  TARGET  LUN  PROGRESS']
SLOW = {IQN: {'luns': {0: ram('128M', **{'sanitize-rate': '16M'}), 1: ram('8M')}}}
BLOCK_ERASE = b'\x48\x82' + bytes(8)      # IMMED
LATE = {'handler': 'fault', 'options': {'rules': [{'op': 'write', 'action': 'delay', 'delay': '500ms'}],
                                        'of': ram('8M')}}


def wait_for(daemon, count):
    deadline = time.monotonic() + client.LIMIT
    while True:
        found = look(daemon, 'progress')
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def held_write(session, lun):
    task = session.start(scsi.write_10(0, 1), write=b'x' * 512, lun=lun, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump(client.LIMIT)
    return task


@case('nothing goes on', own={'targets': DRAINED})
def _(target):
    assert run(target.daemon, 'progress').splitlines() == NOTHING
    assert look(target.daemon, 'progress') == []


@case('a target that is drained: on a terminal its end is waited for, and what is left is told', own={'targets': DRAINED})
def _(target):
    session = target.login()
    task = held_write(session, 0)
    with on_terminal(target.daemon, 'target', 'remove', IQN, '--drain', '60s') as t:
        t.wait_word(b'draining: 1 sessions, 1 commands are left, at most ')
        row, = look(target.daemon, 'progress')
        assert row['action'] == 'drain' and row['target'] == IQN and 'lun' not in row
        assert (row['sessions'], row['commands']) == (1, 1) and 0 < row['left-seconds'] <= 60
        words = run(target.daemon, 'progress').splitlines()[1].split()
        assert words[:3] == ['drain', IQN, '-'] and ' '.join(words[3:9]) == '1 sessions, 1 commands, at most', words
        task.answer(task.r2ts[0])
        session.close()
        assert t.wait_end() == DONE and t.seen.endswith(b'drained\r\n'), t.seen
    assert look(target.daemon, 'progress') == []


@case('for a program the end is waited for with --wait alone', own={'targets': DRAINED})
def _(target):
    session = target.login()
    task = held_write(session, 1)
    process = client.start(target.daemon, 'lun', 'remove', IQN, 1, '--drain', '60s', '--wait')
    row, = wait_for(target.daemon, 1)
    assert (row['action'], row['lun']) == ('drain', 1) and 'sessions' not in row
    assert process.poll() is None
    task.answer(task.r2ts[0])
    out, err = process.communicate(timeout=client.LIMIT)
    assert process.returncode == DONE and not err and 'drain' not in out and '\x1b' not in out, (out, err)
    assert look(target.daemon, 'progress') == []
    other = target.login(iqn=OTHER)
    run(target.daemon, 'target', 'remove', OTHER, '--drain', '60s')      # comes back at once
    assert wait_for(target.daemon, 1)[0]['sessions'] == 1
    other.close()
    wait_for(target.daemon, 0)
    session.alive(lun=0)


@case('--wait where nothing is taken away', own={'targets': DRAINED})
def _(target):
    run(target.daemon, 'reload', '--wait')
    target.login()
    run(target.daemon, 'target', 'remove', IQN, '--wait', expect=REFUSED)
    for words in (('status', '--wait'), ('top', '--wait'), ('upgrade', '--wait'), ('progress', 'x')):
        run(target.daemon, *words, expect=USAGE)


@case('SANITIZE: how much of the disk is done', own={'targets': SLOW})
def _(target):
    session = target.login()
    session.alive(lun=0)
    session.command(BLOCK_ERASE, lun=0).good()
    before, = wait_for(target.daemon, 1)
    assert (before['action'], before['target'], before['lun']) == ('sanitize', IQN, 0)
    deadline = time.monotonic() + client.LIMIT
    while True:
        now, = look(target.daemon, 'progress')
        assert before['percent'] <= now['percent'] <= 100
        if now['percent'] > before['percent']:
            break
        assert time.monotonic() < deadline
    assert run(target.daemon, 'progress').splitlines()[1].split()[-1] == '%'


def designator(session, lun):
    """The unit as a target of a copy, by its NAA name."""
    page = session.command(b'\x12\x01\x83\x04\x00\x00', read=1024, lun=lun, edtl=1024).data
    at = 4
    while page[at + 1] & 0x3f != 3:
        at += 4 + page[at + 3]
    name = page[at + 4:at + 4 + page[at + 3]]
    return (bytes([0xe4, 0, 0, 0, 1, 3, 0, len(name)]) + name).ljust(32, b'\0')


@case('EXTENDED COPY: what is written so far', own={'targets': {IQN: {'luns': {0: ram('8M'), 1: LATE}}}})
def _(target):
    session = target.login()
    for lun in (0, 1):
        session.alive(lun=lun)
    ends = designator(session, 0) + designator(session, 1)
    segments = b''.join(b'\x02\x00\x00\x18\0\0\0\1\0\0' + (2048).to_bytes(2, 'big') +
                        (lba.to_bytes(8, 'big') * 2) for lba in (0, 4096))
    data = (bytes([7, 0x10]) + len(ends).to_bytes(2, 'big') + bytes(4) + len(segments).to_bytes(4, 'big') +
            bytes(4) + ends + segments)
    task = session.start(b'\x83' + bytes(9) + len(data).to_bytes(4, 'big') + bytes(2), write=data, lun=0)
    row, = wait_for(target.daemon, 1)
    assert (row['action'], row['target'], row['lun'], row['list-identifier']) == ('copy', IQN, 0, 7)
    words = run(target.daemon, 'progress').splitlines()[1].split()
    assert words[:3] == ['copy', IQN, '0'] and words[-1] == 'done', words
    task.good()
    wait_for(target.daemon, 0)


if __name__ == '__main__':
    main(__file__)
