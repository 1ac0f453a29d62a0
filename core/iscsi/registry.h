/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All sessions, by identity: InitiatorName + ISID + TargetName + portal group (RFC 7143 4.4.3.1), and
 * by TSIH. Decides for a login that is otherwise complete which session it ends in: a new one, a
 * new connection of one, or one that takes the place of another (reinstatement, 6.3.5).
 *
 * Thread: the login reactor. Sessions themselves live on their own reactors; the registry asks
 * them to close by message and hears when nothing of them is left.
 */
#pragma once

#include "base/hash.h"
#include "iscsi/catalog.h"
#include "iscsi/login.h"
#include "iscsi/session.h"

struct registry;

struct registry_options {
    struct engine *login;              /* discovery sessions live here */
    struct engine *const *data;        /* all others */
    unsigned data_count;
    uint32_t sessions, connections;    /* records in the state arena */
};

struct registry_entry {
    struct list link;                  /* of all */
    struct hash_link by_tsih, by_port;
    struct session *session;
    struct list connections;           /* of struct registry_seat */
    struct list waiters;               /* logins that wait for its end: struct registry_wait */
    bool started;                      /* a connection has been sent to its reactor */
    bool closing;                      /* asked to close */
    bool stopped;                      /* asked to finish and end */
    bool gone;
    unsigned requests;                 /* messages that are with the session's reactor */
};

/* A login that waits for a session or a connection to end. */
struct registry_wait {
    struct list link;
    void (*ready)(struct registry_wait *wait);
};

int registry_create(const struct registry_options *options, struct registry **ret_registry);
struct registry *registry_free(struct registry *registry);

/*
 * As login_ops.session_decide. Status 0000: the seat is taken and *ret_session filled; or
 * *ret_pending: `wait->ready` comes when it should be asked again.
 */
uint16_t registry_decide(struct registry *registry, const struct login *login,
                         const struct catalog_target *target, struct registry_seat *seat,
                         struct registry_wait *wait, struct login_session *ret_session,
                         bool *ret_pending);
/*
 * A session of an earlier process: its record is filled, and `index` is taken out of the free ones.
 * Before the reactors start. NULL: no such target any more, or no memory.
 */
struct session *registry_adopt(struct registry *registry, uint32_t index,
                               const struct catalog *catalog);
/* The same for a connection of it: it has a seat, and is where it belongs already. */
void registry_adopt_seat(struct session *s, struct registry_seat *seat);
/* It could not be resumed after all; no connection has a seat in it. */
void registry_discard(struct session *s);

/* The connection goes to its session's reactor (full feature phase). */
void registry_attach(struct registry_seat *seat);
/* The connection is gone (or its login failed after all). NULL entry is fine. */
void registry_leave(struct registry *registry, struct registry_seat *seat);
void registry_wait_cancel(struct registry_wait *wait);

/* The daemon stops: every session finishes what runs, tells its initiator, and ends. */
void registry_stop_all(struct registry *registry);
/* The same for the sessions with one target; at once; and a look at every session. Login reactor. */
void registry_stop_target(struct registry *registry, const struct scsi_target *target);
void registry_close_target(struct registry *registry, const struct scsi_target *target,
                           const char *reason);
void registry_visit(struct registry *registry, void (*visit)(const struct session *s, void *data),
                    void *data);
/* The session with that TSIH ends at once; `wait->ready` comes when it is gone. 0, or -ENOENT. */
int registry_drop(struct registry *registry, uint16_t tsih, const char *reason,
                  struct registry_wait *wait);
/* Every session ends at once. */
void registry_close_all(struct registry *registry, const char *reason);
/* Is there, or was there lately, a session of that initiator's port (of any target)? */
enum registry_knows { REGISTRY_STRANGER, REGISTRY_HAD_SESSION, REGISTRY_HAS_SESSION };
enum registry_knows registry_knows(const struct registry *registry, const char *initiator,
                                   const uint8_t *isid);
bool registry_empty(const struct registry *registry);
unsigned registry_count(const struct registry *registry);
