/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tombstones of dead workers. A killed process is gone before its io_uring is, and what its rings still
 * write to a disk must not meet what the next worker writes there: that one gets GO when all of these have
 * hung up, or when that worker knows that nothing in those rings can reach storage any more. The service
 * manager keeps them, too: the next keeper has to wait for them as well.
 */
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WARN       (5 * NS_PER_S)
#define WARN_AGAIN (30 * NS_PER_S)

/* The read end of a dead worker's tombstone: hangs up when the last of its rings is gone. */
struct tombstone {
    struct list node;
    struct source source;
    struct store_item *stored;
    unsigned generation;
    bool harmless; /* nothing in its rings can reach storage any more */
    uint64_t since_ns, warn_ns;
};

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static void tombstone_free(struct keeper *k, struct tombstone *t)
{
    source_watch(k, &t->source, t->source.fd, 0);
    store_let_go(&k->store, t->stored);
    close(t->source.fd);
    list_remove(&t->node);
    g_free(t);
}

static void tombstone_ready(struct keeper *k, struct source *s, uint32_t events)
{
    struct tombstone *t = container_of(s, struct tombstone, source);
    uint64_t took = clock_now_ns() - t->since_ns;

    if ((events & (EPOLLHUP | EPOLLERR)) == 0)
        return;
    if (took >= WARN)
        log_notice("worker", "generation %u has let go of its storage after %.3f s", t->generation,
                   seconds(took));
    tombstone_free(k, t);
    supervise_go(k);
    supervise_finish_if_stopped(k);
}

void tombstone_add(struct keeper *k, int fd, unsigned generation, struct store_item *stored)
{
    struct tombstone *t = g_new0(struct tombstone, 1);
    t->source = (struct source){ .ready = tombstone_ready, .fd = -1 };
    t->generation = generation;
    t->stored = stored;
    t->since_ns = clock_now_ns();
    t->warn_ns = t->since_ns + WARN;
    list_append(&k->tombstones, &t->node);
    /* When the loop cannot wait on it we must not believe that it hung up: it stays, with a warning. */
    if (source_watch(k, &t->source, fd, EPOLLHUP) < 0)
        t->source.fd = fd;
}

void supervise_mourn(struct keeper *k, struct worker *w)
{
    int fd = fcntl(w->tombstone, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        tombstone_add(k, fd, w->generation, g_steal_pointer(&w->stored));
}

uint64_t tombstones_tick(struct keeper *k, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    list_for_each(n, &k->tombstones)
    {
        struct tombstone *t = list_entry(n, struct tombstone, node);
        if (t->harmless)
            continue;
        if (now >= t->warn_ns) {
            log_warning("worker",
                        "I/O of generation %u is still running %.0f s after its death; storage "
                        "stays closed",
                        t->generation, seconds(now - t->since_ns));
            t->warn_ns = now + WARN_AGAIN;
        }
        next = MIN(next, t->warn_ns);
    }
    return next;
}

void tombstones_are_harmless(struct keeper *k)
{
    list_for_each(n, &k->tombstones) list_entry(n, struct tombstone, node)->harmless = true;
}

bool tombstones_wait(const struct keeper *k)
{
    list_for_each(n, &k->tombstones)
    {
        if (!list_entry(n, struct tombstone, node)->harmless)
            return true;
    }
    return false;
}

void tombstones_deinit(struct keeper *k)
{
    list_for_each_safe(n, &k->tombstones) tombstone_free(k, list_entry(n, struct tombstone, node));
}
