/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each of our processes may do (capabilities(7), credentials(7)). Started by root, all of them give up
 * what they do not need before they touch anything from outside; without root they have nothing to give up.
 *
 *   keeper         binds, keeps sockets, kills and replaces workers, changes owners, starts the others
 *   worker         nothing as daemon.user; without one it reads and writes files whoever owns them
 *   fence helper   packet filters
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PRIVILEGE(cap) (1ull << (cap))

/*
 * Keeps at most these capabilities, PRIVILEGE(CAP_...)s, for this process and every program it
 * starts, whoever they run as; none of the others can come back. Those that the process has not got
 * are not missed. 0 or negative errno. One thread.
 */
int privileges_keep(uint64_t kept);

/* For run_keeper(), before it opens anything but its configuration. */
int privileges_keeper(void);

/*
 * For the worker while it has one thread: becomes `user` (NULL: stays who it is), and with `sandbox` gives
 * up its capabilities and has its system calls filtered (sandbox.h). 0, or -1 after a line in the log.
 */
int privileges_worker(const char *user, bool sandbox);
