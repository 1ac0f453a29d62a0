/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshot of a reactor's counters (counters.h), the ring's among them. */
#include "reactor/counters.h"

#include "reactor/reactor.h"

void reactor_counters_snapshot(const struct reactor *reactor, struct reactor_counters *ret_counters)
{
    const struct reactor_counters *c = &reactor->counters;
    const struct ring_counters *ring = ring_counters(reactor->ring);
    *ret_counters = (struct reactor_counters){
        .turns = counter_get(&c->turns),
        .sleeps = counter_get(&c->sleeps),
        .wakeups = counter_get(&c->wakeups),
        .messages = counter_get(&c->messages),
        .completions = counter_get(&c->completions),
        .timers = counter_get(&c->timers),
        .deferred = counter_get(&c->deferred),
        .carried = counter_get(&c->carried),
        .enters = counter_get(&ring->enters),
        .started = counter_get(&ring->started),
        .ring_full = counter_get(&ring->full),
        .fixed = counter_get(&ring->fixed),
        .buffer_bytes = counter_get(&c->buffer_bytes),
        .buffer_waits = counter_get(&c->buffer_waits),
        .buffer_trims = counter_get(&c->buffer_trims),
    };
}
