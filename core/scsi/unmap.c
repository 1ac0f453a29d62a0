/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UNMAP (SBC-3 5.28), and making ranges read as zeroes. A thin unit promises zeroes after an unmap
 * (LBPRZ), so what is smaller than the backend's granule is written with zeroes instead.
 */
#include <errno.h>
#include <string.h>

#include "scsi/block_limits.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"
#include "scsi/zero.h"

#define HEADER     8u
#define DESCRIPTOR 16u

/* Bits of work[4]. */
#define NO_UNMAP     1u /* the backend has refused: write zeroes */
#define NO_ZEROES    2u
#define SCRATCH_ZERO 4u /* the scratch buffer is filled */

/* How far one backend call goes from the cursor on; *ret_op: which. */
static uint64_t next_piece(const struct scsi_command *cmd, uint64_t end, bool unmap,
                           enum backend_op *ret_op)
{
    uint32_t features = cmd->unit->backend->info.features;
    uint64_t granule = scsi_granularity(cmd->unit) << cmd->unit->block_shift;
    uint64_t cursor = cmd->cursor, piece = end - cursor;

    if (unmap && (features & BACKEND_FEATURE_UNMAP) && !(cmd->work[4] & NO_UNMAP)) {
        uint64_t offset = cursor % granule;
        if (offset == 0 && piece >= granule) {
            *ret_op = BACKEND_UNMAP;
            return piece - piece % granule;
        }
        if (offset && piece > granule - offset)
            piece = granule - offset;
    }
    if ((features & BACKEND_FEATURE_WRITE_ZEROES) && !(cmd->work[4] & NO_ZEROES)) {
        *ret_op = BACKEND_WRITE_ZEROES;
        return piece;
    }
    *ret_op = BACKEND_WRITE;
    uint64_t max = scsi_max_io(cmd) < SCRATCH_BYTES ? scsi_max_io(cmd) : SCRATCH_BYTES;
    return piece < max ? piece : max;
}

/* The outcome of the piece before; false: the command has failed. */
static bool piece_done(struct scsi_command *cmd)
{
    uint64_t *piece = &cmd->work[5];
    int result = cmd->io.result;

    if (*piece && result == -EOPNOTSUPP && cmd->io.op != BACKEND_WRITE) {
        cmd->work[4] |= cmd->io.op == BACKEND_UNMAP ? NO_UNMAP : NO_ZEROES;
        *piece = 0;
        return true;
    }
    if (*piece && result < 0) {
        scsi_io_error(cmd, result, /* writing= */ true, cmd->cursor >> cmd->unit->block_shift);
        return false;
    }
    cmd->cursor += *piece;
    *piece = 0;
    return true;
}

int scsi_zero_step(struct scsi_command *cmd, uint64_t end, bool unmap)
{
    enum backend_op op;

    if (!piece_done(cmd) || cmd->cursor >= end)
        return STEP_DONE;
    uint64_t piece = next_piece(cmd, end, unmap, &op);
    if (op == BACKEND_WRITE) {
        if (!scsi_scratch(cmd))
            return STEP_WAIT;
        if (!(cmd->work[4] & SCRATCH_ZERO))
            memset(cmd->scratch->data, 0, SCRATCH_BYTES);
        cmd->work[4] |= SCRATCH_ZERO;
        cmd->work[5] = piece;
        scsi_step_scratch_io(cmd, op, cmd->cursor, piece, 0);
        return STEP_WAIT;
    }
    cmd->work[5] = piece;
    scsi_step_io(cmd, op, cmd->cursor, piece, NULL, 0,
                 op == BACKEND_WRITE_ZEROES && unmap ? BACKEND_IO_UNMAP : 0);
    return STEP_WAIT;
}

enum scsi_next start_unmap(struct scsi_command *cmd)
{
    uint32_t list_bytes = get_be16(cmd->cdb + 7);

    if (cmd->cdb[1] & 0x01) { /* ANCHOR, and ANC_SUP is 0: vpd.c says why */
        scsi_bad_cdb(cmd, 1, 0);
        return SCSI_ENDED;
    }
    if (!scsi_collecting(cmd, list_bytes))
        return SCSI_ENDED;
    if (list_bytes && (list_bytes < HEADER || cmd->data_out_bytes < list_bytes)) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = list_bytes;
    return SCSI_EXECUTE;
}

static void get_descriptor(const struct scsi_command *cmd, uint64_t index, uint64_t *ret_lba,
                           uint32_t *ret_blocks)
{
    uint8_t d[DESCRIPTOR];

    scsi_iov_get(cmd, HEADER + index * DESCRIPTOR, d, sizeof(d));
    *ret_lba = get_be64(d);
    *ret_blocks = get_be32(d + 8);
}

/* All descriptors before the first change; false: status is set. cmd->blocks: how many. */
static bool check_list(struct scsi_command *cmd)
{
    uint64_t end = atomic_load_explicit(&cmd->unit->blocks, memory_order_relaxed), sum = 0;
    uint8_t header[HEADER];

    scsi_iov_get(cmd, 0, header, sizeof(header));
    uint32_t bytes = get_be16(header + 2);
    if (bytes + HEADER > cmd->data_out_bytes) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return false;
    }
    cmd->blocks = bytes / DESCRIPTOR; /* a remainder is ignored (SBC-3 5.28.2) */
    if (cmd->blocks > UNMAP_DESCRIPTORS_MAX) {
        scsi_bad_list(cmd, 2, -1);
        return false;
    }
    for (uint64_t i = 0; i < cmd->blocks; i++) {
        uint64_t lba;
        uint32_t blocks;
        get_descriptor(cmd, i, &lba, &blocks);
        if (blocks && (lba >= end || blocks > end - lba)) {
            scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
            return false;
        }
        sum += blocks;
        if (sum > UNMAP_BLOCKS_MAX) {
            scsi_bad_list(cmd, (uint16_t)(HEADER + i * DESCRIPTOR + 8), -1);
            return false;
        }
    }
    return true;
}

/* work[0]: descriptor; work[1]: where it ends, 0: not begun; work[2]: flushing. */
static int unmap_step(struct scsi_command *cmd)
{
    uint32_t shift = cmd->unit->block_shift;

    if (cmd->work[2]) {
        if (cmd->io.result < 0)
            scsi_io_error(cmd, cmd->io.result, /* writing= */ true, 0);
        return STEP_DONE;
    }
    for (; cmd->work[0] < cmd->blocks; cmd->work[0]++) {
        if (cmd->work[1] == 0) {
            uint64_t lba;
            uint32_t blocks;
            get_descriptor(cmd, cmd->work[0], &lba, &blocks);
            if (blocks == 0)
                continue;
            cmd->cursor = lba << shift;
            cmd->work[1] = (lba + blocks) << shift;
        }
        int r = scsi_zero_step(cmd, cmd->work[1], /* unmap= */ true);
        if (r != STEP_DONE || cmd->status != SCSI_GOOD)
            return r;
        cmd->work[1] = 0;
    }
    if (!scsi_write_through(cmd))
        return STEP_DONE;
    cmd->work[2] = 1;
    scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
    return STEP_WAIT;
}

void execute_unmap(struct scsi_command *cmd)
{
    if (cmd->data_out_bytes == 0 || !check_list(cmd))
        scsi_finish(cmd);
    else
        scsi_steps(cmd, unmap_step);
}
