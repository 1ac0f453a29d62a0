/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session's task table: taking, finding by Initiator Task Tag, aborting, giving back.
 */
#include "iscsi/engine.h"
#include "scsi/once.h"

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
    if (index >= s->record->touched)
        s->record->touched = index + 1u;
    size_t keep = offsetof(struct task, link);
    memset((char *)t + keep, 0, offsetof(struct task, buf) - keep);
    t->cmd.mapped = 0; /* of the command before: one that waits to begin uses no store */
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
    rec->kind = (uint8_t)kind;
    rec->transfer[0].seq = rec->transfer[1].seq = 0;
    rec->connection = c->number;
    rec->buffers = 0;
    /* What no PDU of the initiator stands for (a ping of ours) begins with its answer: answer_simple(). */
    bool ours = !c->receiving && kind != TASK_NUMBER;
    rec->born_pos = ours ? TASK_UNBORN : c->stream.next.rx_parsed;
    atomic_signal_fence(memory_order_release); /* only now it may be one that lives */
    rec->done_pos = UINT64_MAX;
    if (itt != ISCSI_TAG_NONE)
        task_hash(t);
    return t;
}

void task_hash(struct task *t)
{
    struct session *s = t->session;
    uint16_t *head = &s->hash[hash_of(s, t->itt)];
    t->hash_next = *head;
    *head = (uint16_t)(t->index + 1);
    t->hashed = true;
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

/*
 * Two copies, so that one is always what the last commit stands for: a copy that the commit has not
 * reached yet may be written again, one that it has reached may not.
 */
void task_record_transfer(struct task *t, uint64_t rx_pos, uint64_t tx_pos)
{
    const struct stream_state *st = t->conn->stream.state;
    const struct stream_hot *hot = &st->hot[atomic_load_explicit(&st->cur, memory_order_relaxed)];
    struct state_transfer *x = t->record->transfer;
    struct state_transfer *newer = x[0].seq > x[1].seq ? &x[0] : &x[1];
    struct state_transfer *to = newer == x ? x + 1 : x;
    uint32_t seq = newer->seq + 1;
    if (newer->seq && (newer->rx_pos > hot->rx_parsed || newer->tx_pos > hot->tx_tail)) {
        rx_pos = rx_pos > newer->rx_pos ? rx_pos : newer->rx_pos;
        tx_pos = tx_pos > newer->tx_pos ? tx_pos : newer->tx_pos;
        to = newer;
        seq = newer->seq;
    }
    to->received = t->received;
    to->data_sn = t->data_sn;
    to->sequence_end = t->sequence_end;
    to->r2t_offset = t->r2t_offset;
    to->r2t_sent = t->r2t_sent;
    to->r2t_done = t->r2t_done;
    to->sent = t->sent;
    to->data_in_sn = t->data_in_sn;
    to->unsolicited = t->unsolicited;
    to->segment_open = t->segment_open;
    to->fault = t->fault;
    to->fault_key = t->fault_key;
    to->fault_asc = t->fault_asc;
    to->fault_ascq = t->fault_ascq;
    to->rx_pos = rx_pos;
    to->tx_pos = tx_pos;
    to->seq = seq;
}

static void leave_window(struct task *t)
{
    if (t->counted) {
        t->counted = false;
        t->session->outstanding--;
    }
}

void task_uncount(struct task *t)
{
    leave_window(t);
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
    if (s->fenced == t)
        s->fenced = NULL; /* its connection is gone */
    scsi_forget(&t->cmd); /* of an earlier worker, and not executed again */
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
            t->record->kind = TASK_NUMBER; /* a successor must not execute it */
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
    t->record->kind = TASK_NUMBER;
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

/* The function waits for the end of the task; when another one does already, for the end of that. */
static void wait_for(struct task *t, struct task *aborter)
{
    while (t->aborter && t->aborter != aborter)
        t = t->aborter;
    if (t == aborter || t->aborter)
        return;
    t->aborter = aborter;
    aborter->waits_for++;
}

void task_abort(struct task *t, struct task *aborter)
{
    struct session *s = t->session;
    if (t->state == TASK_FREE || t->state == TASK_ANSWER)
        return;
    if (aborter)
        wait_for(t, aborter);
    s->engine->aborted_tasks++;
    switch (t->state) {
    case TASK_ORPHAN:
        return;
    case TASK_HELD:
        if (!s->closing) {
            if (t->kind != TASK_NUMBER)
                hold_number_only(t);
            return;
        }
        s->held[t->cmd_sn % s->held_size] = 0;
        s->held_count--;
        break;
    case TASK_EXECUTE:
        t->state = TASK_ORPHAN;
        t->record->kind = TASK_NUMBER;
        leave_window(t); /* its tag is taken until it is over: another function may ask for it */
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
