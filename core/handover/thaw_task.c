/* SPDX-License-Identifier: BSD-3-Clause */
#include "handover/thaw_task.h"

#include <glib.h>
#include <string.h>

#include "base/serial.h"
#include "handover/plausible.h"
#include "scsi/once.h"

#define IMMEDIATE(rec) ((rec)->opcode & ISCSI_IMMEDIATE)

static struct connection *connection_of(const struct thawed *w, const struct task_record *rec)
{
    for (unsigned i = 0; i < w->connection_count; i++)
        if (w->connections[i]->number == rec->connection)
            return w->connections[i];
    return NULL;
}

/* ---- records to tasks ---- */

static struct task *begin(struct session *s, uint16_t index, struct connection *c)
{
    struct task *t = &s->tasks[index];
    struct task_record *rec = &s->record->task[index];
    memset(t, 0, sizeof(*t));
    list_init(&t->link);
    list_init(&t->gather_link);
    t->session = s;
    t->conn = c;
    t->record = rec;
    t->index = index;
    t->kind = rec->kind;
    t->state = TASK_COLLECT;
    t->itt = rec->itt;
    t->cmd_sn = rec->cmd_sn;
    t->immediate = IMMEDIATE(rec);
    return t;
}

/* The newer copy that the connection's commit has reached. */
static const struct state_transfer *transfer_of(const struct task_record *rec,
                                                const struct connection *c)
{
    const struct state_transfer *best = NULL;
    for (unsigned i = 0; i < 2; i++) {
        const struct state_transfer *x = &rec->transfer[i];
        if (x->seq && x->rx_pos <= c->stream.next.rx_parsed && x->tx_pos <= c->stream.next.tx_tail &&
            (!best || x->seq > best->seq))
            best = x;
    }
    return best;
}

static void take_transfer(struct task *t, struct connection *c)
{
    const struct state_transfer *x = transfer_of(t->record, c);
    if (!x)
        return;
    t->received = x->received;
    t->data_sn = x->data_sn;
    t->sequence_end = x->sequence_end;
    t->r2t_offset = x->r2t_offset;
    t->r2t_sent = x->r2t_sent;
    t->r2t_done = x->r2t_done;
    t->sent = x->sent;
    t->data_in_sn = x->data_in_sn;
    t->unsolicited = x->unsolicited;
    t->segment_open = x->segment_open;
    t->fault = x->fault;
    t->fault_key = x->fault_key;
    t->fault_asc = x->fault_asc;
    t->fault_ascq = x->fault_ascq;
}

static void take_command(struct task *t)
{
    const struct task_record *rec = t->record;
    struct scsi_command *cmd = &t->cmd;
    cmd->done = command_done;
    cmd->nexus = t->session->nexus;
    cmd->lun = rec->lun;
    cmd->cdb_bytes = rec->cdb_bytes <= SCSI_CDB_MAX ? rec->cdb_bytes : ISCSI_CDB_BYTES;
    memcpy(cmd->cdb, rec->cdb, cmd->cdb_bytes);
    cmd->attribute = rec->flags & ISCSI_CMD_ATTR_MASK;
    cmd->expects_in = rec->flags & ISCSI_CMD_READ;
    cmd->expects_out = rec->flags & ISCSI_CMD_WRITE;
    cmd->expected_bytes = rec->expected_bytes;
    cmd->kept = task_record_kept(t->record);
    cmd->partly_sent = t->sent > 0;
    cmd->had_bytes = t->capacity;
    command_identify(t);
}

static void take_answer(struct task *t)
{
    const struct task_record *rec = t->record;
    memcpy(t->bhs, rec->answer, ISCSI_BHS_BYTES);
    t->answer_data = rec->answer_data;
    t->answer_bytes = rec->answer_bytes;
    t->answer_next_status = rec->answer_next_status;
}

/* Its answer lies in the transmit queue and is not wholly sent. */
static bool answer_is_queued(const struct connection *c, uint16_t index)
{
    const struct stream *s = &c->stream;
    for (uint32_t i = s->next.tx_first; i != s->next.tx_last; i++)
        if (s->state->tx[i % STREAM_TX_ENTRIES].owner == index + 1u)
            return true;
    return false;
}

