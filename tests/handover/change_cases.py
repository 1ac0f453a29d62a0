# SPDX-License-Identifier: BSD-3-Clause
"""Disks come, go, grow and are opened again while initiators work on them and on others, and all the time the worker
is killed or replaced. Who works on what is not changed notices nothing; who reads a disk that is changed gets what
was on that disk, or is told of the change; a disk that is new is empty; what was removed leaves no memory behind."""
import threading
import time

import client
import scsi
from cases import case
from dialogue_cases import log_in, unalike
from kill_cases import DIGESTS, loads_on, report
from removed_cases import MIB, memory
from server import IQN, ram, file, serving

STILL, CHANGED = IQN + '-still', IQN + '-changed'
NUMBERS = range(1, 6)
NO_LUN = (5, 0x2500)
TOLD = (0x3f0e, 0x3f03, 0x2a09, 0x2900, 0x2907)   # unit attentions of a change
BUSY = 8
READS = 12      # more than the sockets take, all of it queued


class Disks:
    """The LUNs of the target that changes, as they are meant to be, and what is on each."""

    def __init__(self, server, random):
        self.server, self.random, self.made = server, random, 0
        self.luns, self.holds, self.size = {0: ram('4M')}, {}, {}

    def targets(self):
        return {STILL: {'portals': ['test'], 'luns': {0: ram('64M'), 1: file('$FOLDER/still.img', '64M')}},
                CHANGED: {'portals': ['test'], 'luns': self.luns}}

    def apply(self):
        """A reload, again until it is in effect: the worker may die over it, a disk may not be closed yet."""
        deadline = time.monotonic() + client.LIMIT
        self.server.daemon.write_config(self.targets())
        while True:
            with client.start(self.server.daemon, 'reload', '--force') as process:
                _, error = process.communicate(timeout=client.LIMIT)
            if process.returncode == client.DONE:
                return
            assert time.monotonic() < deadline, error
            time.sleep(0.01)

    def add(self, number, session):
        self.made += 1
        self.size[number] = 4
        self.luns[number] = ram('4M')
        if self.random.random() < 0.3:
            self.luns[number] = file('%s/%d.img' % (self.server.daemon.folder, self.made), '4M')
        self.apply()
        found = until_good(lambda: session.read(0, MIB // 512, lun=number))
        assert found.data == bytes(MIB), 'a new disk is not empty: %r' % self.luns[number]
        self.holds[number] = unalike(MIB, self.made)
        until_good(lambda: session.write(0, self.holds[number], lun=number))

    def remove(self, number):
        del self.luns[number], self.holds[number]
        if self.random.random() < 0.5:      # by request; whatever comes of it, the reload settles it
            with client.start(self.server.daemon, 'lun', 'remove', CHANGED, number, '--force') as process:
                process.communicate(timeout=client.LIMIT)
        self.apply()

    def grow(self, number):
        self.size[number] += 1
        self.luns[number]['options']['size'] = '%dM' % self.size[number]
        self.apply()

    def open_again(self, number):
        self.luns[number]['revision'] = self.random.choice('123')
        self.apply()


def until_good(begin):
    """The task that ended well; unit attentions and BUSY are for asking again."""
    for _ in range(1000):
        task = begin()
        task.wait()
        if task.status == scsi.GOOD:
            return task
        if task.status == BUSY:
            time.sleep(0.005)
        else:
            assert task.sense.key == 6 and task.sense.what()[1] in TOLD, task.sense
    raise AssertionError('it does not end well')


class Weather(threading.Thread):
    """Kills and replaces the worker at random moments."""

    def __init__(self, server, random):
        super().__init__(daemon=True)
        self.server, self.random = server, random
        self.over, self.problem = threading.Event(), None

    def run(self):
        try:
            took = 0    # a sanitizer's worker takes its time: there shall be some between two of them
            while not self.over.wait(2 * took + self.random.uniform(0.1, 0.5)):    # fewer than the keeper forgives
                if self.random.random() < 0.4:
                    self.server.begin_upgrade()
                    self.over.wait(self.random.uniform(0, 0.1))
                if self.random.random() < 0.7:
                    began = time.monotonic()
                    self.server.kill_any(self.random)
                    self.server.wait_serving()
                    took = time.monotonic() - began
        except Exception as error:      # pylint: disable=broad-except  # whatever it is, the case fails
            self.problem = error

    def end(self):
        self.over.set()
        self.join()
        if self.problem:
            raise self.problem


def judge(reads, data):
    """What was read of a disk that may have been changed or removed meanwhile."""
    for task in reads:
        task.wait()
        assert task.data == data[:len(task.data)], 'not what was on the disk'
        if task.status == scsi.GOOD:
            assert len(task.data) == MIB
        elif task.status != BUSY:
            assert task.sense.what() == NO_LUN or task.sense.key == 6 and task.sense.what()[1] in TOLD, task.sense


def change(disks, random, session, read):
    """One step. The disk `read`, of which much is still to be sent, is not held: that would wait."""
    free = [number for number in NUMBERS if number not in disks.luns]
    there = list(disks.holds)
    if not there or free and random.random() < 0.4:
        disks.add(random.choice(free), session)
    elif random.random() < 0.5:
        disks.remove(read if read in there and random.random() < 0.7 else random.choice(there))
    else:
        number = random.choice(there)
        if number != read:
            random.choice((disks.grow, disks.open_again))(number)


@case('changes: disks come, go, grow and are opened again at random, with kills and upgrades at random moments')
def _(scale):
    with serving({STILL: {'portals': ['test'], 'luns': {0: ram('64M'), 1: file('$FOLDER/still.img', '64M')}},
                  CHANGED: {'portals': ['test'], 'luns': {0: ram('4M')}}}) as server:
        disks = Disks(server, scale.random)
        session, reader = (log_in(server, target=CHANGED, initiator='iqn.2026-11.org.example:' + name,
                                  MaxRecvDataSegmentLength='262144') for name in ('writer', 'reader'))
        with loads_on(server, (STILL, dict(connections=4, depth=4)),
                      (STILL, dict(lun=1, connections=2, depth=2, block='64K', options=DIGESTS))) as loads:
            weather = Weather(server, scale.random)
            weather.start()
            steps = scale.count(12, 5000)
            try:
                for _ in range(steps):
                    one_step(disks, scale.random, session, reader)
                    assert not weather.problem
            finally:
                weather.end()
            server.wait_serving()
        for number in list(disks.holds):
            disks.remove(number)
        server.wait_for(lambda _: len(memory(server)) == 2)
        server.check()
        session.close()
        reader.close()
        return '%d changes; %s' % (steps, report(server, loads))


def one_step(disks, random, session, reader):
    read = random.choice([0] + list(disks.holds))
    reads = []
    if read:
        until_good(lambda: reader.command(scsi.test_unit_ready(), lun=read))
        reads = [reader.start(scsi.read_10(0, MIB // 512), read=MIB, lun=read) for _ in range(READS)]
    data = disks.holds.get(read)
    change(disks, random, session, read)
    judge(reads, data)
