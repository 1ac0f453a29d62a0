/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mechanics of one worker process: start it with its link, tombstone and configuration, see it
 * end. What to do about that is supervise.c's.
 *
 * The worker is an executable given by descriptor (this one, also when another lies on disk by now; or
 * the one of an upgrade) run as
 * `holdfastd --worker GENERATION FILE`. It inherits standard input, output and error and the
 * descriptors of link.h, nothing else; runs in its own process group (Ctrl-C is for the keeper);
 * SIGHUP, SIGINT, SIGTERM, SIGUSR2 and SIGPIPE are ignored in it, it is stopped over the link; it is
 * killed when the keeper dies.
 */
#pragma once

#include "keeper/link.h"
#include "keeper/store.h"

#include <stdbool.h>
#include <sys/types.h>

enum worker_state {
    WORKER_NONE, /* no process */
    WORKER_STARTING,
    WORKER_READY,
    WORKER_STOPPING, /* STOP has been sent */
};

struct worker {
    enum worker_state state;
    unsigned generation;
    pid_t pid;
    int pidfd; /* readable when it has ended */
    struct link link;
    struct store *store;
    struct store_item *stored; /* the tombstone; the taker of the tombstone takes it, too */
    int tombstone; /* read end; POLLHUP when its last ring is gone */
    bool again;    /* it follows one that is dead */
    bool spare;    /* in reserve, at low priority, unknown to the service manager */
    bool hurries;  /* its threads are at a higher priority ... */
    uint64_t realtime_ns; /* ahead of everything else, until then at most; 0: not */
    uint64_t calm_ns; /* ... until then; 0: for as long as it takes */
    bool go_sent;
    bool failed;                   /* it has said FAILED */
    bool hung;                     /* it did not answer, and we ended it */
    bool killed;                   /* by us */
    uint64_t started_ns, ready_ns; /* ready_ns 0: never */
    uint64_t kill_ns;              /* when to send SIGKILL; 0: no such plan */
};

/*
 * Starts a worker; `config_fd` is the sealed memfd, `control_fd` the listening control socket (-1: none),
 * `file` the name the configuration has in messages, `again`: the one before it is dead. 0, or negative errno
 * with nothing left behind.
 */
int worker_start(struct worker *w, struct store *store, unsigned generation, bool again,
                 int config_fd, int control_fd, const char *file, int exe_fd);
/* In reserve: it stays so, after PREPARED, until worker_spare_no_more() and then GO. */
int worker_start_spare(struct worker *w, unsigned generation, int config_fd, int control_fd,
                       const char *file, int exe_fd);
void worker_spare_no_more(struct worker *w, struct store *store);
/* The whole of it goes to `to`, which holds none. */
void worker_move(struct worker *to, struct worker *from);
void worker_kill(struct worker *w);

/* priority.c: what is started ahead of its time (0: this process), which nobody waits for; the keeper itself,
   before it starts one that is waited for; what is left of a dead one, whose process group that is; while initiators
   wait for a worker, and no longer. */
bool worker_priority_can(void);
void worker_priority_rest(pid_t group);
void worker_priority_aside(pid_t pid);
void worker_priority_hurry(void);
void worker_hurry(struct worker *w);
void worker_calm(struct worker *w); /* it alone: another one is waited for now */
void worker_hurry_over(struct worker *w);
void worker_hurry_over_soon(struct worker *w);
uint64_t worker_hurry_tick(struct worker *w, uint64_t now_ns);

/* Kills it, waits for its end and closes all there is of it; may be called without a process. */
void worker_discard(struct worker *w);
/* The same for one whose end nobody waits for. */
void worker_let_die(struct worker *w);
/*
 * The memory of a dead worker may be left to a process of its own, in its process group (undertaker.h), and one
 * that was killed may take its time to end: these groups are reaped from time to time. When to look again,
 * UINT64_MAX when none is there.
 */
void worker_rest_begins(pid_t group);
uint64_t worker_rests_tick(uint64_t now_ns);
/*
 * Call when pidfd is readable: reaps it and closes link and pidfd; the tombstone stays open and is
 * given to the caller. *ret_how is "signal 9 (Killed)" or "exit 1"; g_free(). 0 or negative errno.
 */
int worker_reap(struct worker *w, int *ret_tombstone, bool *ret_by_signal, int *ret_code,
                char **ret_how);
