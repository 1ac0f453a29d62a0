/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be logged in to: targets and portals as the login reactor sees them. An immutable snapshot
 * made by the composition root from the configuration; everything it points to outlives it.
 *
 * A login holds on to the snapshot that its connection came with, also when there is a newer one by now.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "iscsi/authenticator.h"
#include "iscsi/params.h"
#include "scsi/target.h"

struct catalog_portal {
    const char *name;
    uint16_t tag;                      /* target portal group tag */
    const char *const *addresses;      /* "192.0.2.1:3260" as configured, wildcards included */
    unsigned address_count;
};

/* Initiators that are sent elsewhere instead of being let in. */
struct catalog_redirect {
    const char *const *initiators;     /* base/initiators.h; NULL: anyone */
    const struct catalog_portal *const *portals; /* of the login */
    unsigned portal_count;             /* 0: any */
    const char *to;                    /* "host:port" */
    bool permanent;
};

struct catalog_target {
    const char *name, *alias;          /* normalised; alias may be NULL */
    struct scsi_target *scsi;
    const struct catalog_portal *const *portals;
    unsigned portal_count;
    const struct iscsi_authenticator *auth; /* NULL: open */
    const char *const *initiators;     /* base/initiators.h; NULL: anyone */
    const struct catalog_redirect *redirects; /* the first that fits counts */
    unsigned redirect_count;
    bool reject_send_targets_all;      /* in a normal session */
    struct iscsi_limits limits;
    uint16_t time2wait_spread;         /* seconds */
    uint32_t window;                   /* commands of a session at a time */
    uint64_t nop_interval_ns, nop_timeout_ns;
};

struct catalog {
    const struct catalog_portal *portals; /* by the index that came with the connection */
    unsigned portal_count;
    const struct catalog_target *const *targets;
    unsigned target_count;
    const char *const *discovery_initiators; /* who may ask; NULL: anyone */
    const struct iscsi_authenticator *discovery_auth; /* NULL: open */
    const struct catalog_target *const *by_name; /* the same, ascending by name; NULL: none is made */
    uint64_t nop_interval_ns, nop_timeout_ns; /* of discovery sessions */
    _Atomic unsigned refs;
    /* Any thread: nobody uses it any more. NULL: nobody wants to know. */
    void (*unused)(struct catalog *catalog);
    void *user;                               /* of unused() */
};

/* Any thread. NULL is fine. */
void catalog_ref(struct catalog *catalog);
void catalog_unref(struct catalog *catalog);

/* The target with that (normalised) name, or NULL. */
const struct catalog_target *catalog_find(const struct catalog *catalog, const char *name);
/* Whether it is reachable on that portal group tag. */
bool catalog_on_portal(const struct catalog_target *target, uint16_t tag);
/*
 * The target's limits for this initiator: its DefaultTime2Wait is longer by a part of time2wait_spread
 * that follows from its name, so that not all hosts come back in the same second, and each waits as
 * long every time. What an asynchronous message says later is what was agreed so.
 */
struct iscsi_limits catalog_limits(const struct catalog_target *target, const char *initiator);
/* Whether the initiator may log in; see base/initiators.h. */
bool catalog_admits(const struct catalog_target *target, const char *initiator, const char *peer);
/* Whether it may ask what there is. */
bool catalog_discovers(const struct catalog *catalog, const char *initiator, const char *peer);
/* Where the target sends an initiator that came through this portal; NULL: it is let in here. */
const struct catalog_redirect *catalog_redirect(const struct catalog_target *target,
                                                const struct catalog_portal *portal,
                                                const char *initiator, const char *peer);
