/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SCSI Command PDUs and the life of their tasks:
 *
 *   HELD (CmdSN not due) -> BLOCKED (an ORDERED task, a unit that is held) -> COLLECT -> EXECUTE -> ANSWER
 *
 * command_advance() looks at a task in COLLECT after anything that may let it go on. Data of a
 * command that may not start yet is kept in buffers of the size the initiator announced.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/crash_point.h"
#include "base/serial.h"
#include "iscsi/engine.h"
#include "scsi/sense.h"
#include "scsi/unit.h"

#define IMMEDIATE_RESERVE 16u /* free tasks that immediate commands may not take */
#define KEY_ILLEGAL       0x05
#define KEY_ABORTED       0x0b
#define KEY_TASK_SET_FULL 0xff /* no sense key: the status */

void command_fault(struct task *t, uint8_t key, uint8_t asc, uint8_t ascq)
{
    if (t->fault)
        return;
    t->fault = true;
    t->fault_key = key;
    t->fault_asc = asc;
    t->fault_ascq = ascq;
}

/* ---- receiving ---- */

/* Additional header segments (RFC 7143 11.2.2); false: one that we must not ignore. */
static bool take_ahs(struct scsi_command *cmd, const struct pdu *pdu)
{
    uint32_t at = 0;
    while (at + 4 <= pdu->ahs_bytes) {
        const uint8_t *p = pdu->ahs + at;
        uint32_t length = get_be16(p + ISCSI_AHS_LENGTH);
        uint32_t whole = ISCSI_PAD(3 + length);
        if (!length || whole > pdu->ahs_bytes - at)
            return false;
        if ((p[ISCSI_AHS_TYPE] & ISCSI_AHS_TYPE_MASK) != ISCSI_AHS_EXTENDED_CDB ||
            length - 1 > SCSI_CDB_MAX - ISCSI_CDB_BYTES)
            return false;
        memcpy(cmd->cdb + ISCSI_CDB_BYTES, p + 4, length - 1);
        cmd->cdb_bytes = (uint8_t)(ISCSI_CDB_BYTES + length - 1);
        at += whole;
    }
    return true;
}

/* The same in every worker, and no other command's for 2^32 commands of the nexus. */
void command_identify(struct task *t)
{
    uint64_t id = (uint64_t)t->session->nexus->id << 32 | t->cmd_sn;
    t->cmd.id = (id ^ (uint64_t)t->itt << 16) * 0x9e3779b97f4a7c15u >> 16 | 1;
}

static bool fill(struct task *t, const struct pdu *pdu)
{
    const uint8_t *h = pdu->bhs;
    struct scsi_command *cmd = &t->cmd;
    struct task_record *rec = t->record;
    uint8_t flags = h[ISCSI_BHS_FLAGS];
    t->immediate = h[ISCSI_BHS_OPCODE] & ISCSI_IMMEDIATE;
    t->cmd_sn = get_be32(h + ISCSI_BHS_CMD_SN);
    cmd->done = command_done;
    cmd->nexus = t->session->nexus;
    cmd->lun = get_be64(h + ISCSI_BHS_LUN);
    memcpy(cmd->cdb, h + ISCSI_CMD_CDB, ISCSI_CDB_BYTES);
    cmd->cdb_bytes = ISCSI_CDB_BYTES;
    cmd->attribute = flags & ISCSI_CMD_ATTR_MASK;
    cmd->expects_in = flags & ISCSI_CMD_READ;
    cmd->expects_out = flags & ISCSI_CMD_WRITE;
    /* Without a direction none is expected, whatever the length says (RFC 7143 11.3.1). */
    cmd->expected_bytes =
        flags & (ISCSI_CMD_READ | ISCSI_CMD_WRITE) ? get_be32(h + ISCSI_CMD_EXPECTED_LENGTH) : 0;
    cmd->aborted = cmd->partly_sent = false;
    command_identify(t);
    rec->cmd_sn = t->cmd_sn;
    rec->lun = cmd->lun;
    rec->opcode = h[ISCSI_BHS_OPCODE];
    rec->flags = flags;
    rec->expected_bytes = cmd->expected_bytes;
    bool good = !pdu->ahs_bytes || take_ahs(cmd, pdu);
    rec->cdb_bytes = cmd->cdb_bytes;
    memcpy(rec->cdb, cmd->cdb, cmd->cdb_bytes);
    cmd->kept = task_record_kept(rec);
    if (cmd->kept)
        cmd->kept->begun = 0;
    return good;
}

