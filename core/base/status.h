/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that only the keeper knows and that people want to see: the keeper fills them in, the worker's
 * control interface shows them. Plain data, as it goes over the link between the two.
 */
#pragma once

#include <stdint.h>

#define STATUS_TEXT_MAX 64

/* How often no worker could serve for a moment, and for how long: from holding still, or from the death
   that was noticed, until the next one was ready. */
struct status_pauses {
    uint32_t count;
    uint32_t failures; /* upgrades that changed nothing; deaths by a fault of the worker's own */
    uint64_t total_ns, last_ns;
};

struct status_fence {
    uint8_t configured, up, wanted;
    uint64_t up_ns;       /* for how long it has been up; 0: it is not */
    uint64_t up_total_ns; /* in the life of the keeper */
    uint64_t raised, renewed, lowered, failed, timeouts;
    char plugin[STATUS_TEXT_MAX], reason[STATUS_TEXT_MAX]; /* "": none */
};
