/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See connections.h. A slot array with a free list through it. "In order" means FIN, not RST:
 * shutdown, then the unread bytes are thrown away (a close with unread data would send RST and could
 * destroy an answer that still lies in the peer's receive queue), then close.
 */
#include "keeper/connections.h"

#include <errno.h>
#include <glib.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_SLOT        UINT32_MAX
#define SLOTS_MAX      (1u << 20) /* more than any configuration allows */
#define OFFERS_MAX     2 /* a connection that kills workers by being there must not go on for ever */
#define DISCARD_ROUNDS 64 /* times 64 KiB; a peer that sends without end gets its RST */

/* TCP_ESTABLISHED of <netinet/tcp.h>, which does not go together with <linux/tcp.h>. */
#define STATE_ESTABLISHED 1

struct held {
    int fd; /* -1: free */
    uint32_t listener;
    uint32_t generation;
    uint32_t next_free;
    uint32_t offers; /* to later workers */
    struct store_item *stored;
};

void connections_init(struct connections *c, uint32_t max, struct store *store)
{
    *c = (struct connections){ .slots = g_new0(struct held, max),
                               .max = max,
                               .places = max,
                               .store = store,
                               .first_free = NO_SLOT };
}

void connections_close_in_order(int fd)
{
    static char thrown_away[64 * 1024];

    shutdown(fd, SHUT_RDWR);
    for (int i = 0; i < DISCARD_ROUNDS; i++) {
        if (recv(fd, thrown_away, sizeof(thrown_away), MSG_DONTWAIT) <= 0)
            break;
    }
    close(fd);
}

static void make_places(struct connections *c, uint32_t places)
{
    if (places <= c->places)
        return;
    c->slots = g_renew(struct held, c->slots, places);
    c->places = places;
}

void connections_set_max(struct connections *c, uint32_t max)
{
    make_places(c, max);
    c->max = max;
}

/*
 * Leaving no FIN behind that would be sent again and again: a socket in repair mode is closed without
 * a word (needs CAP_NET_ADMIN). The fence takes what was sent before, and the RST of unread data.
 */
static void close_silently(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0)
        connections_close_in_order(fd);
    else
        close(fd);
}

static void slot_free(struct connections *c, uint32_t slot)
{
    struct held *h = &c->slots[slot];
    h->stored = store_let_go(c->store, h->stored);
    if (c->leaving)
        close(h->fd);
    else if (c->silent)
        close_silently(h->fd);
    else
        connections_close_in_order(h->fd);
    h->fd = -1;
    h->next_free = c->first_free;
    c->first_free = slot;
    c->used--;
}

void connections_deinit(struct connections *c)
{
    connections_pass_on(c, UINT32_MAX, /* offer= */ NULL, /* user= */ NULL);
    g_clear_pointer(&c->slots, g_free);
    *c = (struct connections){ .first_free = NO_SLOT };
}

int connections_add(struct connections *c, int fd, uint32_t listener, uint32_t generation,
                    uint32_t *ret_slot)
{
    uint32_t slot = c->first_free;

    if (c->used >= c->max)
        return -ENOSPC;
    if (slot != NO_SLOT)
        c->first_free = c->slots[slot].next_free;
    else if (c->touched < c->places)
        slot = c->touched++;
    else
        return -ENOSPC;
    c->slots[slot] = (struct held){
        .fd = fd, .listener = listener, .generation = generation, .next_free = NO_SLOT
    };
    c->slots[slot].stored =
        store_keep(c->store, STORE_CONNECTION, slot, listener, fd, /* inherited= */ false);
    c->used++;
    *ret_slot = slot;
    return 0;
}

int connections_restore(struct connections *c, uint32_t slot, uint32_t listener, int fd)
{
    if (slot >= SLOTS_MAX)
        return -ENOSPC;
    make_places(c, slot + 1); /* there were more once */
    for (; c->touched <= slot; c->touched++)
        c->slots[c->touched] = (struct held){ .fd = -1 };
    struct held *h = &c->slots[slot];
    if (h->fd >= 0)
        return -ENOSPC;
    *h = (struct held){ .fd = fd, .listener = listener, .next_free = NO_SLOT };
    h->stored = store_keep(c->store, STORE_CONNECTION, slot, listener, fd, /* inherited= */ true);
    c->used++;
    return 0;
}

void connections_restored(struct connections *c)
{
    for (uint32_t slot = c->touched; slot-- > 0;) {
        if (c->slots[slot].fd >= 0)
            continue;
        c->slots[slot].next_free = c->first_free;
        c->first_free = slot;
    }
}

void connections_adopt(struct connections *c, uint32_t generation)
{
    for (uint32_t slot = 0; slot < c->touched; slot++)
        c->slots[slot].generation = generation;
}

void connections_each(const struct connections *c,
                      void (*visit)(void *user, uint32_t slot, uint32_t listener, int fd),
                      void *user)
{
    for (uint32_t slot = 0; slot < c->touched; slot++)
        if (c->slots[slot].fd >= 0)
            visit(user, slot, c->slots[slot].listener, c->slots[slot].fd);
}

int connections_close(struct connections *c, uint32_t slot, uint32_t generation)
{
    if (slot >= c->touched || c->slots[slot].fd < 0 || c->slots[slot].generation != generation)
        return -ENOENT;
    slot_free(c, slot);
    return 0;
}

/*
 * The kernel knows (how much came, how much of it still waits to be read, whether anything was ever
 * sent or lies unsent). A FIN of the peer counts as a byte that came, ours changes the state.
 */
static bool is_untouched(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t length = sizeof(info);
    int unread = 0, unsent = 0;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
        length < offsetof(struct tcp_info, tcpi_bytes_sent) + sizeof(info.tcpi_bytes_sent) ||
        ioctl(fd, SIOCINQ, &unread) < 0 || ioctl(fd, SIOCOUTQ, &unsent) < 0)
        return false;
    return info.tcpi_state == STATE_ESTABLISHED && info.tcpi_bytes_received == (uint64_t)unread &&
           info.tcpi_bytes_sent == 0 && unsent == 0;
}

uint32_t connections_pass_on(struct connections *c, uint32_t generation,
                             connections_offer_fn *offer, void *user)
{
    uint32_t closed = 0;
    for (uint32_t slot = 0; slot < c->touched; slot++) {
        struct held *h = &c->slots[slot];
        if (h->fd < 0 || h->generation >= generation)
            continue;
        if (offer != NULL && h->offers++ < OFFERS_MAX && is_untouched(h->fd) &&
            offer(user, slot, h->fd, h->listener)) {
            h->generation = generation;
            continue;
        }
        slot_free(c, slot);
        closed++;
    }
    return closed;
}

uint32_t connections_hand_over(struct connections *c, uint32_t generation,
                               connections_offer_fn *offer, void *user)
{
    uint32_t taken = 0;
    for (uint32_t slot = 0; slot < c->touched; slot++) {
        struct held *h = &c->slots[slot];
        if (h->fd < 0 || h->generation >= generation || !offer(user, slot, h->fd, h->listener))
            continue;
        h->generation = generation;
        taken++;
    }
    return taken;
}
