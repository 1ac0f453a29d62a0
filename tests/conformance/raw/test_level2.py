# SPDX-License-Identifier: BSD-3-Clause
"""iSCSIProtocolLevel 2 (RFC 7144), FastAbort (RFC 7143 4.2.3.4) and the response fence (4.2.2.3)."""
import os
import signal

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from management import (ABORT_TASK_SET, COMPLETE, LUN_RESET, NEXUS_RESET, NOT_SUPPORTED, NO_LUN, QUERY_EVENT,
                        QUERY_TASK, QUERY_TASK_SET, REJECTED, SUCCEEDED, WARM_RESET, held_write)
from peer import IQN, case, main, ram
from wire import NO_TAG

MANY = {IQN: {'portals': ['test'], 'luns': {0: ram(), 1: ram()}, 'session': {'max-connections': 4}}}
JOINING = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}


def level_2(target, **more):
    session = target.login(iSCSIProtocolLevel='2', **more)
    assert session.answers['iSCSIProtocolLevel'] == '2', session.answers
    return session


def fenced(target, reporting='ResponseFence'):
    """A session of two connections."""
    session = target.login(MaxConnections='4', TaskReporting=reporting)
    assert session.answers['TaskReporting'] == reporting, session.answers
    session.login(cid=1, offer=JOINING)
    second = session.connections[1]
    session.command(scsi.test_unit_ready(), connection=second)
    return session, second


def information(response):
    return bytes(response.header[8:11])


def query(session, task, **more):
    return session.task_management(QUERY_TASK, referenced=task.request.itt,
                                   ref_cmd_sn=task.request.cmd_sn, **more)


# --- the four functions

@case('the functions of level 2 are not supported at level 1')
def _(target):
    session = target.login(iSCSIProtocolLevel='1')
    for function in (QUERY_TASK, QUERY_TASK_SET, NEXUS_RESET, QUERY_EVENT):
        assert session.task_management(function).response == NOT_SUPPORTED
    session.alive()


@case('QUERY TASK finds a task, and none that has ended or has another LUN')
def _(target):
    session = level_2(target)
    task = held_write(session)
    answer = query(session, task)
    assert answer.response == SUCCEEDED and information(answer) == bytes(3), repr(answer)
    assert query(session, task, lun=1).response == COMPLETE
    task.answer(task.r2ts[0])
    task.good()
    assert query(session, task).response == COMPLETE
    assert session.task_management(QUERY_TASK, referenced=0x4321,
                                   ref_cmd_sn=session.cmd_sn - 1).response == COMPLETE
    session.alive()


@case('QUERY TASK of a function is rejected')
def _(target):
    session = level_2(target)
    first = session.cmd_sn
    session.cmd_sn += 2
    waiting = session.request(wire.TASK_REQUEST, flags=wire.FINAL | ABORT_TASK_SET, lun=session.first_lun,
                              cmd_sn=first + 1, referenced_tag=NO_TAG)
    assert session.task_management(QUERY_TASK, referenced=waiting.itt,
                                   ref_cmd_sn=waiting.cmd_sn).response == REJECTED
    session.start(scsi.test_unit_ready(), cmd_sn=first).wait()
    assert session.connection.expect(wire.TASK_RESPONSE).itt == waiting.itt


@case('QUERY TASK SET knows the commands of this session on this LUN')
def _(target):
    session, other = level_2(target), target.login()
    theirs = held_write(other)
    assert session.task_management(QUERY_TASK_SET).response == COMPLETE
    early = session.start(scsi.test_unit_ready(), cmd_sn=session.cmd_sn + 1)     # in no task set yet
    assert session.task_management(QUERY_TASK_SET).response == COMPLETE
    assert query(session, early).response == COMPLETE
    session.start(scsi.test_unit_ready(), cmd_sn=session.cmd_sn).good()
    early.good()
    session.cmd_sn += 2
    task = held_write(session)
    assert session.task_management(QUERY_TASK_SET).response == SUCCEEDED
    assert session.task_management(QUERY_TASK_SET, lun=1).response == COMPLETE
    task.answer(task.r2ts[0])
    task.good()
    assert session.task_management(QUERY_TASK_SET).response == COMPLETE
    theirs.answer(theirs.r2ts[0])
    theirs.good()


@case('QUERY ASYNCHRONOUS EVENT tells a pending unit attention and takes it from nobody')
def _(target):
    session, other = level_2(target), target.login()
    session.alive(lun=1)
    assert session.task_management(QUERY_EVENT).response == COMPLETE
    assert other.task_management(LUN_RESET).response == COMPLETE
    for _ in range(2):
        answer = session.task_management(QUERY_EVENT)
        assert answer.response == SUCCEEDED, answer.response
        assert information(answer)[:2] == b'\x06\x29', information(answer).hex()
    assert session.task_management(QUERY_EVENT, lun=1).response == COMPLETE
    assert session.command(scsi.test_unit_ready()).wait().sense.key == 6
    assert session.task_management(QUERY_EVENT).response == COMPLETE


