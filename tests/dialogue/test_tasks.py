# SPDX-License-Identifier: BSD-3-Clause
"""Task management (RFC 7143 11.5, 11.6; SAM)."""
import scsi
import wire
from management import (ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, COMPLETE, LUN_RESET, NOT_SUPPORTED,
                        NO_LUN, NO_REASSIGN, NO_TASK, REASSIGN, abort_many, forget, held_write)
from peer import Closed, case, main
from wire import NO_TAG


@case('ABORT TASK ends a write that waits for data, and it has no status')
def _(target):
    session = target.login()
    session.write(0, b'o' * 4096).good()
    task = held_write(session)
    answer = session.task_management(ABORT_TASK, referenced=task.request.itt,
                                     ref_cmd_sn=task.request.cmd_sn)
    assert answer.response == COMPLETE
    session.connection.expect_quiet()
    task.answer(task.r2ts[0])       # too late: it is read and forgotten
    forget(session, task)
    assert session.read(0, 8).good().data == b'o' * 4096


@case('data for an aborted task is taken without harm')
def _(target):
    session = target.login()
    task = held_write(session)
    session.task_management(ABORT_TASK, referenced=task.request.itt, ref_cmd_sn=task.request.cmd_sn)
    try:
        task.answer(task.r2ts[0])
        session.alive()
    except (Closed, AssertionError) as why:
        assert isinstance(why, Closed) or session.connection.other, why
    target.login().alive()


@case('ABORT TASK of a finished task says that there is none')
def _(target):
    session = target.login()
    task = session.command(scsi.test_unit_ready())
    answer = session.task_management(ABORT_TASK, referenced=task.request.itt,
                                     ref_cmd_sn=task.request.cmd_sn)
    assert answer.response == NO_TASK, answer.response


@case('ABORT TASK of a command that has not come yet counts its CmdSN as received')
def _(target):
    session = target.login()
    missing = session.cmd_sn
    session.cmd_sn += 1
    answer = session.task_management(ABORT_TASK, referenced=0x5555, ref_cmd_sn=missing)
    assert answer.response == COMPLETE, answer.response
    session.command(scsi.test_unit_ready()).good()   # would wait for ever otherwise


@case('ABORT TASK SET ends all commands of the session on that LUN, and only those')
def _(target):
    one, two = target.login(), target.login()
    mine = [held_write(one, lba) for lba in (0, 8, 16)]
    theirs = held_write(two)
    assert abort_many(one, ABORT_TASK_SET, mine) == COMPLETE
    one.connection.expect_quiet()
    for task in mine:
        del one.connection.tasks[task.request.itt]
    theirs.answer(theirs.r2ts[0])
    theirs.good()
    one.alive()


@case('CLEAR TASK SET does the same where each nexus has its own task set')
def _(target):
    one, two = target.login(), target.login()
    task = held_write(one)
    theirs = held_write(two)
    assert abort_many(one, CLEAR_TASK_SET, [task]) == COMPLETE
    forget(one, task)
    theirs.answer(theirs.r2ts[0])
    theirs.good()


@case('LUN RESET ends commands of every session and tells each by a unit attention')
def _(target):
    one, two = target.login(), target.login()
    task = held_write(one)
    theirs = held_write(two)
    assert abort_many(one, LUN_RESET, [task]) == COMPLETE
    forget(one, task)
    theirs.answer(theirs.r2ts[0])       # its initiator does not know yet
    forget(two, theirs)
    for session in (one, two):
        sense = session.command(scsi.test_unit_ready()).wait().sense
        assert sense and sense.key == 6 and sense.code in (0x2900, 0x2903), repr(sense)
        session.command(scsi.test_unit_ready()).good()
        session.write(0, b'a' * 512).good()


