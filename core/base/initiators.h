/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lists of initiators, as the configuration has them: a pattern of names ("iqn.1993-08.org.debian:*"),
 * an address ("192.0.2.7", "2001:db8::7") or a network ("192.0.2.0/24"). Any thread.
 */
#pragma once

#include <stdbool.h>

/* 0, or -EINVAL: it looks like a network and is none. */
int initiators_check(const char *pattern);
/*
 * Whether the initiator is in the list, which ends with NULL. `name` is normalised; `peer` is where its
 * leading connection comes from, "192.0.2.7:4711" or "[2001:db8::7]:4711"; NULL: not known, then only
 * names match.
 */
bool initiators_match(const char *const *patterns, const char *name, const char *peer);
/* Whether two peers have one address, whatever their ports; not when one of them is not known. */
bool initiators_same_host(const char *peer, const char *other);
