#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A LUN in use that gets other storage: its initiators wait for a moment and see no error; what was answered
is on the old storage; whatever is wrong with the new one leaves everything as it was."""
import copy
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'control'))
import client  # noqa: E402
from client import REFUSED, look, run  # noqa: E402
from peer import IQN, Settings, case, file, main, ram  # noqa: E402
import scsi  # noqa: E402
import wire  # noqa: E402

MIB = 1 << 20
SIZE = 8 * MIB
LUNS_CHANGED, CAPACITY_CHANGED, INQUIRY_CHANGED = (6, 0x3f0e), (6, 0x2a09), (6, 0x3f03)
ABORT_TASK, LUN_RESET = 1, 5
A, B = '$FOLDER/a.img', '$FOLDER/b.img'


def stored(path=A, **lun):
    """A LUN in a file whose size is the file's."""
    return dict({'handler': 'file', 'options': {'path': path}}, **lun)


def faulty(below, *rules):
    of = {key: below[key] for key in ('handler', 'options')}
    return {'handler': 'fault', 'options': {'of': of, 'rules': list(rules)}}


def luns(lun, **more):
    return {IQN: {'portals': ['test'], 'luns': {0: ram('8M'), 1: lun}, **more}}


def daemon(lun=None):
    return dict(targets=luns(lun or stored()), files={'a.img': '\0' * SIZE, 'b.img': '\0' * SIZE})


def path_of(target, name='a.img'):
    return pathlib.Path(target.daemon.folder) / name


def content(target, name, at=0, length=4096):
    with open(path_of(target, name), 'rb') as image:
        image.seek(at)
        return image.read(length)


def duplicate(target, source='a.img', to='b.img'):
    path_of(target, to).write_bytes(path_of(target, source).read_bytes())


def attention(session, lun=1):
    task = session.command(scsi.test_unit_ready(), lun=lun)
    return None if task.status == scsi.GOOD else task.sense.what()


def move(target, lun, *words, expect=client.DONE):
    target.daemon.write_config(luns(lun))
    return run(target.daemon, 'reload', *words, expect=expect)


def during(target, lun, *words, expect=client.DONE):
    """A move in a thread; join() returns what was printed."""
    said = []
    target.daemon.write_config(luns(lun))
    thread = threading.Thread(
        target=lambda: said.append(run(target.daemon, 'reload', *words, expect=expect)))
    thread.start()

    def join():
        thread.join()
        assert said, 'the reload did not end as expected'
        return said[0]
    return join


def is_held(target):
    """Waits until commands for LUN 1 are held."""
    target.daemon.wait_log('LUNs are held')


# --- the way it goes

@case('another path: what was answered is in the old file, the new one is read, nobody is told', own=daemon())
def _(target):
    session = target.login()
    session.write(0, b'o' * 4096, lun=1).good()
    duplicate(target)
    os.truncate(path_of(target, 'b.img'), SIZE)
    with open(path_of(target, 'b.img'), 'r+b') as image:
        image.write(b'n' * 4096)
    said = move(target, stored(B))
    assert 'held for a moment' in said and 'options.path' in said, said
    assert attention(session) is None
    assert session.read(0, 8, lun=1).good().data == b'n' * 4096
    session.write(8, b'w' * 4096, lun=1).good()
    session.command(scsi.synchronize_cache(), lun=1).good()
    assert content(target, 'a.img') == b'o' * 4096 and content(target, 'a.img', 4096) == bytes(4096)
    assert content(target, 'b.img', 4096) == b'w' * 4096
    assert next(l for l in look(target.daemon, 'luns') if l['lun'] == 1)['handler'] == 'file'


@case('there and back many times under I/O: every byte is right, no command fails', own=daemon())
def _(target):
    session, other = target.login(), target.login(initiator='iqn.2026-11.org.example:other')
    block = [b'%07d\n' % i * 512 for i in range(64)]
    for i, data in enumerate(block):
        session.write(i * 8, data, lun=1).good()
    session.command(scsi.synchronize_cache(), lun=1).good()
    duplicate(target)
    failed, stop = [], threading.Event()

    def read(reader):
        try:
            i = 0
            while not stop.is_set():
                assert reader.read(i % 64 * 8, 8, lun=1).good().data == block[i % 64]
                i += 1
        except BaseException as error:      # pylint: disable=broad-except
            failed.append(error)
    thread = threading.Thread(target=read, args=(other,))
    thread.start()
    for i in range(20):
        move(target, stored(B if i % 2 == 0 else A))
        session.write(1024 + i * 8, b'%03d\n' % i * 1024, lun=1).good()
    stop.set()
    thread.join()
    assert not failed, failed
    assert attention(session) is None
    for i in range(20):
        session.command(scsi.synchronize_cache(), lun=1).good()
        assert content(target, 'b.img' if i % 2 == 0 else 'a.img', 512 * (1024 + i * 8)) == b'%03d\n' % i * 1024


