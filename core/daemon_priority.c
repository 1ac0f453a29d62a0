/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The priority of the worker's threads. One that initiators wait for, because it holds still for another or
 * takes over from one, hurries, until what was held up is served: on a machine that is busy with something
 * else its threads would wait for their turns one after the other. One in reserve stays out of the way. The
 * keeper allows it (RLIMIT_NICE); without privilege it cannot, and all stays as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "daemon_private.h"

#define HURRY_MS 200u /* after READY */

static int nice_of(id_t thread)
{
    errno = 0;
    return getpriority(PRIO_PROCESS, thread);
}

/* Every thread that is at `from`; those with priorities of their own keep them. */
static void move(int from, int to)
{
    DIR *all = opendir("/proc/self/task");
    struct dirent *e;

    while (all && (e = readdir(all)) != NULL) {
        id_t thread = (id_t)strtoul(e->d_name, NULL, 10);
        if (thread && nice_of(thread) == from && !errno)
            (void)setpriority(PRIO_PROCESS, thread, to);
    }
    if (all)
        closedir(all);
}

void daemon_priority_begin(struct daemon *d)
{
    d->nice = d->nice_usual = nice_of(0);
    if (!d->args->spare)
        return;
    log_set_level(LOG_LEVEL_ERROR); /* whatever there is to say the first worker has said */
    d->nice_usual = MAX(d->nice - WORKER_NICE_SPARE, -20);
}

void daemon_priority_go(struct daemon *d)
{
    if (d->args->generation > 1)
        daemon_hurry(d);
    if (!d->args->spare)
        return;
    prctl(PR_SET_NAME, WORKER_NAME);
    log_set_level(d->config->daemon.log_level);
}

void daemon_hurry(struct daemon *d)
{
    int nice = MAX(d->nice_usual - WORKER_NICE_HURRY, -20);

    if (setpriority(PRIO_PROCESS, 0, nice) < 0 && d->nice == d->nice_usual)
        return;
    nice = nice_of(0);
    move(d->nice, nice);
    d->nice = nice;
}

void daemon_hurry_over(struct daemon *d)
{
    move(d->nice, d->nice_usual);
    d->nice = d->nice_usual;
}

static gboolean over(gpointer data)
{
    daemon_hurry_over(data);
    return G_SOURCE_REMOVE;
}

void daemon_hurry_over_soon(struct daemon *d)
{
    g_timeout_add(HURRY_MS, over, d);
}
