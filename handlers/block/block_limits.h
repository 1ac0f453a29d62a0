/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel says of a block device's queue. */
#pragma once

#include <stdint.h>

struct block_limits {
    uint64_t bytes;
    uint32_t logical_bytes, physical_bytes;
    uint32_t optimal_bytes;       /* 0: unknown */
    uint32_t discard_granularity; /* 0: unknown */
    uint32_t can_discard;         /* discard, and zeroes without writing them */
    uint32_t rotational;
};

/* 0 or a positive errno. */
int block_read_limits(int fd, struct block_limits *ret_limits);
