# SPDX-License-Identifier: BSD-3-Clause
"""PDUs of full feature phase, what the dialogues leave out (RFC 7143 4.2, 11)."""
import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from peer import IQN, Closed, case, main, ram
from wire import NO_TAG, Pdu

UNEXPECTED_DATA, NOT_ENOUGH_DATA, CRC_ERROR = (11, 0x0c0c), (11, 0x0c0d), (11, 0x4705)
LIVELY = dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()},
                             'session': {'nop-interval': '1s', 'nop-timeout': '30s'}}})


@case('a ping is answered with its own tag and LUN, and takes a StatSN')
def _(target):
    session = target.login()
    before = session.connection.stat_sn
    for lun in (session.first_lun, 0x123):
        ping = session.nop(b'who is there', lun=lun)
        pong = session.connection.expect(wire.NOP_IN)
        assert (pong.itt, pong.ttt, pong.lun_bytes) == (ping.itt, NO_TAG, ping.lun_bytes), repr(pong)
    assert session.connection.stat_sn == before + 2


@case('a ping without data is a ping')
def _(target):
    session = target.login()
    ping = session.nop()
    pong = session.connection.expect(wire.NOP_IN)
    assert pong.itt == ping.itt and pong.data == b''


@case("the target's ping has a tag of its own, and takes no StatSN", own=LIVELY)
def _(target):
    session = target.login()
    pings = []
    for _ in range(2):
        ping = session.connection.expect(wire.NOP_IN)     # connection.py judges its StatSN
        assert ping.itt == NO_TAG and ping.ttt != NO_TAG, repr(ping)
        pings.append(ping.ttt)
        session.nop(itt=NO_TAG, ttt=ping.ttt, lun_bytes=ping.lun_bytes, immediate=True)
    assert pings[0] != pings[1]
    session.alive()


@case('every task attribute is taken, but ACA and the reserved ones, which are INVALID MESSAGE ERROR')
def _(target):
    session = target.login()
    for attribute in (0, 1, 2, 3):
        session.command(scsi.read_10(0, 1), read=512, attribute=attribute).good()
    session.write(0, b'a' * 512).good()
    for attribute in (4, 5, 6, 7):
        session.command(scsi.test_unit_ready(), attribute=attribute).check((5, 0x4900))
        session.command(scsi.write_10(0, 1), write=b'b' * 512, attribute=attribute).check((5, 0x4900))
    assert session.read(0, 1).good().data == b'a' * 512
    session.alive()


@case('a command priority does no harm at protocol level 1')
def _(target):
    session = target.login(iSCSIProtocolLevel='1')
    session.write(0, b'p' * 512).good()
    for priority in range(16):
        assert session.read(0, 1, byte2=priority << 4).good().data == b'p' * 512


@case('immediate data that was not agreed to ends with UNEXPECTED UNSOLICITED DATA')
def _(target):
    session = target.login(ImmediateData='No')
    session.command(scsi.write_10(0, 8), write=b'u' * 4096, immediate_data=512).check(UNEXPECTED_DATA)
    session.alive()


@case('more immediate data than FirstBurstLength ends with INCORRECT AMOUNT OF DATA')
def _(target):
    session = target.login(FirstBurstLength='1024')
    session.command(scsi.write_10(0, 8), write=b'u' * 4096, immediate_data=2048).check(NOT_ENOUGH_DATA)
    session.alive()


@case('a command without F where nothing may come unasked ends with UNEXPECTED UNSOLICITED DATA')
def _(target):
    session = target.login(InitialR2T='Yes')
    session.write(0, b'o' * 4096).good()
    for immediate in (0, 512):
        session.start(scsi.write_10(0, 8), write=b'f' * 4096, immediate_data=immediate, more=True).check(
            UNEXPECTED_DATA)
    assert session.read(0, 8).good().data == b'o' * 4096