/* Immediate and unsolicited data have to be allowed and within FirstBurstLength (RFC 7143 11.3.4). */
static void check_unsolicited(struct task *t, const struct pdu *pdu)
{
    const struct iscsi_params *p = &t->session->params;
    const struct scsi_command *cmd = &t->cmd;
    bool final = pdu->bhs[ISCSI_BHS_FLAGS] & ISCSI_FINAL;
    if (pdu->data_bytes) {
        if (!cmd->expects_out || !p->immediate_data)
            command_fault(t, KEY_ABORTED, 0x0c, 0x0c); /* UNEXPECTED UNSOLICITED DATA */
        else if (pdu->data_bytes > p->first_burst_length || pdu->data_bytes > cmd->expected_bytes)
            command_fault(t, KEY_ABORTED, 0x0c, 0x0d); /* NOT ENOUGH (wrong) UNSOLICITED DATA */
    }
    if (!final) {
        if (!cmd->expects_out || p->initial_r2t)
            command_fault(t, KEY_ABORTED, 0x0c, 0x0c);
        else if (!t->fault) {
            t->unsolicited = true;
            t->waiting_since_ns = t->session->engine->reactor->now_ns;
        }
    }
}

bool command_must_pass(const struct connection *c, const struct task *t)
{
    const struct session *s = c->session;
    for (uint16_t i = 0; i < s->task_count; i++) {
        const struct task *x = &s->tasks[i];
        if (x == t || x->state == TASK_FREE || x->kind != TASK_SCSI)
            continue;
        if ((x->state == TASK_HELD || x->state == TASK_BLOCKED) && x->capacity)
            return true;
        if (x->state == TASK_COLLECT && x->conn == c &&
            (x->unsolicited || x->received < x->cmd.data_out_bytes))
            return true;
    }
    return false;
}

/* There is no memory for its data: the initiator is to come again when there is less to do. */
void command_no_room(struct connection *c, struct task *t)
{
    buffers_cancel(t);
    buffers_release(t);
    command_fault(t, KEY_TASK_SET_FULL, 0, 0);
    c->segment_placed = 0;
    task_record_transfer(t, c->stream.next.rx_parsed, 0);
}

enum pdu_verdict command_place(struct connection *c, struct task *t, uint32_t bytes)
{
    bool open = t->state == TASK_COLLECT; /* its need is known */
    uint32_t limit = open ? t->cmd.data_out_bytes : t->cmd.expected_bytes;
    if (limit > SCSI_TRANSFER_MAX)
        limit = SCSI_TRANSFER_MAX;
    uint32_t left = limit > t->received ? limit - t->received : 0;
    c->segment_task = t;
    c->segment_offset = t->received;
    c->segment_placed = bytes < left ? bytes : left;
    if (t->fault || (open && t->ended))
        c->segment_placed = 0;
    if (!c->segment_placed)
        return PDU_PLACE;
    uint32_t need = open && t->cmd.buffer_bytes > limit ? t->cmd.buffer_bytes : limit;
    if (open && !t->gather && buffers_are_for_others(t, need)) {
        command_no_room(c, t);
        return PDU_PLACE;
    }
    if (!t->gather && buffers_take(t, need))
        return PDU_PLACE;
    if (!command_must_pass(c, t) || relief_wait(c))
        return PDU_WAIT;
    command_no_room(c, t);
    return PDU_PLACE;
}

