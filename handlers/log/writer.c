/* SPDX-License-Identifier: BSD-3-Clause */
/* See writer.h. Two halves: one is filled while the thread writes the other. */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HALF_BYTES (512u << 10)

struct writer {
    int fd;
    uint64_t limit, written; /* the thread's */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    char *half[2];
    size_t used; /* of half[filling] */
    unsigned filling;
    uint64_t lost; /* lines since the last one that was written */
    int ending;
};

static void put(struct writer *w, const char *data, size_t bytes)
{
    while (bytes > 0 && w->written < w->limit) {
        ssize_t n = write(w->fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a full disk loses lines, not the LUN */
        data += n;
        bytes -= (size_t)n;
        w->written += (uint64_t)n;
    }
}

static void put_lost(struct writer *w, uint64_t lost)
{
    char line[64];
    int bytes = snprintf(line, sizeof(line), "# %" PRIu64 " lines are missing here\n", lost);
    if (lost)
        put(w, line, (size_t)bytes);
}

static void *run(void *data)
{
    struct writer *w = data;
    pthread_mutex_lock(&w->lock);
    while (!w->ending || w->used > 0) {
        if (w->used == 0) {
            pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        const char *full = w->half[w->filling];
        size_t bytes = w->used;
        uint64_t lost = w->lost;
        w->filling ^= 1;
        w->used = 0;
        w->lost = 0;
        pthread_mutex_unlock(&w->lock);
        put(w, full, bytes);
        put_lost(w, lost);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are the daemon's. */
static int start(struct writer *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static void destroy(struct writer *w)
{
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    if (w->fd >= 0)
        close(w->fd);
    free(w->half[0]);
    free(w->half[1]);
    free(w);
}

struct writer *writer_open(const char *path, uint64_t limit)
{
    struct writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->limit = limit;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    w->half[0] = malloc(HALF_BYTES);
    w->half[1] = malloc(HALF_BYTES);
    w->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    int r = w->fd < 0 ? errno : !w->half[0] || !w->half[1] ? ENOMEM : start(w);
    if (r == 0)
        return w;
    destroy(w);
    errno = r;
    return NULL;
}

void writer_add(struct writer *w, const char *line, size_t bytes)
{
    pthread_mutex_lock(&w->lock);
    if (w->used + bytes > HALF_BYTES) {
        w->lost++;
    } else {
        memcpy(w->half[w->filling] + w->used, line, bytes);
        w->used += bytes;
    }
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void writer_close(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = 1;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    destroy(w);
}
