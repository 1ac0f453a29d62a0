/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much of a busy machine our session gets: ourselves and all workers.
 *
 * Where the kernel shares the machine between sessions first (autogroup, sched(7)), the priority of a
 * thread counts among the threads of its own session only; against all others the session's counts. It is
 * set for as long as initiators wait for a worker that cannot run before everything else. Without autogroup
 * there is nothing to set. The keeper's thread alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether it hurries from now on, by so many steps of nice(1). What the kernel refuses for now is tried again. */
void session_share_hurry(bool hurry, int steps);
/* Tries again; when to call next, UINT64_MAX: all is as it was asked for. */
uint64_t session_share_tick(uint64_t now_ns);