static bool is_plain_write(const struct scsi_command *cmd)
{
    switch (cmd->cdb[0]) {
    case 0x0a: /* WRITE(6), (10), (12), (16) */
    case 0x2a:
    case 0xaa:
    case 0x8a:
        return cmd->buffer_bytes == cmd->data_out_bytes;
    default:
        return false;
    }
}

/* All of a write is here and the backend takes it before submit returns: no copy in between. */
static bool execute_in_place(struct connection *c, struct task *t, const struct pdu *pdu)
{
    struct scsi_command *cmd = &t->cmd;
    if (!pdu->data || pdu->data_bad || t->state != TASK_COLLECT || t->ended || t->fault ||
        t->unsolicited || pdu->data_bytes < cmd->data_out_bytes || !is_plain_write(cmd) ||
        !cmd->unit || !(cmd->unit->backend->info.features & BACKEND_FEATURE_IMMEDIATE) ||
        !scsi_claim(cmd))
        return false;
    t->segment_open = false;
    t->received = pdu->data_bytes;
    t->iov[0] = (struct iovec){ (void *)pdu->data, cmd->data_out_bytes };
    command_execute(t, 1);
    if (t->state == TASK_EXECUTE) /* it said IMMEDIATE: the window cannot be used again */
        connection_close(c, "the handler did not finish a write at once as it promised");
    return true;
}

/* A refused command has used its number all the same. */
static enum pdu_verdict refuse(struct connection *c, const uint8_t *bhs, enum cmd_sn_verdict order,
                               uint8_t reason)
{
    session_use_cmd_sn(c, bhs, order);
    reject_send(c, bhs, reason);
    return PDU_DISCARD;
}

enum pdu_verdict command_receive(struct connection *c, const struct pdu *pdu)
{
    struct session *s = c->session;
    const uint8_t *h = pdu->bhs;
    uint32_t itt = get_be32(h + ISCSI_BHS_ITT);
    bool immediate = h[ISCSI_BHS_OPCODE] & ISCSI_IMMEDIATE;
    if (session_short_of_tasks(s))
        return PDU_STALL;
    if (s->discovery || itt == ISCSI_TAG_NONE) {
        session_take_cmd_sn(c, h);
        reject_send(c, h, ISCSI_REJECT_PROTOCOL);
        return PDU_DISCARD;
    }
    if (immediate && s->free_count <= IMMEDIATE_RESERVE) {
        reject_send(c, h, ISCSI_REJECT_IMMEDIATE);
        return PDU_DISCARD;
    }
    bool in_progress = task_find(s, itt) != NULL;
    enum cmd_sn_verdict order = session_cmd_sn(c, h);
    if (order == CMD_SN_IGNORE || s->stopping)
        return PDU_DISCARD;
    if (in_progress)
        return refuse(c, h, order, ISCSI_REJECT_IN_PROGRESS);
    struct task *t = task_take(s, c, TASK_SCSI, itt);
    if (!fill(t, pdu)) {
        task_release(t);
        return refuse(c, h, order, ISCSI_REJECT_INVALID_FIELD);
    }
    if (t->cmd.expects_in && t->cmd.expects_out)   /* bidirectional: not supported */
        command_fault(t, KEY_ILLEGAL, 0x0e, 0x03); /* INVALID FIELD IN COMMAND INFORMATION UNIT */
    check_unsolicited(t, pdu);
    t->segment_open = pdu->data_bytes > 0;
    if (t->segment_open || t->unsolicited || t->fault)
        task_record_transfer(t, c->stream.next.rx_parsed, 0);
    counter_add(&s->engine->commands, 1);
    counter_add(&s->counters->commands, 1);
    if (order == CMD_SN_HOLD) {
        t->state = TASK_HELD;
        t->waiting_since_ns = s->engine->reactor->now_ns;
        s->held[t->cmd_sn % s->held_size] = (uint16_t)(t->index + 1);
        s->held_count++;
    } else {
        command_deliver(t);
    }
    enum pdu_verdict verdict = PDU_DISCARD;
    if (t->segment_open) {
        if (execute_in_place(c, t, pdu))
            verdict = PDU_DONE;
        else
            verdict = command_place(c, t, pdu->data_bytes);
    }
    if (order == CMD_SN_DUE && s->held_count)
        command_run_held(s);
    return verdict;
}

