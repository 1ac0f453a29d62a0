/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A look at the sessions of one reactor from outside. The request travels to the reactor as a message,
 * copies a few sessions a round between the other work, and comes back: the data path pays for a
 * look only while there is one, and never waits.
 */
#pragma once

#include "iscsi/engine.h"

struct observed_connection {
    uint32_t session; /* index of its session in the same observation */
    uint16_t cid;
    uint8_t state; /* enum connection_state */
    bool header_digest, data_digest;
    uint32_t initiator_max_recv, target_max_recv;
    char peer[64], portal[64];
};

struct observed_session {
    uint16_t tsih, portal_group_tag, reactor;
    uint8_t isid[ISCSI_ISID_BYTES];
    bool discovery, closing;
    uint32_t window, outstanding;
    struct iscsi_params params;
    struct session_counters counters;
    char initiator[ISCSI_NAME_MAX + 1], target[ISCSI_NAME_MAX + 1]; /* target: "" for discovery */
};

struct observation {
    /* Set by the caller; the arrays are its own. */
    struct engine *engine;
    struct observed_session *sessions;
    struct observed_connection *connections;
    uint32_t session_room, connection_room;
    void (*done)(struct observation *o); /* on the reactor: the observation is the caller's again */
    /* Filled. Counts beyond the room: how many there would have been. */
    uint32_t session_count, connection_count;
    struct engine counters; /* its counters alone are meaningful */
    struct reactor_counters reactor;
    uint64_t buffer_used, buffer_capacity;
    /* Private. */
    struct reactor_message message;
    struct reactor_task round;
};

/* Any thread; one at a time for each engine. */
void observe(struct observation *o);
