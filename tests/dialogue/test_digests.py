# SPDX-License-Identifier: BSD-3-Clause
"""Header and data digests, good and bad (RFC 7143 11.2.3, 7.7; error recovery level 0)."""
import scsi
import wire
from peer import Closed, LIMIT, QUIET, case, main
from wire import Pdu

DATA = bytes(range(256)) * 64       # 16 KiB
CHOICES = [dict(HeaderDigest=header, DataDigest=data)
           for header in ('None', 'CRC32C') for data in ('None', 'CRC32C')]


@case('every choice of digests reads and writes')
def _(target):
    for choice in CHOICES:
        session = target.login(**choice)
        assert {key: session.negotiated[key] for key in choice} == choice
        session.write(0, DATA).good()
        assert session.read(0, 32).good().data == DATA
        assert session.logout().response == 0


@case('digests cover odd lengths and their padding')
def _(target):
    session = target.login(HeaderDigest='CRC32C', DataDigest='CRC32C')
    for size in (1, 2, 3, 5, 511):
        session.nop(b'p' * size)
        assert session.connection.expect(wire.NOP_IN).data == b'p' * size
        session.command(scsi.read_10(0, 1), read=size).good(512 - size, 'over')


@case('digests cover solicited and unsolicited data')
def _(target):
    for offer in (dict(ImmediateData='No'), dict(InitialR2T='No'), {}):
        session = target.login(HeaderDigest='CRC32C', DataDigest='CRC32C', **offer)
        session.write(0, DATA * 16).good()
        assert session.read(0, 512).good().data == DATA * 16


@case('a PDU without data has no data digest')
def _(target):
    session = target.login(HeaderDigest='CRC32C', DataDigest='CRC32C')
    for _ in range(3):
        session.command(scsi.test_unit_ready()).good()
    session.nop()
    session.connection.expect(wire.NOP_IN)


@case('a bad header digest loses the connection and nothing of it is believed')
def _(target):
    other = target.login()
    other.write(0, b'o' * 512).good()
    session = target.login(HeaderDigest='CRC32C')
    session.start(scsi.write_10(0, 1), write=b'n' * 512, spoil='header')
    session.connection.expect_closed()
    assert other.read(0, 1).good().data == b'o' * 512


def _not_written(target, session, task):
    """The command may be rejected, failed, or lost with its connection: it is never GOOD."""
    rejected = False
    try:
        while not task.done:
            pdu = session.connection.pump(QUIET if rejected else LIMIT)
            if pdu.opcode == wire.REJECT:
                assert pdu.reason == 2, 'Reject with reason %02x' % pdu.reason
                rejected = True
    except (Closed, TimeoutError) as end:
        assert rejected or isinstance(end, Closed), 'no Reject, no status, no end'
    else:
        task.check((0x0b, 0x4705))
    assert target.login().read(0, 1).good().data == b'o' * 512


@case('a bad data digest of immediate data fails the command')
def _(target):
    session = target.login(DataDigest='CRC32C')
    session.write(0, b'o' * 512).good()
    task = session.start(scsi.write_10(0, 1), write=b'n' * 512, spoil='data')
    _not_written(target, session, task)


@case('a bad data digest of solicited data fails the command')
def _(target):
    session = target.login(DataDigest='CRC32C', HeaderDigest='CRC32C', ImmediateData='No')
    session.write(0, b'o' * 512).good()
    task = session.start(scsi.write_10(0, 1), write=b'n' * 512, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    r2t = task.r2ts[0]
    session.connection.send(Pdu(wire.DATA_OUT, b'n' * 512, itt=r2t.itt, ttt=r2t.ttt,
                                flags=wire.FINAL, lun_bytes=r2t.lun_bytes), spoil='data')
    _not_written(target, session, task)


def _digest_error(session, pdu):
    """Sends it with a bad data digest, which must be seen although nobody wants the data."""
    session.connection.send(pdu, spoil='data')
    try:
        while True:
            answer = session.connection.pump(QUIET * 5)
            if answer.opcode == wire.REJECT:
                assert answer.reason == 2, 'Reject with reason %02x' % answer.reason
                return
    except Closed:
        pass


@case('a bad data digest is seen when a long segment has no or only some use')
def _(target):
    for blocks in (0, 8, 40):
        session = target.login(DataDigest='CRC32C', FirstBurstLength='65536')
        data = DATA[:16384] * 2
        pdu = Pdu(wire.SCSI_COMMAND, data, flags=wire.FINAL | wire.WRITE | 1, edtl=len(data),
                  lun=session.first_lun, itt=0x500, cmd_sn=session.next_cmd_sn(),
                  cdb=scsi.write_10(0, blocks).ljust(16, b'\0'))
        _digest_error(session, pdu)
    session = target.login(DataDigest='CRC32C')
    _digest_error(session, Pdu(wire.DATA_OUT, DATA * 2, flags=wire.FINAL, itt=0x999, ttt=7))


@case('long segments of no or of some use, with good digests, are no error')
def _(target):
    session = target.login(DataDigest='CRC32C', HeaderDigest='CRC32C', FirstBurstLength='65536')
    for size in (16385, 16386, 20000, 32768, 65535):
        data = (DATA * 4)[:size]
        for blocks in (0, 8, 30):
            session.command(scsi.write_10(0, blocks), write=data, immediate_data=size)
            assert session.connection.stat_sn, 'closed'
    session.connection.send(Pdu(wire.DATA_OUT, DATA[:1] + DATA * 2, flags=wire.FINAL, itt=0x999, ttt=7))
    session.alive()


@case('a Reject for a bad data digest carries the header it rejects')
def _(target):
    session = target.login(DataDigest='CRC32C')
    ping = session.nop(b'spoilt', spoil='data')
    try:
        reject = session.connection.expect(wire.REJECT)
    except Closed:
        return      # allowed at level 0
    assert reject.reason == 2 and reject.data[:48] == bytes(ping.header)


@case('a missing digest is a bad digest')
def _(target):
    session = target.login(HeaderDigest='CRC32C')
    session.connection.header_digest = False
    session.nop()
    session.nop()
    session.connection.header_digest = True
    session.connection.expect_closed()


if __name__ == '__main__':
    main(__file__)
