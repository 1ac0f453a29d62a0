/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SCSI layer on a bench: a target, units on RAM disks that check every request and can be told to
 * hold or fail, nexuses, and a transport that does what a real one does with EDTL and buffers.
 */
#pragma once

#include <glib.h>

#include "base/bytes.h"
#include "reactor/bufpool.h"
#include "reactor/reactor.h"
#include "scsi/command.h"
#include "scsi/nexus.h"
#include "scsi/sense.h"

#define TARGET_NAME    "iqn.2026-11.org.example:disk1"
#define INITIATOR_NAME "iqn.2026-11.org.example:host"
#define DISK_LOG       4096

struct disk_entry {
    uint8_t op, flags;
    uint64_t offset, length;
};

struct disk {
    struct backend backend;
    uint8_t *data;
    uint8_t *mapped; /* by granule */
    uint64_t granule;
    bool hold;                /* keep requests until disk_release() */
    struct backend_io *held;  /* newest first */
    int fail_op, fail_result; /* -1: nothing fails */
    unsigned fail_after;      /* after that many good ones of that kind */
    unsigned log_count, kicks, cancels;
    struct disk_entry log[DISK_LOG];
};

struct disk_options {
    uint64_t blocks;   /* 0: 2048 */
    uint32_t block;    /* 0: 512 */
    uint32_t physical; /* 0: block */
    uint32_t max_io, granule, features;
    bool store; /* in an arena, READ is sent from there */
    bool kick;
};

#define THIN_FEATURES                                                                              \
    (BACKEND_FEATURE_UNMAP | BACKEND_FEATURE_ZEROES_UNMAPPED | BACKEND_FEATURE_WRITE_ZEROES |      \
     BACKEND_FEATURE_BLOCK_STATUS)

struct disk *disk_new(const struct disk_options *options);
struct disk *disk_free(struct disk *disk);
/* Completes all held requests, oldest first. */
void disk_release(struct disk *disk);
unsigned disk_count(const struct disk *disk, enum backend_op op);
void disk_fill(struct disk *disk, uint8_t seed);

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
    const void *data; /* Data-Out, `expected` bytes */
    uint32_t element; /* size of iovec elements; 0: one */
};

/* Starts, collects, executes; when the disk does not hold the task has ended on return. */
struct task *task_run(struct rig *rig, const struct ask *ask);
/* Only scsi_start(). */
struct task *task_start(struct rig *rig, const struct ask *ask);
void task_execute(struct task *task);
struct task *task_free(struct task *task);

/* Shorthands; the bytes of the CDB are copied. The last task of these is freed by the next. */
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
