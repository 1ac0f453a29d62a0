/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The acceptor's own: acceptor.c has the life of connections, acceptor_admit.c who is let in and when,
 * acceptor_stop.c holding still and stopping, login_io.c the I/O of one login.
 */
#pragma once

#include "iscsi/acceptor.h"
#include "iscsi/login_io.h"
#include "iscsi/login_queue.h"

struct acceptor {
    struct acceptor_options options; /* but for what has come in place of: */
    _Atomic(struct catalog *) catalog;
    _Atomic uint64_t login_timeout_ns;
    struct text_ops text_ops;
    struct acceptor_counters counters;
    struct admission admission;
    struct login_queue queue;
    struct list connections; /* all, wherever they live */
    struct list silent;      /* struct login_run: no whole PDU has come; the oldest first */
    uint32_t *free_index;    /* a stack of free connection records */
    uint32_t free_count;
    bool stopping, stopped;
    struct timer stop_timer;
    uint64_t stop_deadline_ns;
    struct reactor_message stop_message;
    struct reactor_task stop_check;
    bool holding;
    struct list aside; /* arrivals while holding */
    struct timer hold_timer;
    uint64_t hold_deadline_ns;
    void (*held)(void *user);
    void *held_user;
    struct reactor_message hold_message;
};

/* A connection on its way from the control thread. */
struct arrival {
    struct reactor_message message;
    struct list link; /* put aside */
    struct acceptor *acceptor;
    struct catalog *catalog; /* a reference */
    int fd;
    uint32_t slot;
    unsigned portal;
    struct address peer;
};

/* acceptor.c: a connection in login, not yet begun. NULL: no room, no memory. */
struct connection *acceptor_connection_new(struct acceptor *a, const struct arrival *arrival);
/* acceptor_admit.c: arrival->message's */
void acceptor_arrive(struct reactor_message *message);
/* It counts as a connection from its address. False: no memory. */
bool acceptor_let_in(struct connection *c);
/* acceptor_stop.c */
void acceptor_stop_init(struct acceptor *a);
