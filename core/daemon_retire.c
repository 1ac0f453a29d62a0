/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a reload has taken away: disks and targets leave when nobody holds on to them. Reactors are asked
 * in rounds, some milliseconds apart, until they have nothing of it any more.
 */
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "daemon_reload.h"
#include "iscsi/uses.h"

#define LOOK_MS  2
#define LATE_MS  1000
#define ABORT_NS (10 * NS_PER_S) /* for commands to end that were aborted */

/* ---- rest ---- */

/* On each reactor. */
static void rest_look(struct daemon_round *round, struct engine *e)
{
    struct daemon_rest *rest = container_of(round, struct daemon_rest, round);
    bool data = e->reactor->index < round->daemon->data_count;
    for (unsigned i = 0; i < rest->luns->len; i++) {
        const struct daemon_lun *l = g_ptr_array_index(rest->luns, i);
        unsigned arena = l->backend ? l->backend->info.store_arena : 0;
        if (data && rest->aborting)
            scsi_unit_abort_all(l->unit, NULL);
        rest->busy |= (data && scsi_unit_active(l->unit)) || engine_uses(e, l->target->scsi, arena);
    }
}

static gboolean rest_again(gpointer data)
{
    struct daemon_rest *rest = data;
    rest->busy = false;
    daemon_round(rest->round.daemon, &rest->round);
    return G_SOURCE_REMOVE;
}

static void rest_seen(struct daemon_round *round)
{
    struct daemon_rest *rest = container_of(round, struct daemon_rest, round);
    uint64_t now = clock_now_ns();
    if (!rest->busy) {
        rest->done(rest, true);
    } else if (now < rest->deadline_ns) {
        g_timeout_add(LOOK_MS, rest_again, rest);
    } else if (rest->may_abort && !rest->aborting) {
        rest->aborting = true;
        rest->deadline_ns = now + ABORT_NS;
        rest_again(rest);
    } else {
        rest->done(rest, false);
    }
}

void daemon_rest_begin(struct daemon *d, struct daemon_rest *rest)
{
    rest->busy = rest->aborting = false;
    rest->round.look = rest_look;
    rest->round.done = rest_seen;
    daemon_round(d, &rest->round);
}

/* ---- garbage ---- */

struct garbage {
    struct daemon_round round;
    void (*release)(void *data);
    void *data;
};

static void garbage_done(struct daemon_round *round)
{
    struct garbage *g = container_of(round, struct garbage, round);
    g->release(g->data);
    g_free(g);
}

void retire_garbage(struct daemon *d, void (*release)(void *data), void *data)
{
    struct garbage *g = g_new0(struct garbage, 1);
    g->release = release;
    g->data = data;
    g->round.done = garbage_done;
    daemon_round(d, &g->round);
}

/* ---- disks and targets ---- */

struct retired {
    struct list link; /* daemon->retiring */
    struct daemon *daemon;
    struct daemon_target *target; /* it goes, too; or NULL */
    GPtrArray *luns;
    uint64_t deadline_ns;
    struct daemon_rest rest;
    struct daemon_round round; /* sessions */
    unsigned sessions;
    bool stopped, closed;
    bool exchanged; /* retire_exchanged() */
    bool late;      /* it is in use still, and nobody waits for it any more */
    unsigned closing;
    struct daemon_note note; /* all storage is closed */
    _Atomic unsigned open;
};

static void memory_name(char name[static LINK_NAME_MAX], const char *prefix,
                        const struct scsi_unit *unit)
{
    g_snprintf(name, LINK_NAME_MAX, "%s%s/%u", prefix, unit->target_name, unit->lun);
}

void daemon_drop_memory(struct daemon *d, const char *prefix, const struct scsi_unit *unit)
{
    struct link_message m = { .type = LINK_MEMFD_DROP, .fd = -1 };
    memory_name(m.memfd_drop.name, prefix, unit);
    daemon_tell(d, &m);
}

void daemon_hold_memory(struct daemon *d, const struct scsi_unit *unit)
{
    struct link_message m = { .type = LINK_MEMFD_HOLD, .fd = -1 };
    memory_name(m.memfd_drop.name, "lun:", unit);
    daemon_tell(d, &m);
}

/*
 * Nobody will ask for its memory by name: from now on it has its number alone, so that the next worker, too, can send
 * what initiators have read of it, and a disk that takes its place finds nothing of it.
 */
