/* SPDX-License-Identifier: BSD-3-Clause */
/* Between acceptor.c (the life of connections) and login_io.c (the I/O of one login). */
#pragma once

#include "base/clock.h"
#include "iscsi/acceptor.h"
#include "iscsi/login.h"

struct login_run {
    struct login login;
    struct connection *connection;
    const struct catalog *catalog;
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
    bool closing;                         /* refused: the reply is on its way out */
};

/* login_io.c */
void login_io_begin(struct connection *c, const struct catalog *catalog, struct registry *registry,
                    unsigned portal, uint64_t timeout_ns);
/* Closes; a line in the log when there is a reason. */
void login_io_end(struct connection *c, const char *reason);
void login_io_fini(struct connection *c);
void login_io_auth_resume(void *login_user);

/* acceptor.c */
/* Before the final reply is committed, which ends the stream at `end_pos`: with that commit, and not
   before, a successor finds a connection in full feature phase. */
void acceptor_login_final(struct connection *c, uint64_t end_pos);
void acceptor_login_done(struct connection *c);
void acceptor_connection_gone(struct connection *c);
void acceptor_count_timeout(struct acceptor *a);
void acceptor_count_refused(struct acceptor *a, uint16_t status);
