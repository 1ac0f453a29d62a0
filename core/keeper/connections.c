/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See connections.h. A slot array with a free list through it. "In order" means FIN, not RST:
 * shutdown, then the unread bytes are thrown away (a close with unread data would send RST and could
 * destroy an answer that still lies in the peer's receive queue), then close.
 */
#include "keeper/connections.h"

#include <errno.h>
#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_SLOT        UINT32_MAX
#define DISCARD_ROUNDS 64 /* times 64 KiB; a peer that sends without end gets its RST */

struct held {
    int fd; /* -1: free */
    uint32_t generation;
    uint32_t next_free;
};

void connections_init(struct connections *c, uint32_t max)
{
    *c = (struct connections){ .slots = g_new0(struct held, max),
                               .max = max,
                               .first_free = NO_SLOT };
}

static void close_in_order(int fd)
{
    static char thrown_away[64 * 1024];

    shutdown(fd, SHUT_RDWR);
    for (int i = 0; i < DISCARD_ROUNDS; i++) {
        if (recv(fd, thrown_away, sizeof(thrown_away), MSG_DONTWAIT) <= 0)
            break;
    }
    close(fd);
}

static void slot_free(struct connections *c, uint32_t slot)
{
    struct held *h = &c->slots[slot];
    close_in_order(h->fd);
    h->fd = -1;
    h->next_free = c->first_free;
    c->first_free = slot;
    c->used--;
}

void connections_deinit(struct connections *c)
{
    connections_close_before(c, UINT32_MAX);
    g_clear_pointer(&c->slots, g_free);
    *c = (struct connections){ .first_free = NO_SLOT };
}

int connections_add(struct connections *c, int fd, uint32_t generation, uint32_t *ret_slot)
{
    uint32_t slot = c->first_free;

    if (slot != NO_SLOT)
        c->first_free = c->slots[slot].next_free;
    else if (c->touched < c->max)
        slot = c->touched++;
    else
        return -ENOSPC;
    c->slots[slot] = (struct held){ .fd = fd, .generation = generation, .next_free = NO_SLOT };
    c->used++;
    *ret_slot = slot;
    return 0;
}

int connections_close(struct connections *c, uint32_t slot, uint32_t generation)
{
    if (slot >= c->touched || c->slots[slot].fd < 0 || c->slots[slot].generation != generation)
        return -ENOENT;
    slot_free(c, slot);
    return 0;
}

uint32_t connections_close_before(struct connections *c, uint32_t generation)
{
    uint32_t closed = 0;
    for (uint32_t slot = 0; slot < c->touched; slot++) {
        if (c->slots[slot].fd >= 0 && c->slots[slot].generation < generation) {
            slot_free(c, slot);
            closed++;
        }
    }
    return closed;
}
