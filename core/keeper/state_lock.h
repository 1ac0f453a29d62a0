/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One daemon a state directory: two would write over each other what reservations and modes survive a power
 * loss with, and as a rule serve the same disks. The keeper holds a lock (flock(2)) on the directory itself from
 * its start to its end, over workers and over other binaries of its own (heritage.h); the kernel releases
 * it however the keeper ends.
 */
#pragma once

#include <stdbool.h>

#include "config/model.h"

/*
 * Makes the directory if it is not there. *ret_fd is the caller's: close it to release the lock; -1: there is
 * nothing to hold, because the directory cannot be made or its file system has no locks. False after a line:
 * another process holds it, and goes on to (dying.h).
 */
bool state_lock_take(const struct config *config, int *ret_fd);
