/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A logical unit: identity, backend, mode state, and the commands that run on it.
 *
 * Made and freed on the control thread. Used by every data reactor at a time: what changes under
 * use (size, mode bits, started/stopped) is an atomic word, unit attentions are a ring of atomic
 * slots, and the commands under way are kept per reactor in a lane, which only that reactor
 * touches. Nothing here takes a lock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "scsi/backend.h"
#include "scsi/counters.h"
#include "scsi/home.h"
#include "scsi/range.h"
#include "scsi/services.h"
#include "scsi/settle.h"
#include "scsi/space.h"

struct scsi_command;
struct scsi_nexus;
struct scsi_target;

#define SCSI_VENDOR_MAX   8
#define SCSI_PRODUCT_MAX  16
#define SCSI_REVISION_MAX 4
#define SCSI_SERIAL_MAX   64
#define SCSI_LUN_LIMIT    16384 /* LUNs 0..16383: peripheral and flat addressing (SAM-5 4.7) */

/* Identity. Strings may be NULL and lengths 0: then they are defaults or derived from target name
   and LUN, the same in every run. Non-printable characters become spaces, the rest is cut. */
struct scsi_unit_config {
    const char *target_name; /* normalised; needed */
    uint16_t lun;            /* < SCSI_LUN_LIMIT */
    const char *vendor, *product, *revision, *serial;
    const uint8_t *naa; /* copied */
    unsigned naa_bytes; /* 8 or 16; 0: derived */
    const uint8_t *eui; /* copied */
    unsigned eui_bytes; /* 8, 12 or 16; 0: no EUI-64 designator */
    bool read_only;
    bool removable;
    bool has_store;               /* backend->info.store_arena is set later on: it is absent */
    uint64_t sanitize_rate;       /* bytes a second; 0: as fast as it goes */
    uint8_t compare_max;          /* MAXIMUM COMPARE AND WRITE LENGTH, blocks; 0: 255 */
    const uint8_t *access_states; /* of SCSI_PORTS_MAX target ports (alua.h); NULL: all optimized */
    const char *const *initiators; /* base/initiators.h; NULL: anyone */
    /* The same disk as it was before, at rest: the new unit has its id, so that for a nexus nothing has
       changed, and goes on with what is kept. NULL: a new one. */
    struct scsi_unit *replaces;
    unsigned lanes; /* data reactors; commands come with reactor->index below this */
    const struct scsi_services *services; /* NULL: one lane, and nothing outlives the process */
};

/* What a waiting LUN RESET hangs on; see scsi_unit_drain(). */
struct scsi_drain {
    void (*done)(struct scsi_drain *drain);
    struct list link; /* private */
};

/* The commands of one unit on one reactor. */
struct scsi_lane {
    struct list commands; /* struct scsi_command.lane_link, oldest first */
    struct list drains;
    struct list range_visitors; /* struct scsi_range.parked */
    _Atomic uint32_t open;      /* commands with an open range; others read it */
    uint32_t active, aborted;
    struct backend *backend;
    struct scsi_counters *counters;
    struct scsi_lane *kick_next; /* in the list of scsi_kick() */
    bool kick_wanted;
} __attribute__((aligned(64)));

/* Bits of scsi_unit.mode: what MODE SELECT can change. */
#define SCSI_MODE_WCE     1u /* caching page: write cache enable */
#define SCSI_MODE_SWP     2u /* control page: software write protect */
#define SCSI_MODE_D_SENSE 4u /* control page: descriptor format sense */

/* Bits of scsi_unit.not_ready: why commands are refused. */
#define UNIT_STOPPED         1u /* START STOP UNIT, fixed units only */
#define UNIT_EJECTED         2u /* removable units only */
#define UNIT_SANITIZING      4u
#define UNIT_SANITIZE_FAILED 8u
#define UNIT_HELD            16u /* its storage is exchanged: commands wait before they begin */

