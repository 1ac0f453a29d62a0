# SPDX-License-Identifier: BSD-3-Clause
"""Task management functions and their responses by name (RFC 7143 11.5, 11.6; RFC 7144 6), and a
task they can be tried on."""
import scsi
import wire
from wire import NO_TAG

ABORT_TASK, ABORT_TASK_SET, CLEAR_ACA, CLEAR_TASK_SET, LUN_RESET, WARM_RESET, COLD_RESET, REASSIGN, \
    QUERY_TASK, QUERY_TASK_SET, NEXUS_RESET, QUERY_EVENT = range(1, 13)
COMPLETE, NO_TASK, NO_LUN, STILL_ALLEGIANT, NO_REASSIGN, NOT_SUPPORTED, NOT_ALLOWED, SUCCEEDED = range(8)
REJECTED = 255


def held_write(session, lba=0):
    """A write under way: its R2T is here, its data is not sent."""
    task = session.start(scsi.write_10(lba, 8), write=b'h' * 4096, immediate_data=0, hold_r2ts=True)
    while not task.r2ts:
        session.connection.pump()
    return task


def abort_many(session, function, tasks, **more):
    """A request that ends several tasks. The initiator goes on answering the R2Ts it has (RFC 7143
    4.2.3.3): the target may wait for that, and must take it."""
    session.request(wire.TASK_REQUEST, immediate=True, flags=wire.FINAL | function,
                    lun=session.first_lun, referenced_tag=NO_TAG, **more)
    for task in tasks:
        task.answer(task.r2ts[0])
    return session.connection.expect(wire.TASK_RESPONSE).response


def forget(session, task):
    """An aborted task must not answer: whatever comes for it now fails the test."""
    session.connection.expect_quiet()
    del session.connection.tasks[task.request.itt]
