/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data-Out and Ready To Transfer (RFC 7143 11.7, 11.8). DataPDUInOrder and DataSequenceInOrder are
 * always Yes here, so at any time one offset and one DataSN are right for a task. What breaks the
 * rules ends the command with 0B/0C0D or 0B/0C0C; later Data-Out for it is read and forgotten.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/crash_point.h"
#include "iscsi/transmit.h"

#define KEY_ABORTED 0x0b

static uint32_t transfer_tag(const struct task *t, uint32_t r2t_sn)
{
    return (uint32_t)t->index << 16 | (r2t_sn & 0xffff);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static enum pdu_verdict broken(struct task *t, uint8_t ascq)
{
    command_fault(t, KEY_ABORTED, 0x0c, ascq);
    t->unsolicited = false;
    t->r2t_done = t->r2t_sent;
    command_advance(t);
    return PDU_DISCARD;
}

/*
 * Data of a command comes on the command's connection (RFC 7143 4.2.2, allegiance); anything else breaks the
 * rules of the exchange (7.8) and is rejected as that (11.17.1). The command itself is not touched: it
 * goes on waiting for its data, as long as for any other.
 */
static enum pdu_verdict strayed(struct connection *c, const struct pdu *pdu)
{
    if (session_short_of_tasks(c->session))
        return PDU_STALL;
    reject_send(c, pdu->bhs, ISCSI_REJECT_PROTOCOL);
    return PDU_DISCARD;
}

enum pdu_verdict data_out_receive(struct connection *c, const struct pdu *pdu)
{
    const uint8_t *h = pdu->bhs;
    struct session *s = c->session;
    struct task *t = task_find(s, get_be32(h + ISCSI_BHS_ITT));
    if (t && t->kind == TASK_SCSI && t->conn && t->conn != c)
        return strayed(c, pdu);
    if (!t || t->kind != TASK_SCSI || !t->conn || t->state == TASK_ANSWER ||
        t->state == TASK_ORPHAN || t->state == TASK_EXECUTE)
        return PDU_DISCARD;
    uint32_t tag = get_be32(h + ISCSI_BHS_TTT);
    uint32_t end;
    if (tag == ISCSI_TAG_NONE) {
        if (!t->unsolicited)
            return broken(t, 0x0c);
        end = min_u32(s->params.first_burst_length, t->cmd.expected_bytes);
    } else {
        if (t->r2t_done == t->r2t_sent || tag != transfer_tag(t, t->r2t_done))
            return broken(t, 0x0d);
        end = t->sequence_end;
    }
    if (get_be32(h + ISCSI_DATA_DATA_SN) != t->data_sn ||
        get_be32(h + ISCSI_DATA_OFFSET) != t->received || pdu->data_bytes > end - t->received)
        return broken(t, 0x0d);
    if (!pdu->data_bytes) {
        c->segment_bytes = 0;
        command_segment_done(c, t, h, false);
        return PDU_DONE;
    }
    return command_place(c, t, pdu->data_bytes);
}

void transfer_data_out_done(struct task *t, const uint8_t *bhs)
{
    bool final = bhs[ISCSI_BHS_FLAGS] & ISCSI_FINAL;
    uint64_t now = t->session->engine->reactor->now_ns;
    t->data_sn++;
    t->conn->data_out_ns = now;
    if (final) {
        t->data_sn = 0;
        t->waiting_since_ns = now;
        if (t->unsolicited) {
            t->unsolicited = false;
        } else if (t->r2t_done != t->r2t_sent) {
            if (t->received != t->sequence_end) { /* less than the R2T asked for */
                command_fault(t, KEY_ABORTED, 0x0c, 0x0d);
                t->r2t_done = t->r2t_sent;
            } else {
                t->r2t_done++;
                t->sequence_end = min_u32(t->received + t->session->params.max_burst_length,
                                          t->cmd.data_out_bytes);
            }
        }
    }
    task_record_transfer(t, t->conn->stream.next.rx_parsed, 0);
}

void transfer_advance(struct task *t)
{
    const struct iscsi_params *p = &t->session->params;
    if (!t->r2t_sent) {
        t->r2t_offset = t->received;
        t->sequence_end =
            min_u32(t->received + p->max_burst_length, t->cmd.data_out_bytes);
        t->waiting_since_ns = t->session->engine->reactor->now_ns;
    }
    if (t->r2t_offset < t->cmd.data_out_bytes &&
        t->r2t_sent - t->r2t_done < p->max_outstanding_r2t && list_empty(&t->link))
        connection_output_task(t);
}

bool transfer_r2t(struct task *t)
{
    struct connection *c = t->conn;
    const struct iscsi_params *p = &t->session->params;
    bool inside = c->receiving, room = true, any = false;
    c->receiving = true; /* all of them are one commit */
    while (t->r2t_offset < t->cmd.data_out_bytes &&
           t->r2t_sent - t->r2t_done < p->max_outstanding_r2t) {
        struct stream_tx *e = transmit_begin(c);
        if (!e) {
            room = false;
            break;
        }
        uint32_t length =
            min_u32(p->max_burst_length, t->cmd.data_out_bytes - t->r2t_offset);
        e->header[ISCSI_BHS_OPCODE] = ISCSI_OP_R2T;
        e->header[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
        put_be64(e->header + ISCSI_BHS_LUN, t->cmd.lun);
        put_be32(e->header + ISCSI_BHS_ITT, t->itt);
        put_be32(e->header + ISCSI_BHS_TTT, transfer_tag(t, t->r2t_sent));
        put_be32(e->header + ISCSI_R2T_R2T_SN, t->r2t_sent);
        put_be32(e->header + ISCSI_R2T_OFFSET, t->r2t_offset);
        put_be32(e->header + ISCSI_R2T_LENGTH, length);
        t->r2t_offset += length;
        t->r2t_sent++;
        transmit_end(c, e, TRANSMIT_NEXT_STATUS);
        any = true;
    }
    c->receiving = inside;
    if (any) {
        crash_point("r2t");
        task_record_transfer(t, 0, c->stream.next.tx_tail);
        if (!inside)
            stream_commit(&c->stream);
    }
    return room;
}
