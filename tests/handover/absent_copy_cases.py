# SPDX-License-Identifier: BSD-3-Clause
"""EXTENDED COPY from or to a disk that is absent, or that goes while it is copied: the copy waits as any command of
the disk's own does, and others go on."""
import struct
import threading
import time

import management
import scsi
from absent_cases import ABSENT, BACK, absent
from absent_cases import Disk
from cases import case
from copy_cases import BLOCKS, LUNS, copies, copy_list, end, naa_of, segment
from dialogue_cases import OTHER, holds, log_in, unalike
from layout_cases import other
from server import IQN, file, ram, serving
from upgrade_cases import own_binary

RAM, GONE, STAYS = 0, 1, 2
HALF = BLOCKS // 2


def luns(**options):
    return {IQN: {'portals': ['test'], 'luns': {RAM: ram('8M'), GONE: file('$FOLDER/disk.img', '8M', **options),
                                                STAYS: file('$FOLDER/stays.img', '8M')}}}


def fill(session, lun, data):
    for at in range(0, len(data), 65536):
        session.write(at // 512, data[at:at + 65536], lun=lun).good()


def is_filled(session, lun, lba, data):
    for at in range(0, len(data), 65536):
        holds(session, lba + at // 512, data[at:at + 65536], lun=lun)


def copy(session, ends, segments, lun=RAM, list_id=0):
    data = bytearray(copy_list(ends, segments))
    data[0] = list_id
    return session.start(b'\x83' + bytes(9) + struct.pack('>I', len(data)) + bytes(2), write=bytes(data), lun=lun)


@case('absent: copies from it and to it wait over kills and upgrades, can be aborted, and end when it is back')
def _(scale):
    with own_binary() as binary, serving(luns()) as server:
        disk, session = Disk(server, 'disk.img'), log_in(server)
        data = [unalike(HALF * 512, lun) for lun in (RAM, GONE, STAYS)]
        for lun in (RAM, GONE, STAYS):
            fill(session, lun, data[lun])
        ends = [end(naa_of(session, lun)) for lun in (RAM, GONE, STAYS)]
        disk.take()
        server.kill()
        server.wait_log(ABSENT)
        others = log_in(server, initiator='iqn.2026-11.org.example:another')
        there = copy(session, ends, [segment(STAYS, RAM, 0, 0, 100), segment(GONE, STAYS, 0, HALF, HALF)], RAM, 1)
        back = copy(session, ends, [segment(RAM, GONE, 0, HALF, HALF)], GONE, 2)
        aborted = copy(session, ends, [segment(RAM, GONE, 0, 0, HALF)], STAYS, 3)
        for turn, replace in enumerate((server.upgrade, server.kill, server.upgrade, server.kill)):
            replace()
            assert copy(others, ends, [segment(RAM, STAYS, 0, 0, 64)], STAYS, turn).wait().status == scsi.GOOD
            others.write(0, OTHER[:4096], lun=RAM).good()
        assert not there.done and not back.done
        assert session.task_management(management.ABORT_TASK, referenced=aborted.request.itt,
                                       lun=STAYS).response == management.COMPLETE
        disk.put()
        server.wait_log(BACK)
        there.good()
        back.good()
        is_filled(session, STAYS, HALF, data[GONE])
        server.check()
        session.close()
        others.close()


@case('absent: a copy from it and one to it are answered as when-late says')
def _(scale):
    for when in ('busy', 'fail'):
        with serving(luns(deadline='300ms', **{'when-late': when})) as server:
            disk, session = Disk(server, 'disk.img'), log_in(server)
            ends = [end(naa_of(session, lun)) for lun in (RAM, GONE, STAYS)]
            disk.take()
            server.kill()
            server.wait_log(ABSENT)
            for turn, (source, destination) in enumerate(((GONE, RAM), (RAM, GONE), (GONE, STAYS))):
                task = copy(session, ends, [segment(source, destination, 0, 0, 1000)], STAYS, turn).wait()
                if when == 'busy':
                    assert task.status == scsi.BUSY, task.status
                else:
                    assert task.sense.what() == (0xa, 0x0d01), task.sense
            copy(session, ends, [segment(RAM, STAYS, 0, 0, 1000)], STAYS).good()
            disk.put()
            server.wait_log(BACK)
            copy(session, ends, [segment(RAM, GONE, 0, 0, 1000)], GONE).good()
            server.check()
            session.close()


@case('absent: a disk goes and comes while it is copied, with kills and upgrades to another layout and back')
def _(scale):
    with own_binary() as binary, serving(LUNS) as server:
        failed, done, stop = [], [], threading.Event()
        layouts, disk = [other(), binary.good], Disk(server, 'disk.img')
        thread = threading.Thread(target=copies, args=(server, scale.random, stop, failed, done))
        thread.start()
        server.wait_for(lambda _log: done or failed)
        for turn in range(scale.count(2, 100)):
            disk.take()
            server.kill()
            server.wait_log(ABSENT, 2 * turn + 1)
            binary.put(layouts[turn % 2])
            server.upgrade()
            server.wait_log(ABSENT, 2 * turn + 2)
            before = len(done)
            disk.put()
            server.wait_log(BACK, turn + 1)
            server.wait_for(lambda _log, before=before: len(done) > before + 1 or failed)
        stop.set()
        thread.join()
        assert not failed, failed[0]
        server.check()
        return '%d copies of 20 segments' % len(done)
