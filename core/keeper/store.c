/* SPDX-License-Identifier: BSD-3-Clause */
/* See store.h. */
#include "keeper/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "keeper/notify.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define RETRY_NS (2 * NS_PER_MS)

struct store_item {
    struct list node; /* in store->queue while something is to be told */
    uint8_t kind;
    bool queued;
    bool kept; /* the manager has it */
    bool over; /* and should not; the item goes when it has been told */
    int fd;    /* the caller's */
    uint32_t number, more;
};

#define STORE_NAME_MAX 48

static const char *const kinds[STORE_KINDS] = { "state",      "config", "control",  "listener",
                                                "connection", "memory", "tombstone" };

/* With what is behind the dots as numbers. */
static void store_name(const struct store_item *item, char name[static STORE_NAME_MAX])
{
    if (item->kind == STORE_CONNECTION)
        snprintf(name, STORE_NAME_MAX, "%s.%u.%u", kinds[item->kind], item->number, item->more);
    else
        snprintf(name, STORE_NAME_MAX, "%s.%u", kinds[item->kind], item->number);
}

bool store_parse_name(const char *name, enum store_kind *ret_kind, uint32_t *ret_number,
                      uint32_t *ret_more)
{
    char again[STORE_NAME_MAX], kind[STORE_NAME_MAX];
    unsigned number = 0, more = 0;

    if (strlen(name) >= STORE_NAME_MAX || sscanf(name, "%40[a-z].%u.%u", kind, &number, &more) < 2)
        return false;
    for (unsigned i = 0; i < STORE_KINDS; i++) {
        struct store_item item = { .kind = (uint8_t)i, .number = number, .more = more };
        store_name(&item, again);
        if (strcmp(again, name) != 0)
            continue;
        *ret_kind = (enum store_kind)i;
        *ret_number = number;
        *ret_more = more;
        return true;
    }
    return false;
}

void store_init(struct store *store)
{
    *store = (struct store){ .on = notify_available() };
    list_init(&store->queue);
}

static int tell_removed(const char *name)
{
    char text[STORE_NAME_MAX + 32];
    snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return notify_send_fd(text, -1);
}

/* FDPOLL=0: a peer that hangs up while we are away must not take its socket out of the store. */
static int tell_kept(const char *name, int fd)
{
    char text[STORE_NAME_MAX + 32];
    snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    return notify_send_fd(text, fd);
}

static int tell(const struct store_item *item)
{
    char name[STORE_NAME_MAX];

    store_name(item, name);
    return item->over ? tell_removed(name) : tell_kept(name, item->fd);
}

static void enqueue(struct store *store, struct store_item *item)
{
    item->queued = true;
    list_append(&store->queue, &item->node);
    store_tick(store, 0);
}

/* It has been told, or never will be. */
static void dequeue(struct store_item *item, bool told)
{
    list_remove(&item->node);
    item->queued = false;
    item->kept = told && !item->over;
    if (item->over)
        g_free(item);
}

/* 0, or -EAGAIN with something left. */
static int send_all(struct store *store)
{
    while (!list_empty(&store->queue)) {
        struct store_item *item = list_entry(store->queue.next, struct store_item, node);
        int r = tell(item);
        if (r == -EAGAIN)
            return r;
        if (r < 0 && !store->failed)
            log_warning("store", "the service manager cannot be told what to keep: %s",
                        g_strerror(-r));
        store->failed = r < 0;
        dequeue(item, r == 0);
    }
    return 0;
}

struct store_item *store_keep(struct store *store, enum store_kind kind, uint32_t number,
                              uint32_t more, int fd, bool inherited)
{
    if (!store->on)
        return NULL;
    struct store_item *item = g_new0(struct store_item, 1);
    item->kind = (uint8_t)kind;
    item->number = number;
    item->more = more;
    item->fd = fd;
    item->kept = inherited;
    if (!inherited)
        enqueue(store, item);
    return item;
}

struct store_item *store_let_go(struct store *store, struct store_item *item)
{
    if (item == NULL)
        return NULL;
    if (item->queued) { /* nobody has heard of it */
        item->over = true;
        dequeue(item, false);
    } else if (item->kept && !store->left) {
        item->over = true;
        enqueue(store, item);
    } else {
        g_free(item);
    }
    return NULL;
}

void store_remove_name(struct store *store, const char *name)
{
    if (store->on && tell_removed(name) == -EAGAIN)
        log_debug("store", "the service manager keeps what is of no use any more name=%s", name);
}

uint64_t store_tick(struct store *store, uint64_t now_ns)
{
    if (list_empty(&store->queue))
        return UINT64_MAX;
    if (now_ns != 0 && now_ns < store->retry_ns)
        return store->retry_ns;
    if (send_all(store) == 0)
        return UINT64_MAX;
    store->retry_ns = (now_ns != 0 ? now_ns : clock_now_ns()) + RETRY_NS;
    return store->retry_ns;
}

void store_leave(struct store *store)
{
    store->left = true;
}

bool store_flush(struct store *store, unsigned timeout_ms)
{
    uint64_t end = clock_now_ns() + timeout_ms * NS_PER_MS;

    while (send_all(store) < 0) {
        if (clock_now_ns() >= end)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}
