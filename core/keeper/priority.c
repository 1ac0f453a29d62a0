/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The priority of a worker's threads. One that initiators wait for, because it holds still for another or
 * takes over from one, hurries, until what was held up is served: on a machine that is busy with something
 * else its threads would wait for their turns one after the other. So does the keeper, which passes word
 * between the two, and their session (session_share.h). One in reserve, and one that an upgrade prepares, stays out of
 * the way. What is left of a dead worker hurries until its rings are gone, for the next one waits for that; it has been
 * started by one in reserve. The keeper needs CAP_SYS_NICE for it; without, all stays as it is.
 */
#include "keeper/session_share.h"
#include "keeper/worker.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NICE_ASIDE 5  /* lower by so much */
#define NICE_HURRY 10 /* higher by so much */
#define NICE_REST                                                                                  \
    10 /* of what is left of a worker, when nobody waits for it any more (undertaker.c) */
#define HURRY_AT_END (20 * NS_PER_MS) /* as long as sessions are on their way to their reactors */

static int usual; /* of the keeper, and of workers */

static int nice_of(id_t thread)
{
    errno = 0;
    return getpriority(PRIO_PROCESS, thread);
}

bool worker_priority_can(void)
{
    static int can = -1;
    if (can < 0) {
        usual = nice_of(0);
        can = usual > -20 && setpriority(PRIO_PROCESS, 0, usual - 1) == 0;
        setpriority(PRIO_PROCESS, 0, usual);
    }
    return can;
}

void worker_priority_hurry(void)
{
    if (!worker_priority_can())
        return;
    setpriority(PRIO_PROCESS, 0, MAX(usual - NICE_HURRY, -20));
    session_share_hurry(true, NICE_HURRY);
}

void worker_priority_aside(pid_t pid)
{
    if (worker_priority_can())
        setpriority(PRIO_PROCESS, (id_t)pid, usual + NICE_ASIDE);
}

void worker_priority_rest(pid_t group)
{
    if (!worker_priority_can())
        return;
    errno = 0;
    int now = getpriority(PRIO_PGRP, (id_t)group);
    if (!errno && now < NICE_REST)
        setpriority(PRIO_PGRP, (id_t)group, MAX(usual - NICE_HURRY, -20));
}

/* Of a thread that is not lower than the first one by so much: those were moved already, or just now started. */
static void move_thread(id_t thread, int from, int to)
{
    int lower = nice_of(thread) - from;

    if (!errno && lower >= 0 && lower < NICE_HURRY)
        setpriority(PRIO_PROCESS, thread, to + lower);
}

/* The first thread to this priority, and those that are a little lower with it. */
static void move(pid_t pid, int to)
{
    char path[32];
    int from = nice_of((id_t)pid);
    bool there = errno == 0 && from != to;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    for (int pass = 0; there && pass < 2; pass++) { /* the second: started by one not yet moved */
        DIR *all = opendir(path);
        struct dirent *e;
        while (all && (e = readdir(all)) != NULL) {
            if (g_ascii_isdigit(e->d_name[0]))
                move_thread((id_t)strtoul(e->d_name, NULL, 10), from, to);
        }
        if (all)
            closedir(all);
    }
}

void worker_hurry(struct worker *w)
{
    if (w->state == WORKER_NONE || !worker_priority_can())
        return;
    worker_priority_hurry();
    move(w->pid, nice_of(0));
    w->hurries = true;
    w->calm_ns = 0;
}

void worker_hurry_over(struct worker *w)
{
    if (w->hurries) {
        setpriority(PRIO_PROCESS, 0, usual);
        session_share_hurry(false, 0);
    }
    if (w->state != WORKER_NONE && w->hurries)
        move(w->pid, usual);
    w->hurries = false;
    w->calm_ns = 0;
}

void worker_hurry_over_soon(struct worker *w)
{
    if (w->hurries)
        w->calm_ns = clock_now_ns() + HURRY_AT_END;
}

uint64_t worker_hurry_tick(struct worker *w, uint64_t now_ns)
{
    if (w->calm_ns != 0 && now_ns >= w->calm_ns)
        worker_hurry_over(w);
    return w->calm_ns == 0 ? UINT64_MAX : w->calm_ns;
}
