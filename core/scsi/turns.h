/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of many steps among others. Storage that answers at once (memory) would let a VERIFY of
 * terabytes have the reactor to itself: after some steps it gives way, and goes on at the end of the
 * turn. And a hand-over does not wait for it: commands that change nothing stand still, and are executed
 * anew, here or by the next worker.
 *
 * All of it is of the reactor that it is called on; nothing of it outlives the worker.
 */
#pragma once

#include "scsi/command.h"

/* scsi_steps_go_on() comes at the end of this turn, or scsi_finish() when it is aborted before. */
void scsi_give_way(struct scsi_command *cmd);

/* To a step that changes nothing: STEP_STAND, no more I/O. */
bool scsi_standing(void);
/* Without its scratch buffer, until scsi_stand_still(false) or scsi_abort(). */
void scsi_stand(struct scsi_command *cmd);

/* Nothing that can wait goes on any further (what is under way ends first), or everything does. */
void scsi_stand_still(bool still);
/* How many commands stand now. */
unsigned scsi_standing_count(void);
