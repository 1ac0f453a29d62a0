/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text exchanges of full feature phase (RFC 7143 11.10, 11.11 and appendix C), in discovery and in
 * normal sessions: SendTargets, and the few keys that may change then (MaxRecvDataSegmentLength,
 * InitiatorAlias). A state machine without I/O; one struct text a connection, made at its first
 * Text Request. The request's text and the reply are gathered in memory that grows up to a limit
 * and is given back when the exchange ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/keys.h"
#include "iscsi/params.h"
#include "iscsi/wire.h"

#define TEXT_REQUEST_MAX 16384      /* bytes of text from the initiator, over all its PDUs */
#define TEXT_REPLY_MAX   (4u << 20) /* bytes of the answer, likewise; more is a Reject */

enum text_action {
    TEXT_REPLY,  /* send reply_bhs and reply_data; transmit stamps StatSN, ExpCmdSN, MaxCmdSN */
    TEXT_REJECT, /* send a Reject with `reject_reason` for this header */
};

struct text_targets;

struct text_ops {
    /*
     * Calls discovery_target() and discovery_address() for every target that this initiator may
     * see (name NULL), or for the one called `name` (normalised; none is an empty answer).
     */
    void (*send_targets)(void *user, const char *name, struct text_targets *sink);
    /* A normal session asks for "All": true, it is refused; false or NULL, it gets its own target. */
    bool (*rejects_all)(void *user);
};

/* Begins the record of a target; its addresses follow. */
void discovery_target(struct text_targets *sink, const char *name);
/* One portal of the current target: "192.0.2.1:3260" or "[2001:db8::1]:3260", and its group tag. */
void discovery_address(struct text_targets *sink, const char *address, uint16_t tag);

struct text {
    /* The reply after TEXT_REPLY. */
    uint8_t reply_bhs[ISCSI_BHS_BYTES];
    const char
        *reply_data; /* valid until the next text_receive() or text_fini(); without padding */
    uint32_t reply_bytes;
    bool reply_final; /* the exchange ends with this reply: text_params() may be taken */
    uint8_t reject_reason;
    const char *problem; /* with TEXT_REJECT: why, for the log */

    /* Private from here on. */
    const struct text_ops *ops;
    void *user;
    bool discovery;
    const char *own_target; /* of a normal session */
    struct iscsi_params in_force;
    struct params params;
    bool running;  /* an exchange is open */
    bool out_open; /* part of the reply is not sent yet */
    uint32_t itt, ttt;
    char *in; /* NULL or in_size bytes */
    uint32_t in_bytes, in_size;
    char *out;
    uint32_t out_bytes, out_sent, out_size;
    bool out_failed; /* reply beyond its limit, or no memory */
};

/*
 * `own_target` (a normal session's, normalised) must outlive the struct; NULL in a discovery
 * session. `params`: what is in force.
 */
void text_init(struct text *text, const struct text_ops *ops, void *user, const char *own_target,
               const struct iscsi_params *params);
void text_fini(struct text *text);
/* A whole Text Request, digests checked; `data` without padding. Never fails but by TEXT_REJECT. */
enum text_action text_receive(struct text *text, const uint8_t bhs[ISCSI_BHS_BYTES],
                              const uint8_t *data, uint32_t data_bytes);
/*
 * After a reply with reply_final has been queued: the parameters from now on (only
 * initiator_max_recv can differ from what was in force).
 */
const struct iscsi_params *text_params(const struct text *text);
