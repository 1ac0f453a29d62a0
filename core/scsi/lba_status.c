/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET LBA STATUS (SBC-3 5.5). The backend knows what is allocated by its own granule. Blocks of a
 * granule that is only partly unmapped were written with zeroes, and memory that was only read may
 * be allocated, too; so on a thin unit the beginning of an allocated extent is looked at as far as
 * there are zeroes, and blocks of zeroes count as deallocated: they read the same.
 */
#include <errno.h>
#include <string.h>

#include "scsi/block_limits.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define HEADER          8u
#define DESCRIPTOR      16u
#define DESCRIPTORS_MAX 128u
#define EXTENTS_MAX     1024u /* backend calls of one command */
#define SCAN_CALLS      8u    /* what a look at one scratch buffer counts for */

enum { MAPPED = 0, DEALLOCATED = 1 };
enum { BEGIN, ASKED, SCANNING };

/* work[]: */
enum { STATE, COUNT, RUN_LBA, RUN_STATUS, EXTENT, CALLS };

static uint32_t room(const struct scsi_command *cmd)
{
    uint32_t bytes = get_be32(cmd->cdb + 10), most = HEADER + DESCRIPTORS_MAX * DESCRIPTOR;
    return bytes < most ? bytes : most;
}

enum scsi_next start_lba_status(struct scsi_command *cmd)
{
    cmd->lba = get_be64(cmd->cdb + 2);
    cmd->blocks = 0;
    if (!scsi_check_range(cmd))
        return SCSI_ENDED;
    cmd->buffer_bytes = room(cmd) < scsi_in_limit(cmd) ? room(cmd) : scsi_in_limit(cmd);
    return SCSI_EXECUTE;
}

/* Writes the run that ends at `end` (LBA) as a descriptor. */
static void close_run(struct scsi_command *cmd, uint64_t end)
{
    uint8_t d[DESCRIPTOR] = { 0 };
    uint64_t blocks = end - cmd->work[RUN_LBA];

    if (blocks == 0)
        return;
    put_be64(d, cmd->work[RUN_LBA]);
    put_be32(d + 8, blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks);
    d[12] = (uint8_t)cmd->work[RUN_STATUS];
    scsi_iov_put(cmd, HEADER + cmd->work[COUNT]++ * DESCRIPTOR, d, sizeof(d));
    cmd->work[RUN_LBA] = end;
}

/* The next `bytes` from the cursor on have that status. A run never outgrows its 32-bit count. */
static void add(struct scsi_command *cmd, unsigned status, uint64_t bytes)
{
    uint64_t lba = cmd->cursor >> cmd->unit->block_shift;
    uint64_t end = (cmd->cursor + bytes) >> cmd->unit->block_shift;

    if (cmd->work[RUN_STATUS] != status || end - cmd->work[RUN_LBA] > UINT32_MAX)
        close_run(cmd, lba);
    cmd->work[RUN_STATUS] = status;
    cmd->cursor += bytes;
}

static int answer(struct scsi_command *cmd)
{
    uint8_t header[HEADER] = { 0 };

    if (cmd->work[COUNT] < DESCRIPTORS_MAX)
        close_run(cmd, cmd->cursor >> cmd->unit->block_shift);
    uint64_t bytes = HEADER + cmd->work[COUNT] * DESCRIPTOR;
    put_be32(header, (uint32_t)bytes - 4);
    scsi_iov_put(cmd, 0, header, sizeof(header));
    uint32_t allocation = get_be32(cmd->cdb + 10);
    scsi_sending(cmd, bytes < allocation ? bytes : allocation);
    return STEP_DONE;
}

/* Whether zeroes tell more than the backend does. */
static bool want_scan(const struct scsi_command *cmd)
{
    return cmd->unit->thin && (scsi_granularity(cmd->unit) > 1 ||
                               !(cmd->unit->backend->info.features & BACKEND_FEATURE_BLOCK_STATUS));
}