static void leave_memory(struct daemon *d, struct daemon_lun *l)
{
    struct link_message m = { .type = LINK_MEMFD_REMOVE, .fd = -1 };
    uint32_t number;
    crash_point("remove");
    if (!d->keeps_removed || !l->backend) {
        daemon_drop_memory(d, "lun:", l->unit);
    } else if (storage_memory(l->backend, &number)) {
        l->left_memory = number + 1;
        memory_name(m.memfd_drop.name, "lun:", l->unit);
        daemon_tell(d, &m);
    } else {
        daemon_drop_memory(d, "lun:", l->unit); /* that of an absent LUN */
    }
    crash_point("removed");
}

/* It is closed. */
static void drop_left(struct daemon *d, const struct daemon_lun *l)
{
    crash_point("leave");
    if (l->left_memory)
        daemon_drop_number(d, l->left_memory - 1);
}

static void exchanged_gone(struct daemon *d, struct daemon_lun *l)
{
    log_info("daemon", "storage that a LUN has left is closed target=%s lun=%u",
             l->unit->target_name, l->unit->lun);
    drop_left(d, l);
    l->unit = scsi_unit_free(l->unit);
    daemon_target_unref(l->target);
    daemon_absent_clear(l);
    g_free(l);
}

/*
 * A disk that takes its place finds nothing of it: at once, for this worker may be followed by another before
 * it is closed; and when it is, for it may have written something meanwhile. What is mapped here stays.
 */
static void forget(struct daemon *d, struct daemon_lun *l)
{
    if (!l->unit)
        return;
    scsi_unit_forget(l->unit);
    daemon_drop_memory(d, "keep:state:", l->unit);
}

static void lun_gone(struct daemon *d, struct daemon_lun *l, bool late)
{
    log_notice("daemon", "LUN closed target=%s lun=%u", l->unit->target_name, l->unit->lun);
    if (!late) /* another disk may be there by now */
        forget(d, l);
    drop_left(d, l);
    l->unit = scsi_unit_free(l->unit);
    daemon_target_unref(l->target);
    daemon_absent_clear(l);
    g_free(l);
}

static void all_closed(struct daemon *d, struct daemon_note *note)
{
    struct retired *r = container_of(note, struct retired, note);
    for (unsigned i = 0; i < r->luns->len; i++) {
        struct daemon_lun *l = g_ptr_array_index(r->luns, i);
        if (r->exchanged)
            exchanged_gone(d, l);
        else
            lun_gone(d, l, r->late);
    }
    if (r->target) {
        log_notice("daemon", "target removed target=%s", r->target->scsi->name);
        daemon_target_unref(r->target);
    }
    list_remove(&r->link);
    g_ptr_array_free(r->luns, TRUE);
    g_free(r);
}

/* A thread of the pool. */
static void one_closed(void *user)
{
    struct retired *r = user;
    if (atomic_fetch_sub(&r->open, 1) == 1)
        daemon_note(r->daemon, &r->note);
}

static gboolean rest_later(gpointer data)
{
    struct retired *r = data;
    daemon_rest_begin(r->daemon, &r->rest);
    return G_SOURCE_REMOVE;
}

static void at_rest(struct daemon_rest *rest, bool still)
{
    struct retired *r = container_of(rest, struct retired, rest);
    if (!still) { /* a handler that does not answer, an initiator that does not read */
        if (!r->late)
            log_error("daemon", "a disk that was removed does not come to rest; it stays open "
                                "until it does");
        r->late = true;
        rest->may_abort = false;
        list_remove(&r->link);
        g_timeout_add(LATE_MS, rest_later, r);
        return;
    }
    r->note.run = all_closed;
    atomic_store(&r->open, r->luns->len + 1);
    for (unsigned i = 0; i < r->luns->len; i++) {
        struct daemon_lun *l = g_ptr_array_index(r->luns, i);
        scsi_unit_quiesce(l->unit);
        if (l->backend)
            storage_send_away(l->backend); /* of a sanitize */
        if (l->backend)
            storage_close(l->backend, one_closed, r);
        else
            one_closed(r);
        l->backend = NULL;
    }
    one_closed(r);
}

static void rest_luns(struct retired *r)
{
    r->rest = (struct daemon_rest){
        .done = at_rest, .luns = r->luns, .deadline_ns = r->deadline_ns, .may_abort = true
    };
    daemon_rest_begin(r->daemon, &r->rest);
}

static struct retired *retired_new(struct daemon *d, uint64_t deadline_ns)
{
    struct retired *r = g_new0(struct retired, 1);
    r->daemon = d;
    r->luns = g_ptr_array_new();
    r->deadline_ns = deadline_ns;
    list_append(&d->retiring, &r->link);
    return r;
}

void retire_lun(struct daemon *d, struct daemon_lun *l, uint64_t deadline_ns)
{
    struct retired *r = retired_new(d, deadline_ns);
    daemon_target_ref(l->target);
    g_ptr_array_add(r->luns, l);
    forget(d, l);
    leave_memory(d, l);
    rest_luns(r);
}

