# SPDX-License-Identifier: BSD-3-Clause
"""WRITE ATOMIC and those who read: a READ brings all of it or nothing of it, also a READ that was under way
when the unit's first WRITE ATOMIC came, with readers so slow that their answers fill the sockets, on several
reactors, and with a worker that dies or is replaced between one byte of the answer and the next."""
import struct
import threading
import time

import scsi
from cases import case
from dialogue_cases import log_in, unalike
from server import IQN, ram, serving

BYTES = 1 << 20     # of a WRITE ATOMIC; the most
BLOCKS = BYTES // 512
READERS = 4
READS = 8           # of each: more than the sockets take
UNITS = 24
OLD, NEW = unalike(BYTES, 1), unalike(BYTES, 2)
SLOW = {'MaxRecvDataSegmentLength': '8192'}     # an answer of a megabyte is more PDUs than a queue takes
WAYS = {'as it is': lambda server: None,
        'killed': lambda server: server.kill(),
        'killed twice': lambda server: (server.kill(), server.kill()),
        'replaced': lambda server: server.upgrade()}


def write_atomic(lba, blocks):
    return struct.pack('>BBQHHBB', 0x9c, 0, lba, 0, blocks, 0, 0)


def slow_reader(server, number, **offer):
    return log_in(server, initiator='iqn.2026-11.org.example:reader-%d' % number, **dict(SLOW, **offer))


class Writer(threading.Thread):
    """A WRITE ATOMIC that is seen through to its answer."""

    def __init__(self, session, lun, data):
        super().__init__()
        self.session, self.lun, self.data, self.error = session, lun, data, None
        self.start()

    def run(self):
        try:
            self.session.command(write_atomic(0, BLOCKS), write=self.data, lun=self.lun).good()
        except Exception as error:  # pylint: disable=broad-except  # told by whoever joins
            self.error = error

    def done(self):
        self.join(60)
        assert not self.is_alive(), 'WRITE ATOMIC was not answered'
        if self.error:
            raise self.error


def begin_reads(readers, lun):
    tasks = [reader.start(scsi.read_10(0, BLOCKS), read=BYTES, lun=lun)
             for reader in readers for _ in range(READS)]
    for reader in readers:
        reader.connection.pump()        # something of it has been sent
    return tasks


def whole(tasks):
    """How many saw the new data; every one saw the old or the new."""
    new = 0
    for task in tasks:
        data = task.good().data
        if data == NEW:
            new += 1
        elif data != OLD:
            at = next(i for i in range(0, BYTES, 512) if data[i:i + 512] != OLD[i:i + 512])
            raise AssertionError('half of it was read: new from byte %d on' % at)
    return new


def rounds(scale, seen_before):
    """Each on a unit of its own: whether it has seen a WRITE ATOMIC before is what matters."""
    luns = {IQN: {'portals': ['test'], 'luns': {i: ram('2M') for i in range(UNITS)}}}
    units, told = scale.count(4, UNITS), []
    with serving(luns, daemon={'reactors': 3}) as server:
        writer = log_in(server)
        all_readers = [slow_reader(server, i) for i in range(READERS - 1)]
        all_readers.append(slow_reader(server, READERS, DataDigest='CRC32C'))   # it takes this script long
        for lun in range(units):
            name = list(WAYS)[lun % len(WAYS)]
            readers = all_readers if lun % (len(WAYS) + 1) == 0 else all_readers[:-1]
            if seen_before:
                Writer(writer, lun, OLD).done()
            else:
                writer.command(scsi.write_10(0, BLOCKS), write=OLD, lun=lun).good()
            tasks = begin_reads(readers, lun)
            atomic = Writer(writer, lun, NEW)
            time.sleep(scale.between(0, 0.2))
            WAYS[name](server)
            time.sleep(scale.between(0, 0.05))
            told.append(whole(tasks))
            atomic.done()
            assert whole(begin_reads(all_readers[:1], lun)) == READS, 'old data after the answer'
        server.check()
        for session in [writer] + all_readers:
            session.close()
    return '%d READs saw the new data' % sum(told)


@case('atomic: the first WRITE ATOMIC of a unit, READs under way')
def _(scale):
    return rounds(scale, seen_before=False)


@case('atomic: a later WRITE ATOMIC, READs under way')
def _(scale):
    return rounds(scale, seen_before=True)
