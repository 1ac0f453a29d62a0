/* SPDX-License-Identifier: BSD-3-Clause */
/* Small things that more than one method needs. */
#pragma once

#include "control/server.h"

static inline double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* Calls `visit` for every LUN, or those of one target (the first negative result ends it). */
typedef int lun_visit_fn(struct call *call, const struct control_target *target,
                         const struct control_lun *lun);
void each_lun(struct call *call, int only_target, lun_visit_fn *visit);
/* -1: all; -2 after call_fail(). The optional parameter `target`. */
int wanted_target(struct call *call);

/* Sessions of normal type, of discovery, and connections in the snapshot. */
struct session_totals {
    unsigned normal, discovery, connections;
};
struct session_totals count_sessions(const struct snapshot *snapshot);
