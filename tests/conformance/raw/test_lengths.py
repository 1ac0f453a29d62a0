# SPDX-License-Identifier: BSD-3-Clause
"""Expected lengths that fit no command: every data direction, every kind of command (RFC 7143 11.4.5)."""
import struct

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from peer import case, main

LENGTHS = (0, 1, 2, 3, 4, 5, 7, 12, 23, 24, 200, 511, 512, 513, 1023, 1024, 1025, 4095, 10000)
WAYS = ({}, {'ImmediateData': 'No'}, {'InitialR2T': 'No'})
OLD, NEW = bytes(range(256)) * 8, b'n' * 10000


def block_6(opcode):
    return bytes([opcode, 0, 0, 0, 2, 0])


def block_10(opcode, flags=0):
    return struct.pack('>BBIBHB', opcode, flags, 0, 0, 2, 0)


def block_12(opcode, flags=0):
    return struct.pack('>BBIIBB', opcode, flags, 0, 2, 0, 0)


def block_16(opcode, flags=0):
    return struct.pack('>BBQIBB', opcode, flags, 0, 2, 0, 0)


def long_12(opcode, action, length=0xffff, option=0):
    return struct.pack('>BBBBHIBB', opcode, action, option, 0, 0, length, 0, 0)


READS = (block_6(0x08), block_10(0x28), block_12(0xa8), block_16(0x88))
WRITES = (block_6(0x0a), block_10(0x2a), block_12(0xaa), block_16(0x8a),
          block_10(0x2e), block_12(0xae), block_16(0x8e))
ANSWERS = (
    scsi.inquiry(255), scsi.inquiry(255, 0), scsi.inquiry(255, 0x80), scsi.inquiry(512, 0x83),
    scsi.inquiry(255, 0x86), scsi.inquiry(512, 0x8f), scsi.inquiry(64, 0xb0), scsi.request_sense(),
    scsi.read_capacity_10(), scsi.read_capacity_16(), scsi.report_luns(),
    bytes([0x1a, 0, 0x3f, 0, 255, 0]),                                  # MODE SENSE(6)
    bytes([0x5a, 0, 0x3f, 0xff, 0, 0, 0, 2, 0, 0]),                     # MODE SENSE(10)
    *(bytes([0x5e, action, 0, 0, 0, 0, 0, 1, 0, 0]) for action in range(4)),    # PERSISTENT RESERVE IN
    bytes([0x4d, 0, 0x40, 0, 0, 0, 0, 1, 0, 0]),                        # LOG SENSE
    bytes([0x37, 0, 0x18, 0, 0, 0, 0, 0, 32, 0]),                       # READ DEFECT DATA(10)
    bytes([0x3c, 3, 0, 0, 0, 0, 0, 0, 4, 0]),                           # READ BUFFER
    bytes([0x1c, 0, 0, 0, 64, 0]),                                      # RECEIVE DIAGNOSTIC RESULTS
    struct.pack('>BBQIBB', 0x9e, 0x12, 0, 512, 0, 0),                   # GET LBA STATUS
    struct.pack('>BBQIBB', 0x84, 3, 0, 512, 0, 0),                      # RECEIVE COPY RESULTS
    long_12(0xa3, 0x05), long_12(0xa3, 0x0a), long_12(0xa3, 0x0c), long_12(0xa3, 0x0c, option=0x80),
    long_12(0xa3, 0x0d, option=0x80))
# A parameter list that changes nothing, and its CDB
LISTS = (
    (struct.pack('>BBBBBBBHB', 0x42, 0, 0, 0, 0, 0, 0, 24, 0), struct.pack('>HH20x', 22, 16)),     # UNMAP
    (bytes([0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0]), bytes(24)),             # REGISTER AND IGNORE, key 0
    (struct.pack('>BBBBHIBB', 0xa4, 0x06, 0, 0, 0, 8, 0, 0), b'identity'),
    (struct.pack('>BBQIBB', 0x83, 0, 0, 16, 0, 0), bytes(16)),          # EXTENDED COPY
    (bytes([0x55, 0x10, 0, 0, 0, 0, 0, 0, 8, 0]), bytes(8)),            # MODE SELECT(10)
    (bytes([0x3b, 2, 0, 0, 0, 0, 0, 0, 12, 0]), b'twelve bytes'))       # WRITE BUFFER


def residual(expected, natural):
    return (abs(expected - natural),
            'over' if expected < natural else 'under' if expected > natural else '')


@case('a read of any expected length moves the smaller length and tells the difference')
def _(target):
    session = target.login()
    session.write(0, OLD).good()
    for cdb in READS:
        for length in LENGTHS:
            task = session.command(cdb, edtl=length, flags=wire.READ).good(*residual(length, 1024))
            assert task.data == OLD[:min(length, 1024)]