struct scsi_unit {
    /* Constant from creation on. */
    struct backend *backend;
    uint32_t id; /* unique in this process, not 0 */
    uint16_t lun;
    uint8_t block_shift;       /* 9 or 12 */
    uint8_t physical_exponent; /* LBPPBE */
    bool read_only;            /* by configuration or because the backend is */
    bool removable;            /* RMB: the medium can be ejected */
    bool thin;                 /* LBPME: the backend can unmap */
    uint8_t compare_max;       /* blocks of a COMPARE AND WRITE */
    uint32_t atomic_max;       /* blocks of a WRITE ATOMIC; 0: there is none */
    uint32_t mode_default;     /* SCSI_MODE_* */
    uint32_t mode_changeable;  /* SCSI_MODE_* */
    uint8_t naa[16], eui[16], naa_bytes, eui_bytes;
    char vendor[SCSI_VENDOR_MAX + 1], product[SCSI_PRODUCT_MAX + 1],
        revision[SCSI_REVISION_MAX + 1], serial[SCSI_SERIAL_MAX + 1];
    char *target_name;

    /* Change under use. */
    _Atomic(char **) initiators; /* an immutable list; NULL: anyone */
    _Atomic uint64_t blocks;
    _Atomic uint32_t mode;
    _Atomic uint32_t not_ready;      /* UNIT_* */
    _Atomic uint64_t prevents;       /* PREVENT ALLOW: generation 32, nexuses that prevent 32 */
    struct scsi_ua_ring *attentions; /* in home.keep */
    struct scsi_ranges ranges;
    _Atomic bool atomic_used; /* by WRITE ATOMIC: what is read is copied at one moment */
    struct scsi_settle settle;
    struct scsi_home home;    /* reservations */
    struct scsi_sanitize sanitize;
    struct scsi_fill fill; /* space.h */

    char *ident_path; /* of the file of identifying information; NULL: there is no place */
    _Atomic bool ident_saving, buffers_taken; /* by a command, on any reactor */

    const struct scsi_services *services;
    void *user; /* the composition root's */
    unsigned lane_count;
    struct scsi_lane *lanes;
    void *counters_memory;
};

/* Control thread. `backend` stays the caller's, longer than the unit. 0 or negative errno (-EINVAL:
   block size, size, LUN or identifier length that SCSI cannot express). */
int scsi_unit_create(const struct scsi_unit_config *config, struct backend *backend,
                     struct scsi_unit **ret_unit);
/* Nothing of the unit's own (SANITIZE) begins an I/O any more; what is under way may still be. Before its
   backend is closed, when no command comes any more. Control thread; waits for a reactor's turn. */
void scsi_unit_quiesce(struct scsi_unit *unit);
/* Quiesced, no lane has a command any more and no LUN map that reactors can see names it. NULL is fine;
   returns NULL. Control thread. */
struct scsi_unit *scsi_unit_free(struct scsi_unit *unit);

/* The reactor of a lane. */
static inline struct reactor *scsi_unit_reactor(const struct scsi_unit *unit, unsigned lane)
{
    return unit->services ? unit->services->reactors[lane] : reactor_current();
}

/*
 * A hold: commands that come wait in the transport (scsi_nexus_held()), and copies before their next
 * piece; those under way go on. When no lane has one any more the unit is at rest, and its storage may be
 * closed. Control thread.
 */
void scsi_unit_hold(struct scsi_unit *unit, struct scsi_target *target);
/* At rest, and reactors have gone round since: another backend of the same geometry. */
void scsi_unit_set_backend(struct scsi_unit *unit, struct backend *backend);
/* Ends it; what waits goes on when each reactor is told (the transport, scsi_copies_go_on()). */
void scsi_unit_release(struct scsi_unit *unit, struct scsi_target *target);
/* Whether an initiator could tell one from the other: identity, features, limits; not the size. */
bool scsi_unit_alike(const struct scsi_unit *a, const struct backend_info *a_info,
                     const struct scsi_unit *b);
/*
 * Other patterns of initiators; the list before is returned, to be freed (g_strfreev()) when the reactors
 * have gone round. Nexuses look again with the next LUN map that is published.
 */
