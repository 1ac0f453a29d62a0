# SPDX-License-Identifier: BSD-3-Clause
"""Units at the edges: the last block of 8 EiB, LUNs of every size of number, copies that are nonsense, port
states that change under writes (SPC-4, SBC-3)."""
import os
import random
import signal
import struct
import time

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
from peer import IQN, LIMIT, case, main, ram
from reservations import attentions, kill_worker

HUGE = {IQN: {'portals': ['test'], 'luns': {0: {'handler': 'null', 'options': {'size': str((1 << 63) - 4096)}}}}}
NUMBERS = (0, 1, 255, 256, 16383)
MANY = {IQN: {'portals': ['test'], 'luns': {n: ram('4M', **({'block-size': 4096} if n == 1 else {}))
                                            for n in NUMBERS}}}
END, STANDBY = scsi.LBA_OUT_OF_RANGE, (2, 0x040b)


def block_16(opcode, lba, blocks, flags=0):
    return struct.pack('>BBQIBB', opcode, flags, lba, blocks, 0, 0)


@case('16-byte commands reach the last block of 8 EiB, and nothing beyond', own=dict(targets=HUGE))
def _(target):
    session = target.login()
    last = ((1 << 63) - 4096) // 512 - 1
    data = session.command(scsi.read_capacity_16(), read=32).good().data
    assert int.from_bytes(data[:8], 'big') == last
    assert session.command(scsi.read_capacity_10(), read=8).good().data[:4] == b'\xff' * 4
    outside = ((last, 2), (last + 1, 0), (last + 1, 1), (last, (1 << 32) - 1), (1 << 55, (1 << 32) - 1),
               (1 << 63, 1), ((1 << 64) - 1, 0), ((1 << 64) - 1, 1), ((1 << 64) - 1, (1 << 32) - 1))
    for opcode in (0x88, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x91, 0x93):
        writes = opcode in (0x8a, 0x8b, 0x8e, 0x93)
        data = {'write': bytes(512)} if writes else {'read': 512} if opcode == 0x88 else {}
        session.command(block_16(opcode, last, 1), **data).good()
        for lba, blocks in outside:
            if opcode == 0x93 and lba == last and blocks == 0:
                continue
            session.command(block_16(opcode, lba, blocks), **data).check(END)
    compare = '>BBQ3xBBB'
    session.command(struct.pack(compare, 0x89, 0, last, 1, 0, 0), write=bytes(1024)).good()
    for lba in (last + 1, 1 << 63, (1 << 64) - 1):
        session.command(struct.pack(compare, 0x89, 0, lba, 1, 0, 0), write=bytes(1024)).check(END)
        session.command(block_16(0x9e, lba, 0, 0x12), read=64).check(END)
    for lba, blocks, good in ((last, 1, True), (last + 1, 0, True), ((1 << 64) - 1, 0, True), (last, 2, False),
                              ((1 << 64) - 1, 1, False), ((1 << 64) - 1, (1 << 32) - 1, False)):
        unmap = session.command(bytes([0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0]),
                                write=struct.pack('>HHIQII', 22, 16, 0, lba, blocks, 0))
        unmap.good() if good else unmap.check(END)
    session.command(block_16(0x93, last - 7, 0, 1)).good()      # WRITE SAME, NDOB: to the end


@case('LUNs of every size of number are listed as they are addressed', own=dict(targets=MANY))
def _(target):
    session = target.login()
    whole = session.command(scsi.report_luns(), read=512).good(512 - 8 - 8 * len(NUMBERS), 'under').data
    listed = [whole[8 + at:16 + at] for at in range(0, int.from_bytes(whole[:4], 'big'), 8)]
    assert [struct.unpack('>H6x', lun)[0] for lun in listed] == [0, 1, 255, 0x4100, 0x7fff]
    for number, lun in zip(NUMBERS, listed):
        session.alive(lun=number)
        assert session.command(scsi.inquiry(36), read=36, lun_bytes=lun).good().data[0] == 0
    for size in (0, 1, 7, 8, 9, 15, 16, 47, 48):
        assert session.command(scsi.report_luns(size), read=size).good().data == whole[:size]


# --- copies

def designator(session, lun):
    data = session.command(scsi.inquiry(512, 0x83), read=512, lun=lun).wait().data
    at = 4
    while data[at + 1] & 0x3f != 3:     # NAA, of the unit
        at += 4 + data[at + 3]
    return data[at:at + 4 + data[at + 3]]


def copy_list(session):
    """One that is right: blocks between two units, bytes to another and back."""
    ends = b''.join((b'\xe4\0\0\0' + designator(session, lun)).ljust(28, b'\0') + b'\0\0\2\0'
                    for lun in (0, 1, 256))
    segments = struct.pack('>BBHHHHHQQ', 2, 0, 24, 0, 2, 0, 8, 0, 0) + \
        struct.pack('>BBHHHIQQHH', 0x0a, 0, 28, 0, 1, 8192, 0, 0, 0, 0) + \
        struct.pack('>BBHHHIQQHH', 0x0a, 0, 28, 1, 0, 100, 3, 7, 5, 9)
    return struct.pack('>BBHIII', 1, 0, len(ends), 0, len(segments), 0) + ends + segments


