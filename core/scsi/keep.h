/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a unit must not forget when the worker dies and another goes on: its mode, its medium, who
 * has reserved it, what happened to it that not everybody has heard of. The units of all targets lie
 * in one memfd that the keeper holds, gone with the keeper as with a power loss: first a slot for
 * each, found by target name and LUN, side by side so that a unit costs little; then, a place for
 * each, what few units have and none needs often: the reservation table and the order to sanitize,
 * memory that is not used before it is written; and what has been counted, by lane. Every field is valid by itself at any moment; the
 * reservation table has two places, written in turn.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "scsi/backend.h"
#include "scsi/copy_status.h"
#include "scsi/ident.h"
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

/*
 * The storage as it was when it was open last: a worker that cannot open it serves the unit by this, and its
 * commands wait. An image carries it as it is.
 */
struct keep_storage {
    _Atomic uint32_t known; /* 1: the rest counts */
    uint32_t block_bytes, physical_block_bytes, optimal_io_bytes, max_io_bytes;
    uint32_t unmap_granularity_bytes, features, has_store, rotational;
    _Atomic uint64_t bytes;
};

/* Why a worker has not opened the storage. */
enum keep_absent {
    KEEP_THERE,
    KEEP_ABSENT,     /* it could not: it tries again */
    KEEP_QUARANTINE, /* workers have crashed over it: somebody has to say that it is tried again */
};

struct keep_data {
#ifdef HOLDFAST_OTHER_LAYOUT /* see iscsi/state.h */
    uint8_t other_layout[72];
#endif
    _Atomic uint32_t mode;      /* SCSI_MODE_* */
    _Atomic uint32_t not_ready; /* UNIT_* */
    struct keep_owner owner;
    _Atomic uint8_t access[64];          /* states of target ports, by index (alua.c) */
    _Atomic uint32_t prevent_generation; /* of scsi_unit.prevents */
    _Atomic uint32_t table_at;     /* 0: none; how many there were << 2 | the valid place, 1 or 2 */
    _Atomic uint32_t sanitizing;   /* 1: the record in keep_rare counts */
    _Atomic uint64_t sanitized;    /* bytes of it that are done */
    _Atomic uint64_t sanitized_by; /* id of the last command that began one (once.h) */
    _Atomic uint32_t copied;       /* 1: there are copies in keep_rare */
    _Atomic uint32_t identified;   /* 1: there is identifying information in keep_rare */
    _Atomic uint32_t starts;       /* by START STOP UNIT */
    _Atomic uint32_t clock_set;
    _Atomic uint32_t thresholds;   /* space.c: which are reached */
    _Atomic uint32_t atomic_used;  /* scsi_unit.atomic_used */
    _Atomic uint32_t buffered;     /* 1: somebody has written a buffer in keep_rare */
    _Atomic uint32_t absent;       /* enum keep_absent */
    _Atomic uint32_t crashes;      /* of workers in a row, within its handler */
    struct keep_storage storage;
    _Atomic uint64_t clock_offset; /* ms (modulo 2^64) between the unit's clock and the machine's */
    struct scsi_ua_ring attentions;
};

#define KEEP_BUFFER_BYTES 4096u

/* Of READ BUFFER and WRITE BUFFER. An image carries it as it is. */
struct keep_buffers {
    uint32_t echo_by, echo_bytes; /* echo_by: nexus */
    uint8_t data[KEEP_BUFFER_BYTES], echo[KEEP_BUFFER_BYTES];
};
#define KEEP_TABLES_BY 64u

/* Not to be looked at, either, unless keep_data says that something is there. */
struct keep_rare {
    struct sanitize_record sanitize;
    struct copy_statuses copies;
    struct ident_record ident;
    struct keep_buffers buffers;
    uint64_t table_by[KEEP_TABLES_BY]; /* ids of the commands that made the last tables, in turn */
    uint8_t table[2][PR_WHOLE_BYTES_MAX];
};

struct keep_area; /* the memfd, mapped */

