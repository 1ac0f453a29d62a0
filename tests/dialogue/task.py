# SPDX-License-Identifier: BSD-3-Clause
"""A SCSI command under way, and the rules of its data (RFC 7143 11.3, 11.4, 11.7, 11.8)."""
import wire
from connection import LIMIT
from scsi import Sense
from wire import Pdu, NO_TAG


class Task:
    """What came back: status, sense, data, residual (and which kind), and the PDUs themselves."""

    def __init__(self, session, connection, pdu, data):
        self.session, self.connection = session, connection
        self.request, self.to_write = pdu, data
        self.done = False
        self.status = self.response = self.sense = None
        self.data = b''
        self.overflow = self.underflow = False
        self.residual = 0
        self.data_ins, self.r2ts = [], []
        self.hold_r2ts = False      # a test that answers R2Ts itself
        self._burst = 0             # bytes since the last F bit

    # --- what the target sends

    def feed(self, pdu):
        assert not self.done, '%r after the status of the command' % pdu
        assert pdu.itt == self.request.itt
        {wire.R2T: self._on_r2t, wire.DATA_IN: self._on_data_in,
         wire.SCSI_RESPONSE: self._on_response}[pdu.opcode](pdu)

    def _on_r2t(self, pdu):
        assert self.request.flags & wire.WRITE, 'R2T for a command that writes nothing'
        assert pdu.r2t_sn == len(self.r2ts), 'R2TSN %d, expected %d' % (pdu.r2t_sn, len(self.r2ts))
        assert pdu.ttt != NO_TAG, 'R2T with the reserved tag'
        assert pdu.lun_bytes == self.request.lun_bytes, 'R2T with another LUN'
        assert 1 <= pdu.desired <= self.session.number('MaxBurstLength'), 'R2T for %d' % pdu.desired
        assert pdu.offset + pdu.desired <= self.request.edtl, 'R2T beyond the expected length'
        assert pdu.flags == wire.FINAL and pdu.length == 0, 'flags of %r' % pdu
        if self.r2ts:
            last = self.r2ts[-1]
            assert pdu.offset == last.offset + last.desired, 'R2T out of order'
        self.r2ts.append(pdu)
        if not self.hold_r2ts:
            self.answer(pdu)

    def answer(self, r2t, **overrides):
        """Sends the data an R2T asks for, in PDUs as large as the target takes."""
        self.send_data(r2t.offset, r2t.desired, r2t.ttt, r2t.lun_bytes, **overrides)

    def send_data(self, offset, length, ttt=NO_TAG, lun_bytes=None, final=True):
        """One burst of Data-Out, DataSN from 0, F on its last PDU."""
        step, sent, data_sn = self.connection.mrdsl, 0, 0
        while sent < length:
            take = min(step, length - sent)
            piece = self.to_write[offset + sent:offset + sent + take]
            last = sent + take == length
            self.connection.send(Pdu(
                wire.DATA_OUT, piece, flags=wire.FINAL if last and final else 0,
                lun_bytes=lun_bytes or self.request.lun_bytes, itt=self.request.itt, ttt=ttt,
                data_sn=data_sn, offset=offset + sent))
            sent, data_sn = sent + take, data_sn + 1

    def _on_data_in(self, pdu):
        assert self.request.flags & wire.READ, 'Data-In for a command that reads nothing'
        assert pdu.data_sn == len(self.data_ins), 'DataSN %d, expected %d' % (
            pdu.data_sn, len(self.data_ins))
        assert pdu.offset == len(self.data), 'Data-In offset %d, expected %d' % (
            pdu.offset, len(self.data))
        assert len(self.data) + len(pdu.data) <= self.request.edtl, 'more data than expected'
        assert not pdu.flags & wire.ACKNOWLEDGE, 'A bit at error recovery level 0'
        assert pdu.ttt == NO_TAG, 'Data-In with a tag but without the A bit'
        assert pdu.final or len(pdu.data) % 4 == 0, 'a middle Data-In is not a multiple of 4'
        self.data_ins.append(pdu)
        self.data += pdu.data
        self._burst += len(pdu.data)
        assert self._burst <= self.session.number('MaxBurstLength'), 'burst of %d bytes' % self._burst
        if pdu.final:
            self._burst = 0
        if pdu.flags & wire.STATUS:
            assert pdu.final, 'status on a Data-In without F'
            self._finish(pdu, pdu.status)
            assert self.status == 0, 'status %02x on Data-In' % self.status
        else:
            assert not pdu.flags & (wire.OVERFLOW | wire.UNDERFLOW), 'residual without status'

    def _on_response(self, pdu):
        assert pdu.final and not pdu.flags & 0x61, 'flags of %r' % pdu
        assert not self.data_ins or self.data_ins[-1].final, 'the last Data-In has no F bit'
        self.response = pdu.response
        # RFC 3720 counted the R2Ts as well; RFC 7143 11.4.8 counts the Data-Ins
        counts = (len(self.data_ins), len(self.data_ins) + len(self.r2ts))
        assert pdu.exp_data_sn in counts, 'ExpDataSN %d, sent %r' % (pdu.exp_data_sn, counts)
        if pdu.data:
            size = int.from_bytes(pdu.data[:2], 'big')
            assert size <= len(pdu.data) - 2, 'sense length %d of %d' % (size, len(pdu.data))
            self.sense = Sense(pdu.data[2:2 + size]) if size else None
        self._finish(pdu, pdu.status)

    def _finish(self, pdu, status):
        self.done, self.status = True, status
        self.overflow = bool(pdu.flags & wire.OVERFLOW)
        self.underflow = bool(pdu.flags & wire.UNDERFLOW)
        self.residual = pdu.residual
        assert not (self.overflow and self.underflow), 'both residual bits'
        assert self.overflow or self.underflow or not self.residual, 'a residual without its bit'
        del self.connection.tasks[self.request.itt]

    # --- what a test asks

    def wait(self, limit=LIMIT):
        while not self.done:
            self.connection.pump(limit)
        return self

    def good(self, residual=0, kind=''):
        """Status GOOD and exactly this residual; kind is 'over' or 'under'."""
        self.wait()
        assert self.status == 0, 'status %02x %r' % (self.status, self.sense)
        return self.has_residual(residual, kind)

    def good_residual(self):
        """Status GOOD, no data, an overflow: by how much."""
        self.wait()
        assert self.status == 0 and self.overflow and not self.data, 'status %02x %r, %d bytes' % (
            self.status, self.sense, len(self.data))
        return self.residual

    def has_residual(self, residual=0, kind=''):
        found = (self.residual, 'over' if self.overflow else 'under' if self.underflow else '')
        assert found == (residual, kind), 'residual %r, expected %r' % (found, (residual, kind))
        return self

    def check(self, what):
        """CHECK CONDITION with this (key, code)."""
        self.wait()
        assert self.status == 2, 'status %02x, expected CHECK CONDITION' % self.status
        assert self.sense is not None, 'CHECK CONDITION without sense data'
        assert self.sense.what() == what, '%r, expected %X/%04X' % (self.sense, *what)
        return self
