/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What units keep over the end of keeper and worker. To initiators that wait for the daemon to come back it is
 * not a power loss: they get no unit attention (it would fail commands that they sent before), so nothing
 * that they have set up may be gone either: registrations and reservations without APTPL, RESERVE(6), the
 * mode. At the stop all that goes into a file; the next start reads it and takes it away, so that it is used
 * once. After a reboot of the machine it is not used: that is a power loss.
 *
 * An abrupt end of both is the same to initiators. SAM-5 lets a unit attention POWER ON stand for settings that are
 * lost; a nexus that returns must not get it, and one that is new has lost nothing. So the file is
 * kept up while the worker runs as well, a moment after each change (daemon_kept.c). Without fsync: it
 * is for the death of processes, not of the machine. What changed in that last moment alone is lost; whoever
 * cannot bear that asks for APTPL, which is in its own file before the answer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"

struct scsi_keep;
struct scsi_unit;

/* The unit is at rest; its home still has everything. Nothing to keep: no file. Control thread; may block. */
void scsi_stopped_save(const struct scsi_unit *unit);
/* Into `keep`, which is new. True: there was something. Control thread; may block. */
bool scsi_stopped_load(const char *state_directory, const char *target, unsigned lun,
                       struct scsi_keep *keep);

/* Changes with what is kept. Any thread. */
uint64_t scsi_stopped_version(const struct scsi_unit *unit);
/* Nothing was ever set up. Any thread. */
bool scsi_stopped_is_empty(const struct scsi_unit *unit);
/* No file of it is to be used: it is gone, or has nothing. Control thread; may block. */
void scsi_stopped_forget(const struct scsi_unit *unit);

/* A copy of it, made on the reactor that changes it. */
struct scsi_stopped_copy {
    void (*done)(struct scsi_stopped_copy *copy); /* in; on that reactor */
    void *user;                                   /* in */
    const struct scsi_unit *unit;
    uint64_t version;
    struct reactor_message message;
    char *path;
    uint8_t *record;
    size_t bytes;
};

/* Control thread. `unit` is not freed before that reactor has had its turn. */
void scsi_stopped_copy(struct scsi_stopped_copy *copy, const struct scsi_unit *unit);
/* After done(): into the file (`write`: it is still wanted), and freed but for itself. 0 or negative errno.
   Control thread; may block. */
int scsi_stopped_copy_end(struct scsi_stopped_copy *copy, bool write);
