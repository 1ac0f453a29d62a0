/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers: a hierarchical wheel of seven levels with 64 slots each, in ticks of 2^20 ns (about a
 * millisecond). Starting and stopping is O(1) and never allocates; a timer is embedded in the
 * caller's object. Nothing ticks: the wheel knows the nearest deadline from one bitmap per level
 * and the smallest deadline of each slot, so idle timers cost nothing until one is due.
 *
 * A timer never fires early, and up to one tick late; timers fire in the order of their ticks.
 * fired() may start, stop or free any timer, its own included. Thread: the owner of the wheel.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_SHIFT 20
#define TIMER_TICK_NS    (UINT64_C(1) << TIMER_TICK_SHIFT)
#define TIMER_LEVELS     7
#define TIMER_SLOTS      64
#define TIMER_NEVER      UINT64_MAX

struct timer {
    struct list link; /* private */
    void (*fired)(struct timer *timer);
    uint64_t tick; /* private: due when the wheel has reached it */
    int16_t slot;  /* private: level * 64 + slot; -1 stopped, -2 about to fire */
};

struct timer_slot {
    struct list timers;
    uint64_t first; /* no timer of this slot is due before this tick */
};

struct timer_wheel {
    uint64_t now;                /* ticks processed so far */
    uint64_t used[TIMER_LEVELS]; /* bit n: slot n is not empty */
    struct timer_slot slots[TIMER_LEVELS * TIMER_SLOTS];
    struct list due;
};

/* Deadlines are clock_now_ns() values. */
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);
/* Fires everything due at `now_ns`; returns how many fired. */
unsigned timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ns);
/* The time by which timer_wheel_run() has something to do; TIMER_NEVER: no timer. */
uint64_t timer_wheel_next(const struct timer_wheel *wheel);

static inline void timer_init(struct timer *timer, void (*fired)(struct timer *timer))
{
    list_init(&timer->link);
    timer->fired = fired;
    timer->slot = -1;
}

static inline bool timer_armed(const struct timer *timer)
{
    return timer->slot != -1;
}

/* Starts, or restarts with a new deadline. TIMER_NEVER stops it. */
void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns);
/* Nothing happens when it is not armed; afterwards fired() does not come. */
void timer_stop(struct timer_wheel *wheel, struct timer *timer);
