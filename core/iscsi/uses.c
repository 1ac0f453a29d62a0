/* SPDX-License-Identifier: BSD-3-Clause */
/* See uses.h. */
#include "iscsi/uses.h"

static bool task_uses(const struct task *t, unsigned arena)
{
    if (t->state == TASK_FREE)
        return false;
    return t->kind == TASK_MANAGEMENT ||
           (arena && (t->mapped >> ARENA_OFFSET_BITS == arena ||
                      (t->kind == TASK_SCSI && t->cmd.mapped >> ARENA_OFFSET_BITS == arena)));
}

static bool session_uses(const struct session *s, unsigned arena)
{
    if (s->free_count == s->task_count)
        return false;
    for (unsigned i = 0; i < s->task_count; i++)
        if (task_uses(&s->tasks[i], arena))
            return true;
    return false;
}

bool engine_uses(const struct engine *e, const struct scsi_target *target, unsigned arena)
{
    list_for_each(pos, &e->sessions)
    {
        const struct session *s = list_entry(pos, struct session, link);
        if (s->nexus && s->nexus->target == target && session_uses(s, arena))
            return true;
    }
    return false;
}
