/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands for a unit that is held (scsi_unit_hold()) wait here before they begin, in the order in which
 * they came; those for other units of the session go on. They are BLOCKED like those behind an ORDERED task:
 * what an initiator sends with them is received, nothing else happens, they may be aborted, and for
 * another worker they are commands that have not begun.
 */
#include "iscsi/engine.h"
#include "scsi/copy.h"
#include "scsi/target.h"

static struct task *first_free(struct session *s)
{
    list_for_each(pos, &s->paused)
    {
        struct task *t = list_entry(pos, struct task, link);
        if (!scsi_nexus_held(s->nexus, t->cmd.lun))
            return t;
    }
    return NULL;
}

static void run(struct session *s)
{
    struct task *t;
    s->resuming = true;
    while (!list_empty(&s->paused) && !s->closing && (t = first_free(s))) {
        list_remove(&t->link);
        command_begin(t);
    }
    s->resuming = false;
}

bool command_pause_slow(struct task *t)
{
    struct session *s = t->session;
    if (!s->resuming && !list_empty(&s->paused))
        run(s);
    bool behind = s->resuming && !list_empty(&s->paused); /* the loop comes to it */
    if (!behind && !scsi_nexus_held(s->nexus, t->cmd.lun))
        return false;
    t->state = TASK_BLOCKED;
    list_append(&s->paused, &t->link);
    return true;
}

void engine_run_paused(struct engine *e)
{
    list_for_each_safe(pos, &e->sessions)
    {
        struct session *s = list_entry(pos, struct session, link);
        if (!s->resuming && !list_empty(&s->paused))
            run(s);
    }
    scsi_copies_go_on();
}
