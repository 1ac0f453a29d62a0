/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From bytes to PDUs. A PDU whose data segment is short is handled whole, out of the window; of
 * a longer one the header is handled first and its data goes straight to where it belongs.
 *
 * Every PDU ends in one commit, which makes its consumption, its effects in the records and the
 * answers it caused count together.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "iscsi/engine.h"

#define SHORT_SEGMENT (16u << 10) /* handled whole */
#define BACKLOG_A_ROUND (512u << 10) /* bytes to send: they leave before more is made */
#define PDUS_A_TURN   64u         /* of one connection, before others have their go */

typedef enum pdu_verdict (*pdu_handler)(struct connection *c, const struct pdu *pdu);

static enum pdu_verdict refuse(struct connection *c, const struct pdu *pdu)
{
    if (session_short_of_tasks(c->session))
        return PDU_STALL;
    session_take_cmd_sn(c, pdu->bhs); /* its number is used up all the same */
    reject_send(c, pdu->bhs, ISCSI_REJECT_NOT_SUPPORTED);
    return PDU_DISCARD;
}

/* A Login Request in full feature phase is a protocol error (RFC 7143 6.3). */
static enum pdu_verdict no_login_now(struct connection *c, const struct pdu *pdu)
{
    connection_close(c, "login request in full feature phase");
    return PDU_CLOSE;
}

/* SNACK needs error recovery level 1 (RFC 7143 7.2.1). */
static enum pdu_verdict no_snack(struct connection *c, const struct pdu *pdu)
{
    if (session_short_of_tasks(c->session))
        return PDU_STALL;
    reject_send(c, pdu->bhs, ISCSI_REJECT_PROTOCOL);
    return PDU_DISCARD;
}

static const pdu_handler handlers[ISCSI_OPCODE_MASK + 1] = {
    [ISCSI_OP_NOP_OUT] = nop_out_receive,
    [ISCSI_OP_SCSI_COMMAND] = command_receive,
    [ISCSI_OP_TASK_MANAGEMENT] = management_receive,
    [ISCSI_OP_LOGIN] = no_login_now,
    [ISCSI_OP_TEXT] = text_receive_pdu,
    [ISCSI_OP_DATA_OUT] = data_out_receive,
    [ISCSI_OP_LOGOUT] = logout_receive,
    [ISCSI_OP_SNACK] = no_snack,
};

static uint32_t digest_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool digest_ok(const uint8_t *bytes, uint32_t count, const uint8_t *digest)
{
    return crc32c_finish(crc32c(CRC32C_START, bytes, count)) == digest_at(digest);
}

/* Bytes after a data segment: padding and digest. */
static uint32_t trailer_bytes(const struct connection *c, uint32_t data_bytes)
{
    if (!data_bytes)
        return 0;
    return ISCSI_PAD(data_bytes) - data_bytes + (c->data_digest ? ISCSI_DIGEST_BYTES : 0);
}

static void number(struct connection *c)
{
    uint32_t *n = c->stream.next.number;
    n[STATE_EXP_CMD_SN] = c->session->exp_cmd_sn;
    n[STATE_MAX_CMD_SN] = session_max_cmd_sn(c->session);
    n[STATE_RECEIVE] = c->receive;
    if (c->receive == RECEIVE_HEADER)
        return;
    n[STATE_SEGMENT_TASK] = c->segment_task ? c->segment_task->index + 1u : 0;
    n[STATE_SEGMENT_BYTES] = c->segment_bytes;
    n[STATE_SEGMENT_PLACED] = c->segment_placed;
    n[STATE_SEGMENT_OFFSET] = c->segment_offset;
    n[STATE_DISCARD_LEFT] = c->discard_left;
    n[STATE_DISCARD_CRC] = c->discard_crc;
}

static void commit(struct connection *c)
{
    number(c);
    stream_commit(&c->stream);
}

/* ---- long data segments ---- */

/* The rest of the segment and its trailer are read and forgotten, but for the digest over all of it. */
static bool discard_begin(struct connection *c, uint32_t crc)
{
    c->receive = RECEIVE_DISCARD;
    c->discard_left = c->segment_bytes - c->segment_placed + trailer_bytes(c, c->segment_bytes);
    c->discard_crc = crc;
    commit(c);
    return true;
}

/* Starts the data segment of the header in c->record->segment_bhs; true: go on parsing. */
static bool segment_begin(struct connection *c)
{
    c->segment_bad = false;
    if (!c->segment_placed)
        return discard_begin(c, CRC32C_START);
    struct stream_part part[STREAM_PLAN_PARTS];
    unsigned parts = buffers_parts(c->segment_task, c->segment_offset, c->segment_placed, part);
    c->receive = RECEIVE_DATA;
    stream_direct(&c->stream, part, parts, c->segment_placed);
    commit(c);
    return true;
}

