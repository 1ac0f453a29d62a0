/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The records of sessions, connections and tasks in the state arena: what a successor needs to go on
 * where a worker stopped. Offsets and indices, no pointers; validity is told by stream positions (see
 * net/stream_state.h), so that one store, the stream's commit, makes a PDU count.
 *
 *   A task record is valid when born_pos <= rx_parsed of its connection, and over when its last
 *   PDU's position done_pos < tx_tail (then only its buffers are needed until that is sent). What changes in between (Data-Out received, R2Ts sent) is
 *   in two copies, each with the position from which it holds.
 *   ExpCmdSN of a session is the latest of its connections' (RFC 1982).
 *
 * Records are large in address space and small in memory: what is not touched costs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/params.h"
#include "iscsi/wire.h"
#include "net/stream_state.h"
#include "reactor/histogram.h"
#include "scsi/command.h"
#include "scsi/nexus.h"

/*
 * For tests of upgrades between two layouts: HOLDFAST_OTHER_LAYOUT makes a binary that keeps everything
 * at another place.
 */
#ifdef HOLDFAST_OTHER_LAYOUT
#define STATE_OTHER_LAYOUT(n) uint8_t other_layout[n];
#else
#define STATE_OTHER_LAYOUT(n)
#endif

#define STATE_MAGIC   UINT64_C(0x686f6c6466617374)
#define STATE_VERSION 10u /* of the meaning; sizes are looked at as well */

#define STATE_WINDOW_MAX              1024u /* commands outstanding in a session */
#define STATE_TASKS_EXTRA             128u  /* immediate ones, and answers not yet written */
#define STATE_TASKS_MAX               (STATE_WINDOW_MAX + STATE_TASKS_EXTRA)
#define STATE_CONNECTIONS_PER_SESSION 8u
#define STATE_TASK_BUFFERS            5u
#define STATE_SMALL_BYTES             72u

/* stream_hot.number[] of a full-feature connection. */
enum {
    STATE_STAT_SN,
    STATE_EXP_CMD_SN,
    STATE_MAX_CMD_SN,
    STATE_RECEIVE,        /* enum receive_state: what the bytes from rx_parsed on are */
    STATE_SEGMENT_TASK,   /* the data segment being received: task index + 1, 0: none */
    STATE_SEGMENT_BYTES,  /* its length, ... */
    STATE_SEGMENT_PLACED, /* ... of them, into the task's buffers, ... */
    STATE_SEGMENT_OFFSET, /* ... from this offset on */
    STATE_DISCARD_LEFT,
    STATE_DISCARD_CRC,
    STATE_NOP_TAG, /* the last TTT of a ping */
};

/* How far a task's data has come. Of the two copies the newer one (by seq) counts whose positions
   the connection's commit has reached. */
struct state_transfer {
    uint64_t rx_pos, tx_pos; /* holds when rx_parsed and tx_tail are there */
    uint32_t seq;            /* 0: never written */
    uint32_t received;       /* Data-Out bytes accounted for */
    uint32_t data_sn;        /* expected next in the current sequence */
    uint32_t sequence_end, r2t_offset;
    uint32_t r2t_sent, r2t_done;
    uint32_t sent; /* Data-In bytes in PDUs */
    uint32_t data_in_sn;
    uint8_t unsolicited, segment_open, fault, fault_key, fault_asc, fault_ascq, unused[2];
};

#define TASK_UNBORN UINT64_MAX /* born_pos: not valid yet */

struct task_record {
    STATE_OTHER_LAYOUT(24)
    uint64_t born_pos, done_pos;
    uint64_t lun;
    uint32_t itt, cmd_sn;
    uint32_t expected_bytes;
    uint8_t opcode, flags, connection, buffers; /* connection: its number in the session */
    uint8_t kind;                               /* enum task_kind */
    uint8_t answer_next_status, cdb_bytes;
    uint8_t begun;   /* TASK_MANAGEMENT: it has ended the task that it names, or the
                                                   places of its units' attentions are in `small` */
    uint8_t cdb[32]; /* behind one of 16 bytes: task_record_kept() */
    struct state_transfer transfer[2];
    arena_ref buffer[STATE_TASK_BUFFERS];
    uint32_t buffer_bytes[STATE_TASK_BUFFERS];
    uint32_t answer_bytes; /* answers of one PDU: its data ... */
    arena_ref answer_data;
    uint8_t answer[ISCSI_BHS_BYTES];  /* ... and header */
    uint8_t small[STATE_SMALL_BYTES]; /* sense data, a rejected header: sent from here; or the
                                         request of a task management function */
};

/* Where the command itself keeps how far it is; NULL: its CDB needs the place. */
static inline struct scsi_kept *task_record_kept(struct task_record *rec)
{
    _Static_assert(offsetof(struct task_record, cdb) % 8 == 4 && sizeof(struct scsi_kept) == 12,
                   "the word does not cross a cache line");
    return rec->cdb_bytes <= ISCSI_CDB_BYTES ? (struct scsi_kept *)(rec->cdb + 20) : NULL;
}

/* One writer, the session's reactor. */
struct session_counters {
    uint64_t commands;             /* SCSI commands taken */
    uint64_t answered, errors;     /* of them; those with a status other than GOOD */
    uint64_t executed, latency_ns; /* by units; the sum of their times, as of turns */
    uint64_t read_bytes, written_bytes;
    uint64_t window_full;             /* commands that took the last place of the window */
    uint64_t took[HISTOGRAM_BUCKETS]; /* the executed ones by their time, as histogram.h counts */
};

