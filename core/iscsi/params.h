/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Negotiation of the operational parameters (RFC 7143 section 13): text comes in, numbers come out.
 * One table (params.c) has a row a key: who may send it, when, for what scope, and by which function
 * the two sides' values become the result. No I/O, no allocation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/keys.h"

/* A digest as a number, and as a bit in a mask of those allowed. */
#define ISCSI_DIGEST_NONE   0
#define ISCSI_DIGEST_CRC32C 1
#define ISCSI_DIGEST_BIT(d) (1u << (d))

#define ISCSI_REPORTING_RFC3720        0
#define ISCSI_REPORTING_RESPONSE_FENCE 1
#define ISCSI_REPORTING_FAST_ABORT     2

/* What this side wants or allows: from the configuration, the same for all logins of a target. */
struct iscsi_limits {
    uint32_t max_recv_data_segment_length; /* what we declare for ourselves, bytes */
    uint32_t max_burst_length;             /* upper bounds */
    uint32_t first_burst_length;
    uint16_t max_outstanding_r2t;
    uint16_t max_connections;
    uint16_t time2wait;   /* seconds; lower bound (a larger value spreads re-logins) */
    uint16_t time2retain; /* seconds; upper bound */
    bool initial_r2t;     /* true: insist on InitialR2T=Yes */
    bool immediate_data;  /* false: insist on ImmediateData=No */
    uint8_t header_digests; /* masks of ISCSI_DIGEST_BIT: those allowed */
    uint8_t data_digests;
    uint8_t task_reporting; /* mask of 1 << ISCSI_REPORTING_…; RFC3720 is always allowed */
    uint8_t protocol_level; /* highest iSCSIProtocolLevel */
};

/* Sensible values for everything: used where the configuration says nothing, and by tests. */
extern const struct iscsi_limits iscsi_limits_default;

/*
 * The outcome. Fixed-width and free of pointers: it is part of the session and connection records.
 * Session-wide members are meaningful on the leading connection only; a further connection of a
 * session keeps the session's and takes the per-connection four.
 */
struct iscsi_params {
    /* per connection */
    uint32_t initiator_max_recv; /* bytes we may put into one data segment */
    uint32_t target_max_recv;    /* bytes the initiator may put into one */
    uint8_t header_digest;       /* ISCSI_DIGEST_… */
    uint8_t data_digest;
    /* session wide */
    uint8_t initial_r2t; /* 0 or 1, as the next four */
    uint8_t immediate_data;
    uint8_t data_pdu_in_order;
    uint8_t data_sequence_in_order;
    uint8_t error_recovery_level;
    uint8_t protocol_level;
    uint8_t task_reporting; /* ISCSI_REPORTING_… */
    uint8_t reserved[3];
    uint32_t max_burst_length;
    uint32_t first_burst_length; /* never above max_burst_length */
    uint16_t max_outstanding_r2t;
    uint16_t max_connections;
    uint16_t time2wait;
    uint16_t time2retain;
};

/* The values before any negotiation (the defaults of section 13). */
extern const struct iscsi_params iscsi_params_default;

/* One login's (or one text exchange's) negotiation. */
struct params {
    struct iscsi_limits limits;
    struct iscsi_params result;
    bool discovery, leading, full_feature;
    uint64_t seen;    /* bit a row: the initiator has sent it */
    uint64_t offered; /* bit a row: we proposed it and wait for the answer */
    uint64_t settled; /* bit a row: negotiated, whatever the outcome */
    bool declared;    /* our own declarations are out */
};

/* A login: `leading` is false when the connection joins an existing session. */
void params_init(struct params *p, const struct iscsi_limits *limits, bool discovery, bool leading);
/*
 * A Text exchange in full feature phase: starts from what is in force. Only per-connection keys
 * that may change then have an effect; take `result` when the exchange has ended, never earlier.
 */
void params_init_text(struct params *p, const struct iscsi_params *in_force);

/*
 * One whole text of the initiator in the operational stage: answers go to `out`. Keys that the
 * login itself handles (names, SessionType, AuthMethod) must have been taken out with
 * params_is_login_key(). 0, or -EPROTO: the login must be refused as an initiator error (0200);
 * ret_key then names the key, for the log.
 */
int params_receive(struct params *p, const struct keys *keys, struct keys_writer *out,
                   const char **ret_key);
/* Adds what this side declares or must propose itself; true when an answer is now awaited. */
bool params_propose(struct params *p, struct keys_writer *out);
/* True when the login may end: nothing is awaited and the result holds together. */
bool params_complete(const struct params *p);
/* Integrity of the result once all is settled: 0, or -EPROTO (0200). */
int params_check(const struct params *p);
/* True for an operational key of section 13: forbidden in the security stage. */
bool params_is_operational(const char *key);