static void segment_end(struct connection *c)
{
    struct task *t = c->segment_task;
    bool bad = c->segment_bad;
    c->receive = RECEIVE_HEADER;
    c->segment_task = NULL;
    if (bad) {
        c->engine->digest_errors++;
        if (reject_is_told(c))
            log_warning("iscsi", "data digest error initiator=%s address=%s", c->session->initiator,
                        c->peer);
        reject_send(c, c->record->segment_bhs, ISCSI_REJECT_DATA_DIGEST);
    }
    if (!t)
        return;
    if (t->state == TASK_ORPHAN)
        task_drop(t);
    else
        command_segment_done(c, t, c->record->segment_bhs, bad);
}

/* The running digest over what lies in the task's buffers. */
static uint32_t placed_crc(const struct connection *c)
{
    struct stream_part part[STREAM_PLAN_PARTS];
    unsigned parts = buffers_parts(c->segment_task, c->segment_offset, c->segment_placed, part);
    uint32_t crc = CRC32C_START;
    for (unsigned i = 0; i < parts; i++)
        crc = crc32c(crc, arena_ptr(part[i].where), part[i].bytes);
    return crc;
}

/* ---- one step each; false: more bytes are needed, or the connection ends ---- */

static bool step_discard(struct connection *c, const uint8_t *p, uint32_t have)
{
    uint32_t digest = c->data_digest ? ISCSI_DIGEST_BYTES : 0;
    uint32_t left = c->discard_left - digest;
    uint32_t n = have < left ? have : left;
    if (digest)
        c->discard_crc = crc32c(c->discard_crc, p, n);
    if (n == left && have - n >= digest) {
        c->segment_bad = digest && crc32c_finish(c->discard_crc) != digest_at(p + n);
        n += digest;
    }
    stream_consume(&c->stream, n);
    c->discard_left -= n;
    if (!c->discard_left)
        segment_end(c);
    commit(c);
    return n > 0;
}

static bool step_trailer(struct connection *c, const uint8_t *p, uint32_t have)
{
    uint32_t need = trailer_bytes(c, c->segment_bytes);
    if (c->segment_placed < c->segment_bytes) { /* more came than the command takes */
        stream_direct_finish(&c->stream);
        return discard_begin(c, c->data_digest ? placed_crc(c) : CRC32C_START);
    }
    if (have < need)
        return false;
    stream_direct_finish(&c->stream); /* with the trailer, in one commit: what it does has its position */
    if (c->data_digest) {
        uint32_t pad = need - ISCSI_DIGEST_BYTES;
        c->segment_bad = crc32c_finish(crc32c(placed_crc(c), p, pad)) != digest_at(p + pad);
    }
    stream_consume(&c->stream, need);
    segment_end(c);
    commit(c);
    return true;
}

/* Copies a short segment to where the verdict says. */
static void place_short(struct connection *c, const struct pdu *pdu)
{
    if (!c->segment_task) /* aborted by a function that was held behind its command */
        return;
    struct stream_part part[STREAM_PLAN_PARTS];
    unsigned parts = buffers_parts(c->segment_task, c->segment_offset, c->segment_placed, part);
    const uint8_t *from = pdu->data;
    for (unsigned i = 0; i < parts; i++) {
        memcpy(arena_ptr(part[i].where), from, part[i].bytes);
        from += part[i].bytes;
    }
    struct task *t = c->segment_task;
    c->segment_task = NULL;
    command_segment_done(c, t, pdu->bhs, pdu->data_bad);
}

/* What waits for a number or an acknowledgement that may have come with this PDU. */
static void look_around(struct session *s)
{
    if (__builtin_expect(!list_empty(&s->waiting), 0))
        management_run_waiting(s);
    if (__builtin_expect(s->fence != FENCE_DOWN, 0))
        fence_look(s);
}

