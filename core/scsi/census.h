/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All nexuses of the process, for the one question that goes beyond a session: what else can this
 * initiator see? Guarded by a mutex that is taken at logins, at the end of sessions and for a copy
 * to another target, never on the way of ordinary commands.
 */
#pragma once

#include <stdbool.h>

#include "scsi/nexus.h"

/* Any thread. Its names are complete. */
void scsi_census_add(struct scsi_nexus *nexus);
void scsi_census_remove(struct scsi_nexus *nexus);

/*
 * Calls `look` for every unit of another nexus of the same initiator, until it says true; whether it
 * did. A name alone makes nobody the same: it has to come from the same address, and where the other
 * target asks for proof, this one has to ask for the same. The nexus lives on another thread: only what is constant in it may be looked at.
 * Units are good for this turn of a data reactor.
 */
bool scsi_census_look(const struct scsi_nexus *nexus,
                      bool (*look)(const struct scsi_nexus *other, struct scsi_unit *unit,
                                   void *data),
                      void *data);