void command_segment_done(struct connection *c, struct task *t, const uint8_t *bhs, bool bad)
{
    if (t->kind == TASK_NUMBER) /* aborted meanwhile */
        return;
    if (t->kind == TASK_NOP) {
        nop_segment_done(t, bad);
        return;
    }
    t->received += c->segment_bytes;
    t->segment_open = false;
    if (bad)
        command_fault(t, KEY_ABORTED, 0x47, 0x05); /* PROTOCOL SERVICE CRC ERROR */
    if ((bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK) == ISCSI_OP_DATA_OUT)
        transfer_data_out_done(t, bhs);
    else
        task_record_transfer(t, c->stream.next.rx_parsed, 0);
    command_advance(t);
}

/* ---- order ---- */

static bool must_wait(const struct session *s, const struct task *t)
{
    switch (t->cmd.attribute) {
    case SCSI_HEAD_OF_QUEUE:
        return false;
    case SCSI_ORDERED:
        return s->running > 0;
    default:
        return s->ordered_running > 0;
    }
}

/* Not before its PDU is committed, and in its turn: receive_run() looks at the blocked ones. */
static void put_off(struct task *t)
{
    struct session *s = t->session;
    t->state = TASK_BLOCKED;
    t->running = t->started = false;
    s->running--;
    if (t->cmd.attribute == SCSI_ORDERED)
        s->ordered_running--;
    list_prepend(&s->blocked, &t->link);
}

static void start(struct task *t)
{
    struct session *s = t->session;
    t->state = TASK_COLLECT;
    t->running = true;
    s->running++;
    if (t->cmd.attribute == SCSI_ORDERED)
        s->ordered_running++;
    t->started = true;
    crash_point("start");
    t->cmd.unborn = task_is_unborn(t);
    enum scsi_next next = scsi_start(&t->cmd);
    if (__builtin_expect(next == SCSI_LATER, 0)) {
        put_off(t);
        return;
    }
    t->ended = next == SCSI_ENDED;
    if (!t->segment_open)
        command_advance(t);
}

void command_begin(struct task *t)
{
    struct session *s = t->session;
    if (t->cmd.attribute != SCSI_HEAD_OF_QUEUE && (!list_empty(&s->blocked) || must_wait(s, t))) {
        t->state = TASK_BLOCKED;
        list_append(&s->blocked, &t->link);
        return;
    }
    start(t);
}

void command_deliver(struct task *t)
{
    if (!t->immediate) {
        t->counted = true;
        if (++t->session->outstanding == t->session->window)
            counter_add(&t->session->counters->window_full, 1);
    }
    if (!command_pause(t))
        command_begin(t);
}

/* A command that ends as soon as it starts calls this again: the loop that runs already goes on. */
void command_run_blocked(struct session *s)
{
    if (s->starting || s->closing)
        return;
    s->starting = true;
    while (!list_empty(&s->blocked)) {
        struct task *t = list_entry(s->blocked.next, struct task, link);
        if (must_wait(s, t))
            break;
        list_remove(&t->link);
        if (command_pause(t))
            continue;
        start(t);
        if (t->state == TASK_BLOCKED) /* put off */
            break;
    }
    s->starting = false;
}

void command_run_held(struct session *s)
{
    if (s->delivering) /* called by what is being delivered: the loop below goes on */
        return;
    s->delivering = true;
    while (s->held_count) {
        uint16_t *slot = &s->held[s->exp_cmd_sn % s->held_size];
        if (!*slot)
            break;
        struct task *t = task_at(s, *slot);
        *slot = 0;
        s->held_count--;
        __atomic_store_n(&s->exp_cmd_sn, s->exp_cmd_sn + 1, __ATOMIC_RELAXED);
        if (t->kind == TASK_SCSI)
            command_deliver(t);
        else
            session_run_other(t);
    }
    s->delivering = false;
}