void retire_exchanged(struct daemon *d, struct daemon_target *t, struct scsi_unit *unit,
                      struct backend *backend, bool memory)
{
    struct retired *r = retired_new(d, clock_now_ns() + ABORT_NS);
    struct daemon_lun *l = daemon_lun_new(d, t, NULL);
    r->exchanged = true;
    l->unit = unit;
    l->backend = backend;
    if (memory)
        leave_memory(d, l);
    daemon_target_ref(t);
    g_ptr_array_add(r->luns, l);
    rest_luns(r);
}

bool retire_exchanges(const struct daemon *d)
{
    list_for_each(pos, &d->retiring)
        if (list_entry(pos, struct retired, link)->exchanged)
            return true;
    return false;
}

static unsigned commands_of(const struct retired *r)
{
    unsigned all = 0;
    for (unsigned i = 0; i < r->luns->len; i++) {
        const struct daemon_lun *l = g_ptr_array_index(r->luns, i);
        unsigned at_handler = 0, waiting = 0;
        if (l->backend)
            storage_depth(l->backend, &at_handler, &waiting);
        all += at_handler + waiting;
    }
    return all;
}

void daemon_retiring(void *user, void (*each)(void *data, const struct control_draining *what),
                     void *data)
{
    struct daemon *d = user;
    uint64_t now = clock_now_ns();
    list_for_each(pos, &d->retiring) {
        const struct retired *r = list_entry(pos, struct retired, link);
        const struct daemon_lun *l = r->luns->len ? g_ptr_array_index(r->luns, 0) : NULL;
        if (r->exchanged || (!r->target && !l))
            continue;
        struct control_draining what = {
            .target = r->target ? r->target->scsi->name : l->unit->target_name,
            .whole = r->target != NULL,
            .lun = l ? l->unit->lun : 0,
            .commands = commands_of(r),
            .left_ns = r->deadline_ns > now ? r->deadline_ns - now : 0
        };
        each(data, &what);
    }
}

/* ---- sessions of a target ---- */

static void count_session(const struct session *s, void *data)
{
    struct retired *r = data;
    r->sessions += s->nexus && s->nexus->target == r->target->scsi;
}

static void sessions_look(struct daemon_round *round, struct engine *e)
{
    struct retired *r = container_of(round, struct retired, round);
    struct daemon *d = round->daemon;
    if (e->reactor->index < d->data_count)
        return;
    registry_visit(d->registry, count_session, r);
    if (r->sessions && !r->stopped)
        registry_stop_target(d->registry, r->target->scsi);
    r->stopped = true;
    if (r->sessions && !r->closed && clock_now_ns() >= r->deadline_ns) {
        registry_close_target(d->registry, r->target->scsi, "its target is removed");
        r->closed = true;
    }
}

static gboolean sessions_again(gpointer data)
{
    struct retired *r = data;
    r->sessions = 0;
    daemon_round(r->daemon, &r->round);
    return G_SOURCE_REMOVE;
}

static void sessions_seen(struct daemon_round *round)
{
    struct retired *r = container_of(round, struct retired, round);
    if (r->sessions)
        g_timeout_add(10 * LOOK_MS, sessions_again, r);
    else
        rest_luns(r);
}

void retire_target(struct daemon *d, struct daemon_target *t, uint64_t deadline_ns)
{
    struct retired *r = retired_new(d, deadline_ns);
    r->target = t;
    for (unsigned i = 0; i < t->lun_count; i++) {
        daemon_target_ref(t);
        g_ptr_array_add(r->luns, t->luns[i]);
        forget(d, t->luns[i]);
        if (t->luns[i]->unit)
            leave_memory(d, t->luns[i]);
    }
    t->lun_count = 0; /* they are ours now */
    r->round.look = sessions_look;
    r->round.done = sessions_seen;
    daemon_round(d, &r->round);
}

bool retire_has(const struct daemon *d, const char *target, unsigned lun)
{
    list_for_each(pos, &d->retiring) {
        const struct retired *r = list_entry(pos, struct retired, link);
        for (unsigned i = 0; i < r->luns->len; i++) {
            const struct daemon_lun *l = g_ptr_array_index(r->luns, i);
            if (l->unit->lun == lun && !strcmp(l->unit->target_name, target))
                return true;
        }
    }
    return false;
}

void daemon_retire_wait(struct daemon *d, uint64_t timeout_ns)
{
    uint64_t end = clock_now_ns() + timeout_ns;
    while (!list_empty(&d->retiring) && clock_now_ns() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(1000);
}
