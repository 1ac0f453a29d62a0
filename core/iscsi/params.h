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
    uint16_t time2wait;     /* seconds; lower bound (a larger value spreads re-logins) */
    uint16_t time2retain;   /* seconds; upper bound */
    bool initial_r2t;       /* true: insist on InitialR2T=Yes */
    bool immediate_data;    /* false: insist on ImmediateData=No */
    uint8_t header_digests; /* masks of ISCSI_DIGEST_BIT: those allowed (0: None) */
    uint8_t data_digests;
    uint8_t task_reporting; /* mask of 1 << ISCSI_REPORTING_… */
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

/* What a key is to the login. */
enum params_kind {
    PARAMS_UNKNOWN,     /* not of RFC 7143: NotUnderstood */
    PARAMS_OPERATIONAL, /* of params_receive(); forbidden in the security stage */
    PARAMS_IDENTITY,    /* names, SessionType, aliases: the login's own; any stage */
    PARAMS_SECURITY,    /* AuthMethod and the keys of all methods: security stage only */
};

/* One login's (or one text exchange's) negotiation. A row of the table is a bit in the sets. */
struct params {
    struct iscsi_limits limits;
    struct iscsi_params result;
    bool discovery, leading, full_feature;
    bool declared;    /* our own declaration is out */
    uint64_t seen;    /* the initiator has sent it */
    uint64_t offered; /* we proposed it and wait for the answer */
};

/* Starts a login; what is seen counts from here. */
void params_init(struct params *p);
/* Once the target is known. `leading` is false when the connection joins an existing session. */
void params_configure(struct params *p, const struct iscsi_limits *limits, bool discovery,
                      bool leading);
/*
 * Starts a Text exchange of full feature phase from what is in force. Only what may change then
 * has an effect; take `result` when the exchange has ended, never earlier.
 */
void params_init_text(struct params *p, const struct iscsi_params *in_force);

enum params_kind params_kind(const char *key);
/* Only a target sends it (TargetAlias, TargetAddress, TargetPortalGroupTag). */
bool params_is_targets_own(const char *key);
/*
 * Notes that a key of the login's own has come: 0, or -EPROTO when it came before (RFC 7143 6.3:
 * nothing is negotiated or declared twice in a login). params_receive() does it for its keys.
 */
int params_note(struct params *p, const char *key);
/* Forgets that keys of PARAMS_IDENTITY have come: they may once more in the next stage. */
void params_new_stage(struct params *p);

/*
 * The operational and unknown keys of one whole text; answers go to `out`, others are passed over.
 * 0, or -EPROTO with the key in *ret_key: in a login refuse it as an initiator error (0200), in
 * full feature phase reject the Text Request.
 */
int params_receive(struct params *p, const struct keys *keys, struct keys_writer *out,
                   const char **ret_key);
/* NotUnderstood for a key of PARAMS_UNKNOWN outside the operational stage. */
void params_answer_unknown(const struct keys_pair *pair, struct keys_writer *out);
/*
 * In the operational stage, after params_receive(): adds our declaration, and our own proposals
 * where a default does not fit our limits. True when an answer of the initiator is awaited.
 */
bool params_propose(struct params *p, struct keys_writer *out);
/* At the end of the login: 0, or -EPROTO when the result is not one that we can work with (0200). */
int params_check(struct params *p, const char **ret_key);
