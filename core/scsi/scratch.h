/* SPDX-License-Identifier: BSD-3-Clause */
/* Scratch buffers of steps and who waits for them; scsi_scratch() is in step.h. Reactor's thread. */
#pragma once

#include <stdbool.h>

struct reactor;
struct scsi_command;

/* Keeps one back for that reactor: before it starts, when its pool has what is to be adopted. Without
   it commands wait for the pool alone. */
void scsi_scratch_reserve(struct reactor *reactor);
/* Gives back what it has; NULL is fine. */
void scsi_scratch_put(struct scsi_command *cmd);
/* It waits for none any more; false: it did not wait. */
bool scsi_scratch_leave(struct scsi_command *cmd);
