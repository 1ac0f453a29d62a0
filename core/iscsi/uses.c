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

/* ---- sending ---- */

static bool is_in(arena_ref at, uint32_t arena)
{
    return at >> ARENA_OFFSET_BITS == arena;
}

static bool queue_sends(const struct stream *s, uint32_t arena)
{
    for (uint32_t i = s->next.tx_first; i != s->next.tx_last; i++)
        if (is_in(s->state->tx[i % STREAM_TX_ENTRIES].data, arena))
            return true;
    return false;
}

/* What an earlier worker has queued knows its place by the queue alone; so does what was aborted. */
static bool session_queues(const struct session *s, uint32_t arena)
{
    list_for_each(at, &s->connections)
        if (queue_sends(&list_entry(at, struct connection, link)->stream, arena))
            return true;
    return false;
}

static bool task_sends(const struct task *t, uint32_t arena)
{
    return t->kind == TASK_SCSI && is_in(t->mapped, arena) && t->sent < t->cmd.data_in_bytes;
}

static bool list_sends(const struct list *tasks, uint32_t arena)
{
    list_for_each(pos, tasks)
        if (task_sends(list_entry(pos, struct task, link), arena))
            return true;
    return false;
}

/* They go on as they began, perhaps from this store. */
static bool list_goes_on(const struct list *tasks)
{
    list_for_each(pos, tasks)
        if (list_entry(pos, struct task, link)->sent)
            return true;
    return false;
}

bool engine_sends_store(const struct engine *e, uint32_t arena)
{
    list_for_each(pos, &e->sessions) {
        const struct session *s = list_entry(pos, struct session, link);
        if (!s->nexus)
            continue;
        if (session_queues(s, arena))
            return true;
        if (s->free_count == s->task_count)
            continue;
        if (list_sends(&s->behind, arena) || (s->fenced && task_sends(s->fenced, arena)) ||
            list_goes_on(&s->blocked) || list_goes_on(&s->paused))
            return true;
        list_for_each(at, &s->connections) {
            const struct connection *c = list_entry(at, struct connection, link);
            if (list_sends(&c->output, arena))
                return true;
        }
    }
    return false;
}

bool engine_queues_store(const struct engine *e, uint32_t arena)
{
    list_for_each(pos, &e->sessions)
        if (session_queues(list_entry(pos, struct session, link), arena))
            return true;
    return false;
}

/* ---- a target's ---- */

bool engine_uses(const struct engine *e, const struct scsi_target *target, unsigned arena)
{
    list_for_each(pos, &e->sessions) {
        const struct session *s = list_entry(pos, struct session, link);
        if (s->nexus && s->nexus->target == target &&
            (session_uses(s, arena) || (arena && session_queues(s, arena))))
            return true;
    }
    return false;
}
