# SPDX-License-Identifier: BSD-3-Clause
"""PERSISTENT RESERVE from an initiator's side, and what is seen of it (SPC-4 6.15, 6.16)."""
import os
import signal
import struct

import scsi

REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE = range(7)


def out(session, action, key, action_key=0, kind=0, **more):
    cdb = bytes([0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0])
    return session.command(cdb, write=struct.pack('>QQ8x', key, action_key), **more)


def keys(session):
    data = session.command(bytes([0x5e, 0, 0, 0, 0, 0, 0, 16, 0, 0]), read=4096).data
    return [key for key, in struct.iter_unpack('>Q', data[8:])]


def write_status(session, **more):
    return session.write(0, b'w' * 512, **more).status


def attentions(session):
    """The codes of what is pending, one command each."""
    found = []
    while True:
        task = session.command(scsi.test_unit_ready())
        if task.status == scsi.GOOD:
            return found
        assert task.sense.key == 6 and len(found) < 8, repr(task.sense)
        found.append(task.sense.code)


def kill_worker(target):
    old = target.daemon.workers()
    target.daemon.killed_workers = True
    os.kill(old[0], signal.SIGKILL)
    target.daemon.wait_for_worker(not_among=old)
