# SPDX-License-Identifier: BSD-3-Clause
"""A journal beside the disk: every write whose GOOD was read before a kill is in the file behind the LUN at once,
read there past the target, and later through it; counters that COMPARE AND WRITE adds to are exact."""
import contextlib
import os
import threading
import time

from cases import case
from server import IQN, file, serving
from session_cases import compare_and_write, log_in

WRITERS, COUNTERS = 6, 2
BLOCKS, DEPTH = 48, 4           # of a writer: blocks of 4 KiB; commands under way
SIZE = 4096
COUNTER_AT = WRITERS * BLOCKS * SIZE
MAGIC = b'journal.'


def content(writer, block, number):
    """4 KiB that say what they are all over: a torn block shows."""
    return (MAGIC + bytes([writer, block]) + number.to_bytes(6, 'big')) * (SIZE // 16)


def number_of(data, writer, block):
    """Which write of this block it is; 0: none yet."""
    if data == bytes(SIZE):
        return 0
    number = int.from_bytes(data[10:16], 'big')
    assert data == content(writer, block, number), 'block %d of writer %d is torn or another one: %r' % (
        block, writer, data[:32])
    return number


class Journal:
    """What was sent and what was answered: by writer and block."""

    def __init__(self):
        self.answered = [[0] * BLOCKS for _ in range(WRITERS)]
        self.sent = [[0] * BLOCKS for _ in range(WRITERS)]
        self.counted = [0] * COUNTERS
        self.writes = 0
        self.failed, self.stop = [], threading.Event()

    @contextlib.contextmanager
    def told(self):
        """What ends a thread is a failure of the case."""
        try:
            yield
        except Exception as error:  # pylint: disable=broad-except
            self.failed.append('%s: %s' % (type(error).__name__, error))

    def write(self, server, writer):
        with self.told():
            session = log_in(server, initiator='iqn.2026-11.org.example:writer%d' % writer)
            number, under_way = 0, []
            while not self.stop.is_set() or under_way:
                if len(under_way) < DEPTH and not self.stop.is_set():
                    number += 1
                    block = number * 7 % BLOCKS     # no block twice among those under way
                    self.sent[writer][block] = number
                    lba = (writer * BLOCKS + block) * (SIZE // 512)
                    cdb = bytes([0x2a, 0]) + lba.to_bytes(4, 'big') + bytes([0, 0, SIZE // 512, 0])
                    under_way.append((block, number, session.start(
                        cdb, write=content(writer, block, number), lun=0)))
                    continue
                block, done, task = under_way.pop(0)
                task.good()
                self.answered[writer][block] = done
                self.writes += 1
            session.close()

    def count(self, server, counter):
        """The other counter of the same block belongs to the other thread: they are in each other's way."""
        lba = COUNTER_AT // 512
        with self.told():
            session = log_in(server, initiator='iqn.2026-11.org.example:counter%d' % counter)
            while not self.stop.is_set():
                old = session.read(lba, 1, lun=0).good().data
                new = bytearray(old)
                at = 8 * counter
                new[at:at + 8] = (int.from_bytes(old[at:at + 8], 'big') + 1).to_bytes(8, 'big')
                task = session.command(lun=0, immediate_data=1024, **compare_and_write(lba, old, bytes(new)))
                if task.status == 0:
                    self.counted[counter] += 1
                else:
                    assert task.status == 2 and task.sense.key == 0xe, (task.status, task.sense)
            session.close()

    def snapshot(self):
        return [list(of) for of in self.answered]

    def check(self, read, answered):
        """read(offset, bytes) now: at least what was answered then, at most what has been sent since."""
        for writer in range(WRITERS):
            data = read(writer * BLOCKS * SIZE, BLOCKS * SIZE)
            for block in range(BLOCKS):
                number = number_of(data[block * SIZE:(block + 1) * SIZE], writer, block)
                assert answered[writer][block] <= number <= self.sent[writer][block], \
                    'writer %d, block %d: %d is there, %d was answered and %d sent' % (
                        writer, block, number, answered[writer][block], self.sent[writer][block])

    def check_counters(self, read):
        data = read(COUNTER_AT, 512)
        there = [int.from_bytes(data[8 * i:8 * i + 8], 'big') for i in range(COUNTERS)]
        assert there == self.counted, 'counted %r, there is %r' % (self.counted, there)


def kill_and_look(scale, kills, **options):
    disk = file('$FOLDER/journal.img', '16M')
    disk['options'].update(options)
    with serving({IQN: {'portals': ['test'], 'luns': {0: disk}}}, daemon={'reactors': 2}) as server:
        fd = os.open(server.daemon.folder / 'journal.img', os.O_RDONLY)

        def outside(offset, count):
            return os.pread(fd, count, offset)
        journal = Journal()
        threads = [threading.Thread(target=journal.write, args=(server, i)) for i in range(WRITERS)]
        threads += [threading.Thread(target=journal.count, args=(server, i)) for i in range(COUNTERS)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(kills):
                time.sleep(scale.between(0.02, 0.4))
                assert not journal.failed, journal.failed
                before = server.ready_count()
                server.kill_now()
                journal.check(outside, journal.snapshot())
                server.wait_log(' ready generation=', before + 1)
        finally:
            journal.stop.set()
            for thread in threads:
                thread.join()
        assert not journal.failed, journal.failed
        reader = log_in(server)

        def through(offset, count):
            return b''.join(reader.read((offset + i) // 512, SIZE // 512, lun=0).good().data[:min(SIZE, count)]
                            for i in range(0, count, SIZE))
        for read in outside, through:
            journal.check(read, journal.sent)   # all were answered: exactly these
            journal.check_counters(read)
        reader.close()
        os.close(fd)
        server.check()
        return '%d kills; %d writes, %d times counted' % (kills, journal.writes, sum(journal.counted))


@case('journal: what was answered before a kill is in the file and on the LUN, through the page cache')
def _(scale):
    return kill_and_look(scale, scale.count(12, 500))


@case('journal: the same past the page cache')
def _(scale):
    return kill_and_look(scale, scale.count(8, 500), direct=True)