@case('data, or none yet, with a command that writes nothing ends with UNEXPECTED UNSOLICITED DATA')
def _(target):
    session = target.login(InitialR2T='No')
    for more in (dict(data=b'i' * 512), dict(flags=wire.READ | 1)):
        pdu = Pdu(wire.SCSI_COMMAND, more.pop('data', b''), flags=more.get('flags', wire.FINAL | wire.READ | 1),
                  edtl=512, itt=session.next_itt(), cmd_sn=session.next_cmd_sn(), lun=session.first_lun,
                  cdb=scsi.read_10(0, 1).ljust(16, b'\0'))
        session.connection.send(pdu)
        answer = session.connection.receive()
        assert (answer.opcode, answer.status, answer.itt) == (wire.SCSI_RESPONSE, 2, pdu.itt), repr(answer)
        assert scsi.Sense(answer.data[2:]).what() == UNEXPECTED_DATA
    session.alive()


@case('a bad data digest of immediate data ends with PROTOCOL SERVICE CRC ERROR, after a Reject')
def _(target):
    session = target.login(DataDigest='CRC32C')
    task = session.start(scsi.write_10(0, 1), write=b'c' * 512, spoil='data')
    reject = session.connection.expect(wire.REJECT)
    assert reject.reason == 2 and reject.data[:48] == bytes(task.request.header)
    task.check(CRC_ERROR)
    session.alive()


@case('a command without data segment and F is answered')
def _(target):
    session = target.login(InitialR2T='No')
    task = session.start(scsi.write_10(0, 8), write=b'f' * 4096, immediate_data=0, more=True)
    task.send_data(0, 4096)
    task.good()


@case('the digest of a bad header is believed in nothing: no answer but the end')
def _(target):
    session = target.login(HeaderDigest='CRC32C')
    session.request(wire.NOP_OUT, b'x', flags=wire.FINAL, ttt=NO_TAG, spoil='header')
    assert session.connection.expect_closed() == []


@case('ExpStatSN that is old, new or nonsense does no harm at error recovery level 0')
def _(target):
    session = target.login()
    for number in (0, session.connection.stat_sn + 1000, 0x80000000, 0xffffffff):
        pdu = Pdu(wire.NOP_OUT, b'e', flags=wire.FINAL, itt=session.next_itt(), ttt=NO_TAG,
                  cmd_sn=session.next_cmd_sn(), exp_stat_sn=number)
        session.connection.send(pdu, acknowledge=False)
        assert session.connection.expect(wire.NOP_IN).data == b'e'


