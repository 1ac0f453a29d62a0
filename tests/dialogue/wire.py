# SPDX-License-Identifier: BSD-3-Clause
"""iSCSI PDUs as bytes (RFC 7143 section 11): a 48-byte header with named fields, AHS, data, digests.

Nothing here judges what it reads or corrects what it writes: a test that wants a wrong length, a
reserved bit or a bad digest sets it, and it goes out as set.
"""
import struct

# Opcodes, initiator then target.
NOP_OUT, SCSI_COMMAND, TASK_REQUEST, LOGIN_REQUEST, TEXT_REQUEST, DATA_OUT, LOGOUT_REQUEST = range(7)
SNACK = 0x10
NOP_IN, SCSI_RESPONSE, TASK_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE, DATA_IN, LOGOUT_RESPONSE = \
    range(0x20, 0x27)
R2T, ASYNC, REJECT = 0x31, 0x32, 0x3f
NAMES = {NOP_OUT: 'NOP-Out', SCSI_COMMAND: 'SCSI Command', TASK_REQUEST: 'Task Request',
         LOGIN_REQUEST: 'Login Request', TEXT_REQUEST: 'Text Request', DATA_OUT: 'Data-Out',
         LOGOUT_REQUEST: 'Logout Request', SNACK: 'SNACK', NOP_IN: 'NOP-In',
         SCSI_RESPONSE: 'SCSI Response', TASK_RESPONSE: 'Task Response',
         LOGIN_RESPONSE: 'Login Response', TEXT_RESPONSE: 'Text Response', DATA_IN: 'Data-In',
         LOGOUT_RESPONSE: 'Logout Response', R2T: 'R2T', ASYNC: 'Async Message', REJECT: 'Reject'}

HEADER_BYTES = 48
NO_TAG = 0xffffffff
FINAL = 0x80           # byte 1: F of requests, responses, data; T of login
CONTINUE = 0x40        # byte 1 of login and text: more text follows
READ, WRITE = 0x40, 0x20                        # byte 1 of a SCSI command
OVERFLOW, UNDERFLOW = 0x04, 0x02                # byte 1 of SCSI response and Data-In
STATUS, ACKNOWLEDGE = 0x01, 0x40                # byte 1 of Data-In
IMMEDIATE = 0x40       # byte 0


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data):
    crc, table = 0xffffffff, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return crc ^ 0xffffffff


def digest(data):
    """The four bytes on the wire: least significant byte first."""
    return struct.pack('<I', crc32c(data))


def _field(offset, layout):
    size = struct.calcsize(layout)

    def get(self):
        return struct.unpack_from(layout, self.header, offset)[0]

    def put(self, value):
        struct.pack_into(layout, self.header, offset, value & ((1 << (8 * size)) - 1))
    return property(get, put)


def _octets(offset, length):
    def get(self):
        return bytes(self.header[offset:offset + length])

    def put(self, value):
        assert len(value) == length
        self.header[offset:offset + length] = value
    return property(get, put)


