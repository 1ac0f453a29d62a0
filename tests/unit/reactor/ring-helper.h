/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests that drive a ring by hand: an operation that remembers how it ended, and the loop. */
#pragma once

#include "base/clock.h"
#include "reactor/ring.h"

#include <glib.h>

struct test_op {
    struct ring_op op;
    int result;
    unsigned done; /* how often */
    bool more_data;
};

static inline void test_op_done(struct ring_op *op, int result)
{
    struct test_op *t = (struct test_op *)op;
    t->result = result;
    t->done++;
    t->more_data = ring_op_more_data(op);
}

static inline struct test_op *test_op_init(struct test_op *t)
{
    *t = (struct test_op){ .result = -12345 };
    ring_op_init(&t->op, test_op_done);
    return t;
}

static inline struct ring *ring_for_test(unsigned entries)
{
    struct ring *ring = NULL;
    int r = ring_create(entries, &ring);
    if (r < 0)
        g_error("%s (%s)", ring_refusal_text(r), g_strerror(-r));
    g_assert_cmpint(ring_enable(ring), ==, 0);
    return ring;
}

/* Turns until the operation is done; fails when nothing happens for ten seconds. */
static inline int finish(struct ring *ring, struct test_op *t)
{
    uint64_t end = clock_now_ns() + 10 * NS_PER_S;
    while (!t->done) {
        g_assert_cmpuint(clock_now_ns(), <, end);
        g_assert_cmpint(ring_enter(ring, NS_PER_S), ==, 0);
        ring_reap(ring, 64);
    }
    g_assert_cmpuint(t->done, ==, 1);
    return t->result;
}

/* Turns until the ring has nothing outstanding. */
static inline void drain(struct ring *ring)
{
    uint64_t end = clock_now_ns() + 10 * NS_PER_S;
    while (ring_outstanding(ring)) {
        g_assert_cmpuint(clock_now_ns(), <, end);
        g_assert_cmpint(ring_enter(ring, NS_PER_S), ==, 0);
        ring_reap(ring, 64);
    }
}
