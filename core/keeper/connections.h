/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper's duplicate of every connection. Holding it means that the death of a worker sends no
 * FIN and no RST: the peer's bytes wait in the kernel until the next worker is there. A slot names a
 * connection on the link; it belongs to the worker generation that got it.
 */
#pragma once

#include "keeper/store.h"

#include <stdbool.h>
#include <stdint.h>

struct connections {
    struct held *slots; /* `places` of them; memory is touched only as they get used */
    uint32_t places;
    uint32_t max; /* that are held at the same time */
    uint32_t used;
    uint32_t touched; /* slots below this have been used at least once */
    uint32_t first_free;
    struct store *store;
    bool leaving; /* closing tells the peer nothing: others hold it, too, and go on with it */
    bool silent;  /* closing says nothing on the wire: a fence is up and we stop */
};

void connections_init(struct connections *c, uint32_t max, struct store *store);
/*
 * One that an earlier keeper has left in the store, with its old slot; it belongs to no generation yet.
 * Before any other is added. Takes over fd; -ENOSPC: that slot cannot be, or is taken.
 */
int connections_restore(struct connections *c, uint32_t slot, uint32_t listener, int fd);
/* After the last of them. */
void connections_restored(struct connections *c);
/* All of them are of this generation: the keeper has become another binary, its worker is the same. */
void connections_adopt(struct connections *c, uint32_t generation);
void connections_each(const struct connections *c,
                      void (*visit)(void *user, uint32_t slot, uint32_t listener, int fd),
                      void *user);
/* Closes all of them in order. */
/* What is held stays held. */
void connections_set_max(struct connections *c, uint32_t max);
void connections_deinit(struct connections *c);
/*
 * Takes over `fd`; 0 and the slot, or -ENOSPC (the caller still owns fd). `listener` is the number of
 * the listening socket it came from.
 */
int connections_add(struct connections *c, int fd, uint32_t listener, uint32_t generation,
                    uint32_t *ret_slot);
/* FIN, not RST: what was not read is thrown away first. For a connection that is in no slot. */
void connections_close_in_order(int fd);
/* Closes the connection of this slot; -ENOENT when the generation has no such slot. */
int connections_close(struct connections *c, uint32_t slot, uint32_t generation);

/* True: the new worker has taken the connection. */
typedef bool connections_offer_fn(void *user, uint32_t slot, int fd, uint32_t listener);
/*
 * What becomes of connections of generations before this one. One that no worker has read a byte
 * from or written a byte to is as good as new and is offered, to two later workers at most; all
 * others, and those not taken, are closed in order. `offer` may be NULL. How many were closed.
 */
uint32_t connections_pass_on(struct connections *c, uint32_t generation,
                             connections_offer_fn *offer, void *user);
/*
 * Offers every connection of earlier generations to a worker that has not started yet: it goes on with
 * those it has the records of. Those taken are of this generation. How many.
 */
uint32_t connections_hand_over(struct connections *c, uint32_t generation,
                               connections_offer_fn *offer, void *user);
