/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of SANITIZE: unit->sanitize.record in the keep memory and in its file. */
#pragma once

#include "scsi/unit.h"

/* Saves the record (of action 0: leaves nothing), then calls `then` with 0 or negative errno. Home's
   reactor, also `then`. */
void sanitize_save(struct scsi_unit *unit, void (*then)(struct scsi_unit *unit, int result));
/* Commands are refused from now on. Any thread. */
void sanitize_keep_out(struct scsi_unit *unit);
