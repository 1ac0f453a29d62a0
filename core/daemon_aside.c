/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may take long (a disk that is opened, closed, made larger), for the control thread: it is done on a
 * thread of its own, and meanwhile the control thread answers the keeper, its clients and all other threads
 * as always. It comes back when the work is done; there is one such work at a time, since only a reload or
 * a resize has any, and they exclude each other.
 *
 * Work that does not come to its end in time is left behind: a thread in a system call cannot be
 * stopped. Whoever wanted it hears that; should it end after all, its result is thrown away.
 *
 * Before the main loop runs and after it, nobody waits for the control thread: the work is done at once. But for
 * disks that are opened in place of a worker that is gone (daemon_targets.c): of those each has its time, too.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_private.h"

#define SAY_NS   (2 * NS_PER_S) /* for so long nobody is told that it takes its time */
#define LOOKS_NS (100 * NS_PER_US)

struct daemon_aside {
    struct daemon *daemon;
    struct daemon_work work;
    char *what;
    void *data;
    struct daemon_note note;
    bool over, left; /* control thread */
    bool alone;      /* nobody has ever waited for it */
};

/* Of a thread that works: what memory it asks for comes over the control thread's link. */
struct memory_note {
    struct daemon_note note;
    const struct daemon_aside *aside;
    const char *name;
    uint64_t bytes;
    int *ret_fd;
    bool *ret_existed;
    uint32_t *ret_number;
    int r;
    bool answered;
    pthread_mutex_t lock;
    pthread_cond_t cond;
};

static _Thread_local struct daemon_aside *mine; /* NULL: this is no thread of ours */

static void aside_free(struct daemon_aside *a)
{
    g_free(a->what);
    g_free(a);
}

static void over_run(struct daemon *d, struct daemon_note *note)
{
    struct daemon_aside *a = container_of(note, struct daemon_aside, note);
    a->over = true;
    if (!a->left)
        return;
    if (!a->alone)
        log_notice("daemon", "ended after all: %s", a->what);
    d->asides_left--;
    a->work.late(d, a->data);
    aside_free(a);
}

static gpointer thread_run(gpointer data)
{
    struct daemon_aside *a = mine = data;
    a->work.run(a->data);
    daemon_note(a->daemon, &a->note);
    return NULL;
}

static gboolean wake_up(gpointer data)
{
    return G_SOURCE_CONTINUE; /* the loop below looks at the clock */
}

/* 0 when it is over; -ETIMEDOUT, or -ECANCELED when the worker ends meanwhile. */
static int wait_for(struct daemon *d, const struct daemon_aside *a)
{
    uint64_t begin = clock_now_ns(), now = begin;
    uint64_t end = a->work.deadline_ns ? begin + a->work.deadline_ns : UINT64_MAX;
    bool said = false;
    guint timer = g_timeout_add(100, wake_up, NULL);
    daemon_watch_link(d);
    while (!a->over && now < end && g_main_loop_is_running(d->loop)) {
        g_main_context_iteration(NULL, TRUE);
        now = clock_now_ns();
        if (!said && !a->over && now - begin >= SAY_NS) {
            log_warning("daemon", "takes its time, all else goes on: %s", a->what);
            said = true;
        }
    }
    g_source_remove(timer);
    return a->over ? 0 : now >= end ? -ETIMEDOUT : -ECANCELED;
}

/* Before the main loop runs: what comes meanwhile is what the work asks for. 0 or -ETIMEDOUT. Initiators wait for it,
   and most disks are open sooner than a thread wakes up. */
static int wait_at_start(struct daemon *d, const struct daemon_aside *a)
{
    uint64_t begin = clock_now_ns(), now = begin, end = begin + a->work.deadline_ns;
    uint64_t count;
    for (daemon_notes_run(d); !a->over && now < end; daemon_notes_run(d)) {
        now = clock_now_ns();
        if (now - begin < LOOKS_NS)
            sched_yield();
        else if (now < end && read(d->notes_fd, &count, sizeof(count)) < 0)
            poll(&(struct pollfd){ .fd = d->notes_fd, .events = POLLIN }, 1,
                 (int)((end - now) / NS_PER_MS) + 1);
    }
    return a->over ? 0 : -ETIMEDOUT;
}

int daemon_aside(struct daemon *d, const struct daemon_work *work, void *data)
{
    bool running = g_main_loop_is_running(d->loop);
    if (!running && !d->opens_aside) {
        work->run(data);
        return 0;
    }
    struct daemon_aside *a = g_new0(struct daemon_aside, 1);
    *a = (struct daemon_aside){ .daemon = d, .work = *work, .data = data, .note.run = over_run };
    a->what = g_strdup_printf("%s target=%s lun=%u", work->verb, work->target, work->lun);
    GThread *thread = g_thread_try_new("aside", thread_run, a, NULL);
    if (!thread) {
        aside_free(a);
        work->run(data); /* the watchdog may see it */
        return 0;
    }
    g_thread_unref(thread);
    int r = running ? wait_for(d, a) : wait_at_start(d, a);
    if (r == 0) {
        aside_free(a);
        return 0;
    }
    a->left = true;
    d->asides_left++;
    return r;
}

void daemon_aside_begin(struct daemon *d, const struct daemon_work *work, void *data)
{
    struct daemon_aside *a = g_new0(struct daemon_aside, 1);
    *a = (struct daemon_aside){ .daemon = d, .work = *work, .data = data, .note.run = over_run };
    a->what = g_strdup_printf("%s target=%s lun=%u", work->verb, work->target, work->lun);
    a->left = a->alone = true;
    d->asides_left++;
    GThread *thread = g_thread_try_new("aside", thread_run, a, NULL);
    if (thread)
        g_thread_unref(thread);
    else
        thread_run(a); /* the watchdog may see it */
}

/* ---- memory ---- */

static void memory_run(struct daemon *d, struct daemon_note *note)
{
    struct memory_note *m = container_of(note, struct memory_note, note);
    int r = m->aside->left && !m->aside->alone
                ? -ECANCELED /* its name may be somebody else's by now */
                : link_get_memfd(&d->link, m->name, m->bytes, DAEMON_MEMFD_MS, m->ret_fd,
                                 m->ret_existed, m->ret_number);
    pthread_mutex_lock(&m->lock);
    m->r = r;
    m->answered = true;
    pthread_cond_signal(&m->cond);
    pthread_mutex_unlock(&m->lock);
    daemon_serve_inbox(d);
}

int daemon_memfd_get(struct daemon *d, const char *name, uint64_t bytes, int *ret_fd,
                     bool *ret_existed, uint32_t *ret_number)
{
    if (!mine)
        return link_get_memfd(&d->link, name, bytes, DAEMON_MEMFD_MS, ret_fd, ret_existed,
                              ret_number);
    struct memory_note m = { .note.run = memory_run,
                             .aside = mine,
                             .name = name,
                             .bytes = bytes,
                             .ret_fd = ret_fd,
                             .ret_existed = ret_existed,
                             .ret_number = ret_number };
    pthread_mutex_init(&m.lock, NULL);
    pthread_cond_init(&m.cond, NULL);
    daemon_note(d, &m.note);
    pthread_mutex_lock(&m.lock);
    while (!m.answered)
        pthread_cond_wait(&m.cond, &m.lock);
    pthread_mutex_unlock(&m.lock);
    pthread_cond_destroy(&m.cond);
    pthread_mutex_destroy(&m.lock);
    return m.r;
}