static void hold(struct task *t)
{
    struct session *s = t->session;
    t->state = TASK_HELD;
    s->held[t->cmd_sn % s->held_size] = (uint16_t)(t->index + 1);
    s->held_count++;
}

static bool is_segment_task(const struct connection *c, uint16_t index)
{
    const uint32_t *n = c->stream.next.number;
    return n[STATE_RECEIVE] != RECEIVE_HEADER && n[STATE_SEGMENT_TASK] == index + 1u;
}

static bool thaw_live(struct thawed *w, uint16_t index, struct connection *c)
{
    struct session *s = w->session;
    struct task *t = begin(s, index, c);
    if (s->discovery && t->kind == TASK_SCSI)
        return false;
    if (!plausible_task(t->record, transfer_of(t->record, c), &s->params))
        return false;
    bool early = !t->immediate && serial_ge(t->cmd_sn, s->exp_cmd_sn) &&
                 (t->kind == TASK_SCSI || t->kind == TASK_MANAGEMENT || t->kind == TASK_NUMBER);
    if (!buffers_adopt(t))
        return false;
    if (early && (serial_gt(t->cmd_sn, s->max_cmd_sn) || s->held[t->cmd_sn % s->held_size]))
        return false;
    take_transfer(t, c);
    if ((t->kind == TASK_SCSI || t->kind == TASK_MANAGEMENT) && t->itt != ISCSI_TAG_NONE)
        task_hash(t);
    if (t->kind == TASK_SCSI)
        take_command(t);
    else
        take_answer(t);
    if (early) {
        hold(t);
    } else if (t->kind == TASK_NUMBER) {
        t->state = TASK_ORPHAN; /* aborted: kept while the socket writes into its buffers */
        if (!is_segment_task(c, index))
            buffers_release(t), t->state = TASK_FREE;
    } else if (t->kind == TASK_NOP && is_segment_task(c, index)) {
        t->state = TASK_COLLECT;
    } else {
        w->due[w->due_count++] = t;
    }
    return true;
}

static bool thaw_one(struct thawed *w, uint16_t index, const char **ret_why)
{
    struct session *s = w->session;
    struct task_record *rec = &s->record->task[index];
    struct connection *c = connection_of(w, rec);
    if (!c || rec->done_pos == 0 || rec->born_pos > c->stream.next.rx_parsed)
        return true; /* never was, or is over */
    if (rec->done_pos < c->stream.next.tx_tail) {
        if (!answer_is_queued(c, index))
            return true;
        struct task *t = begin(s, index, c);
        t->state = TASK_ANSWER;
        t->final_queued = true;
        *ret_why = "a buffer cannot be found again";
        return buffers_adopt(t);
    }
    *ret_why = "a task does not fit";
    return thaw_live(w, index, c);
}

/*
 * Every answer that is queued to be sent ends a task, and each of these tasks waits for one: when it is sent, the
 * task is given back.
 */
static bool answers_fit(const struct thawed *w)
{
    const struct session *s = w->session;
    unsigned answers = 0, waiting = 0;
    for (unsigned i = 0; i < w->connection_count; i++) {
        const struct connection *c = w->connections[i];
        const struct stream *st = &c->stream;
        for (uint32_t n = st->next.tx_first; n != st->next.tx_last; n++) {
            uint32_t owner = st->state->tx[n % STREAM_TX_ENTRIES].owner;
            if (!owner)
                continue;
            if (owner > s->task_count || !s->tasks[owner - 1].final_queued ||
                s->tasks[owner - 1].conn != c)
                return false;
            answers++;
        }
    }
    for (uint16_t i = 0; i < s->task_count && i < s->record->touched; i++)
        waiting += s->tasks[i].final_queued;
    return answers == waiting;
}

/* ---- what a connection was receiving ---- */

