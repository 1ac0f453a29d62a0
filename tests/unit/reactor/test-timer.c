/* SPDX-License-Identifier: BSD-3-Clause */
/* The timer wheel on a clock of our own: order, stops and starts from inside, far deadlines, and
 * that it never asks to be woken for nothing. */
#include "reactor/timer.h"

#include <glib.h>

#define TICK TIMER_TICK_NS
#define BASE (UINT64_C(1000003) * TICK + 12345)

struct test_timer {
    struct timer timer;
    uint64_t deadline;
    unsigned fired;
};

static struct timer_wheel wheel;
static uint64_t now;

static void count(struct timer *timer)
{
    struct test_timer *t = (struct test_timer *)timer;
    g_assert_false(timer_armed(timer));
    g_assert_cmpuint(now, >=, t->deadline);
    t->fired++;
}

static void start(struct test_timer *t, uint64_t deadline)
{
    t->deadline = deadline;
    timer_start(&wheel, &t->timer, deadline);
}

static unsigned run(uint64_t to)
{
    now = to;
    return timer_wheel_run(&wheel, now);
}

static void init(struct test_timer *t, unsigned n)
{
    now = BASE;
    timer_wheel_init(&wheel, now);
    for (unsigned i = 0; i < n; i++) {
        t[i] = (struct test_timer){ 0 };
        timer_init(&t[i].timer, count);
    }
}

static void test_fires_once_and_not_early(void)
{
    struct test_timer t;
    init(&t, 1);
    g_assert_cmpuint(timer_wheel_next(&wheel), ==, TIMER_NEVER);
    start(&t, BASE + 10 * TICK);
    g_assert_true(timer_armed(&t.timer));
    g_assert_cmpuint(run(BASE + 10 * TICK - 1), ==, 0);
    g_assert_cmpuint(run(BASE + 11 * TICK), ==, 1);
    g_assert_cmpuint(run(BASE + 99999 * TICK), ==, 0);
    g_assert_cmpuint(t.fired, ==, 1);
    g_assert_cmpuint(timer_wheel_next(&wheel), ==, TIMER_NEVER);
}

static void test_past_deadline_fires_in_the_next_tick(void)
{
    struct test_timer t;
    init(&t, 1);
    start(&t, 5);
    g_assert_cmpuint(timer_wheel_next(&wheel), <=, BASE + TICK);
    g_assert_cmpuint(run(BASE + TICK), ==, 1);
}

static uint64_t order[3000];
static unsigned order_count;

static void note_order(struct timer *timer)
{
    order[order_count++] = timer->tick;
    ((struct test_timer *)timer)->fired++;
}

static void test_order_and_wakeups(void)
{
    /* Random deadlines over all levels; the clock jumps only to where the wheel asks for it. */
    enum { N = 3000 };
    g_autofree struct test_timer *t = g_new(struct test_timer, N);
    unsigned fired = 0, wakeups = 0;
    init(t, N);
    order_count = 0;
    for (unsigned i = 0; i < N; i++) {
        t[i].timer.fired = note_order;
        unsigned bits = (unsigned)g_test_rand_int_range(1, 40);
        uint64_t delay = ((uint64_t)(uint32_t)g_test_rand_int() << 8) & ((UINT64_C(1) << bits) - 1);
        start(&t[i], BASE + delay * TICK + (uint64_t)i);
    }
    for (uint64_t next; (next = timer_wheel_next(&wheel)) != TIMER_NEVER; wakeups++) {
        g_assert_cmpuint(next, >, now);
        unsigned n = run(next);
        g_assert_cmpuint(n, >, 0); /* never woken for nothing */
        fired += n;
    }
    g_assert_cmpuint(fired, ==, N);
    g_assert_cmpuint(wakeups, <=, N);
    for (unsigned i = 1; i < N; i++)
        g_assert_cmpuint(order[i - 1], <=, order[i]);
    for (unsigned i = 0; i < N; i++)
        g_assert_cmpuint(t[i].fired, ==, 1);
}

static void test_late_run_fires_everything_in_order(void)
{
    enum { N = 500 };
    struct test_timer t[N];
    init(t, N);
    order_count = 0;
    for (unsigned i = 0; i < N; i++) {
        t[i].timer.fired = note_order;
        start(&t[i], BASE + (uint64_t)((i * 7919) % 100000 + 1) * TICK);
    }
    g_assert_cmpuint(run(BASE + UINT64_C(200000) * TICK), ==, N);
    for (unsigned i = 1; i < N; i++)
        g_assert_cmpuint(order[i - 1], <=, order[i]);
}

static void test_far_deadline(void)
{
    struct test_timer t[2];
    init(t, 2);
    uint64_t year = UINT64_C(365) * 86400 * 1000000000;
    start(&t[0], BASE + 30 * year);
    start(&t[1], UINT64_MAX - 1);
    g_assert_cmpuint(run(BASE + 30 * year - TICK), ==, 0);
    g_assert_cmpuint(timer_wheel_next(&wheel), >=, BASE + 30 * year);
    g_assert_cmpuint(timer_wheel_next(&wheel), <=, BASE + 30 * year + TICK);
    g_assert_cmpuint(run(timer_wheel_next(&wheel)), ==, 1);
    g_assert_true(timer_armed(&t[1].timer));
    timer_start(&wheel, &t[1].timer, TIMER_NEVER);
    g_assert_false(timer_armed(&t[1].timer));
    g_assert_cmpuint(timer_wheel_next(&wheel), ==, TIMER_NEVER);
}

