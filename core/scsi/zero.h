/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a range of blocks read as zeroes, deallocated where the backend can; see step.h. */
#pragma once

#include "scsi/command.h"

/*
 * A step over the bytes [begin, end) of the unit; begun with cmd->cursor = begin and
 * cmd->work[5] = 0, uses both. Whole unmap granules are unmapped when `unmap` is set, the rest is
 * written with zeroes. STEP_DONE with cmd->status: the outcome.
 */
int scsi_zero_step(struct scsi_command *cmd, uint64_t end, bool unmap);
