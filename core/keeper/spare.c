/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker in reserve. It has started, has read the configuration, loaded the plugins, mapped the memory
 * and made its rings, and waits for GO, as the next worker of an upgrade does: when the worker dies, it
 * follows at once, without a program to start first. It has opened no disk, has no connection, and what it
 * has mapped is the other's as long as that one lives.
 *
 * It is of the running worker's binary and of the configuration in effect. Whatever changes one of them
 * throws it away; another one starts when all is quiet again. It runs at low priority until it is needed. Its
 * own death concerns nobody: another one starts later, and later still when that one dies, too.
 *
 * It reads all of the configuration, which takes about half a microsecond a byte. So after a change it waits for
 * others to come, twice as long: a burst of changes costs one start. And starts are twenty times as long apart, as
 * far as changes are the reason: if they never end, they cost a twentieth of a CPU, however large the file, and there
 * is one in reserve in between. (To tell one that waits what has changed would cost less, but what takes over
 * then has read something else than what a worker reads that starts.)
 */
#include "keeper/session_share.h"
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#define AFTER_READY (50 * NS_PER_MS) /* what was held up is served first */
#define QUIET_BYTE  1000u            /* nanoseconds a byte of the configuration, after a change */
#define APART_BYTE  10000u           /* ... and between two starts for changes */
#define PREPARE_NS  (20 * NS_PER_S)  /* at low priority on a busy machine */
#define AGAIN_FIRST NS_PER_S         /* after a death, and twice as long after the next one, ... */
#define AGAIN_MAX   (600 * NS_PER_S)

void spare_discard(struct keeper *k)
{
    struct spare *s = &k->spare;

    source_watch(k, &s->exit, s->exit.fd, 0);
    source_watch(k, &s->link, s->link.fd, 0);
    worker_discard(&s->worker);
    s->prepared = false;
    s->deadline_ns = 0;
    s->next_ns = clock_now_ns() + AFTER_READY;
}

void spare_config_changed(struct keeper *k)
{
    struct spare *s = &k->spare;
    uint64_t again = s->started_ns != 0 ? s->started_ns + k->text_bytes * APART_BYTE : 0;

    source_watch(k, &s->exit, s->exit.fd, 0);
    source_watch(k, &s->link, s->link.fd, 0);
    worker_let_die(&s->worker); /* who has asked for the change need not wait for that */
    spare_discard(k);
    s->next_ns = MAX(s->next_ns + k->text_bytes * QUIET_BYTE, again);
}

static void failed(struct keeper *k, const char *why)
{
    struct spare *s = &k->spare;

    s->delay_ns = s->delay_ns ? MIN(2 * s->delay_ns, AGAIN_MAX) : AGAIN_FIRST;
    log_warning("worker", "the one in reserve has failed, another one in %.0f s pid=%d: %s",
                (double)s->delay_ns / (double)NS_PER_S, s->worker.pid, why);
    spare_discard(k);
    s->next_ns = clock_now_ns() + s->delay_ns;
}

static void on_prepared(struct keeper *k, uint64_t layout)
{
    struct spare *s = &k->spare;

    if (layout != k->layout) { /* it could not go on with the sessions */
        failed(k, "it has another layout of the memory");
        return;
    }
    s->prepared = true;
    s->delay_ns = s->deadline_ns = 0;
    log_info("worker", "in reserve generation=%u pid=%d after=%.3fs", s->worker.generation,
             s->worker.pid, (double)(clock_now_ns() - s->worker.started_ns) / (double)NS_PER_S);
}

static void handle(struct keeper *k, const struct link_message *m)
{
    switch (m->type) {
    case LINK_PREPARED:
        on_prepared(k, m->prepared.layout);
        break;
    case LINK_MEMFD_GET:
        supervise_memfd_get(k, &k->spare.worker, &m->memfd_get);
        break;
    case LINK_FAILED:
        failed(k, m->failed.text);
        break;
    default:
        failed(k, "it speaks nonsense");
    }
}

static void link_ready(struct keeper *k, struct source *source, uint32_t events)
{
    struct spare *s = &k->spare;
    struct link_message m;
    int r = 0;

    while (s->worker.state != WORKER_NONE && (r = link_receive(&s->worker.link, &m)) > 0) {
        handle(k, &m);
        if (m.fd >= 0)
            close(m.fd);
    }
    if (s->worker.state != WORKER_NONE && r < 0)
        failed(k, "it is gone");
}

static void exit_ready(struct keeper *k, struct source *source, uint32_t events)
{
    link_ready(k, &k->spare.link, EPOLLIN); /* what it said before is the better reason */
    if (k->spare.worker.state != WORKER_NONE)
        failed(k, "it has ended");
}

static void start(struct keeper *k)
{
    struct spare *s = &k->spare;
    int r = keeper_config(k);

    if (r >= 0)
        r = worker_start_spare(&s->worker, k->generation + 1, r, k->control.fd, k->args->file,
                               k->exe);

    if (r == 0)
        r = source_watch(k, &s->exit, s->worker.pidfd, EPOLLIN);
    if (r == 0)
        r = source_watch(k, &s->link, s->worker.link.fd, EPOLLIN);
    if (r < 0)
        failed(k, g_strerror(-r));
    else
        s->deadline_ns = (s->started_ns = clock_now_ns()) + PREPARE_NS;
}

/* It would be the right one later, too, and nothing else needs the machine. */
static bool is_time(const struct keeper *k, uint64_t now)
{
    return k->config->daemon.spare_worker && k->worker.state == WORKER_READY && !k->stopping &&
           !k->leaving && k->upgrade == UPGRADE_NONE && k->next_exe < 0 &&
           k->old.state == WORKER_NONE && k->reload == NULL && k->renew.state == RENEW_NONE &&
           !k->worker.hurries && session_share_tick(now) == UINT64_MAX &&
           now >= k->worker.ready_ns + AFTER_READY && now >= k->spare.next_ns;
}

uint64_t spare_tick(struct keeper *k, uint64_t now)
{
    struct spare *s = &k->spare;

    if (s->worker.state != WORKER_NONE) {
        if (s->deadline_ns == 0 || now < s->deadline_ns)
            return s->deadline_ns ? s->deadline_ns : UINT64_MAX;
        failed(k, "it is not prepared in time");
    } else if (is_time(k, now)) {
        start(k);
    }
    if (!k->config->daemon.spare_worker || k->worker.state != WORKER_READY)
        return UINT64_MAX;
    uint64_t next = MAX(k->worker.ready_ns + AFTER_READY, s->next_ns);
    return next > now ? next : UINT64_MAX; /* what it waits for wakes the loop */
}

static bool has_ended(const struct worker *w)
{
    siginfo_t info = { 0 };

    return waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

bool spare_take(struct keeper *k)
{
    struct spare *s = &k->spare;

    if (s->worker.state == WORKER_NONE)
        return false;
    if (has_ended(&s->worker)) {
        failed(k, "it has ended");
        return false;
    }
    source_watch(k, &s->exit, s->exit.fd, 0);
    source_watch(k, &s->link, s->link.fd, 0);
    worker_move(&k->worker, &s->worker);
    worker_spare_no_more(&k->worker, &k->store);
    k->generation = k->worker.generation;
    s->prepared = false;
    s->deadline_ns = 0;
    return true;
}

void spare_init(struct keeper *k)
{
    k->spare = (struct spare){ .worker = { .pidfd = -1, .tombstone = -1 },
                               .exit = { .ready = exit_ready, .fd = -1 },
                               .link = { .ready = link_ready, .fd = -1 } };
}
