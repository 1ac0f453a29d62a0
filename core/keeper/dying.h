/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What keepers find taken when they start may be held by what is left of one that was killed just now: its workers
 * and helpers see that, or are killed, some milliseconds later. So a start does not give up at the first look.
 */
#pragma once

#include "base/clock.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define DYING_NS      (2 * NS_PER_S)
#define DYING_LOOK_US 10000u

/* Waits a moment; false, at once: nobody takes that long to go who was first seen at `since_ns` (clock_now_ns()). */
static inline bool dying_wait(uint64_t since_ns)
{
    if (clock_now_ns() - since_ns >= DYING_NS)
        return false;
    g_usleep(DYING_LOOK_US);
    return true;
}
