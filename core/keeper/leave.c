/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A restart of the service that nobody notices (SIGUSR1): the worker holds still, as for an upgrade, and
 * keeper and worker end without a word to anybody. The service manager has duplicates of all sockets and
 * memory; the next keeper gets them (resume.h) and goes on. A worker that cannot hold still ends all the
 * same: what it was doing is done again, as after a crash.
 */
#include "keeper/notify.h"
#include "keeper/state.h"

#include "base/clock.h"
#include "base/log.h"

#define HOLD_STILL_MS 2000u
#define LEAVE_NS      (3 * NS_PER_S)
#define STORE_MS      2000u /* for a service manager that is busy */

void leave_now(struct keeper *k)
{
    if (k->done)
        return;
    if (!store_flush(&k->store, STORE_MS))
        log_warning("keeper",
                    "the service manager has not heard of everything that it should keep");
    record_write(k);
    store_leave(&k->store);
    k->connections.leaving = true;
    k->control.leaving = true;
    log_notice("keeper", "leaves everything to the service manager connections=%u",
               k->connections.used);
    keeper_finish(k, 0);
}

void leave_begin(struct keeper *k)
{
    if (!k->store.on) {
        log_warning("keeper", "SIGUSR1: there is no service manager that would keep anything");
        return;
    }
    if (k->leaving || k->stopping)
        return;
    upgrade_abandon(k, "the service is restarted");
    spare_discard(k);
    k->leaving = true;
    k->leave_ns = clock_now_ns() + LEAVE_NS;
    notify_send("STOPPING=1\nSTATUS=Restarting; connections are kept.");
    accept_update(k);
    if (k->worker.state != WORKER_READY)
        leave_now(k);
    else
        supervise_tell(k, &(struct link_message){
                              .type = LINK_FREEZE, .fd = -1, .freeze.deadline_ms = HOLD_STILL_MS });
}

uint64_t leave_tick(struct keeper *k, uint64_t now)
{
    if (!k->leaving || k->done)
        return UINT64_MAX;
    if (now < k->leave_ns)
        return k->leave_ns;
    log_warning("keeper", "the worker does not hold still in time");
    leave_now(k);
    return UINT64_MAX;
}