struct scsi_keep {
    struct keep_data *data; /* always there: plain memory when nothing can outlive the process */
    struct keep_rare *rare;
    struct keep_area *area; /* NULL: plain memory */
    uint32_t slot;
    bool existed; /* a worker before has left it */
    bool lent;    /* another unit has it now */
};

#define SCSI_KEEP_UNITS_MAX 65536u

/*
 * The memory of all units, from services->memfd_get: before the first unit is made; free it after
 * the last. `lanes`: as the units will have. 0 or negative errno. Control thread.
 */
int scsi_keep_area_open(const struct scsi_services *services, unsigned lanes,
                        struct keep_area **ret_area);
/* Of the memfd for units with that many lanes. */
#define SCSI_KEEP_NAME_MAX 64
void scsi_keep_area_name(unsigned lanes, char name[static SCSI_KEEP_NAME_MAX]);
struct keep_area *scsi_keep_area_free(struct keep_area *area);
/* When the worker that may have changed it since is gone. NULL: nothing. Control thread. */
void scsi_keep_area_look_again(struct keep_area *area);
/* Whether a unit of that name has been there, in this worker or one before; NULL: no. */
bool scsi_keep_area_has(const struct keep_area *area, const char *target, unsigned lun);
/* What is kept of it; NULL: there is no such unit. Until its slot is another one's. */
struct keep_data *scsi_keep_area_find(struct keep_area *area, const char *target, unsigned lun);
/* The number of a unit's slot, + 1; 0: nobody keeps its memory. */
uint32_t scsi_keep_mark(const struct scsi_keep *keep);
uint32_t scsi_keep_area_mark(const struct keep_area *area, const char *target, unsigned lun);
/* What a crashing thread writes into: a mark. NULL: there is no area. */
_Atomic uint32_t *scsi_keep_area_crashed(struct keep_area *area);
/* Whose that slot is; NULL: nobody's. */
#define SCSI_KEEP_TARGET_MAX 256
struct keep_data *scsi_keep_area_at(struct keep_area *area, uint32_t slot,
                                    char target[static SCSI_KEEP_TARGET_MAX], unsigned *ret_lun);
/* False: nobody has said. */
bool scsi_keep_storage(const struct keep_data *data, struct backend_info *ret_info);
void scsi_keep_set_storage(struct keep_data *data, const struct backend_info *info);
/* Says which layout the memory has: one that another worker left is used only when it is the same. */
uint64_t scsi_keep_layout(void);

/* Control thread. `area` may be NULL. One unit at a time has the slot. 0 or -ENOMEM. */
int scsi_keep_open(struct scsi_keep *keep, struct keep_area *area, const char *target,
                   unsigned lun);
void scsi_keep_close(struct scsi_keep *keep);
/* The unit that takes the place of another one goes on with its memory. */
void scsi_keep_move(struct scsi_keep *to, struct scsi_keep *from);
/* Whoever opens a unit of this name next finds nothing. */
void scsi_keep_forget(struct scsi_keep *keep);

/* Counters of its lanes, that go on where the last worker left them; NULL: nothing can outlive it. */
struct scsi_counters *scsi_keep_counters(const struct scsi_keep *keep);

/* One thread at a time. */
void scsi_keep_table(struct scsi_keep *keep, const struct pr_table *table);
/* NULL: none that is whole. The caller's. */
struct pr_table *scsi_keep_get_table(const struct scsi_keep *keep);
/* One of the last tables was made by the command with that id. */
bool scsi_keep_has(const struct scsi_keep *keep, uint64_t id);
/* NULL: nobody. */
void scsi_keep_owner(struct scsi_keep *keep, const struct pr_name *name);
bool scsi_keep_get_owner(const struct scsi_keep *keep, struct pr_name *ret_name);
/* NULL: none. Another thread may not look meanwhile. */
void scsi_keep_sanitize(struct scsi_keep *keep, const struct sanitize_record *record);
/* False: none. */
bool scsi_keep_get_sanitize(const struct scsi_keep *keep, struct sanitize_record *ret_record);
