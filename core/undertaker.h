/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A killed process is not gone before its memory is: the kernel takes that down page by page, for tens of
 * milliseconds when RAM LUNs or large buffers were in use, and tells its parent only then. The undertaker is
 * a process that shares the worker's memory, and nothing else with it: while it is there, the worker is gone as
 * soon as its threads are, and the keeper hears of it at once. What is left the undertaker takes down, at a
 * low priority, while the next worker serves.
 */
#pragma once

#include <stdbool.h>

/*
 * After privileges were given up, before there is another thread; `sandbox`: it goes into one, too. It is a
 * child of the keeper, in the worker's process group, which reaps it (keeper/worker.h). 0, or negative errno:
 * the worker does without.
 */
int undertaker_start(bool sandbox);
/* The worker ends in order: there is no need for it. */
void undertaker_dismiss(void);