static void test_stop_and_restart(void)
{
    struct test_timer t[3];
    init(t, 3);
    timer_stop(&wheel, &t[0].timer);
    for (unsigned i = 0; i < 3; i++)
        start(&t[i], BASE + 5 * TICK);
    timer_stop(&wheel, &t[0].timer);
    timer_stop(&wheel, &t[0].timer);
    start(&t[1], BASE + 5000 * TICK);
    g_assert_cmpuint(run(BASE + 6 * TICK), ==, 1);
    g_assert_cmpuint(t[2].fired, ==, 1);
    g_assert_cmpuint(run(BASE + 5001 * TICK), ==, 1);
    g_assert_cmpuint(t[1].fired, ==, 1);
    g_assert_cmpuint(t[0].fired, ==, 0);
}

/* The first to fire stops the others due at the same time, and starts itself again. */
static struct test_timer pair[3];

static void stop_others(struct timer *timer)
{
    struct test_timer *me = (struct test_timer *)timer;
    me->fired++;
    for (unsigned i = 0; i < 3; i++)
        if (&pair[i] != me)
            timer_stop(&wheel, &pair[i].timer);
    if (me->fired < 4)
        start(me, now);
}

static void test_stop_and_start_from_inside(void)
{
    init(pair, 3);
    for (unsigned i = 0; i < 3; i++) {
        pair[i].timer.fired = stop_others;
        start(&pair[i], BASE + 3 * TICK);
    }
    unsigned fired = 0;
    for (unsigned i = 1; i < 20; i++)
        fired += run(BASE + i * TICK);
    g_assert_cmpuint(fired, ==, 4);
    g_assert_cmpuint(pair[0].fired + pair[1].fired + pair[2].fired, ==, 4);
    g_assert_cmpuint(timer_wheel_next(&wheel), ==, TIMER_NEVER);
}

static void test_idle_timers_ask_for_one_wakeup(void)
{
    /* 100,000 connections, each with a timer 15 s away that is restarted now and then. */
    enum { N = 100000 };
    g_autofree struct test_timer *t = g_new(struct test_timer, N);
    const uint64_t idle = UINT64_C(15000000000);
    init(t, N);
    for (unsigned i = 0; i < N; i++)
        start(&t[i], BASE + idle);
    g_assert_cmpuint(timer_wheel_next(&wheel), >=, BASE + idle);
    run(BASE + idle / 3);
    for (unsigned i = 0; i < N; i++)
        start(&t[i], now + idle);
    g_assert_cmpuint(timer_wheel_next(&wheel), >=, now + idle);
    g_assert_cmpuint(run(timer_wheel_next(&wheel)), ==, N);
}

static void test_against_a_plain_model(void)
{
    /* Random starts, stops and steps of the clock; compared with a list that is searched. */
    enum { N = 200, STEPS = 20000 };
    struct test_timer t[N];
    bool armed[N] = { false };
    unsigned expect[N] = { 0 };
    init(t, N);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)g_test_rand_int_range(0, N);
        int what = g_test_rand_int_range(0, 10);
        if (what < 6) {
            start(&t[i],
                  now +
                      (uint64_t)g_test_rand_int_range(1, 1 << g_test_rand_int_range(1, 20)) * TICK);
            armed[i] = true;
        } else if (what < 8) {
            timer_stop(&wheel, &t[i].timer);
            armed[i] = false;
        } else {
            uint64_t to =
                now + (uint64_t)g_test_rand_int_range(0, 1 << g_test_rand_int_range(1, 16)) * TICK;
            run(to);
            for (unsigned k = 0; k < N; k++) {
                /* Deadlines are off the tick by the base's fraction: one tick later. */
                if (armed[k] &&
                    ((t[k].deadline + TICK - 1) >> TIMER_TICK_SHIFT) <= to >> TIMER_TICK_SHIFT) {
                    armed[k] = false;
                    expect[k]++;
                }
            }
        }
        for (unsigned k = 0; k < N; k += 7) {
            g_assert_cmpuint(t[k].fired, ==, expect[k]);
            g_assert_true(timer_armed(&t[k].timer) == armed[k]);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/timer/fires-once-and-not-early", test_fires_once_and_not_early);
    g_test_add_func("/reactor/timer/past-deadline-fires-in-the-next-tick",
                    test_past_deadline_fires_in_the_next_tick);
    g_test_add_func("/reactor/timer/order-and-wakeups", test_order_and_wakeups);
    g_test_add_func("/reactor/timer/late-run-fires-everything-in-order",
                    test_late_run_fires_everything_in_order);
    g_test_add_func("/reactor/timer/far-deadline", test_far_deadline);
    g_test_add_func("/reactor/timer/stop-and-restart", test_stop_and_restart);
    g_test_add_func("/reactor/timer/stop-and-start-from-inside", test_stop_and_start_from_inside);
    g_test_add_func("/reactor/timer/idle-timers-ask-for-one-wakeup",
                    test_idle_timers_ask_for_one_wakeup);
    g_test_add_func("/reactor/timer/against-a-plain-model", test_against_a_plain_model);
    return g_test_run();
}