struct session_record {
    STATE_OTHER_LAYOUT(100)
    uint16_t tsih, portal_group_tag;
    uint8_t isid[ISCSI_ISID_BYTES];
    uint8_t discovery, unused;
    uint32_t window;
    uint32_t engine;  /* the reactor it lives on */
    uint32_t touched; /* task records from here on were never used */
    struct iscsi_params params;
    char initiator[ISCSI_NAME_MAX + 1];
    char target[ISCSI_NAME_MAX + 1];
    char peer[64]; /* of the leading connection */
    uint32_t nexus_id;
    struct session_counters counters;
    struct scsi_nexus_unit nexus_units[SCSI_LUNS_MAX]; /* what is pending for it on each unit */
    _Alignas(64) struct task_record task[STATE_TASKS_MAX];
};

/*
 * A connection leaves in order (logout) with the PDU that said so: once the commit of the connection
 * `with` (index + 1; 0: it does not leave) has reached `pos`. That one itself sends what is queued first, and
 * the answer is among it; others that leave with it are closed.
 */
struct state_leave {
    uint64_t pos;
    uint32_t with;
    uint8_t session, unused[3]; /* session: it ends with it */
};

struct connection_record {
    STATE_OTHER_LAYOUT(4160)
    struct stream_state stream;
    uint32_t slot;    /* the keeper's */
    uint32_t session; /* index */
    uint32_t blames; /* workers that crashed one after the other while they parsed what is at ... */
    uint64_t blamed_pos; /* ... this place of the stream */
    uint32_t full;       /* in full feature phase, and not being closed */
    uint64_t
        full_pos; /* ... once the committed tx_tail is here: the final Login Response is queued */
    uint16_t cid;
    uint8_t number; /* in the session: task_record.connection */
    uint8_t unused;
    uint64_t nop_interval_ns, nop_timeout_ns;
    struct iscsi_params params;
    uint8_t segment_bhs[ISCSI_BHS_BYTES]; /* header of the segment that STATE_RECEIVE speaks of */
    char peer[64], portal[64];
    struct state_leave leave;
    _Alignas(4096) uint8_t window[STREAM_WINDOW_BYTES];
};

/* Whether a connection leaves with that one (its index), whose commit has reached rx_parsed. */
static inline bool state_leaves_with(const struct connection_record *r, uint32_t index,
                                     uint64_t rx_parsed)
{
    return r->leave.with == index + 1 && rx_parsed >= r->leave.pos;
}

struct state_head {
    uint64_t magic;
    uint32_t version;
    uint32_t sessions, connections;
    uint32_t reactors;
    uint32_t session_bytes, connection_bytes, task_bytes; /* of this layout */
    uint32_t pool_mib; /* of each data reactor: records refer to its buffers */
};

#define STATE_PAGE              4096u
#define STATE_ROUND(n)          (((n) + STATE_PAGE - 1) / STATE_PAGE * STATE_PAGE)
#define STATE_SESSION_STRIDE    STATE_ROUND((uint64_t)sizeof(struct session_record))
#define STATE_CONNECTION_STRIDE STATE_ROUND((uint64_t)sizeof(struct connection_record))

/*
 * The head is followed by one cache line a reactor: what it is working on, and what of that lasts; then by one
 * word a session and one a connection: 1, the record is in use. Looking at these touches no record.
 */
#define STATE_REACTORS_MAX 128u
#define STATE_LINE         64u
#define STATE_USED         (STATE_PAGE + STATE_REACTORS_MAX * STATE_LINE)

static inline uint64_t state_head_bytes(uint32_t sessions, uint32_t connections)
{
    return STATE_ROUND(STATE_USED + 4 * ((uint64_t)sessions + connections));
}

/* The connection (index + 1) whose bytes a reactor is parsing; 0: none. */
static inline uint32_t *state_working(uint32_t reactor)
{
    return (uint32_t *)(arena_table[ARENA_STATE].base + STATE_PAGE + reactor * STATE_LINE);
}

/* Of the same line: how many requests of a reactor's ring may outlive the process, as they go on in a device. */
static inline uint32_t *state_lasting(uint32_t reactor)
{
    return state_working(reactor) + 1;
}

static inline uint32_t *state_session_used(uint32_t index)
{
    return (uint32_t *)(arena_table[ARENA_STATE].base + STATE_USED) + index;
}

static inline uint32_t *state_connection_used(uint32_t sessions, uint32_t index)
{
    return state_session_used(sessions + index);
}

/* Bytes of an arena for that many of each. */
static inline uint64_t state_bytes(uint32_t sessions, uint32_t connections)
{
    return state_head_bytes(sessions, connections) + sessions * STATE_SESSION_STRIDE +
           connections * STATE_CONNECTION_STRIDE;
}

static inline const struct state_head *state_head(void)
{
    return (const struct state_head *)arena_table[ARENA_STATE].base;
}

static inline arena_ref state_session_ref(uint32_t index)
{
    const struct state_head *h = state_head();
    return arena_ref_make(ARENA_STATE, state_head_bytes(h->sessions, h->connections) +
                                           index * STATE_SESSION_STRIDE);
}

static inline arena_ref state_connection_ref(uint32_t index)
{
    const struct state_head *h = state_head();
    return arena_ref_make(ARENA_STATE, state_head_bytes(h->sessions, h->connections) +
                                           h->sessions * STATE_SESSION_STRIDE +
                                           index * STATE_CONNECTION_STRIDE);
}