/* True: there were only zeroes, the rest of the extent is to be looked at, too. */
static bool scanned(struct scsi_command *cmd)
{
    static const uint8_t zeroes[4096];
    uint32_t block = scsi_block_bytes(cmd);
    const uint8_t *data = cmd->scratch->data;
    bool only_zeroes = true;

    cmd->work[EXTENT] -= cmd->io.length;
    cmd->work[CALLS] += SCAN_CALLS;
    for (uint64_t at = 0; at < cmd->io.length && cmd->work[COUNT] < DESCRIPTORS_MAX; at += block) {
        bool zero = memcmp(data + at, zeroes, block) == 0;
        add(cmd, zero ? DEALLOCATED : MAPPED, block);
        only_zeroes &= zero;
    }
    if (cmd->work[EXTENT] == 0 || cmd->work[COUNT] >= DESCRIPTORS_MAX)
        return false;
    if (only_zeroes && cmd->work[CALLS] < EXTENTS_MAX)
        return true;
    add(cmd, MAPPED, cmd->work[EXTENT]);
    return false;
}

/* Length of the extent that the backend has told, in whole blocks and within the unit. */
static uint64_t told_bytes(const struct scsi_command *cmd, uint64_t end)
{
    uint64_t block = scsi_block_bytes(cmd), bytes = cmd->io.extent.length & ~(block - 1);

    if (bytes == 0)
        bytes = block;
    return bytes < end - cmd->cursor ? bytes : end - cmd->cursor;
}

static int scan(struct scsi_command *cmd)
{
    uint64_t max = scsi_max_io(cmd) < SCRATCH_BYTES ? scsi_max_io(cmd) : SCRATCH_BYTES;

    cmd->work[STATE] = SCANNING;
    if (!scsi_scratch(cmd))
        return STEP_WAIT;
    scsi_step_scratch_io(cmd, BACKEND_READ, cmd->cursor,
                         cmd->work[EXTENT] < max ? cmd->work[EXTENT] : max, 0);
    return STEP_WAIT;
}

/* Takes in what came; false: an I/O for the rest of this extent is to be started, or it failed. */
static int lba_status_step(struct scsi_command *cmd)
{
    uint64_t blocks = atomic_load_explicit(&cmd->unit->blocks, memory_order_relaxed);
    uint64_t end = blocks << cmd->unit->block_shift;
    bool knows = cmd->unit->backend->info.features & BACKEND_FEATURE_BLOCK_STATUS;

    if (cmd->io.result < 0 && !(cmd->work[STATE] == ASKED && cmd->io.result == -EOPNOTSUPP)) {
        scsi_io_error(cmd, cmd->io.result, /* writing= */ false,
                      cmd->cursor >> cmd->unit->block_shift);
        return STEP_DONE;
    }
    switch (cmd->work[STATE]) {
    case BEGIN:
        cmd->cursor = cmd->lba << cmd->unit->block_shift;
        cmd->work[RUN_LBA] = cmd->lba;
        break;
    case ASKED:
        cmd->work[EXTENT] = cmd->io.result ? end - cmd->cursor : told_bytes(cmd, end);
        if (cmd->io.result == 0 && !cmd->io.extent.mapped && cmd->unit->thin) {
            add(cmd, DEALLOCATED, cmd->work[EXTENT]);
            break;
        }
        if (want_scan(cmd))
            return scan(cmd);
        add(cmd, MAPPED, cmd->work[EXTENT]);
        break;
    case SCANNING:
        if (cmd->io.op != BACKEND_READ) /* it was the scratch buffer that came */
            return scan(cmd);
        if (scanned(cmd))
            return scan(cmd);
        break;
    }
    if (cmd->cursor >= end || cmd->work[COUNT] >= DESCRIPTORS_MAX ||
        cmd->work[CALLS]++ >= EXTENTS_MAX)
        return answer(cmd);
    if (!knows) {
        cmd->work[EXTENT] = end - cmd->cursor;
        if (want_scan(cmd))
            return scan(cmd);
        add(cmd, MAPPED, cmd->work[EXTENT]);
        return answer(cmd);
    }
    cmd->work[STATE] = ASKED;
    scsi_step_io(cmd, BACKEND_BLOCK_STATUS, cmd->cursor, end - cmd->cursor, NULL, 0, 0);
    return STEP_WAIT;
}

void execute_lba_status(struct scsi_command *cmd)
{
    cmd->io.op = BACKEND_BLOCK_STATUS;
    scsi_steps(cmd, lba_status_step);
}
