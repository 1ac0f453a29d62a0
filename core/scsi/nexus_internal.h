/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands of this layer need from a nexus. */
#pragma once

#include "scsi/nexus.h"

/* The current map, after nexus->units has been brought up to it: entry i of both is the same unit;
   unit_id 0 where the nexus may not see it. */
const struct scsi_lun_map *scsi_nexus_map(struct scsi_nexus *nexus);
/* What it keeps for the unit, or NULL: it does not see it. */
struct scsi_nexus_unit *scsi_nexus_state(struct scsi_nexus *nexus, const struct scsi_unit *unit);
/* REPORT LUNS was answered: 3F/0E is pending nowhere any more. */
void scsi_nexus_luns_reported(struct scsi_nexus *nexus);
