/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WRITE ATOMIC and READs that are sent from the store itself. Such a READ has no moment of its own: its
 * bytes are what they are when the socket takes them. So from a unit's first WRITE ATOMIC on all READs are
 * copied, at one moment, with the range rules (range.h) around it; units that never see one pay nothing.
 * That first WRITE ATOMIC, before it asks for its blocks, waits for the READs that began before:
 *
 *   1. it raises the unit's flag (`atomic_used`), which outlives the worker (keep.h);
 *   2. a message looks round on every reactor: once it has been there, no READ begins without a copy, and
 *      those that are begun and wait for memory become copies; one that is being sent keeps it there, with
 *      pauses, until there is none;
 *   3. the unit is settled, which every reactor is told.
 *
 * Who takes nothing of what is sent loses his connection (iscsi/deadline.c): that ends the wait at last.
 * Every worker settles anew: a READ that a dead worker had sent in part is sent to its end in the same
 * way, from the store or from the buffers that it was copied to (scsi_command.partly_sent).
 */
#pragma once

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"

struct scsi_command;
struct scsi_unit;

/* Of a unit. */
struct scsi_settle {
    _Atomic uint32_t state; /* private, as all of it */
    uint16_t lane;          /* the message is there */
    bool found;             /* a READ */
    bool pausing;           /* of lane 0's reactor, as what follows */
    bool telling;
    uint64_t pause_ns;
    sem_t *stopping;
    struct reactor_message message;
    struct timer timer;
};

/* Before a WRITE ATOMIC asks for its blocks. False: it goes on later by itself, or has been aborted. */
bool scsi_settle(struct scsi_command *cmd);
/* How many commands wait for that on this reactor. They have changed nothing yet: a hand-over goes on
   without them, and the next worker executes them anew. */
unsigned scsi_settle_waiting(void);
/* The hand-over is called off: they wait again. This reactor's. */
void scsi_settle_go_on(void);
/* Lane 0's reactor: looks no more; `stopped` is posted when nothing of it is under way. */
void scsi_settle_stop(struct scsi_unit *unit, sem_t *stopped);
