/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In which order logins are worked on when many come at once. A connection waits here with its first
 * Login Request; as many as there are slots are let through, and the next ones as those finish, so that
 * each login, once begun, is quick, and the first are done long before the last begin.
 *
 * Returning initiators come before new ones, but for one in eight: they have I/O that waits. Within
 * a class addresses take turns, so that a host with a thousand sessions does not keep one with a single
 * session waiting. A slot is lent for a quarter of a second: whoever is slower (an initiator that
 * hesitates, a plugin that asks somebody) goes on without one, and keeps nobody waiting.
 *
 * Thread: the login reactor. Never allocates.
 */
#pragma once

#include "iscsi/admission.h"
#include "reactor/reactor.h"

/* A login's place, embedded in it. */
struct login_ticket {
    struct list link;
    struct admission_source *source;
    uint64_t until_ns; /* active: its slot is lent until then */
    uint8_t state, class;
    void (*go)(struct login_ticket *ticket); /* it is its turn; may leave the queue */
};

struct login_queue {
    struct reactor *reactor;
    uint32_t slots, active, waiting;
    unsigned streak;     /* returning ones since the last new one */
    struct list turn[2]; /* struct admission_source with waiting logins, by class */
    struct list lent;    /* active tickets, the oldest first */
    struct timer lease;
    struct reactor_task run;
};

void login_queue_init(struct login_queue *q, struct reactor *reactor, uint32_t slots);
/* Nobody waits any more. On the reactor's thread, or when it has stopped. */
void login_queue_fini(struct login_queue *q);
void login_ticket_init(struct login_ticket *ticket, void (*go)(struct login_ticket *ticket));
/* go() comes later, at the end of this turn at the earliest. */
void login_queue_wait(struct login_queue *q, struct login_ticket *ticket,
                      struct admission_source *source, bool returning);
bool login_ticket_waits(const struct login_ticket *ticket);
/* It is over, or no longer interested. Nothing happens when it is not in the queue. */
void login_queue_leave(struct login_queue *q, struct login_ticket *ticket);
