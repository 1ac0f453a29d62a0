/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Durations by powers of two: bucket i counts those up to 2^(HISTOGRAM_SHIFT + i) ns, the last one all
 * that took longer (8 us, 16 us ... 8.6 s, longer). One writer; anyone reads with relaxed loads.
 */
#pragma once

#include <stdint.h>

#include "reactor/counters.h"

#define HISTOGRAM_SHIFT   13
#define HISTOGRAM_BUCKETS 22

struct histogram {
    uint64_t sum_ns;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_index(uint64_t ns)
{
    if (ns <= UINT64_C(1) << HISTOGRAM_SHIFT)
        return 0;
    unsigned i = 64u - (unsigned)__builtin_clzll(ns - 1) - HISTOGRAM_SHIFT;
    return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    counter_add(&h->sum_ns, ns);
    counter_add(&h->bucket[histogram_index(ns)], 1);
}

/* The upper end of a bucket; UINT64_MAX of the last. */
static inline uint64_t histogram_bound_ns(unsigned bucket)
{
    return bucket < HISTOGRAM_BUCKETS - 1 ? UINT64_C(1) << (HISTOGRAM_SHIFT + bucket) : UINT64_MAX;
}

/* Adds what `from` holds now to `to`, which nobody else has. */
static inline void histogram_collect(struct histogram *to, const struct histogram *from)
{
    to->sum_ns += counter_get(&from->sum_ns);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->bucket[i] += counter_get(&from->bucket[i]);
}

static inline uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        n += h->bucket[i];
    return n;
}
