/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Some bytes within one block: the block is read, changed and written, and nobody sees it halfway or
 * loses a write in between (it has the block alone, range.h). It is no command that an initiator can
 * send.
 */
#include "base/bytes.h"
#include "scsi/copy.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

enum { BEGIN, READ, WRITTEN, FLUSHED }; /* work[0] */

static int patch_step(struct scsi_command *cmd)
{
    uint64_t begin = cmd->lba << cmd->unit->block_shift;
    uint32_t block = scsi_block_bytes(cmd), offset = get_be16(cmd->cdb + COPY_PATCH_OFFSET);
    bool stable = scsi_write_through(cmd);
    bool fua = stable && (cmd->unit->backend->info.features & BACKEND_FEATURE_FUA);

    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, cmd->work[0] > READ, cmd->lba);
        return STEP_DONE;
    }
    switch (cmd->work[0]) {
    case BEGIN:
        if (!scsi_scratch(cmd))
            return STEP_WAIT;
        cmd->work[0] = READ;
        scsi_step_scratch_io(cmd, BACKEND_READ, begin, block, 0);
        return STEP_WAIT;
    case READ:
        scsi_iov_get(cmd, 0, cmd->scratch->data + offset, cmd->data_out_bytes);
        cmd->work[0] = WRITTEN;
        scsi_step_scratch_io(cmd, BACKEND_WRITE, begin, block, fua ? BACKEND_IO_FUA : 0);
        return STEP_WAIT;
    case WRITTEN:
        if (!stable || fua)
            return STEP_DONE;
        cmd->work[0] = FLUSHED;
        scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
        return STEP_WAIT;
    default:
        return STEP_DONE;
    }
}

static enum scsi_next start_patch(struct scsi_command *cmd)
{
    cmd->lba = get_be64(cmd->cdb + 2);
    cmd->blocks = 1;
    if (!scsi_check_range(cmd))
        return SCSI_ENDED;
    cmd->data_out_bytes = cmd->expected_bytes;
    return SCSI_EXECUTE;
}

static void execute_patch(struct scsi_command *cmd)
{
    scsi_steps(cmd, patch_step);
}

const struct scsi_opcode copy_patch_row = {
    .name = "patch",
    .service_action = SA_NONE,
    .cdb_bytes = 16,
    .layout = CDB_16,
    .flags = OP_MEDIUM | OP_WRITES | OP_RANGE | OP_ALONE,
    .denied_by = DENY_WRITE | DENY_LEGACY | DENY_STANDBY | DENY_UNAVAILABLE,
    .start = start_patch,
    .execute = execute_patch,
};
