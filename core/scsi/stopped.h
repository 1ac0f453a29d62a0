/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What units keep over an orderly stop. To initiators that wait for the daemon to come back it is not a
 * power loss: they get no unit attention (it would fail commands that they sent before), so nothing that
 * they have set up may be gone either: registrations and reservations without APTPL, RESERVE(6), the mode.
 * At the stop all that goes into a file; the next start reads it and takes it away, so that it is used once.
 * After a reboot of the machine it is not used: that is a power loss.
 */
#pragma once

#include <stdbool.h>

struct scsi_keep;
struct scsi_unit;

/* The unit is at rest; its home still has everything. Nothing to keep: no file. Control thread; may block. */
void scsi_stopped_save(const struct scsi_unit *unit);
/* Into `keep`, which is new. True: there was something. Control thread; may block. */
bool scsi_stopped_load(const char *state_directory, const char *target, unsigned lun,
                       struct scsi_keep *keep);
