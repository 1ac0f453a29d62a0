/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SCSI layer on a bench: a target, units on RAM disks that check every request and can be told to
 * hold or fail, nexuses, and a transport that does what a real one does with EDTL and buffers.
 */
#pragma once

#include <glib.h>

#include "base/bytes.h"
#include "disk.h"
#include "reactor/bufpool.h"
#include "reactor/reactor.h"
#include "scsi/command.h"
#include "scsi/nexus.h"
#include "scsi/sense.h"

#define TARGET_NAME    "iqn.2026-11.org.example:disk1"
#define INITIATOR_NAME "iqn.2026-11.org.example:host"

struct rig {
    struct reactor *reactor;
    struct bufpool *pool;
    struct scsi_target *target;
    struct disk *disk;      /* LUN 0 */
    struct scsi_unit *unit; /* LUN 0 */
    struct scsi_nexus *a, *b;
    unsigned pool_mib;
};

/* One target, one unit, two nexuses of two initiators; no unit attention pending. */
void rig_setup(struct rig *rig, const struct disk_options *options,
               const struct scsi_unit_config *config);
void rig_teardown(struct rig *rig);
struct scsi_unit *rig_unit(struct disk *disk, uint16_t lun, const char *const *initiators);
void rig_publish(struct rig *rig, struct scsi_unit *const *units, unsigned count);
struct scsi_nexus *rig_nexus(struct rig *rig, const char *initiator, bool announce_reset);
/* Runs what the reactor would at the end of its turn. */
void rig_turn(struct rig *rig);

#define ANSWER_MAX (SCSI_TRANSFER_MAX + 65536)

/* A command and its answer. */
struct task {
    struct scsi_command cmd;
    struct iovec iov[64];
    uint8_t *memory; /* buffer_bytes, with a guard behind */
    bool ended, executed;
    /* The answer. */
    uint8_t status, key;
    uint16_t asc;
    uint32_t in_bytes;
    const uint8_t *in;
};

struct ask {
    struct scsi_nexus *nexus; /* NULL: rig->a */
    uint64_t lun;             /* wire form */
    const void *cdb;
    unsigned cdb_bytes; /* 0: 16 */
    bool in, out;
    uint32_t expected;
    const void *data;       /* Data-Out, `expected` bytes */
    struct scsi_kept *kept; /* as in the command */
    uint64_t id;
    bool resumed;     /* an earlier worker has not answered it */
    uint32_t element; /* size of iovec elements; 0: one */
};

/* Starts, collects, executes; when the disk does not hold the task has ended on return, unless it has so
   many steps that it gives way to others between them (scsi/turns.h). */
struct task *task_run(struct rig *rig, const struct ask *ask);
/* Only scsi_start(). */
struct task *task_start(struct rig *rig, const struct ask *ask);
void task_execute(struct task *task);
struct task *task_free(struct task *task);

/* Shorthands; the bytes of the CDB are copied. The last task of these is freed by the next.
   When the disk does not hold it has ended. */
#define CDB(...)                                                                                   \
    (const uint8_t[16])                                                                            \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
struct task *ask_in(struct rig *rig, const uint8_t *cdb, uint32_t expected);
struct task *ask_out(struct rig *rig, const uint8_t *cdb, const void *data, uint32_t bytes);
struct task *ask_none(struct rig *rig, const uint8_t *cdb);
struct task *ask_as(struct rig *rig, struct scsi_nexus *nexus, const uint8_t *cdb,
                    uint32_t expected);

void expect_good(const struct task *task);
void expect_check(const struct task *task, uint8_t key, uint16_t asc);
#define expect_unit_attention(task, asc) expect_check(task, SENSE_UNIT_ATTENTION, asc)
/* The CDB's (or list's) byte that the sense data points at. */
void expect_field(const struct task *task, bool in_cdb, uint16_t byte);
