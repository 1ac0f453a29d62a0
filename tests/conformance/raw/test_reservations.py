# SPDX-License-Identifier: BSD-3-Clause
"""Reservations and what becomes of sessions: an I_T nexus goes, comes back, is reset (SPC-4 5.12, SPC-2)."""
import time

import dialogue  # noqa: F401  pylint: disable=unused-import
import scsi
from management import COLD_RESET, COMPLETE, LUN_RESET, WARM_RESET, held_write
from peer import IQN, LIMIT, Closed, case, main, new_isid, ram
from reservations import (CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER, REGISTER_AND_IGNORE, RELEASE, RESERVE,
                          attentions, keys, kill_worker, out, write_status)

MANY = {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {'max-connections': 4}}}
JOINING = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxRecvDataSegmentLength': '65536'}
EXCLUSIVE_ACCESS, WRITE_EXCLUSIVE_REGISTRANTS = 3, 5
RELEASED, REGISTRATIONS_PREEMPTED, RESERVATIONS_PREEMPTED = 0x2a04, 0x2a05, 0x2a03


def gone(session):
    """Until the target has seen its connection end."""
    session.connection.close()
    time.sleep(0.3)


@case('a registration is kept over logout, loss, reset and a dead worker, for the same ISID alone',
      own=dict(targets=MANY))
def _(target):
    isid = new_isid()
    other = target.login(initiator='iqn.2026-11.org.example:other')
    holder = target.login(isid=isid)
    out(holder, REGISTER, 0, 7).good()
    out(holder, RESERVE, 7, kind=EXCLUSIVE_ACCESS).good()

    def loses(how):
        how()
        assert keys(other) == [7] and write_status(other) == scsi.RESERVATION_CONFLICT, how
        stranger = target.login()       # the same name, another ISID
        assert write_status(stranger) == scsi.RESERVATION_CONFLICT, how
        stranger.logout()
        session = target.login(isid=isid)
        assert write_status(session) == scsi.GOOD, how
        assert out(session, REGISTER, 8, 9).status == scsi.RESERVATION_CONFLICT, 'another key'
        return session

    holder = loses(holder.logout)
    holder = loses(lambda: gone(holder))
    holder = loses(lambda: None)        # reinstated
    for function in (LUN_RESET, WARM_RESET):
        assert holder.task_management(function).response == COMPLETE
        other.alive()
        holder = loses(holder.logout)
    kill_worker(target)
    assert write_status(holder) == scsi.GOOD
    holder = loses(lambda: gone(holder))
    try:
        holder.task_management(COLD_RESET)
    except Closed:
        pass
    other = target.login(initiator='iqn.2026-11.org.example:other')
    other.alive()
    holder = loses(lambda: None)
    out(holder, REGISTER, 7, 0).good()
    assert keys(other) == [] and write_status(other) == scsi.GOOD


@case('every connection of a session acts for the same registration', own=dict(targets=MANY))
def _(target):
    session = target.login(MaxConnections='4')
    session.login(cid=1, offer=JOINING)
    second = session.connections[1]
    out(session, REGISTER, 0, 1, connection=second).good()
    out(session, RESERVE, 1, kind=EXCLUSIVE_ACCESS).good()
    assert keys(session) == [1]
    assert write_status(session, connection=second) == scsi.GOOD
    assert write_status(target.login()) == scsi.RESERVATION_CONFLICT
    second.close()
    session.alive()
    assert write_status(session) == scsi.GOOD
    out(session, RELEASE, 1, kind=EXCLUSIVE_ACCESS).good()


@case('PREEMPT AND ABORT ends the writes of the one it preempts, and no others', own=dict(targets=MANY))
def _(target):
    one, two, third = (target.login() for _ in range(3))
    for key, session in ((1, one), (2, two), (3, third)):
        out(session, REGISTER, 0, key).good()
    out(one, RESERVE, 1, kind=WRITE_EXCLUSIVE_REGISTRANTS).good()
    held, kept = held_write(one), held_write(third, lba=8)
    out(two, PREEMPT_AND_ABORT, 2, 1, kind=WRITE_EXCLUSIVE_REGISTRANTS).good()
    assert keys(two) == [2, 3]
    held.answer(held.r2ts[0])
    assert attentions(one) == [REGISTRATIONS_PREEMPTED]
    assert not held.done, 'an aborted write was answered'
    del one.connection.tasks[held.request.itt]
    assert write_status(one) == scsi.RESERVATION_CONFLICT
    kept.answer(kept.r2ts[0])
    kept.good()
    assert two.read(0, 8).good().data == bytes(4096)
    assert third.read(8, 8).good().data == b'h' * 4096
    assert attentions(two) == attentions(third) == []
    out(two, CLEAR, 2).good()


