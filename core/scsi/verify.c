/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VERIFY and WRITE AND VERIFY (SBC-3 5.31, 5.44): the medium is read through the scratch buffer,
 * chunk by chunk, and compared as BYTCHK says: not at all (0), with the same range of Data-Out (1),
 * or every block with the one block of Data-Out (3).
 */
#include <string.h>

#include "scsi/opcode.h"
#include "scsi/read_write.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"
#include "scsi/turns.h"

static unsigned byte_check(const struct scsi_command *cmd)
{
    return cmd->cdb[1] >> 1 & 3;
}

static bool volatile_cache(const struct scsi_command *cmd)
{
    return cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE;
}

enum scsi_next start_write_verify(struct scsi_command *cmd)
{
    if (byte_check(cmd) > 1) {
        scsi_bad_cdb(cmd, 1, 2);
        return SCSI_ENDED;
    }
    return start_write(cmd);
}

enum scsi_next start_verify(struct scsi_command *cmd)
{
    scsi_decode_range(cmd);
    if (!scsi_check_range(cmd))
        return SCSI_ENDED;
    switch (byte_check(cmd)) {
    case 0: /* Data-Out that comes all the same is not wanted */
        return SCSI_EXECUTE;
    case 1:
        if (!scsi_check_length(cmd) || !scsi_collecting(cmd, cmd->blocks << cmd->unit->block_shift))
            return SCSI_ENDED;
        break;
    case 3:
        if (!scsi_collecting(cmd, cmd->blocks ? scsi_block_bytes(cmd) : 0))
            return SCSI_ENDED;
        if (cmd->blocks && cmd->data_out_bytes != scsi_block_bytes(cmd)) {
            cmd->data_out_bytes = 0;
            scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
            return SCSI_ENDED;
        }
        break;
    default:
        scsi_bad_cdb(cmd, 1, 2);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = cmd->data_out_bytes;
    return SCSI_EXECUTE;
}

/* Whether the scratch buffer, `bytes` from cmd->cursor on, is as it should be. */
static bool compare(const struct scsi_command *cmd, unsigned check, uint64_t bytes)
{
    uint32_t block = scsi_block_bytes(cmd);

    if (check == 0)
        return true;
    if (check == 1)
        return scsi_iov_compare(cmd, cmd->cursor, cmd->scratch->data, bytes) == bytes;
    for (uint64_t at = 0; at < bytes; at += block) {
        if (scsi_iov_compare(cmd, 0, cmd->scratch->data + at, block) != block)
            return false;
    }
    return true;
}

/* Reads and compares [cmd->lba, + total bytes); work[1] is the chunk under way. */
static int compare_step(struct scsi_command *cmd, unsigned check, uint64_t total)
{
    uint64_t *chunk = &cmd->work[1], block = scsi_block_bytes(cmd);
    uint64_t begin = cmd->lba << cmd->unit->block_shift;

    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, /* writing= */ false,
                      cmd->lba + (cmd->cursor >> cmd->unit->block_shift));
        return STEP_DONE;
    }
    if (*chunk) {
        uint64_t bytes = total - cmd->cursor < *chunk ? total - cmd->cursor : *chunk;
        if (!compare(cmd, check, bytes)) {
            scsi_check_condition(cmd, SENSE_MISCOMPARE, ASC_MISCOMPARE);
            return STEP_DONE;
        }
        cmd->cursor += *chunk;
        *chunk = 0;
    }
    if (cmd->cursor >= total)
        return STEP_DONE;
    if (!scsi_scratch(cmd))
        return STEP_WAIT;
    uint64_t bytes = (total - cmd->cursor + block - 1) & ~(block - 1), max = scsi_max_io(cmd);
    if (max > SCRATCH_BYTES)
        max = SCRATCH_BYTES;
    *chunk = bytes < max ? bytes : max;
    scsi_step_scratch_io(cmd, BACKEND_READ, begin + cmd->cursor, *chunk, 0);
    return STEP_WAIT;
}

static int verify_step(struct scsi_command *cmd)
{
    unsigned check = byte_check(cmd);
    uint64_t total = check == 1 ? cmd->data_out_bytes : cmd->blocks << cmd->unit->block_shift;

    if (scsi_standing())
        return STEP_STAND;
    if (cmd->work[0]++ == 0 && volatile_cache(cmd)) { /* what is verified is the medium */
        scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
        return STEP_WAIT;
    }
    return compare_step(cmd, check, total);
}

void execute_verify(struct scsi_command *cmd)
{
    scsi_steps(cmd, verify_step);
}

static int write_verify_step(struct scsi_command *cmd)
{
    uint64_t *verifying = &cmd->work[2];

    if (!*verifying) {
        int r = scsi_write_step(cmd, /* stable= */ volatile_cache(cmd));
        if (r != STEP_DONE || cmd->status != SCSI_GOOD)
            return r;
        *verifying = 1;
        cmd->cursor = 0;
        cmd->work[1] = 0;
    }
    return compare_step(cmd, byte_check(cmd), cmd->buffer_bytes);
}

void execute_write_verify(struct scsi_command *cmd)
{
    if (cmd->buffer_bytes)
        scsi_steps(cmd, write_verify_step);
    else
        scsi_finish(cmd);
}