class Pdu:
    """A PDU. Every field is a view of the 48-byte header; which ones mean anything depends on the opcode."""
    flags = _field(1, 'B')
    byte2, byte3 = _field(2, 'B'), _field(3, 'B')
    ahs_words = _field(4, 'B')
    lun_bytes = _octets(8, 8)
    itt = _field(16, '>I')
    ttt = _field(20, '>I')
    # requests
    edtl = _field(20, '>I')
    cmd_sn = _field(24, '>I')
    exp_stat_sn = _field(28, '>I')
    cdb = _octets(32, 16)
    # login, logout
    version_max, version_min = byte2, byte3
    isid = _octets(8, 6)
    tsih = _field(14, '>H')
    cid = _field(20, '>H')
    login_status = _field(36, '>H')
    time2wait, time2retain = _field(40, '>H'), _field(42, '>H')
    # task management
    referenced_tag = ttt
    ref_cmd_sn = _field(32, '>I')
    # responses
    response, status = byte2, byte3
    reason = byte2
    stat_sn = cmd_sn
    exp_cmd_sn = exp_stat_sn
    max_cmd_sn = _field(32, '>I')
    exp_data_sn = _field(36, '>I')
    residual = _field(44, '>I')
    # data and R2T
    data_sn = r2t_sn = exp_data_sn
    offset = _field(40, '>I')
    desired = residual
    # async message
    async_event, async_code = _field(36, 'B'), _field(37, 'B')
    parameter1, parameter2, parameter3 = _field(38, '>H'), _field(40, '>H'), _field(42, '>H')

    def __init__(self, opcode=0, data=b'', ahs=b'', header=None, **fields):
        self.header = bytearray(header if header is not None else HEADER_BYTES)
        self.ahs, self.data = bytes(ahs), bytes(data)
        self.length_override = None
        if header is None:
            self.header[0] = opcode
        for name, value in fields.items():
            getattr(type(self), name)  # a misspelt field is an error of the test
            setattr(self, name, value)

    @property
    def opcode(self):
        return self.header[0] & 0x3f

    @property
    def immediate(self):
        return bool(self.header[0] & IMMEDIATE)

    @immediate.setter
    def immediate(self, on):
        self.header[0] = (self.header[0] & ~IMMEDIATE) | (IMMEDIATE if on else 0)

    @property
    def final(self):
        return bool(self.flags & FINAL)

    @property
    def length(self):
        """DataSegmentLength: of the data, unless a test set another."""
        return int.from_bytes(self.header[5:8], 'big')

    @length.setter
    def length(self, value):
        self.length_override = value

    @property
    def lun(self):
        return struct.unpack_from('>H', self.header, 8)[0] & 0x3fff

    @lun.setter
    def lun(self, number):
        """Peripheral addressing below 256, flat space addressing above (SAM)."""
        first = number if number < 256 else 0x4000 | number
        self.lun_bytes = struct.pack('>H6x', first)

    def encode(self, header_digest=False, data_digest=False, spoil=''):
        """Bytes for the wire. spoil='header' or 'data' flips one bit of that digest."""
        length = len(self.data) if self.length_override is None else self.length_override
        self.header[5:8] = length.to_bytes(3, 'big')
        if self.ahs:
            self.ahs_words = len(self.ahs) // 4
        out = bytes(self.header) + self.ahs
        if header_digest:
            check = bytearray(digest(out))
            check[0] ^= spoil == 'header'
            out += check
        if self.data:
            padded = self.data + bytes(-len(self.data) % 4)
            out += padded
            if data_digest:
                check = bytearray(digest(padded))
                check[0] ^= spoil == 'data'
                out += check
        return out

    def text(self):
        """The key=value pairs of a text segment, in order."""
        if not self.data:
            return []
        assert self.data.endswith(b'\0'), 'text does not end with NUL: %r' % self.data
        pairs = []
        for item in self.data[:-1].split(b'\0'):
            assert b'=' in item, 'text without "=": %r' % item
            key, _, value = item.decode('utf-8').partition('=')
            pairs.append((key, value))
        return pairs

    def keys(self):
        pairs = self.text()
        keys = dict(pairs)
        assert len(keys) == len(pairs), 'a key is answered twice: %r' % pairs
        return keys

    def __repr__(self):
        return '<%s flags %02x byte2 %02x byte3 %02x itt %08x ttt %08x, %d bytes>' % (
            NAMES.get(self.opcode, 'opcode %02x' % self.opcode), self.flags, self.byte2, self.byte3,
            self.itt, self.ttt, len(self.data))


def text_segment(pairs):
    """Text for a login or text PDU from a dict or a list of pairs."""
    items = pairs.items() if hasattr(pairs, 'items') else pairs
    return b''.join(key.encode() + b'=' + str(value).encode() + b'\0' for key, value in items)


def after(a, b):
    """Serial arithmetic (RFC 1982, 32 bits): a comes after b."""
    return a != b and ((a - b) & 0xffffffff) < 0x80000000