@case('an answer of any expected length is cut to it, and only cut')
def _(target):
    session = target.login()
    for cdb in ANSWERS:
        whole = session.command(cdb, read=65536)
        assert whole.status == 0 and whole.data, '%s: status %02x %r' % (cdb.hex(), whole.status, whole.sense)
        whole.has_residual(65536 - len(whole.data), 'under')
        for length in LENGTHS:
            task = session.command(cdb, edtl=length, flags=wire.READ)
            task.good(*residual(length, len(whole.data)))
            assert task.data == whole.data[:length], cdb.hex()


@case('what is announced as a write, or as nothing, sends no data')
def _(target):
    for way in WAYS:
        session = target.login(**way)
        for cdb in READS + ANSWERS:
            natural = session.command(cdb, edtl=0, flags=0).good_residual()
            assert natural == session.command(cdb, edtl=200, flags=0).good_residual(), cdb.hex()
            for length in LENGTHS[1:]:
                session.command(cdb, write=NEW[:length]).good(length, 'under')


@case('a write of any expected length changes the smaller length and tells the difference')
def _(target):
    for way in WAYS:
        session = target.login(**way)
        for cdb in WRITES:
            for length in LENGTHS:
                session.write(0, OLD).good()
                session.command(cdb, write=NEW[:length], edtl=length, flags=wire.WRITE).good(
                    *residual(length, 1024))
                written = min(length, 1024)
                assert session.read(0, 4).good().data == NEW[:written] + OLD[written:], cdb.hex()


@case('a write that is announced as a read, or as nothing, changes nothing')
def _(target):
    session = target.login()
    session.write(0, OLD).good()
    for cdb in WRITES:
        for length in LENGTHS[1:]:
            task = session.command(cdb, edtl=length, flags=wire.READ)
            task.check(scsi.INVALID_FIELD_IN_COMMAND_IU).has_residual(length, 'under')
        session.command(cdb, edtl=0, flags=wire.READ).good(1024, 'over')
        session.command(cdb, edtl=0, flags=0).good(1024, 'over')
        session.command(cdb, edtl=512, flags=0).good(1024, 'over')
    assert session.read(0, 4).good().data == OLD


@case('VERIFY compares what there is, and without BYTCHK takes data and forgets it')
def _(target):
    for way in WAYS:
        session = target.login(**way)
        session.write(0, OLD).good()
        for verify in (block_10, block_12, block_16):
            opcode = {10: 0x2f, 12: 0xaf, 16: 0x8f}[len(verify(0))]
            for length in LENGTHS:
                session.command(verify(opcode, 2), write=(OLD * 5)[:length], edtl=length,
                                flags=wire.WRITE).good(*residual(length, 1024))
                task = session.command(verify(opcode), write=NEW[:length], edtl=length, flags=wire.WRITE)
                task.good(*residual(length, 0))
                if length:
                    session.command(verify(opcode, 2), write=NEW[:length]).check((0x0e, 0x1d00))


@case('a list that is announced shorter than it says is PARAMETER LIST LENGTH ERROR, a longer one is cut')
def _(target):
    for way in WAYS:
        session = target.login(**way)
        for cdb, data in LISTS:
            for length in LENGTHS:
                task = session.command(cdb, write=(data + NEW)[:length], edtl=length, flags=wire.WRITE)
                if length < len(data):
                    task.check((5, 0x1a00)).has_residual(length, 'under' if length else '')
                else:
                    task.good(*residual(length, len(data)))


@case('what must not be cut is refused when it is: COMPARE AND WRITE, ORWRITE, WRITE ATOMIC, WRITE SAME')
def _(target):
    caw = struct.pack('>BBQ3xBBB', 0x89, 0, 0, 1, 0, 0)
    atomic = struct.pack('>BBQHHBB', 0x9c, 0, 0, 0, 8, 0, 0)      # a physical block
    for way in WAYS:
        session = target.login(**way)
        session.write(0, OLD).good()
        for cdb, natural, exactly in ((caw, 1024, True), (block_16(0x8b), 1024, False),
                                      (atomic, 4096, False), (block_10(0x41), 512, True),
                                      (block_16(0x93), 512, True)):
            for length in LENGTHS:
                if length == natural or (length > natural and not exactly):
                    continue
                task = session.command(cdb, write=NEW[:length], edtl=length, flags=wire.WRITE)
                task.check(scsi.INVALID_FIELD_IN_COMMAND_IU)
                task.has_residual(length, 'under' if length else '')
        assert session.read(0, 4).good().data == OLD
        session.command(block_16(0x8b), write=b'\xff' * 1025).good(1, 'under')
        assert session.read(0, 4).good().data == b'\xff' * 1024 + OLD[1024:]
        session.command(atomic, write=NEW[:4097]).good(1, 'under')
        assert session.read(0, 8).good().data == NEW[:4096]


if __name__ == '__main__':
    main(__file__)
