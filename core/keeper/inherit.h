/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that the service manager passes at the start (LISTEN_FDS, LISTEN_FDNAMES): what an earlier
 * keeper has left in its store, and listening sockets of socket activation, which may have any name.
 * They are taken one after the other; what nobody takes is closed, and the store is told.
 */
#pragma once

#include "keeper/store.h"

struct address;

struct inherited {
    char *name;
    int fd; /* -1: taken */
    bool ours;
    enum store_kind kind;
    uint32_t number, more;
};

struct inheritance {
    struct inherited *list;
    unsigned count;
    bool any_ours; /* an earlier keeper has left something */
};

/* Reads the environment and takes it out of it; the descriptors are close-on-exec then. */
void inherit_collect(struct inheritance *all);
/* The descriptor of our own of this kind and number, the caller's now; or -1. */
int inherit_take(struct inheritance *all, enum store_kind kind, uint32_t number);
/*
 * A listening stream socket of whatever name that is bound to exactly this address; or -1. *ret_number (may
 * be NULL) is the one it has in the store, 0 when it is not there.
 */
int inherit_take_listener(struct inheritance *all, const struct address *address,
                          uint32_t *ret_number);
/* The largest number that a listener of ours has; 0: there is none. */
uint32_t inherit_last_listener(const struct inheritance *all);
/* Closes what is left; the store forgets it. */
void inherit_end(struct inheritance *all, struct store *store);
