/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one place where PDUs get their numbers (StatSN, ExpCmdSN, MaxCmdSN), digests and a place in
 * the transmit queue. Reactor of the connection.
 */
#pragma once

#include "iscsi/engine.h"

enum transmit_stat_sn {
    TRANSMIT_NO_STATUS,   /* the field is reserved (Data-In without status) */
    TRANSMIT_NEXT_STATUS, /* shows the next StatSN, does not take it (R2T, our ping) */
    TRANSMIT_STATUS,      /* takes one */
};

/* A queue entry with a zeroed header to fill in, or NULL when the queue is full. */
struct stream_tx *transmit_begin(struct connection *c);
/*
 * Numbers, digests, queues and, outside of receive_run(), commits it. e->data and e->data_bytes are
 * set; e->owner is a task index + 1 when this is the task's last PDU, else 0.
 */
void transmit_end(struct connection *c, struct stream_tx *e, enum transmit_stat_sn stat_sn);
/* The same when the running crc32c() of the data is known already. */
void transmit_end_crc(struct connection *c, struct stream_tx *e, enum transmit_stat_sn stat_sn,
                      uint32_t data_crc);
