# SPDX-License-Identifier: BSD-3-Clause
"""One TCP connection of the scripted initiator.

Every PDU that arrives is judged before a test sees it: digests, StatSN (each response the next number,
pings and R2Ts the next number unconsumed), ExpCmdSN and MaxCmdSN (never backwards, never an impossible
window). A test therefore fails at the first PDU that breaks the numbering, whatever it is about.
"""
import select
import socket
import time

import wire
from wire import Pdu, after

LIMIT = 20.0   # seconds in which the target must do what it has to; nothing here measures speed
QUIET = 0.4    # seconds without a PDU that count as "it says nothing"

CONSUMES_STAT_SN = {wire.LOGIN_RESPONSE, wire.SCSI_RESPONSE, wire.TASK_RESPONSE, wire.TEXT_RESPONSE,
                    wire.LOGOUT_RESPONSE, wire.REJECT, wire.ASYNC}


class Closed(Exception):
    """The target closed the connection."""


class Connection:
    def __init__(self, address, cid=0, source=None):
        self.socket = socket.create_connection(address, timeout=LIMIT,
                                               source_address=source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.cid = cid
        self.header_digest = self.data_digest = False
        self.stat_sn = None                      # the number the next response must carry
        self.exp_cmd_sn = self.max_cmd_sn = None  # as last heard
        self.full_feature = False
        self.mrdsl = 8192                        # what the target takes in one PDU
        self.own_mrdsl = 8192
        self.tasks = {}                          # by ITT, see task.py
        self.other = []                          # PDUs that belong to no task, in order of arrival
        self._buffer = b''

    # --- sending

    def send_bytes(self, data):
        """Raises Closed when the target is gone: how it hung up is no difference to a test."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed() from error

    def send(self, pdu, spoil='', acknowledge=True):
        """Sends a PDU with the right ExpStatSN (unless told not to) and the digests in force."""
        if acknowledge and pdu.opcode != wire.SNACK:
            pdu.exp_stat_sn = self.stat_sn or 0
        self.send_bytes(self.encode(pdu, spoil))

    def encode(self, pdu, spoil=''):
        return pdu.encode(self.header_digest and self.full_feature,
                          self.data_digest and self.full_feature, spoil)

    # --- receiving

    def _fill(self, size, deadline):
        while len(self._buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError('nothing from the target')
            try:
                chunk = self.socket.recv(1 << 18)
            except ConnectionResetError as error:
                raise Closed() from error
            if not chunk:
                assert not self._buffer, 'closed in the middle of a PDU: %r' % self._buffer[:64]
                raise Closed()
            self._buffer += chunk

    def receive(self, limit=LIMIT):
        """The next PDU. Raises Closed, or TimeoutError after the limit in seconds."""
        deadline = time.monotonic() + limit
        self._fill(wire.HEADER_BYTES, deadline)
        header_size = wire.HEADER_BYTES + 4 * self._buffer[4]
        length = int.from_bytes(self._buffer[5:8], 'big')
        checks_header = 4 if self.header_digest and self.full_feature else 0
        checks_data = 4 if self.data_digest and self.full_feature and length else 0
        data_at = header_size + checks_header
        end = data_at + length + -length % 4
        self._fill(end + checks_data, deadline)
        raw, self._buffer = self._buffer[:end + checks_data], self._buffer[end + checks_data:]
        if checks_header:
            assert raw[header_size:data_at] == wire.digest(raw[:header_size]), 'bad header digest'
        if checks_data:
            assert raw[end:] == wire.digest(raw[data_at:end]), 'bad data digest'
        pdu = Pdu(header=raw[:wire.HEADER_BYTES], ahs=raw[wire.HEADER_BYTES:header_size],
                  data=raw[data_at:data_at + length])
        assert not any(raw[data_at + length:end]), 'padding is not zero'
        assert pdu.opcode in wire.NAMES and pdu.opcode >= 0x20, 'not a target opcode: %r' % pdu
        assert length <= self.own_mrdsl, '%r is longer than we take (%d)' % (pdu, self.own_mrdsl)
        self._check_numbers(pdu)
        return pdu

    def _check_numbers(self, pdu):
        if pdu.opcode == wire.LOGIN_RESPONSE and pdu.login_status >> 8 != 0:
            return  # the numbers of a refusal mean nothing (11.13.4)
        consumes = pdu.opcode in CONSUMES_STAT_SN or \
            (pdu.opcode == wire.NOP_IN and pdu.itt != wire.NO_TAG) or \
            (pdu.opcode == wire.DATA_IN and pdu.flags & wire.STATUS)
        if self.stat_sn is None:
            assert pdu.opcode == wire.LOGIN_RESPONSE, 'the first answer is %r' % pdu
            self.stat_sn = pdu.stat_sn
        if consumes or pdu.opcode in (wire.NOP_IN, wire.R2T):
            assert pdu.stat_sn == self.stat_sn, \
                '%r has StatSN %d, expected %d' % (pdu, pdu.stat_sn, self.stat_sn)
        if consumes:
            self.stat_sn = (self.stat_sn + 1) & 0xffffffff
        for name in ('exp_cmd_sn', 'max_cmd_sn'):
            new, old = getattr(pdu, name), getattr(self, name)
            assert old is None or not after(old, new), '%r: %s from %d back to %d' % (pdu, name, old, new)
            setattr(self, name, new)
        floor = (self.exp_cmd_sn - 1) & 0xffffffff
        assert not after(floor, self.max_cmd_sn), \
            '%r: MaxCmdSN %d below ExpCmdSN %d - 1' % (pdu, self.max_cmd_sn, self.exp_cmd_sn)

    def pump(self, limit=LIMIT):
        """Receives one PDU and gives it to the task it belongs to, or to self.other."""
        pdu = self.receive(limit)
        task = self.tasks.get(pdu.itt) if pdu.itt != wire.NO_TAG else None
        if task and pdu.opcode in (wire.DATA_IN, wire.R2T, wire.SCSI_RESPONSE):
            task.feed(pdu)
        else:
            self.other.append(pdu)
        return pdu

    def expect(self, opcode, limit=LIMIT):
        """The next PDU that belongs to no task must have this opcode; tasks go on meanwhile."""
        while not self.other:
            self.pump(limit)
        pdu = self.other.pop(0)
        assert pdu.opcode == opcode, 'expected %s, got %r' % (wire.NAMES[opcode], pdu)
        return pdu

    def expect_closed(self, limit=LIMIT):
        """The target must close; what it still sends before is returned."""
        seen = []
        deadline = time.monotonic() + limit
        try:
            while True:
                seen.append(self.receive(deadline - time.monotonic()))
        except Closed:
            return seen

    def expect_quiet(self, seconds=QUIET):
        """Nothing may arrive, and the connection must stay."""
        try:
            pdu = self.receive(seconds)
        except TimeoutError:
            return
        except Closed:
            assert False, 'the target closed the connection'
        assert False, 'unexpected %r' % pdu

    def close(self):
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()
