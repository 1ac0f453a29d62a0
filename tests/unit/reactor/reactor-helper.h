/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests with running reactors: start, and run a function on one and wait for it. */
#pragma once

#include "reactor/reactor.h"

#include <glib.h>
#include <semaphore.h>

static inline struct reactor *reactor_make(unsigned index, unsigned entries)
{
    struct reactor_options o = {
        .name = "test", .index = index, .cpu = -1, .ring_entries = entries, .tombstone_fd = -1
    };
    struct reactor *reactor = NULL;
    int r = reactor_create(&o, &reactor);
    if (r < 0)
        g_error("%s (%s)", ring_refusal_text(r), g_strerror(-r));
    return reactor;
}

static inline struct reactor *reactor_running(unsigned index)
{
    struct reactor *reactor = reactor_make(index, 0);
    g_assert_cmpint(reactor_start(reactor), ==, 0);
    return reactor;
}

static inline void reactor_end(struct reactor *reactor)
{
    reactor_stop(reactor);
    reactor_free(reactor);
}

/* Signals that count: a test's thread waits for them, a reactor gives them. */
static inline void wait_signal(sem_t *sem)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 20;
    g_assert_cmpint(sem_timedwait(sem, &t), ==, 0);
}

struct call {
    struct reactor_message message;
    void (*function)(void *data);
    void *data;
    sem_t done;
};

static inline void call_run(struct reactor_message *message)
{
    struct call *call = container_of(message, struct call, message);
    call->function(call->data);
    sem_post(&call->done);
}

/* Runs function(data) on the reactor and waits for it. */
static inline void on_reactor(struct reactor *reactor, void (*function)(void *), void *data)
{
    struct call call = { .message.run = call_run, .function = function, .data = data };
    sem_init(&call.done, 0, 0);
    reactor_post(reactor, &call.message);
    wait_signal(&call.done);
    sem_destroy(&call.done);
}

static inline struct reactor_counters counters_of(struct reactor *reactor)
{
    struct reactor_counters c;
    reactor_counters_snapshot(reactor, &c);
    return c;
}
