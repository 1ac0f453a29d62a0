# SPDX-License-Identifier: BSD-3-Clause
"""Initiators that come back after a stop and a start of the whole daemon: what they had set up is there, and
their first command is not answered with a unit attention, BUSY or NOT READY."""
import os
import shutil
import signal
import time

import scsi
from peer import IQN, case, file, main

DISKS = dict(targets={IQN: {'portals': ['test'], 'luns': {0: file('$FOLDER/a.img', '8M'),
                                                          1: file('$FOLDER/b.img', '8M')}}})
CONFLICT = 0x18
EXCLUSIVE = 3       # exclusive access
KEY = 0x1122334455667788
ONE, OTHER = b'\x80\x00\x77\x01\x00\x01', b'\x80\x00\x77\x02\x00\x01'


def out(action, key=0, new=0, kind=0, aptpl=False):
    """PERSISTENT RESERVE OUT: CDB and parameter list."""
    cdb = bytes([0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0])
    return cdb, key.to_bytes(8, 'big') + new.to_bytes(8, 'big') + bytes(4) + bytes([aptpl]) + bytes(3)


def persistent_out(session, *what, lun=0, **more):
    cdb, data = out(*what, **more)
    session.command(cdb, write=data, lun=lun).good()


def keys(session, lun=0):
    task = session.command(bytes([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read=256, lun=lun)
    assert task.status == scsi.GOOD, task.sense
    count = int.from_bytes(task.data[4:8], 'big') // 8
    return [int.from_bytes(task.data[8 + 8 * i:16 + 8 * i], 'big') for i in range(count)]


def come_back(target, isid):
    """Logged in, and nothing taken: the next command is the first one."""
    session = target.session(isid=isid)
    session.login()
    return session


def stop(target):
    target.daemon.killed_workers = True
    target.daemon.signal(signal.SIGTERM)
    assert target.daemon.wait_exit() == 0, target.daemon.log()[-4000:]


def stop_and_start(target):
    stop(target)
    target.daemon.start()


class Kept:
    """What the target has written down of a unit, for when it is killed: waits until that is another."""

    def __init__(self, target, lun=0):
        self.path = target.daemon.folder / 'state' / 'stopped' / ('%s,%d' % (IQN, lun))
        self.before = self._now()

    def _now(self):
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def wait(self):
        deadline = time.monotonic() + 60
        while self._now() == self.before:
            assert time.monotonic() < deadline, 'nothing is written down'
            time.sleep(0.01)
        self.before = self._now()


def kill_and_start(target):
    """Keeper and worker die at once, and nobody keeps anything for them."""
    target.daemon.killed_workers = True
    for pid in [target.daemon.process.pid] + target.daemon.workers():
        os.kill(pid, signal.SIGKILL)
    target.daemon.process.wait()
    target.daemon.start()


def write_is(session, status, lun=0):
    task = session.write(0, b'w' * 512, lun=lun)
    assert task.status == status, '%02x %r' % (task.status, task.sense)


@case('a persistent reservation without APTPL is there after a stop and a start, for its holder alone', own=DISKS)
def _(target):
    holder, other = target.login(isid=ONE), target.login(isid=OTHER)
    holder.alive(1)
    persistent_out(holder, 0, 0, KEY)
    persistent_out(holder, 1, KEY, kind=EXCLUSIVE)
    write_is(other, CONFLICT)
    stop_and_start(target)
    holder, other = come_back(target, ONE), come_back(target, OTHER)
    write_is(holder, scsi.GOOD)
    write_is(other, CONFLICT)
    assert keys(other) == [KEY]
    write_is(other, scsi.GOOD, lun=1)
    persistent_out(holder, 2, KEY, kind=EXCLUSIVE)
    write_is(other, scsi.GOOD)
    persistent_out(holder, 0, KEY, 0)
    stop_and_start(target)
    assert keys(come_back(target, OTHER)) == []


@case('RESERVE(6) holds over a stop and a start, and ends when its initiator releases it', own=DISKS)
def _(target):
    holder, other = target.login(isid=ONE), target.login(isid=OTHER)
    holder.command(bytes([0x16, 0, 0, 0, 0, 0])).good()
    write_is(other, CONFLICT)
    stop_and_start(target)
    holder, other = come_back(target, ONE), come_back(target, OTHER)
    write_is(other, CONFLICT)
    write_is(holder, scsi.GOOD)
    holder.command(bytes([0x17, 0, 0, 0, 0, 0])).good()
    write_is(other, scsi.GOOD)
    holder.command(bytes([0x16, 0, 0, 0, 0, 0])).good()
    holder.close()      # a logout ends it, and it does not come back with the next stop
    while other.write(0, b'w' * 512, lun=0).status == CONFLICT:      # once the target has seen the connection end
        time.sleep(0.01)
    write_is(other, scsi.GOOD)
    stop_and_start(target)
    write_is(come_back(target, OTHER), scsi.GOOD)


@case('what was set up while nothing could be written is written later', own=DISKS)
def _(target):
    path = target.daemon.folder / 'state' / 'stopped' / ('%s,0' % IQN)
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.write_text('no directory', encoding='ascii')
    holder = target.login(isid=ONE)
    persistent_out(holder, 0, 0, KEY)
    target.daemon.wait_log('is not kept')
    path.parent.unlink()
    target.daemon.wait_log('is kept again')
    kill_and_start(target)
    assert keys(come_back(target, ONE)) == [KEY]


@case('keeper and worker are killed: what was set up is there, and the first command hears of nothing', own=DISKS)
def _(target):
    kept, mode = Kept(target), Kept(target, 1)
    holder, other = target.login(isid=ONE), target.login(isid=OTHER)
    holder.alive(1)
    persistent_out(holder, 0, 0, KEY)
    kept.wait()
    persistent_out(holder, 1, KEY, kind=EXCLUSIVE)
    kept.wait()
    holder.command(bytes([0x16, 0, 0, 0, 0, 0]), lun=1).good()
    mode.wait()
    for _ in range(2):
        kill_and_start(target)
        holder, other = come_back(target, ONE), come_back(target, OTHER)
        write_is(holder, scsi.GOOD)
        write_is(holder, scsi.GOOD, lun=1)
        write_is(other, CONFLICT)
        write_is(other, CONFLICT, lun=1)
        assert keys(other) == [KEY]
        deadline = time.monotonic() + 60
        while not (kept.path.exists() and mode.path.exists()):      # once more: it was read and taken away
            assert time.monotonic() < deadline
            time.sleep(0.01)
        kept, mode = Kept(target), Kept(target, 1)
    persistent_out(holder, 2, KEY, kind=EXCLUSIVE)
    kept.wait()
    persistent_out(holder, 0, KEY, 0)
    kept.wait()
    holder.command(bytes([0x17, 0, 0, 0, 0, 0]), lun=1).good()
    mode.wait()
    kill_and_start(target)
    other = come_back(target, OTHER)
    write_is(other, scsi.GOOD)
    write_is(other, scsi.GOOD, lun=1)
    assert keys(other) == []


@case('a mode that was selected is as it was after a stop and a start', own=DISKS)
def _(target):
    session = target.login(isid=ONE)
    def control():
        task = session.command(bytes([0x1a, 8, 0x0a, 0, 255, 0]), read=255)
        assert task.status == scsi.GOOD, task.sense
        return task.data[4:16]
    page = bytearray(control())
    page[0] &= 0x7f
    page[4] |= 0x08
    task = session.command(bytes([0x15, 0x10, 0, 0, 16, 0]), write=bytes(4) + bytes(page))
    assert task.status == scsi.GOOD, task.sense
    assert control()[4] & 0x08
    stop_and_start(target)
    session = come_back(target, ONE)
    task = session.write(0, b'w' * 512)
    assert task.status == 2 and task.sense.what()[0] == 7, (task.status, task.sense)
    assert control()[4] & 0x08
    stop_and_start(target)      # once more: what was read was taken away, and is written again
    session = come_back(target, ONE)
    assert control()[4] & 0x08


@case('what a stop has left is used once, and not after a death of the whole daemon', own=DISKS)
def _(target):
    holder = target.login(isid=ONE)
    persistent_out(holder, 0, 0, KEY)
    stop_and_start(target)
    assert keys(come_back(target, ONE)) == [KEY]
    left = target.daemon.folder / 'state' / 'stopped'
    assert os.listdir(left) == []
    worker = target.daemon.wait_for_worker()
    os.kill(target.daemon.process.pid, signal.SIGKILL)
    target.daemon.process.wait()
    while os.path.exists('/proc/%d' % worker):
        pass
    target.daemon.start()
    assert keys(come_back(target, ONE)) == []


if __name__ == '__main__':
    main(__file__)
