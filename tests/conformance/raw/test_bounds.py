# SPDX-License-Identifier: BSD-3-Clause
"""Limits, what the dialogues leave out (RFC 7143 4.2.2.1, 11.2)."""
import time

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from peer import IQN, Closed, Refused, case, main, ram
from wire import NO_TAG, Pdu

FEW = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}}}, daemon={'max-connections': 8})


def answered_or_closed(target, pdu):
    """The target may answer or hang up; whatever it does, it lives."""
    session = target.login()
    pdu.cmd_sn = session.next_cmd_sn()
    pdu.lun = session.first_lun
    session.connection.send(pdu)
    try:
        answer = session.connection.receive()
        session.alive()
    except Closed:
        answer = None
    target.login().alive()
    return answer


@case('255 words of additional headers are read to their end')
def _(target):
    ahs = b'\x00\x05\x3f\x00' + bytes(4) + bytes(253 * 4)
    answer = answered_or_closed(target, Pdu(wire.SCSI_COMMAND, ahs=ahs, flags=wire.FINAL, itt=8))
    assert answer is None or answer.opcode in (wire.REJECT, wire.SCSI_RESPONSE), repr(answer)


@case('an additional header longer than all of them together is refused')
def _(target):
    for ahs in (b'\xff\xff\x01\x00', b'\x00\x30\x01\x00' + bytes(8), b'\x00\x00\x01\x00'):
        answer = answered_or_closed(target, Pdu(wire.SCSI_COMMAND, ahs=ahs, flags=wire.FINAL, itt=8))
        assert answer is None or answer.opcode == wire.REJECT or answer.status != 0, repr(answer)


@case('a data segment of 16 MiB is refused without waiting for it')
def _(target):
    session = target.login()
    for opcode in (wire.SCSI_COMMAND, wire.DATA_OUT, wire.TEXT_REQUEST, wire.NOP_OUT):
        session = target.login()
        pdu = Pdu(opcode, flags=wire.FINAL, itt=3, ttt=NO_TAG, cmd_sn=session.cmd_sn)
        pdu.length = 0xffffff
        session.connection.send(pdu)
        for answer in session.connection.expect_closed():
            assert answer.opcode == wire.REJECT, repr(answer)
    target.login().alive()


@case('segments of length zero where data could be are no data')
def _(target):
    session = target.login(InitialR2T='No')
    session.write(0, b'o' * 4096).good()
    task = session.start(scsi.write_10(0, 8), write=b'z' * 4096, immediate_data=0, more=True)
    session.connection.send(Pdu(wire.DATA_OUT, b'', lun_bytes=task.request.lun_bytes,
                                itt=task.request.itt, ttt=NO_TAG, data_sn=0, offset=0))
    task_went_on = Pdu(wire.DATA_OUT, b'z' * 4096, flags=wire.FINAL, lun_bytes=task.request.lun_bytes,
                       itt=task.request.itt, ttt=NO_TAG, data_sn=1, offset=0)
    session.connection.send(task_went_on)
    task.good()
    assert session.read(0, 8).good().data == b'z' * 4096


@case('bytes of the CDB after the command are ignored')
def _(target):
    session = target.login()
    session.write(0, b'g' * 512).good()
    cdb = scsi.read_10(0, 1) + b'\xff\xee\xdd\xcc\xbb\xaa'
    assert session.command(cdb, read=512).good().data == b'g' * 512
    session.command(bytes(6) + b'\xff' * 10).good()


@case('peripheral and flat addressing reach the LUN, extended and logical unit addressing do not')
def _(target):
    session = target.login()
    for lun in (b'\x00\x00', b'\x40\x00'):
        session.command(scsi.test_unit_ready(), lun_bytes=lun + bytes(6)).good()
    for lun in (b'\x80\x00', b'\xc1\x01', b'\xd2\x00', b'\x01\x00', b'\x00\x00\x00\x01'):
        session.command(scsi.read_10(0, 1), read=512, lun_bytes=lun.ljust(8, b'\0')).check(
            scsi.LUN_NOT_SUPPORTED)


@case('a LUN that is not there answers INQUIRY with 7F and REPORT LUNS')
def _(target):
    session = target.login()
    for lun in (9, 255, 256, 16383):
        assert session.command(scsi.inquiry(), read=255, lun=lun).wait().data[0] == 0x7f
        assert session.command(scsi.report_luns(), read=512, lun=lun).wait().status == 0
        session.command(scsi.test_unit_ready(), lun=lun).check(scsi.LUN_NOT_SUPPORTED)


@case('connections beyond the configured number are refused or closed, and then there is room again',
      own=FEW)
def _(target):
    sessions, refused = [], 0
    for _ in range(12):
        try:
            sessions.append(target.login())
        except (Refused, Closed, ConnectionError, AssertionError):
            refused += 1
    assert len(sessions) == 8 and refused == 4, (len(sessions), refused)
    for session in sessions:
        session.alive()
        session.logout()
    for session in sessions:
        session.connection.expect_closed()
    target.close_all()
    deadline = time.monotonic() + 10
    while True:     # the slots come back after the connections are gone
        try:
            target.login().alive()
            return
        except (Refused, Closed, ConnectionError):
            assert time.monotonic() < deadline, 'there is no room'
            time.sleep(0.05)


@case('a thousand commands beyond MaxCmdSN are ignored, and the connection stays')
def _(target):
    session = target.login()
    beyond = (session.connection.max_cmd_sn + 1) & 0xffffffff
    for number in range(1000):
        session.connection.send(Pdu(wire.SCSI_COMMAND, flags=wire.FINAL, itt=0x10000 + number,
                                    lun=session.first_lun, cmd_sn=(beyond + number) & 0xffffffff))
    session.connection.expect_quiet()
    session.alive()


if __name__ == '__main__':
    main(__file__)
