/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The priority of a worker's threads. One that initiators wait for, because it holds still for another or
 * takes over from one, hurries, until what was held up is served: on a machine that is busy with something
 * else its threads would wait for their turns one after the other. So does the keeper, which passes word
 * between the two. Nothing else runs before them (SCHED_RR) for a fifth of a second at most; what takes longer, and where
 * the kernel refuses that, has a higher priority, and their session a larger share (session_share.h). One
 * in reserve, and one that an upgrade prepares, stays out of the way. What is left of a dead worker hurries until its
 * rings are gone, for the next one waits for that; it has been started by one in reserve. The keeper needs CAP_SYS_NICE
 * for it; without, all stays as it is.
 */
#include "keeper/session_share.h"
#include "keeper/worker.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NICE_ASIDE 5  /* lower by so much */
#define NICE_HURRY 10 /* higher by so much */
#define NICE_REST                                                                                  \
    10 /* of what is left of a worker, when nobody waits for it any more (undertaker.c) */
#define REALTIME_NS                                                                                \
    (200 * NS_PER_MS) /* what takes longer than that must not have the machine alone */
#define HURRY_AT_END (20 * NS_PER_MS) /* as long as sessions are on their way to their reactors */

static int usual;            /* of the keeper, and of workers */
static bool realtime = true; /* until the kernel refuses */

static int set_policy(pid_t thread, int policy, int priority)
{
    struct sched_param p = { .sched_priority = priority };

    return sched_setscheduler(thread, policy, &p);
}

/* Above its workers, so that it can end it. What it starts meanwhile, a fence's helper perhaps, is none of it. */
static bool keeper_realtime(void)
{
    return set_policy(0, SCHED_RR | SCHED_RESET_ON_FORK, sched_get_priority_min(SCHED_RR) + 1) == 0;
}

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
    realtime = realtime && keeper_realtime();
    if (!realtime)
        session_share_hurry(true, NICE_HURRY);
}

static void keeper_calm(void)
{
    set_policy(0, SCHED_OTHER, 0);
    setpriority(PRIO_PROCESS, 0, usual);
    session_share_hurry(false, 0);
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

static void each_thread(pid_t pid, void (*visit)(pid_t thread, const int *args), const int *args)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    for (int pass = 0; pass < 2; pass++) { /* the second: started by one not yet visited */
        DIR *all = opendir(path);
        struct dirent *e;
        while (all && (e = readdir(all)) != NULL) {
            if (g_ascii_isdigit(e->d_name[0]))
                visit((pid_t)strtol(e->d_name, NULL, 10), args);
        }
        if (all)
            closedir(all);
    }
}

static void set_one(pid_t thread, const int *policy)
{
    if (sched_getscheduler(thread) != *policy)
        set_policy(thread, *policy, *policy == SCHED_RR ? sched_get_priority_min(SCHED_RR) : 0);
}

/* Of a thread that is not lower than the first one by so much: those were moved already, or just now started. */
static void move_one(pid_t thread, const int from_to[2])
{
    int lower = nice_of((id_t)thread) - from_to[0];

    if (!errno && lower >= 0 && lower < NICE_HURRY)
        setpriority(PRIO_PROCESS, (id_t)thread, from_to[1] + lower);
}

/* The first thread to this priority, and those that are a little lower with it. */
static void move(pid_t pid, int to)
{
    int from = nice_of((id_t)pid);

    if (errno == 0 && from != to)
        each_thread(pid, move_one, (const int[]){ from, to });
}

static void worker_realtime(struct worker *w, bool on)
{
    if (w->state != WORKER_NONE && (w->realtime_ns != 0 || on))
        each_thread(w->pid, set_one, (const int[]){ on ? SCHED_RR : SCHED_OTHER });
    w->realtime_ns = on ? clock_now_ns() + REALTIME_NS : 0;
}

void worker_hurry(struct worker *w)
{
    if (w->state == WORKER_NONE || !worker_priority_can())
        return;
    worker_priority_hurry();
    move(w->pid, nice_of(0));
    if (realtime)
        worker_realtime(w, true);
    w->hurries = true;
    w->calm_ns = 0;
}

void worker_calm(struct worker *w)
{
    if (w->state != WORKER_NONE && w->hurries) {
        worker_realtime(w, false);
        move(w->pid, usual);
    }
    w->hurries = false;
    w->calm_ns = 0;
}

void worker_hurry_over(struct worker *w)
{
    if (w->hurries)
        keeper_calm();
    worker_calm(w);
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
    if (w->realtime_ns != 0 && now_ns >= w->realtime_ns) {
        worker_realtime(w, false);
        set_policy(0, SCHED_OTHER, 0);
        session_share_hurry(true, NICE_HURRY);
    }
    uint64_t next = w->calm_ns == 0 ? UINT64_MAX : w->calm_ns;
    return w->realtime_ns == 0 ? next : MIN(next, w->realtime_ns);
}
