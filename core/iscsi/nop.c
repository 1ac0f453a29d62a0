/* SPDX-License-Identifier: BSD-3-Clause */
/* NOP-Out and NOP-In (RFC 7143 11.18, 11.19): answering pings and sending them. */
#include <string.h>

#include "base/bytes.h"
#include "iscsi/engine.h"

enum pdu_verdict nop_out_receive(struct connection *c, const struct pdu *pdu)
{
    const uint8_t *h = pdu->bhs;
    uint32_t itt = get_be32(h + ISCSI_BHS_ITT);
    uint32_t ttt = get_be32(h + ISCSI_BHS_TTT);
    bool immediate = h[ISCSI_BHS_OPCODE] & ISCSI_IMMEDIATE;
    if (session_short_of_tasks(c->session))
        return PDU_STALL;
    if (itt == ISCSI_TAG_NONE) {
        if (!immediate)
            session_take_cmd_sn(c, h);
        /* An answer to a ping that is no longer open is late, not wrong; a tag never given is. */
        if (ttt != ISCSI_TAG_NONE && ttt > c->nop_last_tag)
            reject_send(c, h, ISCSI_REJECT_INVALID_FIELD);
        return PDU_DISCARD;
    }
    if (c->session->discovery) { /* text and logout alone (RFC 7143 4.3) */
        session_take_cmd_sn(c, h);
        reject_send(c, h, ISCSI_REJECT_PROTOCOL);
        return PDU_DISCARD;
    }

    /* A ping: echoed as far as the answer's segment, or one buffer, goes (11.19.2). */
    uint32_t echo = pdu->data_bytes;
    if (echo > c->params.initiator_max_recv)
        echo = c->params.initiator_max_recv;
    if (echo > BUFPOOL_MAX_BYTES)
        echo = BUFPOOL_MAX_BYTES;
    if (pdu->data_bad)
        echo = 0;
    struct task *t = task_take(c->session, c, TASK_NOP, ISCSI_TAG_NONE);
    if (!session_take_cmd_sn(c, h) || pdu->data_bad) {
        task_release(t);
        return PDU_DISCARD;
    }
    t->state = TASK_COLLECT;
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_NOP_IN;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    memcpy(t->bhs + ISCSI_BHS_LUN, h + ISCSI_BHS_LUN, 8);
    put_be32(t->bhs + ISCSI_BHS_ITT, itt);
    put_be32(t->bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
    t->answer_bytes = echo;
    if (!echo) {
        answer_simple(t);
        return PDU_DISCARD;
    }
    if (!buffers_take(t, echo) &&
        command_must_pass(c, t)) { /* no memory, and no time to wait for it */
        buffers_cancel(t);
        buffers_release(t);
        t->answer_bytes = 0;
        answer_simple(t);
        return PDU_DISCARD;
    }
    memcpy(t->record->answer, t->bhs, ISCSI_BHS_BYTES); /* for a successor, while its data comes */
    t->record->answer_bytes = echo;
    c->segment_task = t;
    c->segment_offset = 0;
    c->segment_placed = echo;
    return t->gather ? PDU_WAIT : PDU_PLACE;
}

void nop_segment_done(struct task *t, bool bad)
{
    if (bad) {
        task_release(t);
        return;
    }
    uint32_t contiguous; /* all of it: one buffer */
    t->answer_data = buffers_at(t, 0, &contiguous);
    answer_simple(t);
}

void nop_ping(struct connection *c)
{
    struct task *t = task_take(c->session, c, TASK_NOP, ISCSI_TAG_NONE);
    if (!t)
        return; /* as busy as can be; next time */
    c->nop_tag = ++c->nop_last_tag;
    c->stream.next.number[STATE_NOP_TAG] = c->nop_last_tag;
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_NOP_IN;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    put_be32(t->bhs + ISCSI_BHS_ITT, ISCSI_TAG_NONE);
    put_be32(t->bhs + ISCSI_BHS_TTT, c->nop_tag);
    t->answer_next_status = true;
    answer_simple(t);
}
