/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service manager's descriptor store (FileDescriptorStoreMax=, sd_notify(3) FDSTORE): it keeps a
 * duplicate of all that must outlive the keeper, too, by name. When keeper and worker are killed
 * together, or the service is restarted, the next keeper finds them (inherit.h) and goes on.
 *
 * What is to be kept is said by items, one a descriptor. Changes are sent in
 * order and as fast as the manager takes them; store_tick() goes on with what it did not take at once.
 * Without a service manager all of this does nothing. The keeper's one thread.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

enum store_kind {
    STORE_STATE,   /* what the keeper knows (record.h) */
    STORE_CONFIG,  /* the text of the configuration */
    STORE_CONTROL, /* the control socket */
    STORE_LISTENER,
    STORE_CONNECTION, /* by slot and listener */
    STORE_MEMORY,
    STORE_TOMBSTONE, /* by generation */
    STORE_KINDS,
};

struct store_item;

struct store {
    bool on;
    bool left;   /* letting go is not told any more */
    bool failed; /* the last message, and that has been logged */
    struct list queue;
    uint64_t retry_ns;
};

/* "connection.7.0" and such. False: it is no name of ours. */
bool store_parse_name(const char *name, enum store_kind *ret_kind, uint32_t *ret_number,
                      uint32_t *ret_more);

void store_init(struct store *store);
/*
 * `fd` is to be kept under the name of this kind and these numbers, until store_let_go(). It stays the
 * caller's. `inherited`: the manager has it already. NULL without a service manager.
 */
struct store_item *store_keep(struct store *store, enum store_kind kind, uint32_t number,
                              uint32_t more, int fd, bool inherited);
/* No longer; call it before the descriptor is closed. NULL is fine; returns NULL. */
struct store_item *store_let_go(struct store *store, struct store_item *item);
/* The manager is not to keep something of this name that nobody here wanted. */
void store_remove_name(struct store *store, const char *name);
/* Sends what can be sent; returns when to try again, or UINT64_MAX. */
uint64_t store_tick(struct store *store, uint64_t now_ns);
/* From now on letting go tells the manager nothing: what it keeps is for the next keeper. */
void store_leave(struct store *store);
/* Waits until all is told, up to so many milliseconds; false: it was not. */
bool store_flush(struct store *store, unsigned timeout_ms);
