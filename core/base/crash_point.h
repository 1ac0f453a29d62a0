/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: places where the worker dies by SIGKILL when it is told to, between two stores that must not be
 * far apart. Only a build with -DHOLDFAST_CRASH_POINTS has them; in all others nothing of it is compiled.
 *
 * Whoever tests writes into a file that the worker maps (its path is in the environment,
 * HOLDFAST_CRASH_POINTS): the place, and which pass through it is the last. tests/handover/point_cases.py
 * lists the places.
 */
#pragma once

#ifdef HOLDFAST_CRASH_POINTS

/* The process's first step, before it gives its privileges away. */
void crash_points_open(void);
/* Any thread. `place` is shorter than CRASH_PLACE. */
void crash_point(const char *place);

#else

static inline void crash_points_open(void)
{
}

#define crash_point(place) ((void)0)

#endif
