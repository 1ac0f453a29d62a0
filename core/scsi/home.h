/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of who may do what on a unit: PERSISTENT RESERVE OUT, RESERVE, RELEASE. They are made one
 * at a time on the unit's home, the reactor of lane 0:
 *
 *   new table -> file (APTPL; on a thread of the pool) -> keep memory -> published ->
 *   every lane passed, aborting there what PREEMPT AND ABORT names -> answered
 *
 * so that no command that comes after the answer, on whatever reactor, is judged by the old table.
 * Nobody waits but the command itself.
 *
 * The common path reads one word: access_version. Where a nexus has seen another version it looks
 * again what it is denied and which unit attentions the change has for it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "scsi/keep.h"
#include "scsi/reservation.h"

struct scsi_command;
struct scsi_nexus;
struct scsi_nexus_unit;
struct scsi_unit;
struct scsi_unit_config;

/* Of a unit. */
struct scsi_home {
    _Atomic uint32_t version;         /* changes with everything below */
    _Atomic(struct pr_table *) table; /* NULL: nobody ever registered */
    _Atomic uint32_t reserved_by;     /* RESERVE(6): id of the nexus; 0: none */
    /* Home's alone. */
    bool busy, looking;
    struct list queue;
    /* Constant. */
    char *path;       /* of the APTPL file */
    bool can_persist; /* there is a place for it */
    struct pr_name restored; /* reserved_by is HOME_RESTORED: until this nexus comes, … */
    uint64_t restored_until; /* … or until then */
    struct scsi_keep keep;
};

#define HOME_RESTORED UINT32_MAX

/* Restores what the worker or the power-on before has left. Control thread. 0 or -ENOMEM. */
int scsi_home_init(struct scsi_unit *unit, const struct scsi_unit_config *config);
void scsi_home_deinit(struct scsi_unit *unit);

/* `state` becomes as of now (a nexus that is new to the unit), or catches up. Nexus's reactor. */
void scsi_access_begin(const struct scsi_nexus *nexus, struct scsi_unit *unit,
                       struct scsi_nexus_unit *state);
void scsi_access_refresh(const struct scsi_nexus *nexus, struct scsi_unit *unit,
                         struct scsi_nexus_unit *state);
/* It is denied: is that still so? A reservation that a dead worker has left may have expired. */
bool scsi_access_expired(struct scsi_unit *unit);

/* RESERVE(6) ends: its nexus is lost, or (nexus 0) the unit is reset. Any reactor. */
void scsi_home_drop(struct scsi_unit *unit, uint32_t nexus);

/* What a command asks of the home. `data.port` and `data.tag` are set here; `names` is taken over
   (g_free). The command ends by itself. */
enum home_kind { HOME_PERSISTENT_OUT, HOME_RESERVE, HOME_RELEASE };
void scsi_home_ask(struct scsi_command *cmd, enum home_kind kind,
                   const struct pr_request_data *data, struct pr_name *names);
