/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process that is about to become another program. Until it is, or ends, it works in the keeper's memory while
 * the keeper holds still: nothing of that is copied, so its start costs the same whatever configuration we hold.
 */
#pragma once

#include <sys/types.h>

/*
 * Calls `child` in a new process, which may use what the keeper uses, but leaves its memory as it is but for the
 * stack, and never returns: it ends with exec or _exit(). Every signal is blocked in it. The pid, or negative errno.
 */
typedef void spawn_child_fn(const void *data);
pid_t spawn(spawn_child_fn *child, const void *data);
