/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of one reactor: plain numbers with one writer, its thread; everyone else reads them with
 * relaxed loads (a snapshot is not one moment, but each number is whole).
 */
#pragma once

#include <stdint.h>

struct reactor;

struct reactor_counters {
    uint64_t turns;
    uint64_t sleeps;  /* turns that ended with permission to sleep */
    uint64_t wakeups; /* times another thread had to wake this one */
    uint64_t messages;
    uint64_t completions;
    uint64_t timers;       /* fired */
    uint64_t deferred;     /* tasks run */
    uint64_t carried;      /* turns whose deferred tasks ran over into the next */
    uint64_t enters;       /* from the ring: system calls */
    uint64_t started;      /* from the ring: operations */
    uint64_t ring_full;    /* from the ring: early submissions */
    uint64_t fixed;        /* from the ring: registered-buffer reads and writes */
    uint64_t buffer_bytes; /* in use now */
    uint64_t buffer_waits; /* requests for a buffer that had to wait */
    uint64_t buffer_trims; /* superblocks whose memory was given back to the system */
};

static inline void counter_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Any thread, while the reactor exists. */
void reactor_counters_snapshot(const struct reactor *reactor,
                               struct reactor_counters *ret_counters);
