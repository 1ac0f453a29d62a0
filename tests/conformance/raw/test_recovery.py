# SPDX-License-Identifier: BSD-3-Clause
"""Several connections a session, and error recovery at level 0 (RFC 7143 4.2.2, 6.3, 7)."""
import random

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from peer import IQN, case, main, new_isid, ram

MANY = {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-connections': 4}}}
JOINING = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}


def session_of(target, connections, **offer):
    session = target.login(MaxConnections='4', **offer)
    for cid in range(1, connections):
        session.login(cid=cid, offer=JOINING)
    return session


@case('levels 1 and 2 are negotiated down to 0')
def _(target):
    for level in ('1', '2'):
        session = target.login(ErrorRecoveryLevel=level)
        assert session.negotiated['ErrorRecoveryLevel'] == '0'
        session.alive()


@case('an initiator that offered level 2 has its SNACK rejected and its logout for recovery refused')
def _(target):
    session = target.login(ErrorRecoveryLevel='2')
    pdu = wire.Pdu(wire.SNACK, flags=wire.FINAL | 1, itt=wire.NO_TAG, ttt=wire.NO_TAG)
    session.connection.send(pdu)
    assert session.connection.expect(wire.REJECT).reason in (3, 4)
    assert session.logout(reason=2).response == 2
    assert session.task_management(8, referenced=0x99).response in (4, 5)
    session.alive()


@case('a thousand commands over four connections are taken in CmdSN order, whatever comes first',
      own=dict(targets=MANY))
