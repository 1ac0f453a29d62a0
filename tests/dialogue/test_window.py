# SPDX-License-Identifier: BSD-3-Clause
"""The command window: CmdSN, ExpCmdSN, MaxCmdSN, immediate delivery (RFC 7143 4.2.2.1)."""
import scsi
import wire
from peer import QUIET, case, main
from wire import Pdu


def _turn(session, cmd_sn, **more):
    return session.start(scsi.test_unit_ready(), cmd_sn=cmd_sn & 0xffffffff, **more)


@case('ExpCmdSN counts every command and MaxCmdSN stays ahead of it')
def _(target):
    session = target.login()
    for _ in range(10):
        session.command(scsi.test_unit_ready()).good()
        assert session.connection.exp_cmd_sn == session.cmd_sn
        assert session.connection.max_cmd_sn != (session.cmd_sn - 1) & 0xffffffff


@case('commands out of order wait for the missing one and then all run')
def _(target):
    session = target.login()
    first = session.cmd_sn
    session.cmd_sn += 4
    late = [_turn(session, first + step) for step in (3, 1, 2)]
    session.connection.expect_quiet()
    now = _turn(session, first)
    for task in [now] + late:
        task.good()
    assert session.connection.exp_cmd_sn == first + 4


@case('writes out of order keep their immediate data until their turn')
def _(target):
    session = target.login()
    first = session.cmd_sn
    session.cmd_sn += 2
    second = session.start(scsi.write_10(8, 8), write=b'2' * 4096, cmd_sn=first + 1)
    session.connection.expect_quiet()
    earlier = session.start(scsi.write_10(0, 8), write=b'1' * 4096, cmd_sn=first)
    earlier.good()
    second.good()
    assert session.read(0, 16).good().data == b'1' * 4096 + b'2' * 4096


@case('a CmdSN already used is ignored and the connection stays')
def _(target):
    session = target.login()
    session.command(scsi.test_unit_ready()).good()
    _turn(session, session.cmd_sn - 1)
    session.connection.expect_quiet()
    session.alive()


@case('a CmdSN far behind is ignored')
def _(target):
    session = target.login()
    for back in (2, 1000, 0x7fffffff):
        _turn(session, session.cmd_sn - back)
    session.connection.expect_quiet()
    session.alive()