def spoiled(good, chance):
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, way = chance.randrange(len(data) or 1), chance.randrange(10)
        if way < 5 and data:
            data[at] = chance.choice((0, 1, 2, 0x7f, 0x80, 0xff, chance.randrange(256)))
        elif way == 5:
            del data[at:at + chance.randrange(40)]
        elif way == 6:
            data[at:at] = chance.randbytes(chance.randrange(40))
        elif way == 7:
            data[8:12] = struct.pack('>I', chance.choice((0, 1, 28, (1 << 32) - 1, 1 << 31, len(good) - 16)))
        else:
            data[2:4] = struct.pack('>H', chance.choice((0, 31, 32, 64, 96, 65535)))
    return bytes(data)


@case('EXTENDED COPY with spoiled lists copies, or is refused with a reason, and touches no other LUN',
      own=dict(targets=MANY))
def _(target):
    session, chance = target.login(), random.Random(5)
    for lun in NUMBERS:
        session.alive(lun=lun)
    session.command(scsi.write_10(0, 8), write=b'k' * 4096, lun=255).good()
    good = copy_list(session)
    for data in [good] + [spoiled(good, chance) for _ in range(int(os.environ.get('HOLDFAST_COPIES', '1500')))]:
        task = session.command(block_16(0x83, 0, len(data)), write=data)
        assert task.status == scsi.GOOD or task.sense.key in (5, 10), '%02x %r' % (task.status, task.sense)
        session.command(struct.pack('>BBB7xIBB', 0x84, chance.choice((0, 3, 4)), 1, 4096, 0, 0),
                        read=4096).wait()
    assert session.read(0, 8, lun=255).good().data == b'k' * 4096
    assert session.command(block_16(0x83, 0, len(good)), write=good).good().status == 0


# --- port states

@case('a port state that changes under writes: each write is done or refused, and never both', own=dict(
    targets=MANY, daemon={'reactors': 2}))
def _(target):
    session, other = target.login(), target.login()
    groups = struct.pack('>BBBBHIBB', 0xa3, 0x0a, 0, 0, 0, 512, 0, 0)
    tag = other.command(groups, read=512).wait().data[6:8]
    allowed = {(6, 0x2a06), (2, 0x040b), (2, 0x040c)}
    now, refused = {}, 0

    def set_state(state):
        other.command(struct.pack('>BBBBHIBB', 0xa4, 0x0a, 0, 0, 0, 8, 0, 0),
                      write=bytes([0, 0, 0, 0, state, 0]) + tag).good()

    for turn in range(200):
        value = bytes([turn % 255 + 1]) * 4096
        tasks = [session.start(scsi.write_10(8 * block, 8), write=value) for block in range(8)]
        set_state((0, 2, 1, 3, 2, 0)[turn % 6])
        for block, task in enumerate(tasks):
            if task.wait().status == scsi.GOOD:
                now[block] = value
            else:
                assert task.sense.what() in allowed, repr(task.sense)
                refused += 1
    set_state(0)
    session.alive()
    assert refused and now, 'nothing was tried'
    for block, value in now.items():
        assert session.read(8 * block, 8).good().data == value


def two_groups(state):
    return dict(portals={'test': {'listen': ['127.0.0.1:$PORT'], 'tag': 1},
                         'other': {'listen': ['127.0.0.2:$PORT'], 'tag': 2, 'access-state': state}},
                targets={IQN: {'portals': ['test', 'other'], 'luns': {0: ram()}}})


@case('a port state of the configuration denies, a reload changes it and tells everybody, a dead worker does not',
      own=two_groups('standby'))
def _(target):
    one = target.login()
    two = target.session()
    two.address = ('127.0.0.2', target.address[1])
    two.login()
    while two.command(scsi.test_unit_ready()).wait().sense.key == 6:
        pass

    def denied():
        two.command(scsi.test_unit_ready()).check(STANDBY)
        two.read(0, 1).check(STANDBY)
        two.command(scsi.inquiry(36), read=36).good()
        assert one.write(0, b's' * 512).status == scsi.GOOD

    denied()
    target.daemon.write_config(**two_groups('active-optimized'))
    target.daemon.signal(signal.SIGHUP)
    limit = time.monotonic() + LIMIT
    while two.command(scsi.test_unit_ready()).wait().sense.key == 2:
        assert time.monotonic() < limit, 'the reload changed nothing'
    assert attentions(one) == [0x2a06]
    assert two.read(0, 1).good().data == b's' * 512
    one.command(struct.pack('>BBBBHIBB', 0xa4, 0x0a, 0, 0, 0, 8, 0, 0),
                write=bytes([0, 0, 0, 0, 2, 0, 0, 2])).good()      # standby again
    assert two.command(scsi.test_unit_ready()).check((6, 0x2a06))
    denied()
    kill_worker(target)
    denied()


if __name__ == '__main__':
    main(__file__)
