/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WRITE SAME (SBC-3 5.46). UNMAP, a block of zeroes, or none at all (NDOB), is the backend's "write
 * zeroes" or an unmap; anything else is written out of the scratch buffer.
 */
#include <string.h>

#include "scsi/block_limits.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"
#include "scsi/zero.h"

#define ANCHOR 0x10u
#define UNMAP  0x08u
#define OLD    0x06u /* PBDATA, LBDATA */
#define NDOB   0x01u

static bool check_flags(struct scsi_command *cmd)
{
    uint8_t flags = cmd->cdb[1];
    bool ndob_known = cmd->opcode->layout == CDB_16;

    if (flags & ANCHOR)
        scsi_bad_cdb(cmd, 1, 4);
    else if ((flags & UNMAP) && !cmd->unit->thin)
        scsi_bad_cdb(cmd, 1, 3);
    else if (flags & OLD)
        scsi_bad_cdb(cmd, 1, 2);
    else if ((flags & NDOB) && !ndob_known)
        scsi_bad_cdb(cmd, 1, 0);
    return cmd->status == SCSI_GOOD;
}

enum scsi_next start_write_same(struct scsi_command *cmd)
{
    uint64_t end = atomic_load_explicit(&cmd->unit->blocks, memory_order_relaxed);
    uint32_t block = scsi_block_bytes(cmd);

    if (!check_flags(cmd))
        return SCSI_ENDED;
    scsi_decode_range(cmd);
    if (cmd->blocks == 0 && cmd->lba < end) /* WSNZ is 0: to the end */
        cmd->blocks = end - cmd->lba;
    if (!scsi_check_range(cmd))
        return SCSI_ENDED;
    if (cmd->blocks > WRITE_SAME_BLOCKS_MAX) {
        scsi_bad_cdb(cmd, cmd->opcode->length_at, -1);
        return SCSI_ENDED;
    }
    if (cmd->cdb[1] & NDOB)
        return SCSI_EXECUTE;
    if (!cmd->expects_out || cmd->expected_bytes != block) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
        return SCSI_ENDED;
    }
    cmd->data_out_bytes = cmd->buffer_bytes = block;
    cmd->transfer_length = block;
    return SCSI_EXECUTE;
}

/* work[2]: flushing. */
static int finish_step(struct scsi_command *cmd)
{
    if (cmd->work[2]) {
        if (cmd->io.result < 0)
            scsi_io_error(cmd, cmd->io.result, /* writing= */ true, cmd->lba);
        return STEP_DONE;
    }
    if (!scsi_write_through(cmd))
        return STEP_DONE;
    cmd->work[2] = 1;
    scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
    return STEP_WAIT;
}

/* work[0]: begun. */
static int zero_step(struct scsi_command *cmd)
{
    uint32_t shift = cmd->unit->block_shift;

    if (!cmd->work[0]) {
        cmd->work[0] = 1;
        cmd->cursor = cmd->lba << shift;
    }
    if (!cmd->work[2]) {
        int r = scsi_zero_step(cmd, (cmd->lba + cmd->blocks) << shift, cmd->cdb[1] & UNMAP);
        if (r != STEP_DONE || cmd->status != SCSI_GOOD)
            return r;
    }
    return finish_step(cmd);
}

/* work[0]: the scratch buffer is filled; work[1]: chunk under way. */
static int pattern_step(struct scsi_command *cmd)
{
    uint32_t shift = cmd->unit->block_shift, block = scsi_block_bytes(cmd);
    uint64_t total = cmd->blocks << shift, *chunk = &cmd->work[1];

    if (cmd->work[2])
        return finish_step(cmd);
    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, /* writing= */ true, cmd->lba + (cmd->cursor >> shift));
        return STEP_DONE;
    }
    if (!scsi_scratch(cmd))
        return STEP_WAIT;
    if (!cmd->work[0]) {
        for (uint32_t at = 0; at < SCRATCH_BYTES; at += block)
            scsi_iov_get(cmd, 0, cmd->scratch->data + at, block);
        cmd->work[0] = 1;
    }
    cmd->cursor += *chunk;
    if (cmd->cursor >= total)
        return finish_step(cmd);
    uint64_t max = scsi_max_io(cmd) < SCRATCH_BYTES ? scsi_max_io(cmd) : SCRATCH_BYTES;
    *chunk = total - cmd->cursor < max ? total - cmd->cursor : max;
    scsi_step_scratch_io(cmd, BACKEND_WRITE, (cmd->lba << shift) + cmd->cursor, *chunk, 0);
    return STEP_WAIT;
}

/* With UNMAP the blocks are deallocated whatever the block holds, as initiators expect that leave
   old data in it: what they rely on is LBPRZ. */
static bool is_zero(const struct scsi_command *cmd)
{
    static const uint8_t zeroes[4096];
    uint32_t block = scsi_block_bytes(cmd);

    return (cmd->cdb[1] & (NDOB | UNMAP)) || scsi_iov_compare(cmd, 0, zeroes, block) == block;
}

void execute_write_same(struct scsi_command *cmd)
{
    scsi_steps(cmd, is_zero(cmd) ? zero_step : pattern_step);
}
