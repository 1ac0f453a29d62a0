/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of READ and WRITE that other commands are made of; see step.h for steps. */
#pragma once

#include "scsi/command.h"

/* A READ that was to be sent from the store takes a buffer for a copy. */
void scsi_read_copied(struct scsi_command *cmd);
/* Begins the I/O of the next chunk, cmd->cursor on, of `total` bytes at byte `begin` of the unit,
   with cmd->iov. *ret_chunk: its length. Returns a step result. */
int scsi_chunk(struct scsi_command *cmd, enum backend_op op, uint64_t begin, uint64_t total,
               uint8_t flags, uint64_t *ret_chunk);
/* A step that writes cmd->iov (buffer_bytes, of which data_out_bytes came) to cmd->lba. Uses
   work[0], work[1] and the cursor. STEP_DONE with cmd->status: the outcome. */
int scsi_write_step(struct scsi_command *cmd, bool stable);
