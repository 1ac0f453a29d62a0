/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one configuration to another: the steps, what each of them asks for, and what initiators
 * notice of it. Pure: nothing is opened or changed, and what runs is not looked at. Who carries the
 * steps out is the daemon.
 *
 *   fields.c   which key of the file has changed, and what that means: tables
 *   plan.c     the parts of the file, matched by name
 *   show.c     what notice is taken of a step; text and who is touched
 */
#pragma once

#include <glib.h>

#include "config/model.h"

struct plugin_config;

/* What a step asks for; a step has the greatest one of what has changed. */
enum plan_class {
    PLAN_LIVE,     /* under running I/O; nobody notices */
    PLAN_LOGIN,    /* counts from the next login on; sessions stay as they are */
    PLAN_NOTICE,   /* sessions get a unit attention */
    PLAN_REOPEN,   /* the disk's commands are held while its storage is exchanged */
    PLAN_END,      /* a disk or sessions go away: not while in use, unless that is allowed */
    PLAN_HANDOVER, /* another worker goes on: I/O waits for some milliseconds */
    PLAN_RESTART,  /* needs a stop and a start: a running daemon refuses it */
};

enum plan_kind { PLAN_ADD, PLAN_CHANGE, PLAN_REMOVE };
enum plan_object { PLAN_DAEMON, PLAN_PORTAL, PLAN_FENCE, PLAN_AUTH, PLAN_TARGET, PLAN_LUN };

/* Of a LUN that changes: which part of it. */
#define PLAN_LUN_OPTIONS  1u   /* of the handler, all of them LIVE ones */
#define PLAN_LUN_SIZE     2u   /* `size` is among them */
#define PLAN_LUN_MASK     4u   /* initiators */
#define PLAN_LUN_REPLACE  8u   /* PLAN_REOPEN */
#define PLAN_LUN_IDENTITY 16u  /* PLAN_END: another disk */
#define PLAN_LUN_SHRINK   32u  /* the new size is smaller */
#define PLAN_LUN_MOVE     64u  /* with REPLACE: it lies elsewhere, or is opened in another way */
#define PLAN_LUN_LATE     128u /* what becomes of I/O that takes long; LIVE */

struct plan_step {
    enum plan_kind kind;
    enum plan_object object;
    enum plan_class class;
    unsigned lun_change; /* PLAN_LUN_* */
    /* What it is about; NULL: there is none, before or after. */
    const struct config_portal *old_portal, *new_portal;
    const struct config_auth *old_auth, *new_auth;
    const struct config_target *old_target, *new_target;
    const struct config_lun *old_lun, *new_lun;
    char *keys;                   /* that have changed: "session.max-burst-length, auth"; or NULL */
    const struct config_node *at; /* in the new file; of what is removed: in the old one */
};

struct plan {
    const struct config *from, *to;
    struct plan_step
        *steps; /* removals, then changes, then what is added, each in the file's order */
    unsigned count;
};

/*
 * The way from `from` to `to`, which must both be free of errors and outlive the plan. What options of
 * plugins mean is asked of the plugins' tables; options that they refuse, and what cannot be done at
 * all, is added to `problems`. 0 and *ret_plan; -EINVAL after at least one error. Control path; reads
 * secret files that options name.
 */
int plan_make(const struct config *from, const struct config *to, struct plan **ret_plan,
              struct config_problems *problems);
struct plan *plan_free(struct plan *plan);
/*
 * The same for one target that becomes another one of that name, in a configuration whose other parts stay as
 * they are; `from` NULL: it is added, `to` NULL: it is removed.
 */
int plan_make_target(const struct config *config, const struct config_target *from,
                     const struct config_target *to, struct plan **ret_plan,
                     struct config_problems *problems);
/*
 * A step that opens this LUN of a target (before and afterwards, or NULL) anew, unless there is one for it
 * already. 0; -ENOENT: no such LUN in both.
 */
int plan_add_reopen(struct plan *plan, const struct config_target *from,
                    const struct config_target *to, unsigned lun);

/*
 * Steps for ways to authenticate that the file says the same of, while a file that they name (secret-file)
 * does not. `running`: the options of an entry of plan->from as they are in effect. 0; -EINVAL after at least
 * one problem. Reads these files.
 */
typedef const struct plugin_config *plan_running_fn(void *user, const struct config_auth *auth);
int plan_add_secrets(struct plan *plan, plan_running_fn *running, void *user,
                     struct config_problems *problems);

/* The greatest class of all steps; PLAN_LIVE for an empty plan. */
enum plan_class plan_class(const struct plan *plan);

/* ---- show.c ---- */

/* "live", "next-login", "notice", "reopen", "end", "hand-over", "restart". */
const char *plan_class_name(enum plan_class class);
const char *plan_kind_name(enum plan_kind kind);
const char *plan_object_name(enum plan_object object);
/* What it is about: "iqn…:disk1/3", "san"; "" for daemon and fence. g_free(). */
char *plan_step_name(const struct plan_step *step);
/* What those that it touches notice, in words; never NULL. */
const char *plan_step_notice(const struct plan_step *step);
/* Whether the session of this initiator with this target (normalised names) is touched. `peer`: where it
   comes from, "address:port"; NULL: not known, then it may be. */
bool plan_step_touches(const struct plan_step *step, const char *target, const char *initiator,
                       const char *peer);
/* One line a step, for logs and tests. */
void plan_format(const struct plan *plan, GString *out);