@case('queries of a LUN that is not there are told so')
def _(target):
    session = level_2(target)
    for function in (QUERY_TASK, QUERY_TASK_SET, QUERY_EVENT):
        assert session.task_management(function, lun=9).response == NO_LUN


@case('I_T NEXUS RESET ends the session with all its connections, and no other session',
      own=dict(targets=MANY))
def _(target):
    session = level_2(target, MaxConnections='4')
    session.login(cid=1, offer=JOINING)
    other = target.login()
    other.write(0, b'k' * 4096).good()
    mine, theirs = held_write(session), held_write(other)
    assert session.task_management(NEXUS_RESET).response == COMPLETE
    for connection in session.connections:
        assert connection.expect_closed() == []
    assert not mine.done
    theirs.answer(theirs.r2ts[0])
    theirs.good()
    target.login(isid=session.isid).alive()


@case('a command priority is taken at level 2')
def _(target):
    session = level_2(target)
    session.write(0, b'p' * 512).good()
    tasks = [session.start(scsi.read_10(0, 1), read=512, byte2=priority << 4) for priority in range(16)]
    for task in tasks:
        assert task.good().data == b'p' * 512


@case('INQUIRY and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS know the level')
def _(target):
    report = b'\xa3\x0d' + bytes(4) + b'\0\0\0\x10' + bytes(2)
    for level, functions, version in (('1', b'\xd8\x00', 0x0961), ('2', b'\xdc\x07', 0x0962)):
        session = target.login(iSCSIProtocolLevel=level)
        assert session.command(report, read=16).wait().data[:2] == functions
        data = session.command(scsi.inquiry(96), read=96).wait().data
        versions = {int.from_bytes(data[at:at + 2], 'big') for at in range(58, 74, 2)}
        assert version in versions, versions


# --- what a function that ends many tasks waits for

@case('ABORT TASK SET waits for the commands before it, and ends them, too')
def _(target):
    session = target.login()
    session.write(0, b'o' * 4096).good()
    first = session.cmd_sn
    session.cmd_sn += 1
    request = session.request(wire.TASK_REQUEST, flags=wire.FINAL | ABORT_TASK_SET, immediate=True,
                              lun=session.first_lun, referenced_tag=NO_TAG, cmd_sn=first + 1)
    session.connection.expect_quiet()
    late = session.start(scsi.write_10(0, 8), write=b'n' * 4096, immediate_data=0, cmd_sn=first,
                         hold_r2ts=True)
    while not session.connection.other:
        session.connection.pump()
    response = session.connection.expect(wire.TASK_RESPONSE)
    assert (response.itt, response.response) == (request.itt, COMPLETE)
    session.connection.expect_quiet()
    del session.connection.tasks[late.request.itt]
    assert session.read(0, 8).good().data == b'o' * 4096


# --- FastAbort

@case('FastAbort: other sessions and other connections hear what ends, on each LUN, and may stop sending',
      own=dict(targets=MANY))
def _(target):
    one, second = fenced(target, 'FastAbort')
    other, plain = target.login(TaskReporting='FastAbort'), target.login()
    for session in (one, other, plain):
        session.alive(lun=1)
    held_write(one)
    mine = one.start(scsi.write_10(64, 8), write=b'h' * 4096, immediate_data=0, hold_r2ts=True,
                     connection=second)
    while not mine.r2ts:
        second.pump()
    held_write(other, lba=64)       # two on one LUN are told once
    theirs = [held_write(other),
              other.start(scsi.write_10(8, 8), write=b'h' * 4096, immediate_data=0, hold_r2ts=True, lun=1)]
    while not theirs[1].r2ts:
        other.connection.pump()
    theirs_too = held_write(plain)
    one.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | WARM_RESET, lun=0,
                referenced_tag=NO_TAG)
    event = second.expect(wire.ASYNC)
    assert (event.async_event, event.lun, event.itt) == (5, 0, NO_TAG), repr(event)
    heard = {other.connection.expect(wire.ASYNC).lun for _ in range(2)}
    assert heard == {0, 1}, heard
    for session, connection, luns in ((one, second, (0,)), (other, other.connection, (0, 1))):
        for lun in luns:
            session.nop(itt=NO_TAG, lun=lun, immediate=True, connection=connection)
    assert one.connection.expect(wire.TASK_RESPONSE).response == COMPLETE
    other.connection.expect_quiet()
    plain.connection.expect_quiet()     # not FastAbort: it must not hear of it
    assert theirs_too.r2ts and not theirs_too.done
    for connection in (one.connection, second, other.connection, plain.connection):
        connection.tasks.clear()
    one.alive()


@case('FastAbort: a session that did not ask for it is told nothing by a FastAbort session')
def _(target):
    one, other = target.login(TaskReporting='FastAbort'), target.login(TaskReporting='ResponseFence')
    held_write(other)
    held_write(one)
    assert one.task_management(LUN_RESET).response == COMPLETE
    other.connection.expect_quiet()
    one.connection.expect_quiet()       # nor is the connection that asked
    one.connection.tasks.clear()
    one.alive()


# --- the response fence

