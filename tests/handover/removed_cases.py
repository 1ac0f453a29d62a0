# SPDX-License-Identifier: BSD-3-Clause
"""A disk of memory is removed while an initiator that does not hurry is still being sent what it has read of it,
and the worker goes: all of that arrives, nothing of another disk does, and the memory is given back."""
import contextlib
import os
import pathlib
import time

import client
import scsi
from cases import case
from dialogue_cases import DATA, OTHER, log_in, unalike
from reservations import REGISTER_AND_IGNORE, out
from server import IQN, ram, serving

DISK = ('handler=ram', 'options={"size": "4M"}')
LUNS = {IQN: {'portals': ['test'], 'luns': {0: ram('4M'), 1: ram('4M')}}}
MIB = 1 << 20
READS = 16      # more than the sockets take


def slow_reader(server):
    """A session that has asked for more of LUN 1 than it takes; and what it has asked for."""
    reader = log_in(server, MaxRecvDataSegmentLength='262144')
    reader.alive(1)
    data = unalike(MIB, 7)
    reader.write(0, data, lun=1).good()
    reads = [reader.start(scsi.read_10(0, 2048), read=MIB, lun=1) for _ in range(READS)]
    log_in(server, initiator='iqn.2026-11.org.example:other').close()   # they have been taken
    time.sleep(0.1)
    return reader, reads, data


def remove(server, lun=1):
    client.run(server.daemon, 'lun', 'remove', IQN, str(lun), '--force')


def add(server, lun):
    client.run(server.daemon, 'lun', 'set', IQN, str(lun), *DISK)


def all_arrive(reads, data):
    for task in reads:
        assert task.good().data == data, 'not what was on the disk'


def memory(server):
    """The names of the memory of disks that the keeper holds."""
    found = []
    for at in (pathlib.Path('/proc/%d/fd' % server.daemon.process.pid)).iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(at))
    return [name for name in found if '/memfd:lun:' in name]


def memory_is_back(server, count):
    server.wait_for(lambda _: len(memory(server)) == count)


@case('removed: a disk, while it is read, and the worker goes: the next one in its place is empty')
def _(scale):
    disk = ('handler=ram', 'options={"size": "4M"}')
    with serving({IQN: {'portals': ['test'], 'luns': {0: ram('4M'), 1: ram('4M')}}}) as server:
        for _ in range(scale.count(1, 20)):
            reader = log_in(server, MaxRecvDataSegmentLength='262144')
            reader.alive(1)
            reader.write(0, DATA[:512], lun=1).good()
            out(reader, REGISTER_AND_IGNORE, 0, 5, lun=1).good()
            for _ in range(16):     # more than the sockets take: it cannot be closed
                reader.start(scsi.read_10(0, 2048), read=1 << 20, lun=1)
            time.sleep(0.1)
            client.run(server.daemon, 'lun', 'remove', IQN, 1, '--force')
            server.kill()
            client.run(server.daemon, 'lun', 'set', IQN, 1, *disk)
            other = log_in(server, initiator='iqn.2026-11.org.example:other')
            other.alive(1)
            assert other.read(0, 1, lun=1).good().data == bytes(512), 'it has what was written on the one before'
            found = other.command(bytes([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read=256, lun=1).data
            assert found[4:8] == bytes(4), 'it has registrations of the one before'
            other.close()
            reader.close()


@case('removed: a disk whose queue comes from the worker before: it is closed when all of that is sent')
def _(_scale):
    with serving(LUNS) as server:
        reader, reads, data = slow_reader(server)
        server.kill()
        remove(server)
        other = log_in(server, initiator='iqn.2026-11.org.example:other')
        other.write(0, OTHER, lun=0).good()
        all_arrive(reads, data)
        server.wait_log('LUN closed')
        memory_is_back(server, 1)
        reader.alive()
        server.check()
        other.close()
        reader.close()
