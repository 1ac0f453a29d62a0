# SPDX-License-Identifier: BSD-3-Clause
"""A disk of memory is removed while an initiator that does not hurry is still being sent what it has read of it,
and the worker goes: all of that arrives, nothing of another disk does, and the memory is given back."""
import contextlib
import os
import pathlib
import shutil
import tempfile
import time

import client
import scsi
from cases import case
from dialogue_cases import DATA, OTHER, log_in, unalike
from layout_cases import other as other_layout
from manager import managed
from point_cases import daemon_with_points
from reservations import REGISTER_AND_IGNORE, out
from server import IQN, Settings, file, ram, serving
from upgrade_cases import own_binary

DISK = ('handler=ram', 'options={"size": "4M"}')
LUNS = {IQN: {'portals': ['test'], 'luns': {0: ram('4M'), 1: ram('4M')}}}
OTHER_IQN = IQN + ':other'
MIB = 1 << 20
READS, MANY = 16, 48    # more than the sockets take; more than is queued
NO_LUN, LUNS_CHANGED = (5, 0x2500), (6, 0x3f0e)


def slow_reader(server, count=READS):
    """A session that has asked for more of LUN 1 than it takes; and what it has asked for."""
    reader = log_in(server, MaxRecvDataSegmentLength='262144')
    reader.alive(1)
    data = unalike(MIB, 7)
    reader.write(0, data, lun=1).good()
    reads = [reader.start(scsi.read_10(0, 2048), read=MIB, lun=1) for _ in range(count)]
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


def arrive_or_end(reads, data):
    """What was not queued yet is told that the disk is gone; how many of them."""
    told = 0
    for task in reads:
        task.wait()
        assert task.data == data[:len(task.data)], 'not what was on the disk'
        if task.status:
            assert task.sense.what() in (NO_LUN, LUNS_CHANGED), task.sense
            told += 1
        else:
            assert len(task.data) == MIB
    return told


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


def goes(server, how):
    if how == 'killed':
        server.kill()
    else:
        server.upgrade()


@case('removed: a disk, while it is read, and workers are killed or replaced: all of that arrives, nothing else does')
def _(scale):
    for turn in range(scale.count(2, 40)):
        ways = ('killed', 'replaced') if turn % 2 else ('replaced', 'killed')
        with serving(LUNS) as server:
            reader, reads, data = slow_reader(server)
            other = log_in(server, initiator='iqn.2026-11.org.example:other')
            remove(server)
            goes(server, ways[0])
            for lun in (1, 2):  # they get numbers of their own
                add(server, lun)
                other.alive(lun)
                other.write(0, OTHER * 4, lun=lun).good()
            goes(server, ways[1])
            assert len(memory(server)) == 4, memory(server)
            all_arrive(reads, data)
            memory_is_back(server, 3)
            for lun in (1, 2):
                other.alive(lun)
                assert other.read(0, 512, lun=lun).good().data == OTHER
            reader.alive()
            server.check()
            other.close()
            reader.close()


@case('removed: a disk with commands that wait for their turn, and the worker goes: they are told that it is gone')
def _(_scale):
    for how in ('killed', 'replaced'):
        with serving(LUNS) as server:
            reader, reads, data = slow_reader(server, MANY)
            remove(server)
            goes(server, how)
            assert arrive_or_end(reads, data), 'all of them had been queued'
            memory_is_back(server, 1)
            reader.alive()
            server.check()
            reader.close()


@case('removed: a disk, while it is read, and a file takes its place, with workers that are killed')
def _(_scale):
    with serving(LUNS) as server:
        path = os.path.join(server.daemon.folder, 'moved.img')
        reader, reads, data = slow_reader(server)
        remove(server)
        server.kill()
        client.run(server.daemon, 'lun', 'set', IQN, '1', 'handler=file',
                   'options={"path": "%s", "size": "4M"}' % path)
        server.kill()
        all_arrive(reads, data)
        memory_is_back(server, 1)
        server.check()
        reader.close()


@case('removed: a disk with its target, while it is read, and the worker is killed: its memory is given back')
def _(_scale):
    two = dict(LUNS)
    two[OTHER_IQN] = {'portals': ['test'], 'luns': {0: ram('4M')}}
    with serving(two) as server:
        reader = log_in(server, target=OTHER_IQN, MaxRecvDataSegmentLength='262144')
        for _ in range(READS):
            reader.start(scsi.read_10(0, 2048), read=MIB, lun=0)
        client.run(server.daemon, 'target', 'remove', OTHER_IQN, '--force')
        server.kill()
        memory_is_back(server, 2)


