/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of a connection's byte stream that outlives the worker. It lies in the state arena, holds
 * no pointer, and records nothing that the kernel knows already: where the socket stands in both
 * directions is asked of the socket (TCP_INFO), and everything here is addressed by stream position.
 *
 *   Receiving. Before a receive is submitted, a plan says where the bytes from position `pos` on
 *   will land. Plans are published in turn; the bytes before the newest one are all in place.
 *   Unparsed bytes lie in the window: position p at window[p - window_base]. A long data
 *   segment goes straight into its buffers; which bytes of it are there is told by the positions
 *   alone.
 *
 *   Sending. The queue holds what will be sent, in order: per entry a header, data by
 *   reference, and a trailer. Only committed entries are given to the socket.
 *
 *   Commit. One PDU is one commit: the other `hot` copy is filled in, then `cur` is stored with
 *   release. Process death is not power loss: the order of stores in the program is enough.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"

#define STREAM_WINDOW_BYTES (192u << 10)
#define STREAM_TX_ENTRIES   128u
#define STREAM_HEADER_MAX   56u
#define STREAM_PLAN_PARTS   7u
#define STREAM_NUMBERS      12u

struct stream_part {
    arena_ref where;
    uint32_t bytes;
    uint32_t unused;
};

struct stream_plan {
    uint64_t pos;   /* stream position of the first byte */
    uint32_t count;
    uint32_t unused;
    struct stream_part part[STREAM_PLAN_PARTS];
};

struct stream_hot {
    uint64_t rx_parsed;     /* everything before is accounted for in task and session records */
    uint64_t window_base;   /* position p is at window[p - window_base] */
    uint64_t tx_tail;       /* position after the last committed byte */
    uint32_t tx_first;      /* queue entries [tx_first, tx_last), modulo STREAM_TX_ENTRIES: those */
    uint32_t tx_last;       /* that are not known to be written */
    uint32_t direct_bytes;  /* from rx_parsed on: a segment that goes straight into its buffers */
    uint32_t unused;
    uint32_t number[STREAM_NUMBERS]; /* the protocol's own (StatSN, ExpCmdSN …) */
};

struct stream_tx {
    uint64_t pos;           /* stream position of its first byte */
    arena_ref data;         /* data_bytes from here; sent between header and trailer */
    uint32_t data_bytes;
    uint32_t owner;         /* the protocol's: told to `written`; 0: nobody */
    uint8_t header_bytes, trailer_bytes, unused[6];
    uint8_t header[STREAM_HEADER_MAX];
    uint8_t trailer[8];
};

struct stream_state {
    uint64_t rx_bias, tx_bias;     /* the socket's positions when the stream began */
    _Atomic uint32_t plan_cur;     /* which plan is the newest */
    _Atomic uint32_t cur;          /* which hot copy is valid: the commit */
    struct stream_plan plan[2];
    struct stream_hot hot[2];
    struct stream_tx tx[STREAM_TX_ENTRIES];
};