/* ---- on its way ---- */

void command_execute(struct task *t, unsigned iov_count)
{
    struct engine *e = t->session->engine;
    t->state = TASK_EXECUTE;
    t->cmd.iov = t->iov;
    t->cmd.iov_count = iov_count;
    t->executing = true;
    e->executing++;
    reactor_defer(e->reactor, &e->kick);
    scsi_execute(&t->cmd);
}

static void answer(struct task *t)
{
    counter_add(&t->session->counters->answered, 1);
    if (__builtin_expect(t->cmd.status != SCSI_GOOD, 0))
        counter_add(&t->session->counters->errors, 1);
    t->state = TASK_ANSWER;
    if (!t->conn || t->conn->state != CONNECTION_FULL) {
        task_release(t);
        return;
    }
    if (!fence_answer(t))
        connection_output_task(t);
    task_stop_running(t); /* those that waited for it answer after it */
}

/* Buffers for so much; false: it waits for them, or has none and ends. */
static bool take_buffers(struct task *t, uint32_t bytes)
{
    if (!buffers_are_for_others(t, bytes))
        return buffers_take(t, bytes);
    command_fault(t, KEY_TASK_SET_FULL, 0, 0);
    command_advance(t);
    return false;
}

void command_advance(struct task *t)
{
    struct connection *c = t->conn;
    struct scsi_command *cmd = &t->cmd;
    if (c && c->segment_task == t && c->receive == RECEIVE_WAIT && !t->gather) {
        receive_resume(c);
        return;
    }
    if (t->kind != TASK_SCSI || t->state != TASK_COLLECT || t->segment_open || t->unsolicited ||
        t->gather)
        return;
    if (t->fault && !t->ended) {
        list_remove(&t->link); /* it may stand in the output for an R2T */
        if (t->fault_key == KEY_TASK_SET_FULL)
            scsi_fail_full(cmd);
        else
            scsi_fail(cmd, t->fault_key, t->fault_asc, t->fault_ascq);
        t->ended = true;
    }
    if (t->ended) {
        answer(t);
        return;
    }
    if (t->received < cmd->data_out_bytes || t->r2t_sent != t->r2t_done) {
        if (!take_buffers(t, cmd->buffer_bytes))
            return;
        transfer_advance(t);
        return;
    }
    uint32_t need = cmd->buffer_bytes;
    if (cmd->mapped) /* with data digests the data must not change between digest and send: a copy */
        need = c->data_digest ? cmd->data_in_bytes : 0;
    if (need && !take_buffers(t, need))
        return;
    command_execute(t, cmd->mapped ? 0 : buffers_iov(t, cmd->buffer_bytes));
}

void command_done(struct scsi_command *cmd)
{
    struct task *t = container_of(cmd, struct task, cmd);
    struct engine *e = t->session->engine;
    crash_point("done");
    if (t->executing) {
        t->executing = false;
        e->executing--;
    }
    if (cmd->aborted || t->state == TASK_ORPHAN) {
        if (t->state == TASK_EXECUTE)
            t->state = TASK_ORPHAN;
        task_drop(t);
        return;
    }
    t->mapped = cmd->mapped;
    counter_add(&e->read_bytes, cmd->data_in_bytes);
    counter_add(&e->written_bytes, cmd->data_out_bytes);
    struct session_counters *n = t->session->counters;
    counter_add(&n->read_bytes, cmd->data_in_bytes);
    counter_add(&n->written_bytes, cmd->data_out_bytes);
    counter_add(&n->executed, 1);
    uint64_t took_ns = e->reactor->now_ns - cmd->started_ns;
    counter_add(&n->latency_ns, took_ns);
    counter_add(&n->took[histogram_index(took_ns)], 1);
    answer(t);
}
