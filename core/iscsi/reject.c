/* SPDX-License-Identifier: BSD-3-Clause */
/* Reject (RFC 7143 11.17) and Asynchronous Message (11.9). */
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "iscsi/engine.h"

void reject_send(struct connection *c, const uint8_t *bhs, uint8_t reason)
{
    struct session *s = c->session;
    s->engine->rejects++;
    bool told = reject_is_told(c);
    c->rejects++;
    if (told)
        log_notice("iscsi", "PDU rejected opcode=0x%02x reason=0x%02x initiator=%s address=%s count=%u",
                   bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK, reason, s->initiator, c->peer, c->rejects);
    struct task *t = task_take(s, c, TASK_REJECT, ISCSI_TAG_NONE);
    if (!t) {
        connection_close(c, "too many rejected PDUs");
        return;
    }
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_REJECT;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    t->bhs[ISCSI_REJECT_REASON] = reason;
    put_be32(t->bhs + ISCSI_BHS_ITT, ISCSI_TAG_NONE);
    memcpy(t->record->small, bhs, ISCSI_BHS_BYTES);
    t->answer_data = arena_ref_of(ARENA_STATE, t->record->small);
    t->answer_bytes = ISCSI_BHS_BYTES;
    answer_simple(t);
}

void async_tasks_end(struct connection *c, uint64_t lun)
{
    struct task *t = task_take(c->session, c, TASK_ASYNC, ISCSI_TAG_NONE);
    if (!t)
        return;
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_ASYNC;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    put_be64(t->bhs + ISCSI_BHS_LUN, lun);
    put_be32(t->bhs + ISCSI_BHS_ITT, ISCSI_TAG_NONE);
    t->bhs[ISCSI_ASYNC_EVENT] = ISCSI_ASYNC_TASKS_TERMINATED;
    answer_simple(t);
}

void async_send(struct connection *c, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
    struct task *t = task_take(c->session, c, TASK_ASYNC, ISCSI_TAG_NONE);
    if (!t)
        return;
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_ASYNC;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    put_be32(t->bhs + ISCSI_BHS_ITT, ISCSI_TAG_NONE);
    t->bhs[ISCSI_ASYNC_EVENT] = event;
    put_be16(t->bhs + ISCSI_ASYNC_PARAMETER1, p1);
    put_be16(t->bhs + ISCSI_ASYNC_PARAMETER2, p2);
    put_be16(t->bhs + ISCSI_ASYNC_PARAMETER3, p3);
    answer_simple(t);
}
