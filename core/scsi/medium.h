/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether there is a medium and whether it may be used or removed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scsi_command;
struct scsi_nexus_unit;
struct scsi_unit;

/* The command may run although unit->not_ready has these bits; otherwise status is set. */
bool scsi_ready(struct scsi_command *cmd, uint32_t not_ready);

/* PREVENT ALLOW MEDIUM REMOVAL, for one nexus. Its reactor. `state` may be NULL. */
void scsi_prevent_allow(struct scsi_unit *unit, struct scsi_nexus_unit *state, bool prevent);
/* Any nexus prevents. */
bool scsi_prevented(const struct scsi_unit *unit);
/* `state` is a nexus's of an earlier worker: it prevents still, unless there was a reset. Before the
   reactors start. */
void scsi_prevent_resume(struct scsi_unit *unit, struct scsi_nexus_unit *state, uint32_t kept);
/* A new unit goes on with the generation that was kept. */
void scsi_prevent_kept(struct scsi_unit *unit);
/* A reset: none does any more. Any thread. */
void scsi_prevent_nobody(struct scsi_unit *unit);
