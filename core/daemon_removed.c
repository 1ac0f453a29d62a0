/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks that had been removed when this worker came, while initiators were still being sent what they had read of
 * them, straight from the disks' memory. The queues name that memory by its arena; the keeper has kept it under that
 * number, which no other disk gets meanwhile. It is mapped, to be read alone, until the last byte of it is sent; then
 * it is given back. Nobody can read anything else of such a disk: it is in no target.
 */
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "daemon_private.h"
#include "handover/thaw.h"
#include "iscsi/uses.h"

#define LOOK_FIRST_MS 10u
#define LOOK_MOST_MS  1000u /* an initiator may take its time */

struct removed {
    struct list link; /* daemon->removed */
    struct daemon_round round;
    uint32_t number;
    unsigned arena;
    guint pause_ms;
    bool busy;
};

/* Also for what turns out to be there no more: a place of the queue may have been sent long ago. */
static void find(void *user, unsigned arena)
{
    struct daemon *d = user;
    char name[LINK_NAME_MAX];
    uint32_t number = arena - ARENA_STORE_FIRST;
    struct stat st;
    bool existed;
    int fd;

    g_snprintf(name, sizeof(name), LINK_NUMBER_PREFIX "%u", number);
    if (daemon_memfd_get(d, name, /* bytes= */ 1, &fd, &existed, NULL) < 0)
        return;
    if (!existed || fstat(fd, &st) < 0 ||
        arena_map_read_only(arena, fd, (uint64_t)st.st_size) < 0) {
        close(fd);
        return;
    }
    struct removed *m = g_new0(struct removed, 1);
    m->number = number;
    m->arena = arena;
    m->pause_ms = LOOK_FIRST_MS;
    list_append(&d->removed, &m->link);
    log_notice("daemon",
               "a disk that was removed, or is absent, is still being sent to those who have read "
               "it bytes=%lld",
               (long long)st.st_size);
}

void daemon_removed_find(struct daemon *d)
{
    if (d->keeps_removed)
        thaw_stores(find, d);
    crash_point("found");
}

void daemon_drop_number(struct daemon *d, uint32_t number)
{
    struct link_message m = { .type = LINK_MEMFD_DROP, .fd = -1 };
    g_snprintf(m.memfd_drop.name, sizeof(m.memfd_drop.name), LINK_NUMBER_PREFIX "%u", number);
    daemon_tell(d, &m);
}

/* On each reactor. */
static void look(struct daemon_round *round, struct engine *e)
{
    struct removed *m = container_of(round, struct removed, round);
    m->busy = m->busy || engine_queues_store(e, m->arena);
}

static gboolean look_again(gpointer data)
{
    struct removed *m = data;
    m->busy = false;
    daemon_round(m->round.daemon, &m->round);
    return G_SOURCE_REMOVE;
}

static void looked(struct daemon_round *round)
{
    struct removed *m = container_of(round, struct removed, round);
    struct daemon *d = round->daemon;
    if (m->busy) {
        g_timeout_add(m->pause_ms, look_again, m);
        m->pause_ms = MIN(2 * m->pause_ms, LOOK_MOST_MS);
        return;
    }
    arena_unmap(m->arena);
    crash_point("give-back");
    daemon_drop_number(d, m->number);
    log_notice(
        "daemon",
        "all of a disk that was removed, or is absent, is sent: its memory is not used any more");
    list_remove(&m->link);
    g_free(m);
}

void daemon_removed_settle(struct daemon *d)
{
    struct link_message m = { .type = LINK_MEMFD_DROP,
                              .fd = -1,
                              .memfd_drop.name = LINK_ALL_OTHERS };
    for (unsigned i = 0; i < d->target_count; i++) {
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++) {
            if (!d->targets[i]->luns[j]->absent)
                continue;
            if (!d->holds_memory)
                return; /* a keeper of an earlier version keeps all until it is back */
            daemon_hold_memory(d, d->targets[i]->luns[j]->unit);
        }
    }
    daemon_tell(d, &m);
}

void daemon_removed_watch(struct daemon *d)
{
    daemon_removed_settle(d);
    list_for_each(pos, &d->removed) {
        struct removed *m = list_entry(pos, struct removed, link);
        m->round.look = look;
        m->round.done = looked;
        daemon_round(d, &m->round);
    }
}

void daemon_removed_free(struct daemon *d)
{
    struct list *link;
    while ((link = list_take(&d->removed)))
        g_free(list_entry(link, struct removed, link));
}