def _(target):
    session = session_of(target, 4)
    window = session.connection.max_cmd_sn - session.cmd_sn + 1
    chance = random.Random(7)
    for _ in range(1000 // min(window, 50)):
        count = min(window, 50)
        first, session.cmd_sn = session.cmd_sn, session.cmd_sn + count
        numbers = list(range(count))
        chance.shuffle(numbers)
        tasks = {}
        for number in numbers:      # one block, written in turn (ORDERED): the last one must stay
            tasks[number] = session.start(
                scsi.write_10(5, 1), write=b'%08d' % number * 64, cmd_sn=first + number,
                connection=session.connections[chance.randrange(4)], attribute=2)
        for task in tasks.values():
            task.good()
        assert session.read(5, 1).good().data == b'%08d' % (count - 1) * 64
    session.alive()


@case('an ORDERED command waits for those on other connections', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    held = session.start(scsi.write_10(0, 8), write=b'1' * 4096, immediate_data=0, hold_r2ts=True)
    while not held.r2ts:
        session.connection.pump()
    ordered = session.start(scsi.read_10(0, 8), read=4096, attribute=2,
                            connection=session.connections[1])
    session.connections[1].expect_quiet()
    held.answer(held.r2ts[0])
    held.good()
    assert ordered.good().data == b'1' * 4096


@case('what comes after an ORDERED command waits for it, on every connection, but HEAD OF QUEUE',
      own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    ordered = session.start(scsi.write_10(0, 8), write=b'2' * 4096, immediate_data=0, hold_r2ts=True, attribute=2)
    while not ordered.r2ts:
        session.connection.pump()
    after = [session.start(scsi.read_10(0, 8), read=4096, connection=connection)
             for connection in session.connections]
    session.connections[1].expect_quiet()
    session.command(scsi.test_unit_ready(), connection=session.connections[1], attribute=3).good()
    assert not any(task.done for task in after)
    ordered.answer(ordered.r2ts[0])
    ordered.good()
    for task in after:
        assert task.good().data == b'2' * 4096


@case('everything of a command stays on its connection', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 3)
    for connection in session.connections:
        task = session.write(0, b'a' * 131072, connection=connection).good()
        assert task.r2ts        # task.py would not have seen them elsewhere
        assert len(session.read(0, 256, connection=connection).good().data) == 131072
    for connection in session.connections:
        connection.expect_quiet(0.1)


@case('Data-Out on another connection than its command is rejected, and none of the command', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    session.write(0, b'o' * 4096).good()
    task = session.start(scsi.write_10(0, 8), write=b'n' * 4096, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    r2t, other = task.r2ts[0], session.connections[1]
    other.send(wire.Pdu(wire.DATA_OUT, b'x' * 4096, flags=wire.FINAL, lun_bytes=r2t.lun_bytes,
                        itt=task.request.itt, ttt=r2t.ttt))
    rejected = other.expect(wire.REJECT)
    assert rejected.reason == 4, rejected
    assert rejected.data[:1] == bytes([wire.DATA_OUT]) and \
        rejected.data[16:20] == task.request.itt.to_bytes(4, 'big'), rejected.data
    session.nop(b'and now', connection=other)
    assert other.expect(wire.NOP_IN).data == b'and now'
    task.answer(r2t)
    task.good()
    assert session.read(0, 8).good().data == b'n' * 4096


@case('StatSN and ExpStatSN belong to the connection', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    before = session.connections[1].stat_sn
    for _ in range(5):
        session.alive()
    assert session.connections[1].stat_sn == before
    session.command(scsi.test_unit_ready(), connection=session.connections[1]).good()
    assert session.connections[1].stat_sn == before + 1


@case('ABORT TASK reaches a task of another connection', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    task = session.start(scsi.write_10(0, 8), write=b'n' * 4096, immediate_data=0, hold_r2ts=True,
                         connection=session.connections[1])
    while not task.r2ts:
        session.connections[1].pump()
    answer = session.task_management(1, referenced=task.request.itt, ref_cmd_sn=task.request.cmd_sn)
    assert answer.response == 0
    session.connections[1].expect_quiet()
    session.connections[1].tasks.clear()
    session.command(scsi.test_unit_ready(), connection=session.connections[1]).good()


@case('LUN RESET ends the tasks of all connections', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 3)
    for connection in session.connections:
        task = session.start(scsi.write_10(0, 8), write=b'n' * 4096, immediate_data=0, hold_r2ts=True,
                             connection=connection)
        while not task.r2ts:
            connection.pump()
    assert session.task_management(5).response == 0
    for connection in session.connections:
        connection.expect_quiet(0.2)
        connection.tasks.clear()
    session.alive()


@case('a logout of a connection ends its tasks and no others', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    second = session.connections[1]
    held = session.start(scsi.write_10(0, 8), write=b'k' * 4096, immediate_data=0, hold_r2ts=True)
    while not held.r2ts:
        session.connection.pump()
    gone = session.start(scsi.write_10(64, 8), write=b'g' * 4096, immediate_data=0, hold_r2ts=True,
                         connection=second)
    while not gone.r2ts:    # it has come, before the logout does on the other connection
        second.pump()
    assert session.logout(reason=1, cid=1).response == 0
    second.expect_closed()
    held.answer(held.r2ts[0])
    held.good()
    session.login(cid=2, offer=JOINING)
    session.command(scsi.test_unit_ready(), connection=session.connections[2]).good()


@case('a command that a lost connection left out is sent again on another', own=dict(targets=MANY))
def _(target):
    session = session_of(target, 2)
    first, session.cmd_sn = session.cmd_sn, session.cmd_sn + 2
    late = session.start(scsi.test_unit_ready(), cmd_sn=first + 1)      # its turn has not come
    session.connections[1].reset()
    assert session.connection.expect(wire.ASYNC).async_event == 2
    session.connection.expect_quiet()
    session.start(scsi.test_unit_ready(), cmd_sn=first).good()
    late.good()
    session.alive()


@case('a bad header digest loses one connection of several', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4', HeaderDigest='CRC32C')
    session.login(cid=1, offer=JOINING)
    session.command(scsi.test_unit_ready(), connection=session.connections[1]).wait()
    session.nop(b'x', spoil='header', immediate=True)
    session.connections[0].expect_closed()
    second = session.connections[1]
    event = second.expect(wire.ASYNC)
    assert (event.async_event, event.parameter1) == (2, 0)
    session.command(scsi.test_unit_ready(), connection=second).good()


@case('a lost session leaves nothing behind: the next one of the same name begins anew')
def _(target):
    isid = new_isid()
    session = target.login(isid=isid)
    session.command(bytes([0x16]) + bytes(5)).good()        # RESERVE(6)
    session.connection.reset()
    again = target.login(isid=isid)
    again.alive()
    other = target.login()
    other.command(scsi.test_unit_ready()).good()            # the reservation went with its nexus


if __name__ == '__main__':
    main(__file__)
