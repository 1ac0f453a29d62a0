# SPDX-License-Identifier: BSD-3-Clause
"""Task management, what the dialogues leave out (RFC 7143 4.2.3, 11.5, 11.6)."""
import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
import wire
from management import (ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, COLD_RESET, COMPLETE, LUN_RESET, NO_TASK,
                        NOT_SUPPORTED, REJECTED, WARM_RESET, forget, held_write)
from peer import Closed, case, main
from wire import NO_TAG


def reset_attention(session, lun=None):
    sense = session.command(scsi.test_unit_ready(), lun=lun).wait().sense
    assert sense and sense.key == 6 and sense.code >> 8 == 0x29, repr(sense)


@case('ABORT TASK of a function is rejected')
def _(target):
    session = target.login()
    first = session.cmd_sn
    session.cmd_sn += 2
    waiting = session.request(wire.TASK_REQUEST, flags=wire.FINAL | LUN_RESET, lun=session.first_lun,
                              cmd_sn=first + 1, referenced_tag=NO_TAG)     # before its turn
    answer = session.task_management(ABORT_TASK, referenced=waiting.itt, ref_cmd_sn=waiting.cmd_sn)
    assert answer.response == REJECTED, answer.response
    session.start(scsi.test_unit_ready(), cmd_sn=first).wait()
    assert session.connection.expect(wire.TASK_RESPONSE).itt == waiting.itt
    session.alive()


@case('ABORT TASK of an unknown tag outside the window says that there is none')
def _(target):
    session = target.login()
    for number in (session.cmd_sn - 1, session.cmd_sn - 1000, session.connection.max_cmd_sn + 10):
        answer = session.task_management(ABORT_TASK, referenced=0x7777, ref_cmd_sn=number & 0xffffffff)
        assert answer.response == NO_TASK, answer.response
    session.alive()


@case('ABORT TASK for another LUN than the task has ends nothing')
def _(target):
    session = target.login()
    task = held_write(session)
    answer = session.task_management(ABORT_TASK, lun=1, referenced=task.request.itt,
                                     ref_cmd_sn=task.request.cmd_sn)
    assert answer.response == NO_TASK, answer.response
    task.answer(task.r2ts[0])
    task.good()


@case('a function reaches tasks of a LUN by either form of its address')
def _(target):
    session = target.login()
    flat = b'\x40' + bytes(7)
    task = held_write(session)
    answer = session.task_management(ABORT_TASK, lun_bytes=flat, referenced=task.request.itt,
                                     ref_cmd_sn=task.request.cmd_sn)
    assert answer.response == COMPLETE, answer.response
    task = held_write(session)
    assert session.task_management(ABORT_TASK_SET, lun_bytes=flat).response == COMPLETE
    session.alive()
    assert task.status is None and task.request.itt in session.connection.tasks


@case('CLEAR ACA is not supported where no command can make one')
def _(target):
    session = target.login()
    assert session.task_management(CLEAR_ACA).response == NOT_SUPPORTED
    session.alive()


@case('WARM RESET ends the tasks of every session on every LUN, and each is told')
def _(target):
    one, two = target.login(), target.login()
    for session in (one, two):
        session.alive(lun=1)
    mine, theirs = held_write(one), held_write(two)
    assert one.task_management(WARM_RESET).response == COMPLETE
    forget(one, mine)
    forget(two, theirs)
    for session in (one, two):
        for lun in (0, 1):
            reset_attention(session, lun)
            session.alive(lun=lun)


@case('COLD RESET ends every connection of every session of the target')
def _(target):
    one, two = target.login(), target.login()
    held_write(two)
    try:
        one.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | COLD_RESET,
                    lun=one.first_lun, referenced_tag=NO_TAG)
        assert one.connection.expect(wire.TASK_RESPONSE).response == COMPLETE
    except Closed:
        pass
    one.connection.expect_closed()
    two.connection.expect_closed()
    target.login().alive()


@case('LUN RESET raises a unit attention for the session that asked, too')
def _(target):
    session = target.login()
    assert session.task_management(LUN_RESET).response == COMPLETE
    reset_attention(session)
    session.alive()


@case('a function whose tag is in use is rejected as in progress')
def _(target):
    session = target.login()
    task = held_write(session)
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | LUN_RESET, itt=task.request.itt,
                    lun=session.first_lun, referenced_tag=NO_TAG)
    assert session.connection.expect(wire.REJECT).reason == 7
    task.answer(task.r2ts[0])
    task.good()


@case('no response to an aborted command follows the response to the function')
def _(target):
    session = target.login()
    for block in range(40):
        tasks = [session.start(scsi.read_10(block, 64), read=32768) for _ in range(4)]
        session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | 2, lun=session.first_lun,
                        referenced_tag=NO_TAG)
        assert session.connection.expect(wire.TASK_RESPONSE).response == COMPLETE
        for task in tasks:      # what has not been answered by now must never be
            session.connection.tasks.pop(task.request.itt, None)
    session.connection.expect_quiet()
    session.alive()


if __name__ == '__main__':
    main(__file__)
