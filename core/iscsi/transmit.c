/* SPDX-License-Identifier: BSD-3-Clause */
#include "iscsi/transmit.h"

#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

struct stream_tx *transmit_begin(struct connection *c)
{
    struct stream_tx *e = stream_tx_next(&c->stream);
    if (!e)
        return NULL;
    memset(e->header, 0, ISCSI_BHS_BYTES);
    e->data = 0;
    e->data_bytes = 0;
    e->owner = 0;
    return e;
}

/* Digests go out least significant byte first (RFC 7143 13.1). */
static void put_digest(uint8_t *p, uint32_t crc)
{
    p[0] = (uint8_t)crc;
    p[1] = (uint8_t)(crc >> 8);
    p[2] = (uint8_t)(crc >> 16);
    p[3] = (uint8_t)(crc >> 24);
}

void transmit_end(struct connection *c, struct stream_tx *e, enum transmit_stat_sn stat_sn)
{
    uint32_t crc = CRC32C_START;
    if (c->data_digest && e->data_bytes)
        crc = crc32c(crc, arena_ptr(e->data), e->data_bytes);
    transmit_end_crc(c, e, stat_sn, crc);
}

void transmit_end_crc(struct connection *c, struct stream_tx *e, enum transmit_stat_sn stat_sn,
                      uint32_t data_crc)
{
    struct session *s = c->session;
    uint32_t *number = c->stream.next.number;
    number[STATE_EXP_CMD_SN] = s->exp_cmd_sn;
    number[STATE_MAX_CMD_SN] = session_max_cmd_sn(s);

    put_be24(e->header + ISCSI_BHS_DATA_LENGTH, e->data_bytes);
    if (stat_sn != TRANSMIT_NO_STATUS)
        put_be32(e->header + ISCSI_BHS_STAT_SN, number[STATE_STAT_SN]);
    if (stat_sn == TRANSMIT_STATUS)
        number[STATE_STAT_SN]++;
    put_be32(e->header + ISCSI_BHS_EXP_CMD_SN, number[STATE_EXP_CMD_SN]);
    put_be32(e->header + ISCSI_BHS_MAX_CMD_SN, number[STATE_MAX_CMD_SN]);

    e->header_bytes = ISCSI_BHS_BYTES;
    if (c->header_digest) {
        put_digest(e->header + ISCSI_BHS_BYTES,
                   crc32c_finish(crc32c(CRC32C_START, e->header, ISCSI_BHS_BYTES)));
        e->header_bytes += ISCSI_DIGEST_BYTES;
    }
    e->trailer_bytes = 0;
    if (e->data_bytes) {
        uint32_t pad = ISCSI_PAD(e->data_bytes) - e->data_bytes;
        memset(e->trailer, 0, pad);
        e->trailer_bytes = (uint8_t)pad;
        if (c->data_digest) {
            put_digest(e->trailer + pad, crc32c_finish(crc32c(data_crc, e->trailer, pad)));
            e->trailer_bytes += ISCSI_DIGEST_BYTES;
        }
    }
    stream_tx_push(&c->stream, e);
    if (e->owner) {
        struct task *t = task_at(s, e->owner);
        t->final_queued = true;
        t->record->done_pos = e->pos;
    }
    if (!c->receiving)
        stream_commit(&c->stream);
}