@case('one file by two names under load: it is closed in between, and not a byte is wrong', own=daemon())
def _(target):
    path_of(target, 'b.img').unlink()
    os.link(path_of(target), path_of(target, 'b.img'))
    program = pathlib.Path(Settings.daemon).resolve().parents[1] / 'tests' / 'bench' / 'load'
    load = subprocess.Popen(
        [program, '--address', '127.0.0.1:%d' % target.daemon.port, '--target', IQN, '--lun', '1', '--depth', '8',
         '--connections', '2', '--range', '2M', '--read', '50', '--verify', '--warm-up', '0', '--seconds', '600'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.5)
    for i in range(20):
        if i % 4 == 3:
            assert 'held for a moment' in run(target.daemon, 'lun', 'reopen', IQN, '1')
        else:
            move(target, stored(B if i % 2 == 0 else A))
        assert load.poll() is None, load.communicate()[0]
    load.send_signal(signal.SIGTERM)
    said = load.communicate(timeout=120)[0]
    assert load.returncode == 0 and 'errors=0' in said, said


@case('another handler: the inquiry data has changed; a larger place: the capacity, too', own=daemon())
def _(target):
    session = target.login()
    session.write(0, b'h' * 4096, lun=1).good()
    move(target, faulty(stored()))
    assert attention(session) == INQUIRY_CHANGED and attention(session) is None
    assert session.read(0, 8, lun=1).good().data == b'h' * 4096
    duplicate(target)
    os.truncate(path_of(target, 'b.img'), 2 * SIZE)
    move(target, stored(B))
    assert {attention(session), attention(session)} == {INQUIRY_CHANGED, CAPACITY_CHANGED}
    assert attention(session) is None and attention(session, 0) is None
    assert session.read(0, 8, lun=1).good().data == b'h' * 4096


@case('memory is wrapped and unwrapped with its contents; moved away from, it is given back',
      own=dict(targets=luns(ram('8M')), files={'a.img': '\0' * SIZE}))
def _(target):
    session = target.login()
    session.write(0, b'm' * 4096, lun=1).good()
    for lun in (faulty(ram('8M')), ram('8M')):
        move(target, lun)
        session.alive(lun=1)
        assert session.read(0, 8, lun=1).good().data == b'm' * 4096
    move(target, stored())
    session.alive(lun=1)
    assert session.read(0, 8, lun=1).good().data == bytes(4096)
    move(target, ram('8M'))
    session.alive(lun=1)
    assert session.read(0, 8, lun=1).good().data == bytes(4096)


@case('lun set moves, and writes the file; lun reopen takes what has the name now', own=daemon())
def _(target):
    session = target.login()
    run(target.daemon, 'lun', 'set', IQN, '1', 'path=%s' % path_of(target, 'b.img'))
    session.write(0, b's' * 4096, lun=1).good()
    session.command(scsi.synchronize_cache(), lun=1).good()
    assert content(target, 'b.img') == b's' * 4096
    assert str(path_of(target, 'b.img')) in target.daemon.config_file.read_text()
    path_of(target, 'c.img').write_bytes(b'c' * SIZE)
    os.rename(path_of(target, 'c.img'), path_of(target, 'b.img'))
    assert session.read(0, 8, lun=1).good().data == b's' * 4096
    said = run(target.daemon, 'lun', 'reopen', IQN, '1')
    assert 'held for a moment' in said, said
    assert attention(session) is None
    assert session.read(0, 8, lun=1).good().data == b'c' * 4096
    assert 'no LUN 7' in run(target.daemon, 'lun', 'reopen', IQN, '7', expect=REFUSED)


# --- commands meanwhile

SLOW = faulty(stored(), {'op': 'write', 'action': 'delay', 'delay': '2s', 'times': 1})


@case('commands wait for one under way, in order, and other LUNs go on', own=daemon(SLOW))
def _(target):
    session, other = target.login(), target.login(initiator='iqn.2026-11.org.example:other')
    session.alive(lun=1)
    duplicate(target)
    slow = session.start(scsi.write_10(0, 8), write=b'1' * 4096, lun=1)
    join = during(target, stored(B))
    is_held(target)
    held = [session.start(scsi.write_10(8 * i, 8), write=b'%d' % i * 4096, lun=1, attribute=attribute)
            for i, attribute in ((2, 1), (3, 2), (4, 1), (5, 3))]
    session.read(0, 8, lun=0).good()
    for lba in range(0, 256, 8):
        other.write(lba, b'x' * 4096).good()
    slow.wait().good()
    join()
    first = [task.wait() for task in held]
    assert [t.status for t in first] == [2, 0, 0, 0] and first[0].sense.what() == INQUIRY_CHANGED
    session.command(scsi.synchronize_cache(), lun=1).good()
    assert content(target, 'a.img') == b'1' * 4096
    assert content(target, 'b.img', 3 * 4096, 12288) == b'3' * 4096 + b'4' * 4096 + b'5' * 4096


@case('commands that wait hold on to nothing, whatever was in their places before', own=daemon(SLOW))
def _(target):
    session = target.login()
    session.alive(lun=1)
    for task in [session.start(scsi.read_10(8 * i, 8), read=4096, lun=0) for i in range(8)]:
        task.wait().good()                  # sent from the memory of LUN 0, which is left now
    slow = session.start(scsi.write_10(0, 8), write=b'1' * 4096, lun=1)
    targets = luns(stored())
    targets[IQN]['luns'][0]['revision'] = '2'
    target.daemon.write_config(targets)
    with client.start(target.daemon, 'reload') as reload:
        is_held(target)
        held = [session.start(scsi.write_10(8 * i, 8), write=b'h' * 4096, lun=0) for i in range(4)]
        slow.wait().good()
        _, error = reload.communicate(timeout=client.LIMIT)
    assert reload.returncode == client.DONE, error
    statuses = [task.wait().status for task in held]
    assert statuses == [2, 0, 0, 0] and held[0].sense.what() == INQUIRY_CHANGED, statuses


@case('a command that is held can be aborted, and a held LUN reset', own=daemon(SLOW))
def _(target):
    session = target.login()
    session.alive(lun=1)
    slow = session.start(scsi.write_10(0, 8), write=b'1' * 4096, lun=1)
    join = during(target, stored(B))
    is_held(target)
    held = session.start(scsi.read_10(0, 8), read=4096, lun=1)
    response = session.task_management(ABORT_TASK, lun=1, referenced=held.request.itt)
    assert response.response == 0, response
    late = session.start(scsi.read_10(0, 8), read=4096, lun=1)
    assert session.task_management(LUN_RESET, lun=1).response == 0
    join()
    session.alive(lun=1)
    session.write(0, b'r' * 4096, lun=1).good()
    assert slow.status is None or slow.status == 0
    assert late.status is None or late.status in (0, 2)


@case('a LUN RESET ends what others wait with, too: none of it is done afterwards', own=daemon(SLOW))
def _(target):
    session, other = target.login(), target.login(initiator='iqn.2026-11.org.example:other')
    session.alive(lun=1)
    other.alive(lun=1)
    slow = session.start(scsi.write_10(0, 8), write=b'1' * 4096, lun=1)
    join = during(target, stored(B))
    is_held(target)
    held = [other.start(scsi.write_10(8 * i, 8), write=b'h' * 4096, lun=1) for i in (1, 2, 3)]
    asked = other.start(scsi.write_10(32, 8), write=b'h' * 4096, lun=1, immediate_data=0)
    other.nop(b'they have come')
    assert other.connection.expect(wire.NOP_IN).data == b'they have come'
    assert session.task_management(LUN_RESET, lun=1).response == 0
    join()
    other.alive(lun=1)
    assert [task.status for task in held + [asked]] == [None] * 4, 'answered after a reset'
    assert slow.status is None or slow.status == 0
    assert session.connection and other.read(8, 32, lun=1).good().data == bytes(16384)


@case('a session that ends while its commands are held leaves nothing behind', own=daemon(SLOW))
def _(target):
    session, other = target.login(), target.login(initiator='iqn.2026-11.org.example:other')
    session.alive(lun=1)
    other.alive(lun=1)
    other.start(scsi.write_10(0, 8), write=b'1' * 4096, lun=1)
    join = during(target, stored(B))
    is_held(target)
    for i in range(8):
        session.start(scsi.write_10(8 * i, 8), write=b'g' * 4096, lun=1)
    session.close()
    join()
    again = target.login()
    again.alive(lun=1)
    assert again.read(0, 8, lun=1).good().data == bytes(4096)


@case('I/O that does not come to its end: the old storage goes on, and the verb says so; force aborts it',
      own=daemon(faulty(stored(), {'op': 'write', 'from': '1M', 'action': 'hang'})))
def _(target):
    session = target.login()
    session.alive(lun=1)
    session.write(0, b'k' * 4096, lun=1).good()
    stuck = session.start(scsi.write_10(2048, 8), write=b's' * 4096, lun=1)
    join = during(target, faulty(stored(B)), expect=REFUSED)
    is_held(target)
    held = session.start(scsi.read_10(0, 8), read=4096, lun=1)
    said = join()
    assert 'stays where it is: I/O under way does not come to its end' in said, said
    assert held.wait().good().data == b'k' * 4096
    assert stuck.status is None
    run(target.daemon, 'luns')
    move(target, faulty(stored()))      # rules change at once: what hangs is judged again
    stuck.wait().good()
    assert content(target, 'b.img') == bytes(4096)


@case('what cannot be flushed is not left without force',
      own=daemon(faulty(stored(), {'op': 'flush', 'action': 'error'})))
def _(target):
    session = target.login()
    session.write(0, b'f' * 4096, lun=1)
    session.alive(lun=1)
    said = move(target, stored(B), expect=REFUSED)
    assert 'could not be flushed' in said and ':' in said, said
    assert session.read(0, 8, lun=1).status == 0 and attention(session) is None
    move(target, stored(B), '--force')
    assert attention(session) == INQUIRY_CHANGED
    target.daemon.wait_log('could not be flushed')


# --- what is refused

@case('a place that is smaller, has other blocks, is missing or cannot be opened changes nothing', own=daemon())
def _(target):
    session = target.login()
    session.write(0, b'q' * 4096, lun=1).good()
    path_of(target, 'small.img').write_bytes(bytes(MIB))
    wide = {'handler': 'null', 'options': {'size': '8M'}}
    for lun, word in ((stored('$FOLDER/small.img'), 'fewer than the disk'),
                      (stored('$FOLDER/none.img'), 'there is no such file'),
                      (file('$FOLDER/none.img', '8M'), 'there is no such file'),
                      (stored('$FOLDER'), 'Is a directory'),
                      (dict(wide, **{'block-size': '4K'}), 'is in use')):
        said = move(target, lun, expect=REFUSED)
        assert word in said and 'holdfast.yaml:' in said, said
        assert not path_of(target, 'none.img').exists()
        assert attention(session) is None
        assert session.read(0, 8, lun=1).good().data == b'q' * 4096
    move(target, stored('$FOLDER/small.img'), '--force')
    assert attention(session) == CAPACITY_CHANGED


@case('with one of two that cannot move neither does, and both go on', own=dict(
    targets={IQN: {'portals': ['test'], 'luns': {0: ram('8M'), 1: stored(), 2: stored(B)}}},
    files={'a.img': '\0' * SIZE, 'b.img': '\0' * SIZE, 'c.img': '\0' * SIZE}))
def _(target):
    session = target.login()
    for lun in (1, 2):
        session.alive(lun=lun)
    config = luns(stored('$FOLDER/c.img'))
    config[IQN]['luns'][2] = stored(B, **{'options': {'path': '$FOLDER/d.img'}})
    target.daemon.write_config(config)
    assert 'd.img' in run(target.daemon, 'reload', expect=REFUSED)
    for lun in (1, 2):
        assert attention(session, lun) is None
        session.write(0, b'%d' % lun * 4096, lun=lun).good()
    session.command(scsi.synchronize_cache(), lun=1).good()
    assert content(target, 'a.img') == b'1' * 4096 and content(target, 'c.img') == bytes(4096)
    swapped = copy.deepcopy(config)
    swapped[IQN]['luns'] = {0: ram('8M'), 1: stored(B), 2: stored()}
    target.daemon.write_config(swapped)
    said = run(target.daemon, 'reload', expect=REFUSED)
    assert 'in use' in said, said
    session.write(8, b'z' * 4096, lun=1).good()


@case('a worker killed at any moment of a move leaves the disk here or there, and its commands go on', own=daemon())
def _(target):
    session = target.login()
    session.write(0, b'k' * 4096, lun=1).good()
    session.command(scsi.synchronize_cache(), lun=1).good()
    duplicate(target)
    target.daemon.killed_workers = True
    for i in range(10):
        before = target.daemon.workers()
        target.daemon.write_config(luns(stored(B if i % 2 == 0 else A)))
        target.daemon.signal(signal.SIGHUP)
        tasks = [session.start(scsi.write_10(8 + 8 * j, 8), write=b'%02d%02d' % (i, j) * 1024, lun=1)
                 for j in range(8)]
        time.sleep(i * 0.002)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        target.daemon.wait_for_worker(not_among=before)
        for task in tasks:
            task.wait().good()
        assert session.read(0, 8, lun=1).good().data == b'k' * 4096
        for j, task in enumerate(tasks):
            there = [content(target, name, 4096 * (1 + j)) for name in ('a.img', 'b.img')]
            assert b'%02d%02d' % (i, j) * 1024 in there, (i, j)
        run(target.daemon, 'reload')
        session.command(scsi.synchronize_cache(), lun=1).good()
        assert attention(session) is None


if __name__ == '__main__':
    main(__file__)
