# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong in a PDU of full feature phase is rejected with a reason, or ends the connection
(RFC 7143 11.17, 7.8). Nobody else notices."""
import scsi
import wire
from peer import Closed, IQN, case, main, ram
from wire import NO_TAG, Pdu

PROTOCOL, UNSUPPORTED, IMMEDIATE, IN_PROGRESS, INVALID = 4, 5, 6, 7, 9


def rejected(session, pdu, *reasons, may_close=True):
    """A Reject with one of these reasons that carries the header; or, where allowed, the end."""
    try:
        while True:
            answer = session.connection.receive()
            if answer.opcode == wire.REJECT:
                break
            assert answer.opcode == wire.NOP_IN, repr(answer)
    except Closed:
        assert may_close, 'the connection was closed'
        return None
    assert answer.reason in reasons, 'reason %02x' % answer.reason
    assert answer.itt == NO_TAG and answer.final, repr(answer)
    assert answer.data[:48] == bytes(pdu.header), 'the Reject carries another header'
    return answer


@case('an unknown opcode is rejected as not supported')
def _(target):
    for opcode in (0x07, 0x0f, 0x1c, 0x1e, 0x1f):
        session = target.login()
        rejected(session, session.request(opcode, immediate=True), UNSUPPORTED)


@case('a target opcode from an initiator is rejected')
def _(target):
    for opcode in (wire.NOP_IN, wire.SCSI_RESPONSE, wire.R2T, wire.REJECT):
        session = target.login()
        rejected(session, session.request(opcode, immediate=True), UNSUPPORTED, PROTOCOL)


@case('a session goes on after a Reject')
def _(target):
    session = target.login()
    rejected(session, session.request(0x1c, immediate=True), UNSUPPORTED, may_close=False)
    session.alive()


@case('a rejected PDU that is not immediate has used its CmdSN')
def _(target):
    session = target.login()
    rejected(session, session.request(0x1c), UNSUPPORTED, may_close=False)
    session.alive()
    assert session.connection.exp_cmd_sn == session.cmd_sn


@case('SNACK is rejected at error recovery level 0')
def _(target):
    session = target.login()
    pdu = Pdu(wire.SNACK, flags=wire.FINAL | 1, itt=NO_TAG, ttt=NO_TAG)
    session.connection.send(pdu)
    rejected(session, pdu, PROTOCOL, UNSUPPORTED, 3)


@case('a command with the reserved task tag is rejected')
def _(target):
    session = target.login()
    pdu = session.request(wire.SCSI_COMMAND, flags=wire.FINAL, itt=NO_TAG)
    rejected(session, pdu, PROTOCOL, INVALID)


@case('a task tag that is in use is rejected as in progress')
def _(target):
    session = target.login(ImmediateData='No')
    task = session.start(scsi.write_10(0, 8), write=bytes(4096), hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    pdu = session.request(wire.SCSI_COMMAND, flags=wire.FINAL, itt=task.request.itt)
    rejected(session, pdu, IN_PROGRESS, may_close=False)
    task.answer(task.r2ts[0])
    task.good()


@case('a bidirectional command is refused')
def _(target):
    session = target.login()
    task = session.start(scsi.write_10(0, 1), write=b'b' * 512, flags=wire.READ | wire.WRITE)
    try:
        while not task.done and session.connection.pump().opcode != wire.REJECT:
            pass
        assert not task.done or task.status == scsi.CHECK_CONDITION, 'status %02x' % task.status
    except Closed:
        pass
    target.login().alive()


@case('a segment longer than we declared is rejected or ends the connection', own=dict(
    targets={IQN: {'portals': ['test'], 'luns': {0: ram()},
                   'session': {'max-recv-data-segment-length': '8K'}}}))
def _(target):
    session = target.login()
    pdu = session.nop(b'l' * 12288)
    rejected(session, pdu, PROTOCOL, INVALID)
    target.login().alive()


@case('the longest segment length of all is not believed')
def _(target):
    session = target.login()
    pdu = Pdu(wire.NOP_OUT, flags=wire.FINAL, itt=5, ttt=NO_TAG, cmd_sn=session.cmd_sn)
    pdu.length = 0xffffff
    session.connection.send(pdu)
    rejected(session, pdu, PROTOCOL, INVALID)
    target.login().alive()


@case('an additional header of an unknown type is rejected or ignored')
def _(target):
    for ahs in (b'\x00\x01\x3f\x00' * 1, b'\x00\x05\x07\x00' + bytes(4), b'\xff\xff\x01\x00',
                b'\x00\x00\x00\x00', bytes(255 * 4)):
        session = target.login()
        session.connection.send(Pdu(wire.NOP_OUT, b'after', ahs=ahs, flags=wire.FINAL, itt=7,
                                    ttt=NO_TAG, cmd_sn=session.next_cmd_sn()))
        try:
            answer = session.connection.receive()
            assert answer.opcode == wire.REJECT or answer.data == b'after', repr(answer)
            session.alive()
        except Closed:
            pass
    target.login().alive()


@case('an extended CDB in an additional header is refused with its sense or a Reject')
def _(target):
    session = target.login()
    ahs = b'\x00\x11\x01\x00' + bytes(16)
    pdu = Pdu(wire.SCSI_COMMAND, ahs=ahs, flags=wire.FINAL, itt=8, cmd_sn=session.next_cmd_sn(),
              lun=session.first_lun, cdb=b'\x7f' + bytes(6) + b'\x18' + bytes(8))
    session.connection.send(pdu)
    try:
        answer = session.connection.receive()
        assert answer.opcode == wire.REJECT or answer.status == scsi.CHECK_CONDITION, repr(answer)
    except Closed:
        pass
    target.login().alive()


@case('reserved bits and bytes that are set do no harm')
def _(target):
    session = target.login()
    session.command(scsi.test_unit_ready(), byte2=0xff, byte3=0xff).good()
    noise = {at: 0xff for at in (2, 3, *range(32, 48))}

    def noisy(opcode, spared=(), data=b'', **fields):
        pdu = Pdu(opcode, data, **dict(dict(flags=wire.FINAL, ttt=NO_TAG, itt=session.next_itt()), **fields))
        pdu.immediate = True
        pdu.cmd_sn = session.next_cmd_sn(True)
        for at, value in noise.items():
            if at not in spared:
                pdu.header[at] = value
        session.connection.send(pdu)
        return session.connection.receive()

    assert noisy(wire.NOP_OUT, data=b'noise').data == b'noise'
    assert noisy(wire.TEXT_REQUEST).text() == []
    answer = noisy(wire.TASK_REQUEST, range(32, 40), flags=wire.FINAL | 1, lun=session.first_lun,
                   referenced_tag=0x4711, ref_cmd_sn=session.cmd_sn - 1)
    assert (answer.opcode, answer.response) == (wire.TASK_RESPONSE, 1), repr(answer)
    task = session.start(scsi.write_10(0, 1), write=b'r' * 512, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    data = Pdu(wire.DATA_OUT, b'r' * 512, flags=0xff, lun_bytes=task.r2ts[0].lun_bytes, itt=task.request.itt,
               ttt=task.r2ts[0].ttt, byte2=0xff, byte3=0xff, edtl=task.r2ts[0].ttt, cmd_sn=0xffffffff)
    data.header[44:48] = b'\xff' * 4
    session.connection.send(data)
    task.good()
    assert session.read(0, 1).good().data == b'r' * 512
    answer = noisy(wire.LOGOUT_REQUEST, cid=0)
    assert (answer.opcode, answer.response) == (wire.LOGOUT_RESPONSE, 0), repr(answer)


@case('padding that is not zero does no harm')
def _(target):
    session = target.login()
    pdu = Pdu(wire.NOP_OUT, b'12345', flags=wire.FINAL, itt=9, ttt=NO_TAG,
              cmd_sn=session.next_cmd_sn())
    raw = pdu.encode()
    session.connection.send_bytes(raw[:-3] + b'\xff\xff\xff')
    assert session.connection.expect(wire.NOP_IN).data == b'12345'


if __name__ == '__main__':
    main(__file__)