@case('a CmdSN beyond MaxCmdSN is ignored')
def _(target):
    session = target.login()
    size = (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff
    for ahead in (1, 2, 1000, 0x7ffffff0):
        _turn(session, session.connection.max_cmd_sn + ahead)
    session.connection.expect_quiet()
    for _ in range(size + 4):       # no number is taken for the one that came before its time
        session.command(scsi.test_unit_ready()).good()


@case('an ignored write takes its immediate data with it')
def _(target):
    session = target.login()
    session.write(0, b'o' * 4096).good()
    session.start(scsi.write_10(0, 8), write=b'n' * 4096, cmd_sn=session.cmd_sn - 1)
    session.start(scsi.write_10(0, 8), write=b'n' * 4096,
                  cmd_sn=(session.connection.max_cmd_sn + 5) & 0xffffffff)
    session.connection.expect_quiet()
    assert session.read(0, 8).good().data == b'o' * 4096


@case('a CmdSN that waits and comes again is taken once')
def _(target):
    session = target.login()
    first = session.cmd_sn
    session.cmd_sn += 2
    waiting = _turn(session, first + 1)
    session.connection.send(Pdu(header=waiting.request.header))
    now = _turn(session, first)
    now.good()
    waiting.good()
    session.connection.expect_quiet()
    session.alive()


@case('an immediate command needs no place in the window and moves nothing')
def _(target):
    session = target.login()
    for _ in range(5):
        before = session.cmd_sn
        session.command(scsi.test_unit_ready(), immediate=True).good()
        assert session.connection.exp_cmd_sn == before == session.cmd_sn
    # and it does not wait for a gap
    session.start(scsi.test_unit_ready(), cmd_sn=session.cmd_sn + 1)
    session.command(scsi.test_unit_ready(), immediate=True).good()


@case('an immediate ping is answered while commands wait for a missing one')
def _(target):
    session = target.login()
    _turn(session, session.cmd_sn + 1)
    session.nop(b'still there?', immediate=True)
    assert session.connection.expect(wire.NOP_IN).data == b'still there?'


@case('the whole window can be used, and no more is needed to go on')
def _(target):
    session = target.login()
    size = (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff
    tasks = [session.start(scsi.read_10(block, 1), read=512) for block in range(size)]
    for task in tasks:
        task.good()
    session.alive()
    assert (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff == size


@case('a full window of writes that wait for their data opens again as they end')
def _(target):
    session = target.login(ImmediateData='No')
    size = (session.connection.max_cmd_sn - session.cmd_sn + 1) & 0xffffffff
    tasks = [session.start(scsi.write_10(block * 8, 8), write=bytes([block & 255]) * 4096,
                           hold_r2ts=True) for block in range(size)]
    try:
        while True:
            session.connection.pump(QUIET)
    except TimeoutError:
        pass
    session.nop(b'closed?', immediate=True)
    session.connection.expect(wire.NOP_IN)
    assert session.connection.max_cmd_sn == (session.cmd_sn - 1) & 0xffffffff, 'more than the window'
    for task in tasks:
        task.hold_r2ts = False
        for r2t in task.r2ts:
            task.answer(r2t)
    for task in tasks:
        task.good()
    assert session.read(8 * (size - 1), 8).good().data == bytes([(size - 1) & 255]) * 4096


@case('the numbers wrap')
def _(target):
    session = target.session()
    session.cmd_sn = 0xfffffff0
    session.login()
    session.alive()
    for _ in range(40):
        session.command(scsi.test_unit_ready()).good()
    assert session.cmd_sn < 0x100


@case('a failed command moves ExpCmdSN as any other')
def _(target):
    session = target.login()
    session.command(bytes([0xff]) * 6).check(scsi.INVALID_OPCODE)
    assert session.connection.exp_cmd_sn == session.cmd_sn
    session.read(0, 1).good()


@case('a command is aborted by a request that came early and waited for it')
def _(target):
    session = target.login()
    for size in (512, 32768):
        first = session.cmd_sn
        session.cmd_sn += 2
        itt = session.next_itt()
        session.request(wire.TASK_REQUEST, flags=wire.FINAL | 1, lun=session.first_lun,
                        referenced_tag=itt, cmd_sn=first + 1)
        # its data comes with the command, and is not wanted when it is looked at
        session.start(scsi.write_10(0, 128), write=b'a' * 65536, immediate_data=size, itt=itt,
                      cmd_sn=first, hold_r2ts=True)
        assert session.connection.expect(wire.TASK_RESPONSE).response == 0
        session.connection.tasks.pop(itt)
        session.alive()


# --- a PDU that is refused has used its CmdSN, and what waited for it goes on

def _waiting_write(session):
    """A command that is in progress until its data comes."""
    return session.start(scsi.write_10(0, 8), write=b'w' * 4096, immediate_data=0, hold_r2ts=True)


def _after_the_refusal(session, send):
    """send(number) sends a PDU that is rejected; the command behind it, sent before, must run."""
    first = session.cmd_sn
    session.cmd_sn += 2
    waiting = _turn(session, first + 1)
    session.connection.expect_quiet()
    send(first)
    session.connection.expect(wire.REJECT)
    waiting.good()
    session.alive()


@case('a tag in progress twice: the command behind the refused one runs')
def _(target):
    session = target.login()
    write = _waiting_write(session)
    while not write.r2ts:
        session.connection.pump()
    _after_the_refusal(session, lambda number: session.request(
        wire.SCSI_COMMAND, flags=wire.FINAL, itt=write.request.itt, cmd_sn=number))
    write.answer(write.r2ts[0])
    write.good()


@case('a tag in progress twice, ahead of its turn: its number counts when it is due')
def _(target):
    session = target.login()
    write = _waiting_write(session)
    while not write.r2ts:
        session.connection.pump()
    first = session.cmd_sn
    session.cmd_sn += 3
    session.request(wire.SCSI_COMMAND, flags=wire.FINAL, itt=write.request.itt, cmd_sn=first + 1)
    session.connection.expect(wire.REJECT)
    last = _turn(session, first + 2)
    _turn(session, first).good()
    last.good()
    write.answer(write.r2ts[0])
    write.good()
    session.alive()


@case('a command with a bad additional header: the command behind it runs')
def _(target):
    session = target.login()

    def send(number):
        pdu = Pdu(wire.SCSI_COMMAND, ahs=bytes([0, 5, 9, 0, 0, 0, 0, 0]), flags=wire.FINAL, itt=0x777,
                  cmd_sn=number, cdb=bytes(16))
        session.connection.send(pdu)
    _after_the_refusal(session, send)


@case('a task management request with the reserved tag: the command behind it runs')
def _(target):
    session = target.login()
    _after_the_refusal(session, lambda number: session.request(
        wire.TASK_REQUEST, flags=wire.FINAL | 2, itt=wire.NO_TAG, cmd_sn=number))


@case('a logout for a reason that does not exist: the command behind it runs')
def _(target):
    session = target.login()
    _after_the_refusal(session, lambda number: session.request(
        wire.LOGOUT_REQUEST, flags=wire.FINAL | 7, cmd_sn=number))


if __name__ == '__main__':
    main(__file__)