@case('removed: a disk, while it is read, and workers of other layouts of the memory follow each other')
def _(_scale):
    with own_binary() as binary, serving(LUNS) as server:
        layouts = [other_layout(), binary.good]
        reader, reads, data = slow_reader(server)
        remove(server)
        for layout in layouts:
            binary.put(layout)
            server.upgrade()
        assert len(memory(server)) == 2, memory(server)
        all_arrive(reads, data)
        memory_is_back(server, 1)
        server.check()
        reader.close()


@case('removed: a disk, while it is read, and keeper and worker are killed, whose descriptors are kept')
def _(scale):
    with managed(LUNS) as server:
        reader, reads, data = slow_reader(server)
        remove(server)
        for _ in range(2):
            server.kill_both(scale.random)
        all_arrive(reads, data)
        memory_is_back(server, 1)
        reader.alive()
        server.check()
        reader.close()


@case('removed: a disk, and its reader takes so long that nobody waits for it: it is closed in the end', soak_only=True)
def _(_scale):
    with serving(LUNS) as server:
        reader, reads, data = slow_reader(server)
        remove(server)
        server.wait_log('it stays open until it does')
        add(server, 1)
        other = log_in(server, initiator='iqn.2026-11.org.example:other')
        other.alive(1)
        other.write(0, OTHER, lun=1).good()
        all_arrive(reads, data)
        server.wait_log('LUN closed')
        memory_is_back(server, 2)
        server.kill()
        assert other.read(0, 512, lun=1).good().data == OTHER
        server.check()
        other.close()
        reader.close()


@case('removed: a disk, while it is read, and the worker dies at each place where that becomes known')
def _(_scale):
    for place in ('remove', 'removed', 'found', 'leave', 'give-back'):
        with daemon_with_points() as orders, serving(LUNS) as server:
            server.daemon.killed_workers = True
            reader, reads, data = slow_reader(server)
            orders.die_at(place, 1)
            with contextlib.closing(client.Rpc(client.path_of(server.daemon))) as rpc:
                rpc.ask('lun.remove', {'target': IQN, 'lun': 1, 'force': True})
                server.wait_for(lambda text: orders.died() or 'reload: in effect' in text)
            if place in ('found', 'give-back'):     # of the next worker
                server.kill_now()
            if place not in ('leave', 'give-back'):
                assert orders.wait_died(1), place
            all_arrive(reads, data)
            assert orders.wait_died(1), place
            server.wait_serving()
            memory_is_back(server, 1)
            reader.alive()
            server.check()
            reader.close()


@case('removed: a RAM disk is not, whose handler is gone for a while: when it is back it has what was written')
def _(_scale):
    with tempfile.TemporaryDirectory() as folder:
        ours = pathlib.Path(folder) / 'ram.so'
        theirs = next(path for directory in Settings.plugins for path in pathlib.Path(directory).rglob('ram.so'))
        shutil.copy(theirs, ours)
        both = {IQN: {'portals': ['test'], 'luns': {0: file('$FOLDER/disk.img', '4M'), 1: ram('4M')}}}
        with serving(both, daemon={'plugin-path': [folder] + [str(path) for path in Settings.plugins],
                                   'spare-worker': False}) as server:
            reader, reads, data = slow_reader(server)
            ours.write_text('no shared object')
            server.kill()
            server.wait_log('LUN is absent')
            all_arrive(reads, data)
            server.kill()
            ours.unlink()
            shutil.copy(theirs, ours)
            server.wait_log('LUN is back')
            assert reader.read(0, MIB // 512, lun=1).good().data == data
            server.check()
            reader.close()


@case('removed: a disk while another is absent, and the worker dies before it says so: the next one in its place is empty')
def _(scale):
    both = {IQN: {'portals': ['test'], 'luns': {0: file('$FOLDER/gone.img', '4M'), 1: ram('4M')}}}
    with daemon_with_points() as orders, serving(both) as server:
        session, path = log_in(server), server.daemon.folder / 'gone.img'
        session.alive(1)
        session.write(0, DATA[:4096], lun=1).good()
        path.rename(path.with_suffix('.aside'))
        server.kill()
        server.wait_log('LUN is absent')
        orders.die_at('remove', 1)
        with contextlib.closing(client.Rpc(client.path_of(server.daemon))) as rpc:
            rpc.ask('lun.remove', {'target': IQN, 'lun': 1, 'force': True})
            assert orders.wait_died(1)
        server.wait_serving()
        memory_is_back(server, 0)
        with contextlib.closing(client.Rpc(client.path_of(server.daemon))) as rpc:
            rpc.call('lun.set', {'target': IQN, 'lun': 1, 'keys': {'handler': 'ram', 'options': {'size': '4M'}}})
        session.alive(1)
        assert session.read(0, 8, lun=1).good().data == bytes(4096)
        path.with_suffix('.aside').rename(path)
        server.wait_log('LUN is back')
        session.alive(0)
        assert session.read(0, 8).good().data == bytes(4096)
        server.check()
        session.close()
