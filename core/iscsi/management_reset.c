/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets of a unit or a target (RFC 7143 11.5.1). The tasks of other sessions are on other reactors:
 * a reset walks over all engines, one after the other, and on each waits until its units have nothing of
 * what was aborted.
 */
#include <glib.h>

#include "base/bytes.h"
#include "iscsi/management.h"
#include "scsi/unit.h"

/* A reset on its way over the engines; rare, so it is made when needed. */
struct walk {
    struct reactor_message message;
    struct scsi_drain drain;
    struct task *task;
    struct scsi_target *target;
    bool cold;
    unsigned engine; /* the one it is at */
    unsigned unit, unit_count;
    struct scsi_unit *units[SCSI_LUNS_MAX];
};

static void walk_run(struct reactor_message *message);

static void walk_post(struct walk *w)
{
    struct task *t = w->task;
    struct engine *home = t->session->engine;
    w->message.run = walk_run;
    reactor_post(w->engine < home->all_count ? home->all[w->engine]->reactor : home->reactor,
                 &w->message);
}

static void walk_drained(struct scsi_drain *drain)
{
    struct walk *w = container_of(drain, struct walk, drain);
    w->unit++;
    walk_post(w); /* off this stack */
}

static void tell_others(struct walk *w, struct engine *e, const struct scsi_unit *unit)
{
    list_for_each_safe(pos, &e->sessions) {
        struct session *s = list_entry(pos, struct session, link);
        if (s != w->task->session && s->nexus && s->nexus->target == w->target)
            management_tell(s, /* except= */ NULL, unit, /* lun= */ NULL);
    }
}

/* Commands of other sessions that wait behind an ORDERED one, or for a unit that is held, have not begun:
   the unit does not know them. */
static void abort_waiting(struct walk *w, struct engine *e, const struct scsi_unit *unit)
{
    list_for_each_safe(pos, &e->sessions) {
        struct session *s = list_entry(pos, struct session, link);
        if (s == w->task->session || !s->nexus || s->nexus->target != w->target ||
            (list_empty(&s->blocked) && list_empty(&s->paused)))
            continue;
        for (uint16_t i = 0; i < s->task_count; i++) {
            struct task *t = &s->tasks[i];
            if (t->state == TASK_BLOCKED && t->kind == TASK_SCSI &&
                scsi_nexus_unit_at(s->nexus, t->cmd.lun) == unit)
                task_abort(t, NULL);
        }
    }
}

static void close_others(struct walk *w, struct engine *e)
{
    list_for_each_safe(pos, &e->sessions) {
        struct session *s = list_entry(pos, struct session, link);
        if (s != w->task->session && s->nexus && s->nexus->target == w->target)
            session_close(s, "target cold reset by another initiator");
    }
}

static void walk_run(struct reactor_message *message)
{
    struct walk *w = container_of(message, struct walk, message);
    struct engine *home = w->task->session->engine;
    if (w->engine == home->all_count) {
        struct task *t = w->task;
        g_free(w);
        management_settle(t);
        return;
    }
    if (w->unit < w->unit_count) {
        struct scsi_unit *unit = w->units[w->unit];
        tell_others(w, home->all[w->engine], unit);
        abort_waiting(w, home->all[w->engine], unit);
        scsi_unit_abort_all(unit, NULL);
        w->drain.done = walk_drained;
        scsi_unit_drain(unit, &w->drain);
        return;
    }
    if (w->cold)
        close_others(w, home->all[w->engine]);
    w->engine++;
    w->unit = 0;
    walk_post(w);
}

static void add_unit(struct scsi_unit *unit, void *data)
{
    struct walk *w = data;
    w->units[w->unit_count++] = unit;
}

/*
 * Resets the units, once: where their attentions stood before is behind the request, for a successor. What
 * there is no room for is reset again by it.
 */
static void reset_units(struct task *t, struct walk *w, bool target_reset)
{
    struct task_record *rec = t->record;
    unsigned room = (STATE_SMALL_BYTES - ISCSI_BHS_BYTES) / 4;
    uint8_t *place = rec->small + ISCSI_BHS_BYTES;
    bool again = rec->begun;
    for (unsigned i = 0; !again && i < w->unit_count && i < room; i++)
        put_be32(place + 4 * (size_t)i, scsi_attentions_head(w->units[i]));
    atomic_signal_fence(memory_order_release);
    rec->begun = 1;
    for (unsigned i = 0; i < w->unit_count; i++) {
        if (again && i < room)
            scsi_unit_reset_again(w->units[i], target_reset, get_be32(place + 4 * (size_t)i));
        else
            scsi_unit_reset(w->units[i], target_reset);
    }
}

void management_reset(struct task *t, uint8_t function)
{
    struct session *s = t->session;
    struct walk *w = g_try_new0(struct walk, 1);
    if (!w) {
        t->response = ISCSI_TMF_RSP_REJECTED;
        return;
    }
    w->task = t;
    w->target = s->nexus->target;
    w->cold = function == ISCSI_TMF_TARGET_COLD_RESET;
    if (function == ISCSI_TMF_LUN_RESET)
        add_unit(scsi_nexus_unit_at(s->nexus, get_be64(management_request(t) + ISCSI_BHS_LUN)), w);
    else
        scsi_nexus_each_unit(s->nexus, add_unit, w);
    management_abort_own(t, function != ISCSI_TMF_LUN_RESET);
    reset_units(t, w, function != ISCSI_TMF_LUN_RESET);
    t->waits_for++;
    walk_post(w);
}
