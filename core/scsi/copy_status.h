/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What became of copies (copy.h), in the kept memory of the unit that was asked for them; any reactor.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scsi_command;
struct scsi_unit;

#define COPY_STATUSES 32u

enum copy_state { COPY_NONE, COPY_RUNS, COPY_DONE, COPY_FAILED };

/* In the unit's kept memory. */
struct copy_status {
    _Atomic uint64_t word;                  /* nexus 32, list identifier 8, enum copy_state 8 */
    _Atomic uint64_t bytes;                 /* written */
    _Atomic uint32_t segments, ended;       /* segments done; which of all copies ended last */
    uint8_t status, sense_bytes, sense[64]; /* valid once it has failed */
};

struct copy_statuses {
    _Atomic uint32_t ended;
    struct copy_status at[COPY_STATUSES];
};

/* What runs, as somebody looks: whose list identifier, and what is written so far. */
struct copy_progress {
    uint8_t id;
    uint32_t segments;
    uint64_t bytes;
};

/* Of the unit that was asked; how many. Any thread. */
unsigned copy_statuses_running(const struct scsi_unit *unit,
                               struct copy_progress ret_running[static COPY_STATUSES]);
/* A worker has gone away in the middle: what it was at has failed, unless it is begun again. */
void copy_statuses_resume(struct copy_statuses *statuses);
/* The place of a copy that begins, or goes on. NULL: all are in use; *ret_runs: because a copy with
   this list identifier runs already. */
struct copy_status *copy_status_begin(struct scsi_unit *unit, uint32_t nexus, uint8_t id,
                                      bool resumed, bool *ret_runs);
/* `status` may be NULL. */
void copy_status_report(struct copy_status *status, unsigned segments, uint64_t bytes);
void copy_status_end(struct scsi_unit *unit, struct copy_status *status,
                     const struct scsi_command *cmd);
