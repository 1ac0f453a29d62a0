/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session's task table: taking, finding by Initiator Task Tag, aborting, giving back.
 */
#include "iscsi/engine.h"

#include <string.h>

static uint32_t hash_of(const struct session *s, uint32_t itt)
{
    return (itt * 0x9e3779b1u >> 16) & s->hash_mask;
}

struct task *task_take(struct session *s, struct connection *c, enum task_kind kind, uint32_t itt)
{
    if (!s->free_count)
        return NULL;
    uint16_t index = s->free_tasks[--s->free_count];
    struct task *t = &s->tasks[index];
    struct task_record *rec = &s->record->task[index];
    size_t keep = offsetof(struct task, link);
    memset((char *)t + keep, 0, offsetof(struct task, buf) - keep);
    list_init(&t->link);
    list_init(&t->gather_link);
    t->session = s;
    t->conn = c;
    t->record = rec;
    t->index = index;
    t->kind = (uint8_t)kind;
    t->state = TASK_ANSWER;
    t->itt = itt;
    rec->itt = itt;
    rec->born_pos = c->stream.next.rx_parsed;
    rec->done_pos = UINT64_MAX;
    rec->connection = c->number;
    rec->buffers = 0;
    if (itt != ISCSI_TAG_NONE) {
        uint16_t *head = &s->hash[hash_of(s, itt)];
        t->hash_next = *head;
        *head = (uint16_t)(index + 1);
        t->hashed = true;
    }
    return t;
}

static void unhash(struct task *t)
{
    struct session *s = t->session;
    if (!t->hashed)
        return;
    uint16_t *at = &s->hash[hash_of(s, t->itt)];
    while (*at != t->index + 1)
        at = &s->tasks[*at - 1].hash_next;
    *at = t->hash_next;
    t->hashed = false;
}

struct task *task_find(struct session *s, uint32_t itt)
{
    for (uint16_t i = s->hash[hash_of(s, itt)]; i; i = s->tasks[i - 1].hash_next)
        if (s->tasks[i - 1].itt == itt)
            return &s->tasks[i - 1];
    return NULL;
}

void task_uncount(struct task *t)
{
    if (t->counted) {
        t->counted = false;
        t->session->outstanding--;
    }
    /* The initiator may use the tag again as soon as it has the answer. */
    unhash(t);
}

void task_stop_running(struct task *t)
{
    struct session *s = t->session;
    if (!t->running)
        return;
    t->running = false;
    s->running--;
    if (t->cmd.attribute == SCSI_ORDERED)
        s->ordered_running--;
    if (!list_empty(&s->blocked))
        command_run_blocked(s);
}

void task_release(struct task *t)
{
    struct session *s = t->session;
    struct task *aborter = t->aborter;
    task_uncount(t);
    task_stop_running(t);
    buffers_cancel(t);
    list_remove(&t->link);
    buffers_release(t);
    t->record->done_pos = 0;
    t->state = TASK_FREE;
    t->conn = NULL;
    s->free_tasks[s->free_count++] = t->index;
    if (aborter && !--aborter->waits_for)
        management_finish(aborter);
    session_task_freed(s);
}

void task_drop(struct task *t)
{
    struct connection *c = t->conn;
    if (t->state == TASK_EXECUTE) /* the unit still has it: done() comes back here */
        return;
    task_uncount(t);
    task_stop_running(t);
    if (c && c->segment_task == t) {
        if (c->receive == RECEIVE_DATA) { /* the socket is writing into its buffers */
            buffers_cancel(t);
            list_remove(&t->link);
            t->state = TASK_ORPHAN;
            return;
        }
        c->segment_task = NULL;
        c->segment_placed = 0;
        if (c->receive == RECEIVE_WAIT)
            receive_resume(c);
    }
    task_release(t);
}

/* An aborted command whose turn has not come: nothing but its CmdSN is left of it, which the session
   has to count as received when the ones before it have come. */
static void hold_number_only(struct task *t)
{
    struct connection *c = t->conn;
    if (t->aborter) {
        t->aborter->waits_for--; /* its function is at work: it cannot be the last thing */
        t->aborter = NULL;
    }
    unhash(t);
    t->kind = TASK_NUMBER;
    if (c && c->segment_task == t && c->receive == RECEIVE_DATA)
        return; /* its buffers are in use: they go with it */
    if (c && c->segment_task == t) {
        c->segment_task = NULL;
        c->segment_placed = 0;
        if (c->receive == RECEIVE_WAIT)
            receive_resume(c);
    }
    buffers_cancel(t);
    buffers_release(t);
}

void task_abort(struct task *t, struct task *aborter)
{
    struct session *s = t->session;
    if (t->state == TASK_FREE || t->state == TASK_ANSWER)
        return;
    if (aborter && !t->aborter) {
        t->aborter = aborter;
        aborter->waits_for++;
    }
    s->engine->aborted_tasks++;
    switch (t->state) {
    case TASK_ORPHAN:
        return;
    case TASK_HELD:
        if (!s->closing && t->kind == TASK_SCSI) {
            hold_number_only(t);
            return;
        }
        s->held[t->cmd_sn % s->held_size] = 0;
        s->held_count--;
        break;
    case TASK_EXECUTE:
        t->state = TASK_ORPHAN;
        task_uncount(t);
        if (t->kind == TASK_SCSI)
            scsi_abort(&t->cmd); /* done() drops it, now or later */
        return;
    case TASK_COLLECT:
        if (t->started && !t->ended) {
            scsi_abort(&t->cmd);
            return;
        }
        break;
    default:
        break;
    }
    task_drop(t);
}
