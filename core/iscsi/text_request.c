/* SPDX-License-Identifier: BSD-3-Clause */
/* Text Requests in full feature phase: the I/O around the state machine of discovery.c. */
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "iscsi/acceptor.h"
#include "iscsi/discovery.h"
#include "iscsi/engine.h"

struct text_run {
    struct text text;
};

void text_end(struct connection *c)
{
    if (!c->text)
        return;
    text_fini(&c->text->text);
    g_free(c->text);
    c->text = NULL;
}

static bool text_begin(struct connection *c)
{
    struct session *s = c->session;
    struct iscsi_params in_force = s->params;
    if (c->text)
        return true;
    c->text = g_try_new0(struct text_run, 1);
    if (!c->text)
        return false;
    in_force.initiator_max_recv = c->params.initiator_max_recv;
    in_force.target_max_recv = c->params.target_max_recv;
    text_init(&c->text->text, acceptor_text_ops(c->acceptor), c, s->discovery ? NULL : s->target,
              &in_force);
    return true;
}

static void finish(struct connection *c)
{
    const struct iscsi_params *now = text_params(&c->text->text);
    if (now->initiator_max_recv != c->params.initiator_max_recv) {
        c->params.initiator_max_recv = now->initiator_max_recv;
        c->record->params = c->params;
    }
    text_end(c);
}

enum pdu_verdict text_receive_pdu(struct connection *c, const struct pdu *pdu)
{
    const uint8_t *h = pdu->bhs;
    if (session_short_of_tasks(c->session))
        return PDU_STALL;
    if (!session_take_cmd_sn(c, h))
        return PDU_DISCARD;
    if (pdu->data_bad)
        return PDU_DISCARD;
    if ((!pdu->data && pdu->data_bytes) || !text_begin(c)) {
        reject_send(c, h, ISCSI_REJECT_PROTOCOL);
        return PDU_DISCARD;
    }
    struct text *text = &c->text->text;
    if (text_receive(text, h, pdu->data, pdu->data_bytes) == TEXT_REJECT) {
        if (reject_is_told(c))
            log_notice("iscsi", "text request rejected reason=\"%s\" initiator=%s address=%s",
                       text->problem, c->session->initiator, c->peer);
        reject_send(c, h, text->reject_reason);
        text_end(c);
        return PDU_DISCARD;
    }
    struct task *t = task_take(c->session, c, TASK_TEXT, ISCSI_TAG_NONE);
    if (!t || (text->reply_bytes && !buffers_take(t, text->reply_bytes))) {
        if (t)
            task_release(t);
        reject_send(c, h, ISCSI_REJECT_LONG_OPERATION); /* no memory now: the initiator may ask again */
        text_end(c);
        return PDU_DISCARD;
    }
    memcpy(t->bhs, text->reply_bhs, ISCSI_BHS_BYTES);
    t->answer_bytes = text->reply_bytes;
    if (text->reply_bytes) {
        memcpy(t->buf[0]->data, text->reply_data, text->reply_bytes);
        t->answer_data = t->record->buffer[0];
    }
    bool final = text->reply_final;
    answer_simple(t);
    if (final && c->text)
        finish(c);
    return PDU_DISCARD;
}