@case('SNACK of every type is rejected at error recovery level 0, and the session goes on')
def _(target):
    session = target.login()
    task = session.start(scsi.write_10(0, 8), write=b's' * 4096, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    for kind in (0, 1, 2, 3, 15):
        for tag in (task.request.itt, NO_TAG):
            pdu = Pdu(wire.SNACK, flags=wire.FINAL | kind, itt=tag, ttt=NO_TAG)
            session.connection.send(pdu)
            answer = session.connection.expect(wire.REJECT)
            assert answer.reason in (3, 4), repr(answer)
            assert answer.data[:48] == bytes(pdu.header)
    task.answer(task.r2ts[0])
    task.good()
    session.alive()


@case('a Reject takes a StatSN and has the reserved tag')
def _(target):
    session = target.login()
    before = session.connection.stat_sn
    session.request(0x1c, immediate=True)
    reject = session.connection.expect(wire.REJECT)
    assert reject.itt == NO_TAG and reject.final
    assert session.connection.stat_sn == before + 1


@case('CmdSN is compared as a serial number on either side of the wrap')
def _(target):
    session = target.session()
    session.cmd_sn = 0xfffffffc
    session.login()
    session.alive()
    size = (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff
    late = session.start(scsi.test_unit_ready(), cmd_sn=0)      # before 0xffffffff has come
    for number in range(session.cmd_sn, 0x100000000):
        session.start(scsi.test_unit_ready(), cmd_sn=number).good()
    late.good()
    session.cmd_sn = 1
    for _ in range(8):
        for back in (1, 2, 3):
            session.start(scsi.test_unit_ready(), cmd_sn=(session.cmd_sn - back) & 0xffffffff)  # old
        session.alive()
    session.start(scsi.test_unit_ready(), cmd_sn=(session.connection.max_cmd_sn + 1) & 0xffffffff)
    session.connection.expect_quiet()
    for _ in range(size + 8):       # none of them has taken a place
        session.command(scsi.test_unit_ready()).good()


@case('an immediate request may carry any CmdSN')
def _(target):
    session = target.login()
    for number in (0, session.cmd_sn - 5, session.cmd_sn + 5000, 0xffffffff):
        session.command(scsi.test_unit_ready(), immediate=True, cmd_sn=number & 0xffffffff).good()
    session.alive()


@case('one immediate task management request and one other are always taken')
def _(target):
    session = target.login()
    size = (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff
    tasks = [session.start(scsi.write_10(8 * n, 8), write=b'w' * 4096, immediate_data=0, hold_r2ts=True)
             for n in range(size)]
    while not tasks[-1].r2ts:
        session.connection.pump()
    session.nop(b'still?', immediate=True)
    assert session.connection.expect(wire.NOP_IN).data == b'still?'
    assert session.task_management(1, referenced=tasks[0].request.itt,
                                   ref_cmd_sn=tasks[0].request.cmd_sn).response == 0
    session.connection.tasks.pop(tasks[0].request.itt)
    for task in tasks[1:]:
        task.answer(task.r2ts[0])
    for task in tasks[1:]:
        task.good()


@case('immediate commands beyond all room are Reject 06, and what was there goes on')
def _(target):
    session = target.login()
    tasks, refused = {}, 0
    for number in range(400):
        pdu = session.request(wire.SCSI_COMMAND, immediate=True, flags=wire.FINAL | wire.WRITE | 1, edtl=512,
                              lun=session.first_lun, cdb=scsi.write_10(number, 1).ljust(16, b'\0'))
        tasks[pdu.itt] = None
    while None in tasks.values():
        answer = session.connection.receive()
        if answer.opcode == wire.REJECT:
            assert answer.reason == 6, repr(answer)
            tasks[Pdu(header=answer.data[:48]).itt] = answer
            refused += 1
        else:
            assert answer.opcode == wire.R2T, repr(answer)
            tasks[answer.itt] = answer
    assert 0 < refused < 400, refused
    session.nop(b'room?', immediate=True)
    assert session.connection.expect(wire.NOP_IN).data == b'room?'
    for r2t in [each for each in tasks.values() if each.opcode == wire.R2T]:
        session.connection.send(Pdu(wire.DATA_OUT, b'i' * 512, flags=wire.FINAL, lun_bytes=r2t.lun_bytes,
                                    itt=r2t.itt, ttt=r2t.ttt))
        answer = session.connection.expect(wire.SCSI_RESPONSE)
        assert (answer.itt, answer.status) == (r2t.itt, 0), repr(answer)
    session.alive()


@case('a Data-Out for a task that has ended is no part of the next one')
def _(target):
    session = target.login()
    task = session.start(scsi.write_10(0, 8), write=b'1' * 4096, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    task.answer(task.r2ts[0])
    task.good()
    stale = Pdu(wire.DATA_OUT, b'2' * 512, flags=wire.FINAL, lun=session.first_lun, itt=task.request.itt,
                ttt=task.r2ts[0].ttt)
    session.connection.send(stale)
    try:
        answer = session.connection.receive(0.4)
        assert answer.opcode == wire.REJECT, repr(answer)
    except TimeoutError:
        pass
    except Closed:
        session = target.login()
    assert session.read(0, 8).good().data == b'1' * 4096


@case('nothing follows a logout response but the end, and the next login finds the target ready')
def _(target):
    session = target.login()
    answer = session.logout()
    assert answer.response == 0 and answer.itt != NO_TAG
    assert session.connection.expect_closed() == []
    target.login(isid=session.isid).alive()


@case('a logout response says how long to wait')
def _(target):
    session = target.login(DefaultTime2Wait='5', DefaultTime2Retain='0')
    answer = session.logout()
    assert (answer.time2wait, answer.time2retain) == (5, 0), (answer.time2wait, answer.time2retain)


if __name__ == '__main__':
    main(__file__)
