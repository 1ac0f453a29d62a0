/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reactor: one thread, one ring, one timer wheel, one mailbox, and the turn that serves them:
 *
 *     mailbox -> completions (a bounded number) -> timers -> deferred tasks -> one system call
 *
 * The system call submits everything the turn has queued and, when nothing is left to do, sleeps
 * until the next completion, message or timer. So work gathers while it is being done, and a turn
 * costs one call no matter how much it moved. Nothing on this thread may block or take a lock.
A reactor that busy-polls looks for work before it sleeps, and does then by its own hand what costs
more through the ring (reactor_watch(), reactor_busy_polls()).
 *
 * Other threads reach a reactor by reactor_post() alone. A post to a busy reactor is one atomic
 * exchange; only a sleeping one is woken through an eventfd.
 *
 * Life: reactor_create(), [bufpool_create()], reactor_start() (or reactor_prepare() and reactor_go()), reactor_stop(),
 * [bufpool_destroy()], reactor_free().
 */
#pragma once

#include "base/list.h"
#include "reactor/counters.h"
#include "reactor/ring.h"
#include "reactor/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct bufpool;
struct reactor;

/* A message belongs to the reactor from reactor_post() until run() is called. */
struct reactor_message {
    void (*run)(struct reactor_message *message);
    struct reactor_message *next; /* private */
};

/* Work for the end of the turn. */
struct reactor_task {
    struct list link; /* private */
    void (*run)(struct reactor_task *task);
};

struct reactor_options {
    const char *name;      /* of the thread, up to 15 bytes */
    unsigned index;        /* 0 .. ; the caller's number for it */
    int cpu;               /* to run on; -1: any */
    int nice;              /* of its thread, added to that of who starts it (setpriority(2)) */
    unsigned ring_entries; /* 0: the default, 1024 */
    uint64_t busy_poll_ns; /* look this long for work before sleeping; 0: sleep at once */
    int tombstone_fd;      /* for ring_hold(), stays the caller's; -1: none */
};

struct reactor_scratch_block;

struct reactor {
    /* For the owner's use on the reactor's thread, and constant for the others. */
    struct ring *ring;
    struct bufpool *pool; /* NULL without bufpool_create() */
    struct timer_wheel timers;
    uint64_t now_ns; /* clock_now_ns() at the start of this turn */
    unsigned index;
    void *user; /* the upper layers' per-reactor object */
    /* Requests to storage under way that may outlive the process; its thread counts. NULL: nobody looks. */
    uint32_t *lasting;
    /* Deferred in every turn, behind all others, while it is set. NULL: none. */
    struct reactor_task *each_turn;
    /* Private from here on. */
    struct reactor_counters counters;
    struct list deferred;
    struct list watched;
    unsigned watches;
    struct reactor_scratch_block *scratch, *scratch_first;
    struct reactor_private *private_part;
};

/* 0 or negative errno; -errno of ring_create() when the kernel refuses (ring_refusal_text()). */
int reactor_create(const struct reactor_options *options, struct reactor **ret_reactor);
int reactor_start(struct reactor *reactor);
/*
 * The two halves of it, for who has no time when it is to start: reactor_prepare() makes the thread, which waits;
 * reactor_go() lets it go, and does not wait for it. Its ring must not fail any more: it ends the process.
 */
int reactor_prepare(struct reactor *reactor);
void reactor_go(struct reactor *reactor);
/*
 * Runs the messages already posted, ends the thread and waits for it. Every operation but the
 * reactor's own should be done; it waits up to 300 ms for those that are not. Not from itself.
 */
void reactor_stop(struct reactor *reactor);
/* Closes the ring; NULL is fine; returns NULL. */
struct reactor *reactor_free(struct reactor *reactor);

extern __thread struct reactor *reactor_of_thread;
/* The reactor this thread is, or NULL. */
static inline struct reactor *reactor_current(void)
{
    return reactor_of_thread;
}

/* Any thread, the reactor's own included: run() comes on the reactor's thread, in the order of the
 * posts of each poster, in a later turn (or later in the mailbox phase of this one). */
void reactor_post(struct reactor *reactor, struct reactor_message *message);

/* Runs the messages that are there now, as every turn does. For a reactor that was not started:
 * tests, which are then its thread. */
void reactor_run_mailbox(struct reactor *reactor);

static inline void reactor_task_init(struct reactor_task *task, void (*run)(struct reactor_task *))
{
    list_init(&task->link);
    task->run = run;
}

/*
 * run() at the end of this turn, before the system call. Queued already: nothing happens. Tasks
 * deferred by running tasks run in further rounds of the same turn, after REACTOR_ROUNDS in the
 * next turn, before which the reactor does not sleep. Reactor's thread.
 */
#define REACTOR_ROUNDS 8
static inline void reactor_defer(struct reactor *reactor, struct reactor_task *task)
{
    if (list_empty(&task->link))
        list_append(&reactor->deferred, &task->link);
}

static inline void reactor_task_cancel(struct reactor_task *task)
{
    list_remove(&task->link);
}

static inline void reactor_timer_start(struct reactor *reactor, struct timer *timer,
                                       uint64_t delay_ns)
{
    timer_start(&reactor->timers, timer, reactor->now_ns + delay_ns);
}

static inline void reactor_timer_stop(struct reactor *reactor, struct timer *timer)
{
    timer_stop(&reactor->timers, timer);
}

/* Any thread. */
void reactor_set_busy_poll(struct reactor *reactor, uint64_t busy_poll_ns);

/* Does it look for work before it sleeps? Then a system call made at once beats an operation of the
 * ring: nobody is waiting for the end of the turn. Reactor's thread. */
bool reactor_busy_polls(const struct reactor *reactor);

/*
 * An operation that a busy-polling reactor tries itself, over and over, in place of the ring: the
 * ring's way costs a poll, a wake-up and one more system call between the event and its
 * completion, which is much of the latency at depth 1. Reactor's thread.
 */
#define REACTOR_WATCHES 4 /* more at once cost more than they save */
struct reactor_watch {
    struct list link; /* private */
    /* Does not block. -EAGAIN: nothing yet; all else is the result for done(). */
    int (*attempt)(struct reactor_watch *watch);
    /* Among the completions of the next turn. */
    void (*done)(struct reactor_watch *watch, int result);
    /* The reactor is going to sleep: let the ring do it. */
    void (*arm)(struct reactor_watch *watch);
    int result; /* private; -EAGAIN: none */
};
/* False: it does not busy-poll, or watches enough already; the ring has to do it. */
bool reactor_watch(struct reactor *reactor, struct reactor_watch *watch);
/* True: done() and arm() do not come. False: it is not watched, or done() is about to come. */
bool reactor_unwatch(struct reactor *reactor, struct reactor_watch *watch);

/*
 * Scratch memory, 16-byte aligned, valid until the end of this turn: made for the iovec arrays and
 * msghdrs of sends and of file I/O, which the kernel copies at submission (ring.h says which).
 * NULL: no memory, or more than 16 MiB in one turn; try again in the next turn.
 */
void *reactor_scratch(struct reactor *reactor, size_t bytes);

static inline struct iovec *reactor_iov(struct reactor *reactor, unsigned count)
{
    return reactor_scratch(reactor, count * sizeof(struct iovec));
}

/* A msghdr in scratch for ring_sendmsg(). */
struct msghdr *reactor_msghdr(struct reactor *reactor, struct iovec *iov, unsigned count);
