/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A toy protocol on net/stream whose server can be killed: messages of any length are echoed, and each
 * answer carries a sum over all messages so far. A message lost, done twice or torn shows in the sum.
 */
#pragma once

#include "net/stream.h"

#include <glib.h>

#define TOY_SLOTS      16u
#define TOY_LENGTH_MAX (256u << 10)
#define TOY_SHORT      4096u /* handled whole in the window; longer ones go straight to their slot */

struct toy_head {
    uint32_t length, number;
    uint64_t sum; /* of answers */
};

/* What outlives the server; in ARENA_STATE. */
struct toy_record {
    struct stream_state stream;
    _Alignas(4096) uint8_t window[STREAM_WINDOW_BYTES];
    uint8_t slot[TOY_SLOTS][TOY_LENGTH_MAX];
};

static inline uint8_t toy_byte(uint32_t number, uint32_t at)
{
    return (uint8_t)((number * 2654435761u ^ at * 40503u) >> 7);
}

static inline uint64_t toy_sum(uint64_t sum, uint32_t number, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3ull;
    return sum * 31 + number;
}

/* Serves the connection until it is killed. Ends with an exit code when something is wrong. */
enum { TOY_RESUME = 60, TOY_NUMBER, TOY_LENGTH, TOY_BYTES, TOY_ENDED, TOY_REACTOR };
G_NORETURN void toy_serve(int fd, int tombstone, gboolean fresh);
