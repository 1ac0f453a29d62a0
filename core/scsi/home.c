/* SPDX-License-Identifier: BSD-3-Clause */
/* The home of a unit's reservations; see home.h. */
#include "scsi/home.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "reactor/pool.h"
#include "scsi/command.h"
#include "scsi/nexus.h"
#include "scsi/once.h"
#include "scsi/sense.h"
#include "scsi/state_file.h"
#include "scsi/step.h"
#include "scsi/unit.h"

struct request {
    struct list link;
    struct reactor_message message;
    struct pool_job job;
    struct scsi_drain drain;
    struct scsi_unit *unit;
    struct scsi_command *cmd; /* its reactor's alone; NULL: aborted */
    struct reactor *reactor;
    enum home_kind kind;
    uint32_t nexus;
    uint64_t id; /* of the command */
    struct pr_name self;
    struct pr_request_data data;
    struct pr_name *names; /* of data, owned */
    struct pr_result result;
    struct pr_table *old;
    struct pr_name *victims;
    unsigned victim_count;
    unsigned lane;
    bool inside, drained;
    int saved;
};

static struct reactor *home_reactor(const struct scsi_unit *unit)
{
    return scsi_unit_reactor(unit, 0);
}

/* Runs on that reactor: now, when it is this one. */
static void go(struct request *r, struct reactor *reactor, void (*run)(struct reactor_message *))
{
    r->message.run = run;
    if (reactor == reactor_current())
        run(&r->message);
    else
        reactor_post(reactor, &r->message);
}

static struct request *of_message(struct reactor_message *message)
{
    return container_of(message, struct request, message);
}

/* ---- the answer ---- */

static void set_status(struct scsi_command *cmd, const struct pr_result *result)
{
    switch (result->verdict) {
    case PR_UNCHANGED:
    case PR_CHANGED:
        break;
    case PR_CONFLICT:
        scsi_conflict(cmd);
        break;
    case PR_BAD_CDB:
        scsi_bad_cdb(cmd, result->byte, result->bit);
        break;
    case PR_BAD_LIST:
        scsi_bad_list(cmd, result->byte, result->bit);
        break;
    case PR_BAD_RELEASE:
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_RELEASE);
        break;
    case PR_FULL:
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INSUFFICIENT_REGISTRATIONS);
        break;
    }
}