@case('who is preempted, cleared or released is told once, who caused it is not', own=dict(targets=MANY))
def _(target):
    one, two, third = (target.login() for _ in range(3))
    sessions = (one, two, third)

    def told(*expected):
        assert tuple(attentions(session) for session in sessions) == expected
        assert all(attentions(session) == [] for session in sessions)

    def register(*which):
        for session in which:
            out(session, REGISTER_AND_IGNORE, 0, 1 + sessions.index(session)).good()

    register(one, two)
    out(one, RESERVE, 1, kind=WRITE_EXCLUSIVE_REGISTRANTS).good()
    told([], [], [])
    out(one, RELEASE, 1, kind=WRITE_EXCLUSIVE_REGISTRANTS).good()
    told([], [RELEASED], [])
    out(one, RESERVE, 1, kind=WRITE_EXCLUSIVE_REGISTRANTS).good()
    out(one, REGISTER, 1, 0).good()                     # its reservation goes with it
    told([], [RELEASED], [])
    register(one, third)
    out(third, PREEMPT, 3, 2).good()
    told([], [REGISTRATIONS_PREEMPTED], [])
    out(third, RESERVE, 3, kind=WRITE_EXCLUSIVE_REGISTRANTS).good()
    out(third, PREEMPT, 3, 3, kind=EXCLUSIVE_ACCESS).good()     # itself: of another type now
    told([RELEASED], [], [])
    out(one, CLEAR, 1).good()
    told([], [], [RESERVATIONS_PREEMPTED])


@case('a reset takes older attentions with it, and nothing of persistent reservations',
      own=dict(targets=MANY))
def _(target):
    one, two = target.login(), target.login()
    out(one, REGISTER, 0, 1).good()
    out(two, REGISTER, 0, 2).good()
    out(one, RESERVE, 1, kind=EXCLUSIVE_ACCESS).good()
    data = bytes([0, 0, 0, 0, 0x0a, 0x0a, 0x26, 0x10, 0, 0, 0, 0, 0xff, 0xff, 0, 0])
    one.command(bytes([0x15, 0x10, 0, 0, len(data), 0]), write=data).good()     # D_SENSE
    assert one.task_management(LUN_RESET).response == COMPLETE
    assert attentions(two) == [0x2903] and attentions(one) == [0x2903]
    assert keys(two) == [1, 2] and write_status(two) == scsi.RESERVATION_CONFLICT
    sense = one.read(0xfffffff0, 1).sense
    assert sense.format == 0x70, 'D_SENSE outlived the reset'
    out(one, CLEAR, 1).good()


@case('RESERVE ends with logout, loss and reset, and outlives the worker', own=dict(targets=MANY))
def _(target):
    other = target.login()
    reserve, release = bytes([0x16, 0, 0, 0, 0, 0]), bytes([0x17, 0, 0, 0, 0, 0])
    for ends in (lambda s: s.logout(), gone, lambda s: s.task_management(LUN_RESET),
                 lambda s: s.task_management(WARM_RESET), lambda s: s.command(release).good()):
        session = target.login()
        session.command(reserve).good()
        session.command(reserve).good()
        assert write_status(other) == scsi.RESERVATION_CONFLICT
        assert other.command(reserve).status == scsi.RESERVATION_CONFLICT
        other.command(release).good()
        assert write_status(session) == scsi.GOOD
        ends(session)
        free = time.monotonic() + LIMIT     # the end of a session may take a moment
        while other.command(scsi.test_unit_ready()).status == scsi.RESERVATION_CONFLICT:
            assert time.monotonic() < free
        other.alive()
        assert write_status(other) == scsi.GOOD
        other.command(reserve).good()
        other.command(release).good()
    session = target.login()
    session.command(reserve).good()
    kill_worker(target)
    assert write_status(other) == scsi.RESERVATION_CONFLICT
    assert write_status(session) == scsi.GOOD
    session.command(release).good()
    assert write_status(other) == scsi.GOOD


if __name__ == '__main__':
    main(__file__)