char **scsi_unit_set_initiators(struct scsi_unit *unit, const char *const *initiators);
/* The disk is gone for good: what files keep of it (reservations) is removed. At rest. */
void scsi_unit_forget(struct scsi_unit *unit);

/* Whether the initiator may see the unit; see base/initiators.h. */
bool scsi_unit_admits(const struct scsi_unit *unit, const char *initiator, const char *peer);

enum scsi_unit_change {
    SCSI_UNIT_CAPACITY, /* backend->info.bytes is new: 2A/09 */
    SCSI_UNIT_INQUIRY,  /* identity or features: 3F/03 */
};
/* The backend's info changed. Control thread; every nexus gets the unit attention. */
void scsi_unit_changed(struct scsi_unit *unit, enum scsi_unit_change what);

/* Its storage is open, as backend->info says; or why it is not: for the worker that comes after this one. Control
   thread. */
void scsi_unit_storage_kept(struct scsi_unit *unit);
void scsi_unit_set_absent(struct scsi_unit *unit, enum keep_absent why);
/* Any thread. */
static inline bool scsi_unit_is_absent(const struct scsi_unit *unit)
{
    return atomic_load_explicit(&unit->home.keep.data->absent, memory_order_relaxed) != KEEP_THERE;
}
/* The crashes of workers over it count no more. */
void scsi_unit_forgive(struct scsi_unit *unit);

/* Mode or medium have changed: for the worker that comes after this one. Any thread. */
void scsi_unit_kept(struct scsi_unit *unit);
/* What is kept over a stop has changed (stopped.h). Any thread. */
void scsi_unit_kept_changed(const struct scsi_unit *unit);

/* A unit attention for every nexus but `origin` (NULL: for all). Any thread. */
void scsi_unit_attention(struct scsi_unit *unit, const struct scsi_nexus *origin, uint8_t asc,
                         uint8_t ascq);
/* Whoever was to write an event and died: there is none under its number. Before the unit is used. */
void scsi_attentions_resume(struct scsi_ua_ring *ring);
/* The number of the next event. Any thread. */
uint32_t scsi_attentions_head(const struct scsi_unit *unit);
/* Whether that event of that nexus (0: of none) was raised from number `since` on. Any thread. */
bool scsi_attention_raised(const struct scsi_unit *unit, uint32_t since, uint16_t asc,
                           uint32_t origin);

/*
 * LOGICAL UNIT RESET and target resets (SAM-5 6.3.3), in the transport's hands:
 *   1. scsi_unit_reset() once, any thread: mode parameters back to their defaults, started again,
 *      the unit attention 29/03 (29/02 with `target_reset`) for every nexus, the issuer included;
 *   2. on every data reactor: scsi_unit_abort_all(), then scsi_unit_drain(), whose done() comes
 *      when no aborted command is left on this reactor (from within, or later);
 *   3. when all have answered the function is complete.
 */
void scsi_unit_reset(struct scsi_unit *unit, bool target_reset);
/* The same by a function that a dead worker had begun when scsi_attentions_head() was `since`. */
void scsi_unit_reset_again(struct scsi_unit *unit, bool target_reset, uint32_t since);
/* Aborts this reactor's commands of the unit: all, or only those of `only` (ABORT TASK SET). */
void scsi_unit_abort_all(struct scsi_unit *unit, const struct scsi_nexus *only);
void scsi_unit_abort_if(struct scsi_unit *unit,
                        bool (*wanted)(const struct scsi_nexus *nexus, void *data), void *data);
void scsi_unit_drain(struct scsi_unit *unit, struct scsi_drain *drain);

/* Commands of this reactor between scsi_start() and done(). */
unsigned scsi_unit_active(const struct scsi_unit *unit);
/* Nanoseconds since the oldest command that the backend has (executing, not collecting) on this
   reactor began; 0: none. For the watchdog. */
uint64_t scsi_unit_oldest_ns(const struct scsi_unit *unit, uint64_t now_ns);
