/* SPDX-License-Identifier: BSD-3-Clause */
/* Between acceptor.c (the life of connections) and login_io.c (the I/O of one login). */
#pragma once

#include "base/clock.h"
#include "iscsi/acceptor.h"
#include "iscsi/login.h"
#include "iscsi/login_queue.h"

struct login_run {
    struct login login;
    struct connection *connection;
    struct catalog *catalog;               /* a reference */
    struct registry *registry;
    unsigned portal;
    uint64_t begun_ns;
    const struct catalog_target *target;  /* NULL: not known, or discovery */
    struct registry_wait wait;
    struct timer deadline;
    struct reactor_task leave;
    struct buf *reply_buf;                /* the text of the reply being sent */
    enum login_action last;
    uint32_t rest;                        /* bytes after the header just seen */
    bool header_seen;
    bool spoken;                          /* the first request has come */
    bool closing;                         /* refused: the reply is on its way out */
    bool counted;                         /* among the logins that there may be */
    uint8_t refusal;                      /* enum admission_reason: what its first request is answered */
    struct list silent;                   /* acceptor's, until the first request is there */
    struct login_ticket ticket;           /* from then on */
};

/* login_io.c */
/* Takes over a reference of the catalog. */
void login_io_begin(struct connection *c, struct catalog *catalog, struct registry *registry,
                    unsigned portal, uint64_t timeout_ns);
/* Closes; a line in the log when there is a reason. */
void login_io_end(struct connection *c, const char *reason);
void login_io_fini(struct connection *c);
/* It is not let in, for that reason: its request, which is there, is answered so. */
void login_io_refuse(struct connection *c, enum admission_reason reason);
/* The target stops: its request is answered with 0301, or the next one if that comes soon. */
void login_io_stop(struct connection *c);
void login_io_auth_resume(void *login_user);

/* acceptor_admit.c */
/* Its first request is there, with this header: it is refused, or its ticket goes into the queue. */
void acceptor_login_spoken(struct connection *c, const uint8_t *bhs);
void acceptor_count_not_let_in(struct connection *c, enum admission_reason reason);
/* It is no longer a login. May be called twice. */
void acceptor_login_over(struct connection *c);
/* It counts no longer, neither as a connection nor as a login. May be called twice. */
void acceptor_let_go(struct connection *c);

/* acceptor.c */
/* Before the final reply is committed, which ends the stream at `end_pos`: with that commit, and not
   before, a successor finds a connection in full feature phase. */
void acceptor_login_final(struct connection *c, uint64_t end_pos);
void acceptor_login_done(struct connection *c);
void acceptor_connection_gone(struct connection *c);
void acceptor_count_timeout(struct acceptor *a);
void acceptor_count_refused(struct acceptor *a, uint16_t status);