static void conclude(struct reactor_message *message)
{
    struct request *r = of_message(message);
    struct scsi_command *cmd = r->cmd;

    if (cmd) {
        cmd->parked = false;
        cmd->leave = NULL;
        set_status(cmd, &r->result);
        if (r->saved < 0)
            scsi_check_condition(cmd, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
    }
    g_free(r->names);
    g_free(r->victims);
    g_free(r);
    if (cmd)
        scsi_finish(cmd);
}

/* Aborted: the change goes on without it. */
static bool leave(struct scsi_command *cmd)
{
    struct request *r = cmd->left;
    r->cmd = NULL;
    return true;
}

/* ---- one at a time ---- */

static void begin(struct request *r);

static void next(struct scsi_unit *unit)
{
    struct list *link;

    unit->home.busy = false;
    if (unit->home.looking) /* further out on this stack */
        return;
    unit->home.looking = true;
    while (!unit->home.busy && (link = list_take(&unit->home.queue))) {
        unit->home.busy = true;
        begin(list_entry(link, struct request, link));
    }
    unit->home.looking = false;
}

static void finish(struct request *r)
{
    struct scsi_unit *unit = r->unit;

    r->old = pr_table_free(r->old);
    go(r, r->reactor, conclude);
    next(unit);
}

static void arrive(struct reactor_message *message)
{
    struct request *r = of_message(message);

    if (r->unit->home.busy) {
        list_append(&r->unit->home.queue, &r->link);
        return;
    }
    r->unit->home.busy = true;
    begin(r);
}

/* ---- every lane ---- */

static bool is_victim(const struct request *r, const struct scsi_nexus *nexus)
{
    for (unsigned i = 0; i < r->victim_count; i++) {
        if (r->victims[i].tag == nexus->tag &&
            strcmp(r->victims[i].port, nexus->initiator_port) == 0)
            return true;
    }
    return false;
}

static bool is_victim_data(const struct scsi_nexus *nexus, void *data)
{
    return is_victim(data, nexus);
}

static void walk(struct reactor_message *message);

static void drained(struct scsi_drain *drain)
{
    struct request *r = container_of(drain, struct request, drain);

    r->drained = true;
    if (!r->inside) { /* off this stack */
        r->message.run = walk;
        reactor_post(reactor_current(), &r->message);
    }
}

/* False: its commands are not all over yet. */
static bool abort_victims(struct request *r)
{
    if (r->drained)
        return true;
    r->inside = true;
    scsi_unit_abort_if(r->unit, is_victim_data, r);
    r->drain.done = drained;
    scsi_unit_drain(r->unit, &r->drain);
    r->inside = false;
    return r->drained;
}

static void done_everywhere(struct reactor_message *message)
{
    finish(of_message(message));
}

static void walk(struct reactor_message *message)
{
    struct request *r = of_message(message);

    for (; r->lane < r->unit->lane_count; r->lane++) {
        struct reactor *reactor = scsi_unit_reactor(r->unit, r->lane);
        if (reactor != reactor_current()) {
            r->message.run = walk;
            reactor_post(reactor, &r->message);
            return;
        }
        if (r->victim_count && !abort_victims(r))
            return;
        r->drained = false;
    }
    go(r, home_reactor(r->unit), done_everywhere);
}

/* ---- the change ---- */

static void publish(struct request *r)
{
    struct scsi_home *home = &r->unit->home;

    scsi_keep_table(&home->keep, r->result.table);
    scsi_unit_kept_changed(r->unit);
    r->old = atomic_exchange(&home->table, r->result.table);
    atomic_fetch_add(&home->version, 1);
    r->lane = 0;
    go(r, home_reactor(r->unit), walk);
}

static void save_run(struct pool_job *job)
{
    struct request *r = container_of(job, struct request, job);
    const struct scsi_home *home = &r->unit->home;

    r->saved = r->result.table->aptpl ? pr_file_save(home->path, r->result.table)
                                      : state_file_remove(home->path);
}

static void save_done(struct pool_job *job)
{
    struct request *r = container_of(job, struct request, job);

    if (r->saved == 0) {
        publish(r);
        return;
    }
    log_error("scsi", "a reservation cannot be saved file=%s error=\"%s\"", r->unit->home.path,
              g_strerror(-r->saved));
    r->result.table = pr_table_free(r->result.table);
    finish(r);
}

static void save(struct request *r)
{
    const struct scsi_services *services = r->unit->services;

    r->job = (struct pool_job){ .run = save_run, .done = save_done };
    r->job.reactor = home_reactor(r->unit);
    if (services->pool) {
        pool_submit(services->pool, &r->job);
        return;
    }
    save_run(&r->job);
    save_done(&r->job);
}

/* Who had a registration and has none any more, but for the sender. */
static void find_victims(struct request *r, const struct pr_table *before)
{
    const struct pr_table *after = r->result.table;

    r->victims = g_new0(struct pr_name, before->count);
    for (unsigned i = 0; i < before->count; i++) {
        const struct pr_name *name = &before->registrations[i].name;
        bool sender = name->tag == r->self.tag && strcmp(name->port, r->self.port) == 0;
        if (!sender && pr_find(after, name->port, name->tag) < 0)
            r->victims[r->victim_count++] = *name;
    }
}

static void begin_persistent(struct request *r)
{
    struct pr_table *before = atomic_load(&r->unit->home.table);

    if (atomic_load(&r->unit->home.reserved_by) && !scsi_access_expired(r->unit)) {
        r->result.verdict = PR_CONFLICT; /* SPC-2 5.5.1 */
        finish(r);
        return;
    }
    pr_apply(before, &r->data, &r->result);
    if (r->result.verdict != PR_CHANGED) {
        finish(r);
        return;
    }
    r->result.table->by = r->id;
    if (r->data.action == PR_PREEMPT_AND_ABORT && before)
        find_victims(r, before);
    if (r->result.table->aptpl || (before && before->aptpl))
        save(r);
    else
        publish(r);
}

/* ---- RESERVE, RELEASE ---- */

static void begin_reserve(struct request *r)
{
    struct scsi_home *home = &r->unit->home;
    const struct pr_table *table = atomic_load(&home->table);
    uint32_t holder = 0;

    scsi_access_expired(r->unit);
    if (table && table->count) {
        r->result.verdict = PR_CONFLICT;
    } else if (atomic_compare_exchange_strong(&home->reserved_by, &holder, r->nexus)) {
        scsi_keep_owner(&home->keep, &r->self);
        scsi_unit_kept_changed(r->unit);
        atomic_fetch_add(&home->version, 1);
        walk(&r->message);
        return;
    } else if (holder != r->nexus) {
        r->result.verdict = PR_CONFLICT;
    }
    finish(r);
}

static void begin_release(struct request *r)
{
    struct scsi_home *home = &r->unit->home;
    const struct pr_table *table = atomic_load(&home->table);
    uint32_t holder = r->nexus;

    if (table && table->count) { /* SPC-2 5.5.1: as RESERVE */
        r->result.verdict = PR_CONFLICT;
    } else if (atomic_compare_exchange_strong(&home->reserved_by, &holder, 0)) {
        scsi_keep_owner(&home->keep, NULL);
        scsi_unit_kept_changed(r->unit);
        atomic_fetch_add(&home->version, 1);
    }
    finish(r);
}

static void begin(struct request *r)
{
    static void (*const kinds[])(struct request *) = {
        [HOME_PERSISTENT_OUT] = begin_persistent,
        [HOME_RESERVE] = begin_reserve,
        [HOME_RELEASE] = begin_release,
    };
    kinds[r->kind](r);
}

void scsi_home_ask(struct scsi_command *cmd, enum home_kind kind,
                   const struct pr_request_data *data, struct pr_name *names)
{
    struct request *r = g_try_new0(struct request, 1);

    if (!r) {
        g_free(names);
        cmd->status = SCSI_BUSY;
        scsi_finish(cmd);
        return;
    }
    list_init(&r->link);
    r->unit = cmd->unit;
    r->cmd = cmd;
    r->reactor = reactor_current();
    r->kind = kind;
    r->id = cmd->id & SCSI_ID_MASK;
    r->nexus = cmd->nexus->id;
    r->self.tag = cmd->nexus->tag;
    g_strlcpy(r->self.port, cmd->nexus->initiator_port, sizeof(r->self.port));
    if (data)
        r->data = *data;
    r->data.port = r->self.port;
    r->data.tag = r->self.tag;
    r->data.tags = cmd->nexus->target->port_tags;
    r->data.tag_count = cmd->nexus->target->port_count;
    r->data.names = r->names = names;
    r->data.can_persist = cmd->unit->home.can_persist;
    cmd->parked = true;
    cmd->leave = leave;
    cmd->left = r;
    go(r, home_reactor(cmd->unit), arrive);
}

/* ---- RESERVE(6) ends by itself ---- */

struct note {
    struct reactor_message message;
    struct scsi_unit *unit;
};

/* The keep memory follows; a reservation that was made meanwhile has written its own. */
static void dropped(struct reactor_message *message)
{
    struct note *note = container_of(message, struct note, message);
    struct scsi_unit *unit = note->unit;

    if (atomic_load(&unit->home.reserved_by) == 0)
        scsi_keep_owner(&unit->home.keep, NULL);
    scsi_unit_kept_changed(unit);
    g_free(note);
}

void scsi_home_drop(struct scsi_unit *unit, uint32_t nexus)
{
    uint32_t holder = nexus;

    if (nexus == 0)
        holder = atomic_exchange(&unit->home.reserved_by, 0);
    else if (!atomic_compare_exchange_strong(&unit->home.reserved_by, &holder, 0))
        return;
    if (holder == 0)
        return;
    atomic_fetch_add(&unit->home.version, 1);
    struct note *note = g_try_new0(struct note, 1);
    if (!note)
        return;
    note->unit = unit;
    note->message.run = dropped;
    if (home_reactor(unit) == reactor_current())
        dropped(&note->message);
    else
        reactor_post(home_reactor(unit), &note->message);
}
