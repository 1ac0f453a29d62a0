/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another configuration under running sessions, on the control thread:
 *
 *   daemon_reload.c         from RELOAD to RELOADED: the plan, what stands in its way, the answers
 *   daemon_reload_swap.c    prepare: storage of new disks, and that which takes the place of other
 *   daemon_reload_hold.c    ... while the LUN's commands are held: at rest, flushed, going on
 *   daemon_reload_commit.c  commit: what cannot fail any more
 *   daemon_revise.c         one target of the configuration that is there, by request
 *   daemon_retire.c         what is left of the old: freed when nobody can see it any more
 */
#pragma once

#include "daemon_private.h"
#include "reload/plan.h"

/* A LUN that gets other storage, or the same with other options. */
struct reload_swap {
    const struct plan_step *step;
    struct daemon_lun *lun;
    struct backend *backend; /* the new one; NULL: not opened */
    struct backend_info old; /* of the old one, which may be closed meanwhile */
    bool old_memory;         /* it has memory that outlives the worker */
    bool closed;             /* the old one is */
    struct scsi_unit *held;  /* or NULL */
};

struct daemon_reload {
    struct daemon *daemon;
    struct link_reload how;
    struct config_problems *problems; /* what stands in the way */
    struct config *config;            /* the new one, until `next` has it */
    struct config_revision *revision; /* or only one target changes: no `config`, no `next` */
    char *text;                       /* that it was made from; NULL: a revision's, patched */
    size_t text_length;
    struct daemon_snapshot *next;
    struct plan *plan;
    GHashTable *opened; /* const struct config_lun * -> struct backend *: of new disks */
    GArray *swaps;      /* struct reload_swap */
    struct daemon_round round;
    unsigned *in_use; /* [plan->count]: sessions that a step would end */
    bool handover;    /* the worker that comes next has the new configuration */
    bool ready;       /* RELOAD_READY was said */
    uint64_t until_ns, held_ns;
};

/* ---- daemon_reload.c ---- */

/* The configuration that it leads to, but for the targets of a revision. */
const struct config *reload_config(const struct daemon_reload *r);

/* Prepared, or not (there are problems): the keeper is told. */
void reload_say(struct daemon_reload *r);

/* ---- daemon_reload_swap.c ---- */

/* The disk that a step is about, as it is before. */
struct daemon_lun *reload_find_lun(struct daemon *d, const struct plan_step *s);
/* Opens what has to be opened; reload_say() comes from within or later. */
void reload_prepare(struct daemon_reload *r);
/* Closes what was opened, opens what was closed. */
void reload_undo(struct daemon_reload *r);

/* Everything is held, at rest and flushed (or there are problems): what is left to be opened. */
void reload_at_rest(struct daemon_reload *r);

/* ---- daemon_reload_hold.c ---- */

/* Holds the LUNs of r->swaps; then reload_at_rest(). */
void reload_hold(struct daemon_reload *r);
/* How long they may still be held, at least a second. */
uint64_t reload_hold_left(const struct daemon_reload *r);
/* Those that are held go on. */
void reload_release(struct daemon_reload *r);

/* ---- daemon_reload_commit.c ---- */

/* Cannot fail; what handlers refuse under way (a file that cannot grow) is added to r->problems. */
void reload_commit(struct daemon_reload *r);

/* ---- daemon_retire.c ---- */

/* Waits until no reactor has a command or an answer of these units any more. */
struct daemon_rest {
    void (*done)(struct daemon_rest *rest, bool at_rest);
    GPtrArray *luns;      /* struct daemon_lun, the caller's */
    uint64_t deadline_ns; /* after this commands are aborted, or (may_abort is false) it gives up */
    bool may_abort;
    /* Private. */
    bool busy, aborting;
    struct daemon_round round;
};
void daemon_rest_begin(struct daemon *d, struct daemon_rest *rest);

/* When all reactors have gone round: release(data). */
void retire_garbage(struct daemon *d, void (*release)(void *data), void *data);
/* No map names it any more: closed when it is at rest, by `deadline_ns` at the latest; then it is gone for good. */
void retire_lun(struct daemon *d, struct daemon_lun *l, uint64_t deadline_ns);
/* Another unit has taken its place in the map: when nobody has it any more it is freed, and its storage
   (NULL: closed already) is closed before. `memory`: so is what the storage kept over workers. */
void retire_exchanged(struct daemon *d, struct daemon_target *t, struct scsi_unit *unit,
                      struct backend *backend, bool memory);
/* There are such. */
bool retire_exchanges(const struct daemon *d);
/* No catalog names it any more; its sessions finish and end, by then at the latest. */
void retire_target(struct daemon *d, struct daemon_target *t, uint64_t deadline_ns);
/* Whether a disk of that name has not quite gone yet. */
bool retire_has(const struct daemon *d, const char *target, unsigned lun);