@case('aborts are answered although an initiator, like the Linux kernel, sends no more data')
def _(target):
    for function in (ABORT_TASK_SET, CLEAR_TASK_SET, LUN_RESET):
        one, two = target.login(), target.login()
        task = held_write(one)
        held_write(two)
        assert one.task_management(function).response == COMPLETE
        forget(one, task)
        one.alive()


@case('LUN RESET of one LUN leaves the other alone')
def _(target):
    session = target.login()
    session.alive(lun=1)
    task = held_write(session)
    assert session.task_management(LUN_RESET, lun=1).response == COMPLETE
    task.answer(task.r2ts[0])
    task.good()
    session.command(scsi.test_unit_ready(), lun=1).check(scsi.BUS_DEVICE_RESET)
    session.command(scsi.test_unit_ready()).good()


@case('a LUN that is not there is told so')
def _(target):
    session = target.login()
    for function in (LUN_RESET, ABORT_TASK_SET):
        assert session.task_management(function, lun=9).response == NO_LUN
    session.alive()


@case('TASK REASSIGN is not supported at error recovery level 0')
def _(target):
    session = target.login()
    task = held_write(session)
    answer = session.task_management(REASSIGN, referenced=task.request.itt)
    assert answer.response == NO_REASSIGN, answer.response
    task.answer(task.r2ts[0])
    task.good()


@case('an unknown function is not supported')
def _(target):
    session = target.login()
    for function in (0, 13, 127):
        assert session.task_management(function).response == NOT_SUPPORTED, function
    session.alive()


@case('a task request that is not immediate takes its turn in the window')
def _(target):
    session = target.login()
    task = held_write(session)
    answer = session.task_management(ABORT_TASK, referenced=task.request.itt, immediate=False,
                                     ref_cmd_sn=task.request.cmd_sn)
    assert answer.response == COMPLETE
    assert session.connection.exp_cmd_sn == session.cmd_sn
    forget(session, task)


@case('an immediate ABORT TASK overtakes commands that wait for a missing one')
def _(target):
    session = target.login()
    waiting = session.start(scsi.test_unit_ready(), cmd_sn=session.cmd_sn + 1)
    answer = session.task_management(ABORT_TASK, referenced=waiting.request.itt,
                                     ref_cmd_sn=waiting.request.cmd_sn)
    assert answer.response == COMPLETE, answer.response
    session.start(scsi.test_unit_ready(), cmd_sn=session.cmd_sn).good()
    forget(session, waiting)
    session.cmd_sn += 2
    session.alive()


@case('aborting many tasks one by one leaves none and loses none')
def _(target):
    session = target.login(ImmediateData='No')
    tasks = [held_write(session, 8 * number) for number in range(12)]
    for task in tasks[::2]:
        answer = session.task_management(ABORT_TASK, referenced=task.request.itt,
                                         ref_cmd_sn=task.request.cmd_sn)
        assert answer.response == COMPLETE
    for task in tasks[1::2]:
        task.answer(task.r2ts[0])
        task.good()
    session.connection.expect_quiet()
    session.alive()


@case('reads being aborted as they finish answer once or not at all')
def _(target):
    session = target.login()
    for block in range(50):
        task = session.start(scsi.read_10(block, 128), read=65536)
        answer = session.task_management(ABORT_TASK, referenced=task.request.itt,
                                         ref_cmd_sn=task.request.cmd_sn)
        if answer.response == NO_TASK:
            task.good()      # its answer came before the answer to the abort, or it is lost
        else:
            assert answer.response == COMPLETE
            session.connection.tasks.pop(task.request.itt, None)
    session.connection.expect_quiet()
    session.alive()


@case('the reserved tag is no task')
def _(target):
    session = target.login()
    answer = session.task_management(ABORT_TASK, referenced=NO_TAG, ref_cmd_sn=session.cmd_sn - 1)
    assert answer.response in (NO_TASK, 255)
    assert answer.opcode == wire.TASK_RESPONSE


if __name__ == '__main__':
    main(__file__)
