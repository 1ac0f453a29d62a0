/* SPDX-License-Identifier: BSD-3-Clause */
/* What the fence helper may do (capabilities(7)). */
#pragma once

#include <stdint.h>

#define PRIVILEGE(cap) (1ull << (cap))

/*
 * Keeps at most these capabilities, PRIVILEGE(CAP_...)s, for this process and every program it
 * starts, whoever they run as; none of the others can come back. Those that the process has not got
 * are not missed. 0 or negative errno.
 */
int fence_privileges_keep(uint64_t kept);
