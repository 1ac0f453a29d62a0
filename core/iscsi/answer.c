/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers: Data-In and SCSI Response of an ended command (RFC 7143 11.4, 11.7), and those of one PDU.
 * Called from the connection's output until everything is queued, as the queue has room.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "iscsi/transmit.h"

#define COPY_PIECE 8192u

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Residual flags into byte 1 and the count (RFC 7143 11.4.1, 11.4.5.1). */
static void put_residual(const struct scsi_command *cmd, uint8_t *header)
{
    uint64_t would = cmd->transfer_length;
    uint32_t expected = cmd->expected_bytes;
    if (would > expected) {
        uint64_t over = would - expected;
        header[ISCSI_BHS_FLAGS] |= ISCSI_OVERFLOW;
        put_be32(header + ISCSI_RSP_RESIDUAL, over > UINT32_MAX ? UINT32_MAX : (uint32_t)over);
    } else if (would < expected) {
        header[ISCSI_BHS_FLAGS] |= ISCSI_UNDERFLOW;
        put_be32(header + ISCSI_RSP_RESIDUAL, expected - (uint32_t)would);
    }
}

/* The longest piece of Data-In from t->sent on that may be one PDU. */
static uint32_t data_in_piece(struct task *t, arena_ref *ret_at)
{
    const struct iscsi_params *p = &t->session->params;
    uint32_t left = t->cmd.data_in_bytes - t->sent;
    uint32_t burst = p->max_burst_length - t->sent % p->max_burst_length;
    uint32_t most = min_u32(t->conn->params.initiator_max_recv & ~3u, burst);
    uint32_t piece = min_u32(left, most);
    if (t->capacity) {
        uint32_t contiguous;
        *ret_at = buffers_at(t, t->sent, &contiguous);
        piece = min_u32(piece, contiguous);
    } else {
        *ret_at = t->mapped + t->sent;
    }
    return piece;
}

/*
 * Data that others may write meanwhile is digested and sent from a copy. Both are made together, in
 * pieces that stay in the nearest cache.
 */
static uint32_t copy_and_digest(struct stream_tx *e, arena_ref to)
{
    const uint8_t *from = arena_ptr(e->data);
    uint8_t *at = arena_ptr(to);
    uint32_t crc = CRC32C_START;
    for (uint32_t left = e->data_bytes, n; left; left -= n, from += n, at += n) {
        n = min_u32(left, COPY_PIECE);
        memcpy(at, from, n);
        crc = crc32c(crc, at, n);
    }
    e->data = to;
    return crc;
}

/* One Data-In; the last carries a good status (the S bit, 11.7.3). */
static bool data_in_emit(struct task *t)
{
    struct connection *c = t->conn;
    const struct scsi_command *cmd = &t->cmd;
    struct stream_tx *e = transmit_begin(c);
    if (!e)
        return false;
    arena_ref at;
    e->data_bytes = data_in_piece(t, &at);
    uint32_t crc = CRC32C_START;
    if (t->mapped && t->capacity) {
        e->data = t->mapped + t->sent;
        crc = copy_and_digest(e, at);
    } else {
        e->data = at;
        if (c->data_digest)
            crc = crc32c(crc, arena_ptr(at), e->data_bytes);
    }
    e->header[ISCSI_BHS_OPCODE] = ISCSI_OP_DATA_IN;
    put_be32(e->header + ISCSI_BHS_ITT, t->itt);
    put_be32(e->header + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
    put_be32(e->header + ISCSI_DATA_DATA_SN, t->data_in_sn++);
    put_be32(e->header + ISCSI_DATA_OFFSET, t->sent);
    t->sent += e->data_bytes;
    bool last = t->sent == cmd->data_in_bytes;
    if (last || t->sent % t->session->params.max_burst_length == 0)
        e->header[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    if (!last || cmd->status) {
        task_record_transfer(t, 0, c->stream.next.tx_tail + 1);
        transmit_end_crc(c, e, TRANSMIT_NO_STATUS, crc);
        return true;
    }
    e->header[ISCSI_BHS_FLAGS] |= ISCSI_DATA_WITH_STATUS;
    e->header[ISCSI_DATA_STATUS] = cmd->status;
    put_residual(cmd, e->header);
    task_uncount(t);
    t->status_sent = true;
    e->owner = t->index + 1u;
    transmit_end_crc(c, e, TRANSMIT_STATUS, crc);
    return true;
}

static bool response_emit(struct task *t)
{
    struct connection *c = t->conn;
    const struct scsi_command *cmd = &t->cmd;
    struct stream_tx *e = transmit_begin(c);
    if (!e)
        return false;
    e->header[ISCSI_BHS_OPCODE] = ISCSI_OP_SCSI_RESPONSE;
    e->header[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    e->header[ISCSI_RSP_RESPONSE] = ISCSI_RESPONSE_COMPLETED;
    e->header[ISCSI_RSP_STATUS] = cmd->status;
    put_be32(e->header + ISCSI_BHS_ITT, t->itt);
    put_be32(e->header + ISCSI_RSP_EXP_DATA_SN, t->data_in_sn + t->r2t_sent);
    put_residual(cmd, e->header);
    if (cmd->sense_bytes) {
        uint8_t *small = t->record->small;
        put_be16(small, cmd->sense_bytes);
        memcpy(small + 2, cmd->sense, cmd->sense_bytes);
        e->data = arena_ref_of(ARENA_STATE, small);
        e->data_bytes = 2u + cmd->sense_bytes;
    }
    task_uncount(t);
    t->status_sent = true;
    e->owner = t->index + 1u;
    transmit_end(c, e, TRANSMIT_STATUS);
    return true;
}

bool answer_emit(struct task *t)
{
    while (t->sent < t->cmd.data_in_bytes)
        if (!data_in_emit(t))
            return false;
    return t->status_sent || response_emit(t);
}

/* What answer_simple() needs, for a successor that finds the request consumed and no answer. */
static void record_answer(struct task *t)
{
    struct task_record *rec = t->record;
    memcpy(rec->answer, t->bhs, ISCSI_BHS_BYTES);
    rec->answer_data = t->answer_data;
    rec->answer_bytes = t->answer_bytes;
    rec->answer_next_status = t->answer_next_status;
    atomic_signal_fence(memory_order_release);
    if (rec->born_pos == TASK_UNBORN && t->conn)
        rec->born_pos = t->conn->stream.next.rx_parsed;
}

void answer_simple(struct task *t)
{
    t->state = TASK_ANSWER;
    record_answer(t);
    if (!t->conn || t->conn->state > CONNECTION_DRAIN) {
        task_release(t);
        return;
    }
    connection_output_task(t);
}

bool answer_simple_emit(struct task *t)
{
    struct connection *c = t->conn;
    struct stream_tx *e = transmit_begin(c);
    if (!e)
        return false;
    memcpy(e->header, t->bhs, ISCSI_BHS_BYTES);
    e->data = t->answer_data;
    e->data_bytes = t->answer_bytes;
    e->owner = t->index + 1u;
    task_uncount(t);
    transmit_end(c, e, t->answer_next_status ? TRANSMIT_NEXT_STATUS : TRANSMIT_STATUS);
    return true;
}
