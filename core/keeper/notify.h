/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the service manager is told (sd_notify(3)); nothing when there is none. Nothing here waits: the
 * keeper has one thread, and a service manager that is busy must not hold it up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* True: there is a service manager that listens. */
bool notify_available(void);
/* A text it does not hear now is lost: the next one says how things are then. */
void notify_send(const char *text);
/*
 * Tells the watchdog that we live when it is time to; returns when it is again, or UINT64_MAX when nobody
 * watches.
 */
uint64_t notify_tick(uint64_t now_ns);
/* With a descriptor (-1: none). 0, -EAGAIN (not now), or another negative errno: never. */
int notify_send_fd(const char *text, int fd);
