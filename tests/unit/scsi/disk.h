/* SPDX-License-Identifier: BSD-3-Clause */
/* A RAM disk that checks every request and can be told to hold or fail. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "scsi/backend.h"

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
