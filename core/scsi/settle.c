/* SPDX-License-Identifier: BSD-3-Clause */
/* The way to a unit's first WRITE ATOMIC; see settle.h. */
#include "scsi/settle.h"

#include "base/clock.h"
#include "scsi/opcode.h"
#include "scsi/range.h"
#include "scsi/read_write.h"

#define PAUSE_FIRST_NS NS_PER_MS
#define PAUSE_MOST_NS  (64 * NS_PER_MS)

enum { NEVER, LOOKING, SETTLED };

/* This reactor's, of all units, by scratch_waiter, which waits for nothing meanwhile. */
static __thread struct list waiting;
static __thread unsigned waiting_count;

static struct scsi_unit *unit_of(struct scsi_settle *settle)
{
    return container_of(settle, struct scsi_unit, settle);
}

static void post(struct scsi_settle *settle, unsigned lane, void (*run)(struct reactor_message *))
{
    settle->lane = (uint16_t)lane;
    settle->message.run = run;
    reactor_post(scsi_unit_reactor(unit_of(settle), lane), &settle->message);
}

/* On lane 0's reactor; `lane` stays where it has been. */
static void post_back(struct scsi_settle *settle, void (*run)(struct reactor_message *))
{
    settle->message.run = run;
    reactor_post(scsi_unit_reactor(unit_of(settle), 0), &settle->message);
}

/* ---- looking ---- */

/* On the lane's reactor. */
static bool reads_from_store(struct scsi_unit *unit, unsigned lane)
{
    const struct scsi_services *services = unit->services;
    bool any = false;

    list_for_each(pos, &unit->lanes[lane].commands) {
        struct scsi_command *cmd = list_entry(pos, struct scsi_command, lane_link);
        if (!cmd->mapped)
            continue;
        if (cmd->phase == SCSI_STARTED && !cmd->partly_sent)
            scsi_read_copied(cmd);
        else
            any = true;
    }
    return any || services->sends_store(services->user, unit->backend->info.store_arena);
}

static void looked(struct reactor_message *message);

static void look(struct reactor_message *message)
{
    struct scsi_settle *settle = container_of(message, struct scsi_settle, message);
    struct scsi_unit *unit = unit_of(settle);

    settle->found = reads_from_store(unit, settle->lane);
    if (!settle->found && settle->lane + 1u < unit->lane_count) {
        settle->pause_ns = PAUSE_FIRST_NS;
        post(settle, settle->lane + 1u, look);
        return;
    }
    post_back(settle, looked);
}

/* The lanes before have none, and get none. */
static void look_again(struct timer *timer)
{
    struct scsi_settle *settle = container_of(timer, struct scsi_settle, timer);

    settle->pausing = false;
    post(settle, settle->lane, look);
}

/* ---- settled ---- */

static void told(struct reactor_message *message)
{
    struct scsi_settle *settle = container_of(message, struct scsi_settle, message);

    settle->telling = false;
    if (settle->stopping)
        sem_post(settle->stopping);
    settle->stopping = NULL;
}

static bool leave(struct scsi_command *cmd)
{
    list_remove(&cmd->scratch_waiter.link);
    cmd->leave = NULL;
    waiting_count--;
    return true;
}

static void go_on(struct scsi_command *cmd)
{
    leave(cmd);
    if (scsi_range_wait(cmd))
        cmd->opcode->execute(cmd);
}

static void tell(struct reactor_message *message)
{
    struct scsi_settle *settle = container_of(message, struct scsi_settle, message);
    struct scsi_unit *unit = unit_of(settle);
    struct list batch, *link;

    list_init(&batch);
    if (waiting.next)
        list_splice(&batch, &waiting);
    while ((link = list_take(&batch))) {
        struct scsi_command *cmd = list_entry(link, struct scsi_command, scratch_waiter.link);
        list_append(&waiting, link);
        if (cmd->unit == unit)
            go_on(cmd);
    }
    if (settle->lane + 1u < unit->lane_count) {
        post(settle, settle->lane + 1u, tell);
        return;
    }
    post_back(settle, told);
}

/* On lane 0's reactor. */
static void looked(struct reactor_message *message)
{
    struct scsi_settle *settle = container_of(message, struct scsi_settle, message);

    if (settle->stopping) {
        atomic_store(&settle->state, NEVER);
        told(message);
        return;
    }
    if (settle->found) {
        timer_init(&settle->timer, look_again);
        settle->pausing = true;
        reactor_timer_start(reactor_current(), &settle->timer, settle->pause_ns);
        if (settle->pause_ns < PAUSE_MOST_NS)
            settle->pause_ns *= 2;
        return;
    }
    settle->telling = true;
    atomic_store(&settle->state, SETTLED);
    post(settle, 0, tell);
}

/* ---- for others ---- */

static void begin(struct scsi_unit *unit)
{
    struct scsi_settle *settle = &unit->settle;
    uint32_t never = NEVER;

    if (!atomic_compare_exchange_strong(&settle->state, &never, LOOKING))
        return;
    settle->pause_ns = PAUSE_FIRST_NS;
    post(settle, 0, look);
}

bool scsi_settle(struct scsi_command *cmd)
{
    struct scsi_unit *unit = cmd->unit;

    if (atomic_load_explicit(&unit->settle.state, memory_order_acquire) == SETTLED)
        return true;
    atomic_store(&unit->atomic_used, true);
    atomic_store(&unit->home.keep.data->atomic_used, 1);
    if (!unit->services || !unit->services->sends_store) { /* nothing is sent later than read */
        atomic_store(&unit->settle.state, SETTLED);
        return true;
    }
    if (!waiting.next)
        list_init(&waiting);
    list_append(&waiting, &cmd->scratch_waiter.link);
    cmd->leave = leave;
    waiting_count++;
    begin(unit);
    return false;
}

unsigned scsi_settle_waiting(void)
{
    return waiting_count;
}

void scsi_settle_go_on(void)
{
    if (!waiting.next)
        return;
    list_for_each(pos, &waiting)
        begin(list_entry(pos, struct scsi_command, scratch_waiter.link)->unit);
}

void scsi_settle_stop(struct scsi_unit *unit, sem_t *stopped)
{
    struct scsi_settle *settle = &unit->settle;
    bool looking = atomic_load(&settle->state) == LOOKING;

    if (settle->telling || (looking && !settle->pausing)) {
        settle->stopping = stopped;
        return;
    }
    if (looking) {
        reactor_timer_stop(reactor_current(), &settle->timer);
        settle->pausing = false;
        atomic_store(&settle->state, NEVER);
    }
    sem_post(stopped);
}
