# SPDX-License-Identifier: BSD-3-Clause
"""CDBs and sense data, as far as the dialogues need them (SPC-4, SBC-3)."""
import struct

GOOD, CHECK_CONDITION, BUSY, RESERVATION_CONFLICT, TASK_SET_FULL = 0x00, 0x02, 0x08, 0x18, 0x28

# (sense key, ASC << 8 | ASCQ)
INVALID_OPCODE = (5, 0x2000)
LBA_OUT_OF_RANGE = (5, 0x2100)
INVALID_FIELD_IN_CDB = (5, 0x2400)
LUN_NOT_SUPPORTED = (5, 0x2500)
INVALID_FIELD_IN_COMMAND_IU = (5, 0x0e03)
SPACE_ALLOCATION_FAILED = (7, 0x2707)
WRITE_PROTECTED = (7, 0x2700)
BUS_DEVICE_RESET = (6, 0x2903)


def test_unit_ready():
    return bytes(6)


def request_sense(length=252):
    return bytes([0x03, 0, 0, 0, length, 0])


def inquiry(length=255, page=None):
    return struct.pack('>BBBHB', 0x12, page is not None, page or 0, length, 0)


def read_capacity_10():
    return bytes([0x25]) + bytes(9)


def read_capacity_16(length=32):
    return struct.pack('>BBQIBB', 0x9e, 0x10, 0, length, 0, 0)


def report_luns(length=512):
    return struct.pack('>BxxxxxIxx', 0xa0, length)


def read_10(lba, blocks):
    return struct.pack('>BBIBHB', 0x28, 0, lba, 0, blocks, 0)


def write_10(lba, blocks, fua=False):
    return struct.pack('>BBIBHB', 0x2a, 8 if fua else 0, lba, 0, blocks, 0)


def read_16(lba, blocks):
    return struct.pack('>BBQIBB', 0x88, 0, lba, blocks, 0, 0)


def write_16(lba, blocks):
    return struct.pack('>BBQIBB', 0x8a, 0, lba, blocks, 0, 0)


def write_verify_10(lba, blocks):
    return struct.pack('>BBIBHB', 0x2e, 0, lba, 0, blocks, 0)


def synchronize_cache():
    return bytes([0x35]) + bytes(9)


class Sense:
    """Sense data of a response: fixed (70h) or descriptor (72h) format."""

    def __init__(self, data):
        assert data, 'no sense data'
        self.data, self.format = data, data[0] & 0x7f
        if self.format in (0x70, 0x71):
            assert len(data) >= 18, 'fixed sense data of %d bytes' % len(data)
            self.key, self.code = data[2] & 0x0f, data[12] << 8 | data[13]
        else:
            assert self.format in (0x72, 0x73), 'sense format %02x' % self.format
            self.key, self.code = data[1] & 0x0f, data[2] << 8 | data[3]

    def what(self):
        return self.key, self.code

    def __repr__(self):
        return 'sense %02X/%04X' % (self.key, self.code)