static bool thaw_receive(struct session *s, struct connection *c)
{
    const uint32_t *n = c->stream.next.number;
    c->receive = (uint8_t)n[STATE_RECEIVE];
    if (c->receive == RECEIVE_HEADER)
        return !c->stream.next.direct_bytes;
    c->segment_bytes = n[STATE_SEGMENT_BYTES];
    c->segment_placed = n[STATE_SEGMENT_PLACED];
    c->segment_offset = n[STATE_SEGMENT_OFFSET];
    c->discard_left = n[STATE_DISCARD_LEFT];
    c->discard_crc = n[STATE_DISCARD_CRC];
    uint32_t index = n[STATE_SEGMENT_TASK];
    if (c->receive > RECEIVE_DISCARD || index > s->task_count)
        return false;
    struct task *t = index ? task_at(s, index) : NULL;
    if (t && (t->state == TASK_FREE || t->state == TASK_ANSWER))
        t = NULL;
    c->segment_task = t;
    uint32_t missing = stream_direct_missing(&c->stream);
    if (c->receive == RECEIVE_WAIT)
        return !missing;
    if (c->receive == RECEIVE_DATA) {
        if (!t || (uint64_t)c->segment_offset + c->segment_placed > t->capacity ||
            missing > c->segment_placed)
            return false;
        struct stream_part part[STREAM_PLAN_PARTS];
        unsigned parts = buffers_parts(t, c->segment_offset + c->segment_placed - missing, missing, part);
        if (parts >= STREAM_PLAN_PARTS)
            return false;
        stream_resume_direct(&c->stream, part, parts);
    }
    return true;
}

/* ---- all of a session ---- */

static void rebuild_free(struct session *s)
{
    s->free_count = 0;
    for (uint16_t i = s->task_count; i-- > 0;)
        if (i >= s->record->touched) { /* untouched memory stays so */
            s->free_tasks[s->free_count++] = i;
        } else if (s->tasks[i].state == TASK_FREE) {
            s->record->task[i].done_pos = 0;
            s->free_tasks[s->free_count++] = i;
        }
}

static int by_turn(const void *a, const void *b)
{
    const struct task *x = *(struct task *const *)a, *y = *(struct task *const *)b;
    if (x->cmd_sn != y->cmd_sn)
        return serial_lt(x->cmd_sn, y->cmd_sn) ? -1 : 1;
    if (x->immediate != y->immediate)
        return x->immediate ? -1 : 1;
    return x->record->born_pos < y->record->born_pos ? -1 : 1;
}

bool thaw_tasks(struct thawed *w, const char **ret_why)
{
    struct session *s = w->session;
    w->due = g_new0(struct task *, s->task_count);
    if (s->record->touched > s->task_count)
        return false;
    for (uint16_t i = 0; i < s->record->touched; i++)
        if (!thaw_one(w, i, ret_why))
            return false;
    if (!answers_fit(w)) {
        *ret_why = "an answer belongs to no task";
        return false;
    }
    rebuild_free(s);
    for (unsigned i = 0; i < w->connection_count; i++)
        if (!thaw_receive(s, w->connections[i])) {
            *ret_why = "a data segment does not fit";
            return false;
        }
    qsort(w->due, w->due_count, sizeof(*w->due), by_turn);
    return true;
}

void thaw_tasks_resumed(struct thawed *w)
{
    for (unsigned i = 0; i < w->due_count; i++)
        if (w->due[i]->kind == TASK_SCSI)
            scsi_resumed(&w->due[i]->cmd);
}

void thaw_tasks_release(struct thawed *w)
{
    struct session *s = w->session;
    for (uint16_t i = 0; i < s->task_count && i < s->record->touched; i++)
        if (s->tasks[i].record && s->tasks[i].buf_count)
            buffers_release(&s->tasks[i]);
    g_free(w->due);
}

static void go(struct task *t)
{
    switch (t->kind) {
    case TASK_SCSI:
        if (t->conn->state == CONNECTION_FULL)
            command_deliver(t);
        else /* it is logging out: nobody waits for it */
            task_drop(t);
        break;
    case TASK_MANAGEMENT:
        management_run(t);
        break;
    default:
        answer_simple(t);
        break;
    }
}

/* A segment that waited for its buffers: they may be there, or it queues again. */
static void wait_again(struct connection *c)
{
    struct task *t = c->segment_task;
    if (c->receive == RECEIVE_WAIT && t && !t->gather &&
        !buffers_take(t, c->segment_offset + c->segment_placed))
        c->stalled = true;
    else if (c->receive == RECEIVE_WAIT && t && t->gather)
        c->stalled = true;
    if (c->stalled)
        relief_wait(c);
}

void thaw_tasks_go(struct thawed *w)
{
    for (unsigned i = 0; i < w->due_count; i++)
        go(w->due[i]);
    for (unsigned i = 0; i < w->connection_count; i++)
        wait_again(w->connections[i]);
}
