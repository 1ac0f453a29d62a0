/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much moves when the CDB and the transport's expected length differ. The smaller of the two is
 * moved; transfer_length says what the CDB asked for, so the transport finds the residual. A
 * command that sends data but is announced as a write (or with neither) sends nothing.
 */
#pragma once

#include "base/bytes.h"
#include "scsi/command.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/unit.h"

/* Most Data-In the transport can take. */
static inline uint32_t scsi_in_limit(const struct scsi_command *cmd)
{
    return cmd->expects_in ? cmd->expected_bytes : 0;
}

/* Data-In of a command that would send `bytes`. */
static inline void scsi_sending(struct scsi_command *cmd, uint64_t bytes)
{
    uint32_t limit = scsi_in_limit(cmd);

    cmd->data_in_bytes = bytes < limit ? (uint32_t)bytes : limit;
    cmd->transfer_length = cmd->expects_out && !cmd->expects_in ? 0 : bytes;
}

/* Data-Out of a command that wants `bytes`; false: announced as a read, status is set. */
static inline bool scsi_collecting(struct scsi_command *cmd, uint64_t bytes)
{
    uint32_t limit = cmd->expects_out ? cmd->expected_bytes : 0;

    if (!cmd->expects_out && cmd->expected_bytes && bytes) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
        return false;
    }
    cmd->data_out_bytes = bytes < limit ? (uint32_t)bytes : limit;
    cmd->transfer_length = bytes;
    return true;
}

static inline uint32_t scsi_block_bytes(const struct scsi_command *cmd)
{
    return 1u << cmd->unit->block_shift;
}

/* cmd->lba and cmd->blocks from the CDB, by the row's layout. */
static inline void scsi_decode_range(struct scsi_command *cmd)
{
    const uint8_t *cdb = cmd->cdb;

    switch (cmd->opcode->layout) {
    case CDB_10:
        cmd->lba = get_be32(cdb + 2);
        cmd->blocks = get_be16(cdb + 7);
        break;
    case CDB_16:
        cmd->lba = get_be64(cdb + 2);
        cmd->blocks = get_be32(cdb + 10);
        break;
    case CDB_12:
        cmd->lba = get_be32(cdb + 2);
        cmd->blocks = get_be32(cdb + 6);
        break;
    case CDB_COMPARE:
        cmd->lba = get_be64(cdb + 2);
        cmd->blocks = cdb[13];
        break;
    case CDB_ATOMIC:
        cmd->lba = get_be64(cdb + 2);
        cmd->blocks = get_be16(cdb + 12);
        break;
    default:
        cmd->lba = get_be24(cdb + 1) & 0x1fffff;
        cmd->blocks = cdb[4] ? cdb[4] : 256;
        break;
    }
}

/* The range lies on the unit; an LBA beyond the last block is wrong even for no blocks. Otherwise
   status is set. */
static inline bool scsi_check_range(struct scsi_command *cmd)
{
    uint64_t end = atomic_load_explicit(&cmd->unit->blocks, memory_order_relaxed);

    if (__builtin_expect(cmd->lba < end && cmd->blocks <= end - cmd->lba, 1))
        return true;
    scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    return false;
}

/* The whole transfer is within MAXIMUM TRANSFER LENGTH; otherwise status is set. */
static inline bool scsi_check_length(struct scsi_command *cmd)
{
    if (__builtin_expect(cmd->blocks <= SCSI_TRANSFER_MAX >> cmd->unit->block_shift, 1))
        return true;
    scsi_bad_cdb(cmd, cmd->opcode->length_at, -1);
    return false;
}

static inline bool scsi_fua(const struct scsi_command *cmd)
{
    return (cmd->opcode->flags & OP_FUA) && (cmd->cdb[1] & 0x08);
}

/* Every answered write must be on stable storage: FUA, or the write cache is switched off. */
static inline bool scsi_write_through(const struct scsi_command *cmd)
{
    bool fua = scsi_fua(cmd);
    bool cached = atomic_load_explicit(&cmd->unit->mode, memory_order_relaxed) & SCSI_MODE_WCE;

    return (fua || !cached) && (cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE);
}

/* Bytes of the largest single backend I/O, in whole blocks. */
static inline uint64_t scsi_max_io(const struct scsi_command *cmd)
{
    uint32_t max = cmd->unit->backend->info.max_io_bytes;
    uint32_t block = scsi_block_bytes(cmd);

    if (max == 0)
        return SCSI_TRANSFER_MAX;
    return max < block ? block : max & ~(block - 1);
}