def unacknowledged(session, connection):
    """A command on the connection whose status has come and is not acknowledged."""
    session.command(scsi.test_unit_ready(), connection=connection).wait()


@case('a fenced response waits until what was sent on other connections is acknowledged',
      own=dict(targets=MANY))
def _(target):
    session, second = fenced(target)
    unacknowledged(session, second)
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | LUN_RESET,
                    lun=session.first_lun, referenced_tag=NO_TAG)
    ping = second.expect(wire.NOP_IN)
    assert ping.itt == NO_TAG and ping.ttt != NO_TAG
    try:
        while True:
            assert session.connection.pump(0.4).opcode == wire.NOP_IN
    except TimeoutError:
        pass
    session.connection.other.clear()
    session.nop(itt=NO_TAG, ttt=ping.ttt, immediate=True, connection=second)
    session.nop(itt=NO_TAG, ttt=NO_TAG, immediate=True)
    while session.connection.pump().opcode == wire.NOP_IN:
        session.connection.other.clear()
    assert session.connection.expect(wire.TASK_RESPONSE).response == COMPLETE


@case('what follows a fenced response waits until that is acknowledged', own=dict(targets=MANY))
def _(target):
    session, second = fenced(target)
    session.nop(itt=NO_TAG, ttt=NO_TAG, immediate=True, connection=second)     # acknowledges all
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | LUN_RESET,
                    lun=session.first_lun, referenced_tag=NO_TAG)
    seen = session.connection.receive()
    while seen.opcode == wire.NOP_IN:
        session.nop(itt=NO_TAG, ttt=seen.ttt, immediate=True)
        seen = session.connection.receive()
    assert seen.opcode == wire.TASK_RESPONSE and seen.response == COMPLETE, repr(seen)
    late = session.start(scsi.read_10(0, 1), read=512, connection=second)
    try:
        while True:
            assert second.pump(0.4).opcode == wire.NOP_IN
    except TimeoutError:
        pass
    assert not late.done
    session.nop(itt=NO_TAG, ttt=NO_TAG, immediate=True)        # acknowledges the response
    # the unit attention after the reset is fenced, too: it waits for the connection that asked
    deadline = 50
    while not late.done and deadline:
        deadline -= 1
        for connection in session.connections:
            session.nop(itt=NO_TAG, ttt=NO_TAG, immediate=True, connection=connection)
            try:
                connection.pump(0.1)
            except TimeoutError:
                pass
    assert late.done and late.sense.key == 6, repr(late.sense)


@case('a fence lets everything through at last, whichever connection goes', own=dict(targets=MANY))
def _(target):
    session, second = fenced(target)
    unacknowledged(session, second)
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | LUN_RESET,
                    lun=session.first_lun, referenced_tag=NO_TAG)
    second.expect(wire.NOP_IN)
    assert session.logout(reason=1, cid=1, connection=second).response == 0
    second.expect_closed()
    while session.connection.pump().opcode == wire.NOP_IN:
        session.connection.other.clear()
    assert session.connection.expect(wire.TASK_RESPONSE).response == COMPLETE
    session.alive()


def answered(session, connection):
    """What the connection says next that is no ping, while both connections acknowledge."""
    for _ in range(100):
        for each in session.connections:
            session.nop(itt=NO_TAG, ttt=NO_TAG, immediate=True, connection=each)
            try:
                each.pump(0.1)
            except TimeoutError:
                pass
        found = [pdu for pdu in connection.other if pdu.opcode != wire.NOP_IN]
        if found:
            return found[0]
    raise AssertionError('nothing')


@case('functions that wait, for commands or behind a fence, outlive the worker', own=dict(targets=MANY))
def _(target):
    fence, second = fenced(target)
    unacknowledged(fence, second)
    fence.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | LUN_RESET, lun=fence.first_lun,
                  referenced_tag=NO_TAG)
    second.expect(wire.NOP_IN)
    other = target.login()
    first = other.cmd_sn
    other.cmd_sn += 1
    other.request(wire.TASK_REQUEST, flags=wire.FINAL | ABORT_TASK_SET, immediate=True, lun=1,
                  referenced_tag=NO_TAG, cmd_sn=first + 1)
    other.nop(b'seen', immediate=True)
    assert other.connection.expect(wire.NOP_IN).data == b'seen'
    old = target.daemon.workers()
    target.daemon.killed_workers = True
    os.kill(old[0], signal.SIGKILL)
    target.daemon.wait_for_worker(not_among=old)
    assert answered(fence, fence.connection).response == COMPLETE
    other.connection.expect_quiet()
    other.start(scsi.test_unit_ready(), cmd_sn=first).wait()
    assert other.connection.expect(wire.TASK_RESPONSE).response == COMPLETE


@case('on a session of one connection a fence costs nothing')
def _(target):
    session = target.login(TaskReporting='ResponseFence')
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | LUN_RESET,
                    lun=session.first_lun, referenced_tag=NO_TAG)
    assert session.connection.receive().opcode == wire.TASK_RESPONSE    # no ping before it
    session.alive()


if __name__ == '__main__':
    main(__file__)
