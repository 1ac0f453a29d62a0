/* SPDX-License-Identifier: BSD-3-Clause */
/* Between unit.c and unit_change.c. */
#pragma once

struct scsi_unit;

/* What of the disk as it was is not in the kept memory. */
void scsi_unit_take_over(struct scsi_unit *unit, const struct scsi_unit *before);
