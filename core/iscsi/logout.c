/* SPDX-License-Identifier: BSD-3-Clause */
/* Logout (RFC 7143 11.14, 11.15): of the session, of this connection or of another one. */
#include <string.h>

#include "base/bytes.h"
#include "base/crash_point.h"
#include "iscsi/engine.h"

static struct connection *find_cid(struct session *s, uint16_t cid)
{
    list_for_each(pos, &s->connections) {
        struct connection *c = list_entry(pos, struct connection, link);
        if (c->cid == cid && c->state == CONNECTION_FULL)
            return c;
    }
    return NULL;
}

enum pdu_verdict logout_receive(struct connection *c, const struct pdu *pdu)
{
    const uint8_t *h = pdu->bhs;
    struct session *s = c->session;
    uint32_t itt = get_be32(h + ISCSI_BHS_ITT);
    uint8_t reason = h[ISCSI_LOGOUT_REASON] & 0x7f;
    uint16_t cid = get_be16(h + ISCSI_LOGOUT_CID);
    if (session_short_of_tasks(s))
        return PDU_STALL;
    if (itt == ISCSI_TAG_NONE || reason > ISCSI_LOGOUT_REMOVE_FOR_RECOVERY ||
        (s->discovery && reason == ISCSI_LOGOUT_CLOSE_CONNECTION)) {
        session_take_cmd_sn(c, h);
        reject_send(c, h, ISCSI_REJECT_PROTOCOL);
        return PDU_DISCARD;
    }
    struct task *t = task_take(s, c, TASK_LOGOUT, ISCSI_TAG_NONE);
    if (!session_take_cmd_sn(c, h)) {
        task_release(t);
        return PDU_DISCARD;
    }
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_LOGOUT_RESPONSE;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    put_be32(t->bhs + ISCSI_BHS_ITT, itt);
    put_be16(t->bhs + ISCSI_LOGOUT_TIME2WAIT, s->params.time2wait);
    put_be16(t->bhs + ISCSI_LOGOUT_TIME2RETAIN, 0); /* level 0: nothing is retained */

    struct connection *other = NULL;
    if (reason == ISCSI_LOGOUT_REMOVE_FOR_RECOVERY) {
        t->bhs[ISCSI_LOGOUT_RESPONSE] = ISCSI_LOGOUT_RECOVERY_NOT_SUPPORTED;
    } else if (reason == ISCSI_LOGOUT_CLOSE_CONNECTION) {
        other = find_cid(s, cid);
        if (!other)
            t->bhs[ISCSI_LOGOUT_RESPONSE] = ISCSI_LOGOUT_CID_NOT_FOUND;
    }
    answer_simple(t);
    if (t->bhs[ISCSI_LOGOUT_RESPONSE] != ISCSI_LOGOUT_OK)
        return PDU_DISCARD;
    if (reason == ISCSI_LOGOUT_CLOSE_SESSION) {
        s->leaving = true;
        list_for_each_safe(pos, &s->connections) {
            struct connection *each = list_entry(pos, struct connection, link);
            if (each != c)
                connection_leave(each, c, "session logout");
        }
        connection_drain(c, "session logout");
    } else if (other == c) {
        connection_drain(c, "connection logout");
    } else {
        connection_leave(other, c, "connection logout");
        crash_point("leave");
    }
    return PDU_DISCARD;
}
