/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits that the Block Limits page promises and the commands enforce. */
#pragma once

#include "scsi/command.h"
#include "scsi/unit.h"

#define UNMAP_DESCRIPTORS_MAX 256u
#define UNMAP_BLOCKS_MAX      1048576u
/* What WRITE SAME(10) can say: a longer one would come as 0 blocks. */
#define WRITE_SAME_BLOCKS_MAX 65535u

#define ATOMIC_BYTES_MAX (1u << 20)

/* A threshold set is 2^this blocks, 1 MiB (SBC-3 6.5.6). */
static inline uint8_t scsi_threshold_exponent(const struct scsi_unit *unit)
{
    return (uint8_t)(20 - unit->block_shift);
}

/* Blocks that an unmap works on as a whole; at least 1. */
static inline uint64_t scsi_granularity(const struct scsi_unit *unit)
{
    uint64_t blocks = unit->backend->info.unmap_granularity_bytes >> unit->block_shift;
    return blocks ? blocks : 1;
}
