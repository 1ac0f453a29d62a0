/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a unit must not forget when the worker dies and another goes on: its mode, its medium, who
 * has reserved it, what happened to it that not everybody has heard of. It lies in a memfd that the keeper holds ("keep:unit:<target>/<lun>"), gone with
 * the keeper as with a power loss. Every field is valid by itself at any moment; the reservation
 * table has two places, written in turn.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "scsi/reservation_record.h"
#include "scsi/sanitize.h"
#include "scsi/services.h"

/* Unit attentions. One writer or many, on any thread; each nexus reads on its own reactor. */
#define SCSI_UA_SLOTS 64
struct scsi_ua_ring {
    _Atomic uint32_t head;                /* events ever raised (wraps) */
    _Atomic uint64_t slot[SCSI_UA_SLOTS]; /* seq:16 asc:8 ascq:8 origin:32 */
};

/* RESERVE(6): whose. `sequence` is odd while the name is being written. */
struct keep_owner {
    _Atomic uint32_t sequence;
    uint32_t used;
    struct pr_name name;
};

struct keep_data {
    uint32_t magic, version, bytes;
    _Atomic uint32_t mode;      /* SCSI_MODE_* */
    _Atomic uint32_t not_ready; /* UNIT_* */
    struct keep_owner owner;
    _Atomic uint8_t access[64]; /* states of target ports, by index (alua.c) */
    struct sanitize_record sanitize;
    _Atomic uint64_t sanitized; /* bytes of it that are done */
    struct scsi_ua_ring attentions;
    _Atomic uint32_t table_at; /* 0: none; 1, 2: this place is the valid one */
    uint8_t table[2][PR_RECORD_BYTES_MAX];
};

struct scsi_keep {
    struct keep_data *data; /* always there: plain memory when nothing can outlive the process */
    bool existed;           /* a worker before has left it */
    bool mapped;
};

/* Control thread. `services` may be NULL. */
int scsi_keep_open(struct scsi_keep *keep, const struct scsi_services *services,
                   const char *target, unsigned lun);
void scsi_keep_close(struct scsi_keep *keep);

/* One thread at a time. */
void scsi_keep_table(struct scsi_keep *keep, const struct pr_table *table);
/* NULL: none that is whole. The caller's. */
struct pr_table *scsi_keep_get_table(const struct scsi_keep *keep);
/* NULL: nobody. */
void scsi_keep_owner(struct scsi_keep *keep, const struct pr_name *name);
bool scsi_keep_get_owner(const struct scsi_keep *keep, struct pr_name *ret_name);
