/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The timer wheel of timer.h.
 *
 * A tick is a number in base 64. A timer lies on the level of the highest digit in which its tick
 * differs from the wheel's `now`, in the slot of that digit's value; so everything on a level is
 * due before anything on the level above, and on one level the slots are due in order. When `now`
 * reaches the start of a slot its timers are sorted again, onto lower levels.
 *
 * The nearest deadline is therefore in the first used slot of the lowest used level; the slot's
 * `first` says when exactly. It may be too early after a stop (nobody looks for the new minimum),
 * which costs one idle wake-up and is put right by it.
 */
#include "reactor/timer.h"

#define DIGIT_BITS 6
#define DIGIT_MASK 63u
#define TICK_MAX   ((UINT64_C(1) << (DIGIT_BITS * TIMER_LEVELS)) - 1)

#define SLOT_STOPPED (-1)
#define SLOT_DUE     (-2)

static unsigned level_of(uint64_t now, uint64_t tick)
{
    uint64_t differ = now ^ tick;
    return differ ? (63u - (unsigned)__builtin_clzll(differ)) / DIGIT_BITS : 0;
}

/* tick > now */
static void place(struct timer_wheel *wheel, struct timer *timer)
{
    unsigned level = level_of(wheel->now, timer->tick);
    unsigned digit = timer->tick >> (level * DIGIT_BITS) & DIGIT_MASK;
    struct timer_slot *slot = &wheel->slots[level * TIMER_SLOTS + digit];
    if (list_empty(&slot->timers) || timer->tick < slot->first)
        slot->first = timer->tick;
    list_append(&slot->timers, &timer->link);
    wheel->used[level] |= UINT64_C(1) << digit;
    timer->slot = (int16_t)(level * TIMER_SLOTS + digit);
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
    wheel->now = now_ns >> TIMER_TICK_SHIFT;
    list_init(&wheel->due);
    for (unsigned level = 0; level < TIMER_LEVELS; level++)
        wheel->used[level] = 0;
    for (unsigned i = 0; i < TIMER_LEVELS * TIMER_SLOTS; i++) {
        list_init(&wheel->slots[i].timers);
        wheel->slots[i].first = 0;
    }
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t deadline_ns)
{
    timer_stop(wheel, timer);
    if (deadline_ns == TIMER_NEVER)
        return;
    uint64_t tick = deadline_ns >> TIMER_TICK_SHIFT;
    if (deadline_ns & (TIMER_TICK_NS - 1))
        tick++;
    if (tick > TICK_MAX)
        tick = TICK_MAX;
    if (tick <= wheel->now)
        tick = wheel->now + 1;
    timer->tick = tick;
    place(wheel, timer);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (timer->slot == SLOT_STOPPED)
        return;
    list_remove(&timer->link);
    if (timer->slot >= 0 && list_empty(&wheel->slots[timer->slot].timers))
        wheel->used[timer->slot / TIMER_SLOTS] &=
            ~(UINT64_C(1) << (unsigned)timer->slot % TIMER_SLOTS);
    timer->slot = SLOT_STOPPED;
}

/* The lowest used level, or TIMER_LEVELS when there is no timer. */
static unsigned lowest_level(const struct timer_wheel *wheel)
{
    unsigned level = 0;
    while (level < TIMER_LEVELS && !wheel->used[level])
        level++;
    return level;
}

uint64_t timer_wheel_next(const struct timer_wheel *wheel)
{
    unsigned level = lowest_level(wheel);
    if (level == TIMER_LEVELS)
        return TIMER_NEVER;
    unsigned digit = (unsigned)__builtin_ctzll(wheel->used[level]);
    return wheel->slots[level * TIMER_SLOTS + digit].first << TIMER_TICK_SHIFT;
}

/* Moves `now` to the start of the slot and sorts its timers: due, or onto a lower level. */
static void open_slot(struct timer_wheel *wheel, unsigned level, unsigned digit, uint64_t start)
{
    struct timer_slot *slot = &wheel->slots[level * TIMER_SLOTS + digit];
    struct list timers;
    list_init(&timers);
    list_splice(&timers, &slot->timers);
    wheel->used[level] &= ~(UINT64_C(1) << digit);
    wheel->now = start;
    for (struct list *link; (link = list_take(&timers));) {
        struct timer *timer = list_entry(link, struct timer, link);
        if (timer->tick <= start) {
            timer->slot = SLOT_DUE;
            list_append(&wheel->due, &timer->link);
        } else {
            place(wheel, timer);
        }
    }
}

static unsigned fire_due(struct timer_wheel *wheel)
{
    unsigned fired = 0;
    for (struct list *link; (link = list_take(&wheel->due)); fired++) {
        struct timer *timer = list_entry(link, struct timer, link);
        timer->slot = SLOT_STOPPED;
        timer->fired(timer);
    }
    return fired;
}

unsigned timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ns)
{
    uint64_t target = now_ns >> TIMER_TICK_SHIFT;
    unsigned fired = 0;
    while (wheel->now < target) {
        unsigned level = lowest_level(wheel);
        if (level == TIMER_LEVELS)
            break;
        unsigned digit = (unsigned)__builtin_ctzll(wheel->used[level]), shift = level * DIGIT_BITS;
        uint64_t above = (wheel->now >> shift & ~(uint64_t)DIGIT_MASK) << shift;
        uint64_t start = above | (uint64_t)digit << shift;
        if (start > target)
            break;
        open_slot(wheel, level, digit, start);
        fired += fire_due(wheel);
    }
    if (wheel->now < target)
        wheel->now = target;
    return fired;
}