static bool step_header(struct connection *c, const uint8_t *p, uint32_t have)
{
    if (have < ISCSI_BHS_BYTES)
        return false;
    uint32_t ahs = p[ISCSI_BHS_AHS_WORDS] * 4u;
    uint32_t digest = c->header_digest ? ISCSI_DIGEST_BYTES : 0;
    uint32_t head = ISCSI_BHS_BYTES + ahs + digest;
    if (have < head)
        return false;
    if (digest && !digest_ok(p, ISCSI_BHS_BYTES + ahs, p + ISCSI_BHS_BYTES + ahs)) {
        /* The length of the segment cannot be trusted: no way to go on (RFC 7143 7.7). */
        c->engine->digest_errors++;
        connection_close(c, "header digest error");
        return false;
    }
    struct pdu pdu = { .bhs = p,
                       .ahs = p + ISCSI_BHS_BYTES,
                       .ahs_bytes = ahs,
                       .data_bytes = get_be24(p + ISCSI_BHS_DATA_LENGTH) };
    if (pdu.data_bytes > c->params.target_max_recv) {
        connection_close(c, "data segment longer than MaxRecvDataSegmentLength");
        return false;
    }
    uint32_t tail = trailer_bytes(c, pdu.data_bytes);
    if (pdu.data_bytes <= SHORT_SEGMENT) {
        if (have < head + pdu.data_bytes + tail)
            return false;
        pdu.data = p + head;
        if (c->data_digest && pdu.data_bytes)
            pdu.data_bad = !digest_ok(pdu.data, ISCSI_PAD(pdu.data_bytes),
                                      pdu.data + ISCSI_PAD(pdu.data_bytes));
    }

    pdu_handler handler = handlers[p[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK];
    uint64_t at = c->stream.next.rx_parsed;
    c->exp_stat_sn = get_be32(p + ISCSI_BHS_EXP_STAT_SN);
    stream_consume(&c->stream, head);
    c->segment_task = NULL;
    c->segment_placed = 0;
    enum pdu_verdict verdict = (handler ? handler : refuse)(c, &pdu);
    if (verdict == PDU_STALL) {
        c->stream.next.rx_parsed = at;
        c->stalled = true;
        return false;
    }
    if (verdict == PDU_CLOSE || c->state >= CONNECTION_CLOSING)
        return false;
    look_around(c->session);
    if (verdict == PDU_DISCARD)
        c->segment_task = NULL;
    c->segment_bytes = pdu.data_bytes;
    if (verdict == PDU_WAIT || (!pdu.data && pdu.data_bytes)) {
        memcpy(c->record->segment_bhs, pdu.bhs, ISCSI_BHS_BYTES);
        c->stream.long_data = !pdu.data;
        if (verdict != PDU_WAIT)
            return segment_begin(c);
        c->receive = RECEIVE_WAIT;
        commit(c);
        return true;
    }
    stream_consume(&c->stream, pdu.data_bytes + tail);
    if (pdu.data_bytes)
        c->stream.long_data = false;
    if (verdict == PDU_PLACE)
        place_short(c, &pdu);
    if (pdu.data_bad && verdict != PDU_DONE) {
        c->engine->digest_errors++;
        reject_send(c, p, ISCSI_REJECT_DATA_DIGEST);
    }
    commit(c);
    return true;
}

void receive_run(struct connection *c)
{
    struct stream *stream = &c->stream;
    unsigned budget = PDUS_A_TURN;
    bool more = true;
    if (c->engine->frozen)
        return;
    *c->engine->working = c->index + 1; /* whom to blame for a crash */
    c->receiving = true;
    while (more && c->state == CONNECTION_FULL && !c->stalled) {
        if (stream_direct_missing(stream))
            break;
        if (!budget-- || stream_backlog(stream) >= BACKLOG_A_ROUND) {
            reactor_defer(c->engine->reactor, &c->more);
            break;
        }
        const uint8_t *p;
        uint32_t have = stream_peek(stream, &p);
        switch (c->receive) {
        case RECEIVE_HEADER:
            more = step_header(c, p, have);
            break;
        case RECEIVE_WAIT: /* until the buffers have come; what else may wake it */
            c->stalled = c->segment_task && c->segment_task->gather;
            more = !c->stalled && segment_begin(c);
            break;
        case RECEIVE_DATA:
            more = step_trailer(c, p, have);
            break;
        case RECEIVE_DISCARD:
            more = step_discard(c, p, have);
            break;
        }
        if (c->state != CONNECTION_FULL)
            continue;
        if (__builtin_expect(!list_empty(&c->session->waiting), 0)) /* until the commit, perhaps */
            management_run_waiting(c->session);
        if (__builtin_expect(!list_empty(&c->session->blocked), 0)) /* the same */
            command_run_blocked(c->session);
    }
    c->receiving = false;
    *c->engine->working = 0;
    if (c->state > CONNECTION_DRAIN)
        return;
    commit(c);
    if (c->state == CONNECTION_DRAIN) {
        connection_output(c);
        stream_receive(stream);
    } else if (!c->stalled && list_empty(&c->more.link)) {
        stream_receive(stream);
    }
}

void receive_more_run(struct reactor_task *task)
{
    struct connection *c = container_of(task, struct connection, more);
    if (c->state == CONNECTION_FULL && !c->receiving)
        receive_run(c);
}

void receive_resume(struct connection *c)
{
    if (!c->stalled)
        return;
    c->stalled = false;
    reactor_defer(c->engine->reactor, &c->more);
}

void receive_resume_parsing(struct connection *c)
{
    if (!c->stalled)
        reactor_defer(c->engine->reactor, &c->more);
}
