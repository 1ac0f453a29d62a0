/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bodies of an image's records (image.h). They only grow at their ends, and each keeps in
 * IMAGE_LEAST_… how long it was in version 1: shorter ones are no bodies of that type.
 */
#pragma once

#include "handover/image.h"

#define IMAGE_NAME  224u /* an iSCSI name with its NUL */
#define IMAGE_PORT  256u /* an initiator port's name with its NUL */
#define IMAGE_PLACE 64u

struct image_head {
    uint32_t version, oldest; /* IMAGE_VERSION, IMAGE_OLDEST of the writer */
    uint64_t layout;          /* of its own memory */
    uint64_t state_bytes;     /* of the memfd with its state, … */
    char state_name[64];      /* … and its name: to be made unusable when the new worker begins */
    uint32_t reactors;        /* data reactors; the pools are theirs */
    uint32_t sessions, connections, units; /* that follow */
    /* All 0: of a version that did not say. */
    uint32_t pool_mib; /* of each data reactor */
    uint32_t session_places, connection_places, unused;
};

struct image_unit {
    char target[IMAGE_NAME];
    uint32_t lun;
    uint32_t mode, not_ready;
    uint32_t ring_head; /* of IMAGE_UNIT_ATTENTIONS */
    uint64_t sanitized, sanitized_by;
    uint8_t access[64];
    uint32_t prevent_generation, starts;
    uint32_t clock_set, thresholds;
    uint64_t clock_offset;
    uint32_t atomic_used, absent; /* 0: of a version that did not say */
};

struct image_name {
    uint16_t tag;
    uint8_t unused[6];
    char port[IMAGE_PORT];
};

struct image_params {
    uint32_t initiator_max_recv, target_max_recv;
    uint32_t max_burst_length, first_burst_length;
    uint16_t max_outstanding_r2t, max_connections, time2wait, time2retain;
    uint8_t header_digest, data_digest, initial_r2t, immediate_data;
    uint8_t data_pdu_in_order, data_sequence_in_order, error_recovery_level, protocol_level;
    uint8_t task_reporting, unused[7];
};

struct image_session {
    uint32_t index; /* of its record; connections refer to it */
    uint16_t tsih, portal_group_tag;
    uint8_t isid[6], discovery, unused;
    uint32_t window, engine, touched, nexus_id;
    struct image_params params;
    char initiator[IMAGE_NAME], target[IMAGE_NAME];
    char peer[IMAGE_PLACE];
};

struct image_nexus_unit {
    uint32_t index, unit_id, attention_at, prevents;
    uint16_t lun;
    uint8_t flags, unused;
    uint32_t serial;
};

struct image_task {
    uint64_t born_pos, done_pos, lun;
    uint64_t answer_data; /* a reference, or with answer_in_small an offset in IMAGE_TASK_SMALL */
    uint32_t index, itt, cmd_sn, expected_bytes, answer_bytes;
    uint8_t opcode, flags, connection, kind;
    uint8_t answer_next_status, cdb_bytes, begun, answer_in_small;
    uint8_t unused[4];
    uint8_t cdb[32];
    uint8_t answer[48];
};

struct image_transfer {
    uint64_t rx_pos, tx_pos;
    uint32_t seq, received, data_sn, sequence_end, r2t_offset, r2t_sent, r2t_done, sent, data_in_sn;
    uint8_t unsolicited, segment_open, fault, fault_key, fault_asc, fault_ascq, unused[6];
};

struct image_buffer {
    uint64_t ref;
    uint32_t bytes, unused;
};

#define IMAGE_NUMBERS 16u

/* It has logged out: what is queued is still to be sent. */
enum image_leaves { IMAGE_STAYS, IMAGE_LEAVES, IMAGE_LEAVES_WITH_SESSION };

struct image_connection {
    uint32_t index, session, slot, blames;
    uint16_t cid;
    uint8_t number;
    uint8_t leaves; /* enum image_leaves */
    uint8_t unused[4];
    uint64_t nop_interval_ns, nop_timeout_ns;
    uint64_t rx_bias, tx_bias, rx_parsed, window_base, tx_tail;
    uint32_t direct_bytes, unused2;
    uint32_t numbers[IMAGE_NUMBERS]; /* STATE_STAT_SN and so on: their places never change */
    struct image_params params;
    uint8_t segment_bhs[48];
    char peer[IMAGE_PLACE], portal[IMAGE_PLACE];
    uint64_t blamed_pos;
};

struct image_window {
    uint32_t offset, unused;
};

enum image_send_place { IMAGE_SEND_REF, IMAGE_SEND_SMALL, IMAGE_SEND_WINDOW };

/* One entry of what is to be sent, oldest first. */
struct image_send {
    uint64_t pos;
    uint64_t
        data; /* by place: a reference; an offset in the small bytes of `owner`; in the window */
    uint32_t data_bytes, owner;
    uint8_t place, header_bytes, trailer_bytes, unused[5];
    uint8_t header[56];
    uint8_t trailer[8];
};

#define IMAGE_LEAST_HEAD       offsetof(struct image_head, pool_mib)
#define IMAGE_LEAST_UNIT       offsetof(struct image_unit, atomic_used)
#define IMAGE_LEAST_NAME       sizeof(struct image_name)
#define IMAGE_LEAST_SESSION    sizeof(struct image_session)
#define IMAGE_LEAST_NEXUS_UNIT sizeof(struct image_nexus_unit)
#define IMAGE_LEAST_TASK       sizeof(struct image_task)
#define IMAGE_LEAST_TRANSFER   sizeof(struct image_transfer)
#define IMAGE_LEAST_BUFFER     sizeof(struct image_buffer)
#define IMAGE_LEAST_CONNECTION sizeof(struct image_connection)
#define IMAGE_LEAST_WINDOW     sizeof(struct image_window)
#define IMAGE_LEAST_SEND       sizeof(struct image_send)

_Static_assert(sizeof(struct image_head) == 120, "");
_Static_assert(sizeof(struct image_unit) == 352, "");
_Static_assert(sizeof(struct image_session) == 584, "");
_Static_assert(sizeof(struct image_task) == 144, "");
_Static_assert(sizeof(struct image_transfer) == 64, "");
_Static_assert(sizeof(struct image_connection) == 376, "");
_Static_assert(sizeof(struct image_send) == 96, "");
