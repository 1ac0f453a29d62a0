/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: the small process that the service manager knows. It owns the listening sockets, a
 * duplicate of every connection and the memory that outlives a worker, and sees to it that a worker
 * runs. It reads no byte from the network, runs no plugin and has one thread, so that there is next to
 * nothing in it that could fail.
 *
 *   keeper.c       the event loop, signals, start and stop
 *   supervise.c    the life of workers: start, messages, death, restart, tombstones
 *   upgrade.c      another binary takes the place of the worker's
 *   accept.c       new connections
 *   pulse.c        a worker that does not answer is replaced
 *   renew.c  heritage.c  adopt.c    another binary takes the place of our own
 *   store.c  record.c  inherit.c  resume.c  leave.c    from one keeper to the next
 *   ask.c          what an administrator asks of the keeper, over the worker's control socket
 *   portals.c  connections.c  control_socket.c  memory.c  worker.c  link.c  notify.c    what it owns and speaks with
 *   state_lock.c    no other daemon has the same state directory
 */
#pragma once

#include "config/model.h"

#define KEEPER_STOP_TIMEOUT_MS 10000 /* SIGTERM: the worker has this long before it is killed */

struct keeper_args {
    const struct config *config;
    const char *text; /* the file that config was made from, byte for byte */
    size_t text_bytes;
    const char *file;         /* its name in messages */
    unsigned stop_timeout_ms; /* 0: KEEPER_STOP_TIMEOUT_MS */
    struct heritage *heritage; /* this process was a keeper already, of another binary; or NULL */
};

/*
 * Runs until SIGTERM or SIGINT and everything is stopped. The exit code: 0, or 1 when it could not
 * start (the reasons are on standard error).
 */
int keeper_run(const struct keeper_args *args);

/* In a child of a keeper, which has everything that it has: NULL, or why this binary could not go on. */
const char *keeper_try(struct heritage *h, const struct config *config);
/* This binary cannot be the keeper: back to the one before. Comes back when that cannot be either. */
void adopt_go_back(const struct keeper_args *args);
