/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Does the worker live? It is asked several times within the time that the configuration gives it
 * (`watchdog`), and answers when its control thread and every reactor have gone round once. One that is
 * stopped or goes round in circles is ended, with a core when it can make one, and replaced as after any
 * crash; what it was working on is to blame. Storage that hangs is none of this: nothing waits for it. While it
 * reads a new configuration, which a large one takes its time for, it has that much more.
 */
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"

#include <glib.h>
#include <inttypes.h>
#include <signal.h>

#define ASKS         4              /* in the time it has */
#define CORE_NS      (NS_PER_S / 2) /* to end by SIGABRT, before SIGKILL */
#define LATE_NS      (NS_PER_S / 4) /* we did not run ourselves: that says nothing about the worker */
#define NOT_WATCHING UINT64_MAX

static bool is_watched(const struct keeper *k)
{
    return k->config->daemon.watchdog_ns != 0 && k->worker.state == WORKER_READY &&
           !k->stopping && !k->leaving && (k->upgrade == UPGRADE_NONE || k->upgrade == UPGRADE_PREPARING) &&
           !k->worker.hung;
}

static void end_it(struct keeper *k, uint64_t now, uint64_t silent_ns)
{
    struct worker *w = &k->worker;

    log_error("worker", "does not answer for %.1f s, ended generation=%u pid=%d",
              (double)silent_ns / 1e9, w->generation, w->pid);
    w->hung = true;
    w->kill_ns = now + CORE_NS;
    kill(w->pid, SIGABRT); /* not reaped yet, so the number is still its */
}

static void ask(struct keeper *k, uint64_t now)
{
    k->pulse.number++;
    k->pulse.asked_ns = now;
    supervise_tell(
        k, &(struct link_message){ .type = LINK_PING, .fd = -1, .ping.number = k->pulse.number });
}

void pulse_heard(struct keeper *k, uint32_t number)
{
    if (number == k->pulse.number)
        k->pulse.asked_ns = 0;
}

uint64_t pulse_tick(struct keeper *k, uint64_t now)
{
    uint64_t every = k->config->daemon.watchdog_ns / ASKS;
    uint64_t limit = k->config->daemon.watchdog_ns + reload_reading_ns(k);

    if (!is_watched(k)) {
        k->pulse.asked_ns = k->pulse.next_ns = 0;
        return NOT_WATCHING;
    }
    if (k->pulse.asked_ns != 0 && now > k->pulse.next_ns + LATE_NS)
        k->pulse.asked_ns = now;
    if (k->pulse.asked_ns != 0 && now - k->pulse.asked_ns >= limit) {
        end_it(k, now, now - k->pulse.asked_ns);
        return now; /* there is a deadline to look at */
    }
    if (k->pulse.next_ns == 0 || now >= k->pulse.next_ns) {
        if (k->pulse.asked_ns == 0)
            ask(k, now);
        k->pulse.next_ns = now + every;
    }
    return k->pulse.next_ns;
}
