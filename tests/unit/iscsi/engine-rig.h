/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An engine on a bench: a login reactor and a data reactor with everything that a worker has between
 * a connection and the storage, over loopback TCP, without keeper and configuration. LUN 0 is a
 * disk that can hold its requests, LUN 1 one that reads are sent from and writes are taken by at
 * once. The test's thread is the initiator.
 */
#pragma once

#include "disk.h"
#include "iscsi/acceptor.h"
#include "iscsi/engine.h"

#define RIG_TARGET    "iqn.2026-11.org.example:disk1"
#define RIG_INITIATOR "iqn.2026-11.org.example:host"
#define RIG_DISKS     2

struct engine_rig_options {
    unsigned pool_mib;          /* of the data reactor; 0: 16 */
    uint32_t window;            /* commands; 0: 32 */
    int socket_bytes;           /* of send and receive buffers; 0: the kernel's choice */
    uint64_t nop_interval_ns, nop_timeout_ns;
    struct iscsi_limits limits; /* max_burst_length 0: iscsi_limits_default */
};

struct engine_rig {
    struct reactor *reactors[2]; /* data, login */
    struct bufpool *pools[2];
    struct engine engines[2];
    struct engine *all[2];
    struct scsi_target *target;
    struct disk *disks[RIG_DISKS];
    struct scsi_unit *units[RIG_DISKS];
    struct catalog_portal portal;
    const struct catalog_portal *portals[1];
    struct catalog_target catalog_target;
    const struct catalog_target *catalog_list;
    struct catalog catalog;
    struct registry *registry;
    struct acceptor *acceptor;
    int listener, socket_bytes;
    uint32_t accepted;
    _Atomic uint32_t closed; /* connections of those */
    _Atomic bool stopped;
};

void engine_rig_create(struct engine_rig *rig, const struct engine_rig_options *options);
/* Every connection of the test is closed. */
void engine_rig_destroy(struct engine_rig *rig);

/* A connection: the initiator's end. */
int engine_rig_connect(struct engine_rig *rig);
/* Runs it on the data reactor (0) or the login reactor (1), and waits. */
void engine_rig_run(struct engine_rig *rig, unsigned reactor, void (*run)(void *data), void *data);
/* The disk keeps what it gets from now on; releases what it has, and whether it goes on keeping. */
void engine_rig_hold(struct engine_rig *rig, unsigned disk);
void engine_rig_release(struct engine_rig *rig, unsigned disk, bool hold);
/* Waits until a condition holds on the data reactor; aborts after a long time. */
void engine_rig_wait(struct engine_rig *rig, bool (*condition)(struct engine_rig *rig));
/*
 * The initiator has closed all its connections: waits until nothing of them is left, and checks that
 * this is true of tasks, buffers and lists.
 */
void engine_rig_settle(struct engine_rig *rig);

/* ---- an initiator's side: blocking, with a time limit; asserts that it gets what it asks for ---- */

struct peer {
    int fd;
    bool more; /* what is sent waits, and goes out together with the next that does not */
    uint8_t isid[ISCSI_ISID_BYTES];
    uint16_t tsih, cid;
    uint32_t cmd_sn, exp_stat_sn;
    uint8_t bhs[ISCSI_BHS_BYTES]; /* of the last PDU received */
    uint8_t data[1 << 20];
    uint32_t data_bytes;
};

/* Logs in in one step with these keys besides the names ("ImmediateData=No\0", or NULL). */
void peer_login(struct engine_rig *rig, struct peer *peer, const char *keys, size_t keys_bytes);
/* Sends a header (its length field is filled in) and data. No digests. */
void peer_send(struct peer *peer, uint8_t *bhs, const void *data, uint32_t bytes);
/* The next PDU; its opcode, or -1 at the end of the stream. */
int peer_receive(struct peer *peer);
/* Starts a command with the next CmdSN: flags as in the header, CDB of 16 bytes. */
void peer_command(struct peer *peer, uint32_t itt, uint8_t flags, const uint8_t *cdb, uint32_t expected,
                  const void *data, uint32_t bytes);
/* An immediate task management request. */
void peer_manage(struct peer *peer, uint32_t itt, uint8_t function, uint32_t referenced);
void peer_close(struct peer *peer);
