/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session's other side for the fuzzer: it never blocks, sends what it is told, right or wrong, and
 * judges every PDU that comes back: lengths, digests, the numbering.
 */
#pragma once

#include "engine-rig.h"

#define WIRES     2u
#define R2TS_KEPT 32u
#define TAKES     8192u /* MaxRecvDataSegmentLength of ours */

/* One connection. */
struct wire {
    int fd; /* -1: none */
    bool full_feature, header_digest, data_digest;
    bool deaf; /* it does not read any more */
    bool lost; /* the target is in the middle of a PDU that we do not know */
    size_t chunk; /* send in pieces of this size; 0: at once */
    bool numbered;
    uint32_t stat_sn, exp_cmd_sn, max_cmd_sn;
    uint32_t used;
    uint8_t in[ISCSI_BHS_BYTES + 2 * ISCSI_DIGEST_BYTES + TAKES];
};

struct asked {
    uint32_t itt, ttt, offset, length;
    unsigned wire;
};

struct initiator {
    struct engine_rig *rig;
    struct wire wires[WIRES];
    uint8_t isid_end;
    uint16_t tsih;
    uint32_t cmd_sn, itt;
    uint32_t max_burst;
    struct asked asked[R2TS_KEPT];
    unsigned asked_count;
    bool pong; /* the answer to the last ping has come */
    bool login_failed;
    uint32_t unsolicited_itt, unsolicited_at; /* the last write without F */
};

/* Logs in on that wire with these keys (and what identifies us); false: refused, or hung up. */
bool initiator_login(struct initiator *i, unsigned wire, const char *keys, size_t bytes);
/* Sends a PDU; `spoil` flips a bit of its last byte. The length field is what it is. */
void initiator_send(struct initiator *i, unsigned wire, const uint8_t *bhs, const void *data, uint32_t bytes,
                    bool spoil);
/* Bytes as they are. */
void initiator_raw(struct initiator *i, unsigned wire, const void *bytes, size_t count);
/* Takes what is there. */
void initiator_pump(struct initiator *i);
/* Gives the target the time to do what it was told, as far as it answers at all. */
void initiator_sync(struct initiator *i);
void initiator_close(struct initiator *i, unsigned wire, bool reset);
