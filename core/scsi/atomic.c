/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that have their blocks alone (OP_ALONE, range.h): COMPARE AND WRITE (SBC-3 5.2),
 * ORWRITE(16) (SBC-3 5.7), WRITE ATOMIC(16) (SBC-4 5.52). What they do in steps nobody sees halfway.
 */
#include <errno.h>

#include "base/crash_point.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/read_write.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

/* work[]: */
enum { STATE, CHUNK, SEEN };

static bool backend_fua(const struct scsi_command *cmd)
{
    return cmd->unit->backend->info.features & BACKEND_FEATURE_FUA;
}

static uint64_t begin_of(const struct scsi_command *cmd)
{
    return cmd->lba << cmd->unit->block_shift;
}

static bool wrong_length(struct scsi_command *cmd)
{
    cmd->data_out_bytes = 0;
    scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
    return false;
}

/* All of `bytes` is announced; a write of this kind is not cut short. `exactly`: and no more. */
static bool collect_whole(struct scsi_command *cmd, uint64_t bytes, bool exactly)
{
    if (!scsi_collecting(cmd, bytes))
        return false;
    if (cmd->data_out_bytes != bytes || (exactly && cmd->expected_bytes != bytes))
        return wrong_length(cmd);
    cmd->buffer_bytes = cmd->data_out_bytes;
    return true;
}

/* ---- COMPARE AND WRITE ---- */

enum { COMPARE, WRITE, FLUSH };

enum scsi_next start_compare_and_write(struct scsi_command *cmd)
{
    scsi_decode_range(cmd);
    if (!scsi_check_range(cmd))
        return SCSI_ENDED;
    if (cmd->blocks > cmd->unit->compare_max || (cmd->blocks == 0 && cmd->expected_bytes)) {
        scsi_bad_cdb(cmd, 13, -1);
        return SCSI_ENDED;
    }
    uint64_t bytes = cmd->blocks << (cmd->unit->block_shift + 1);
    return collect_whole(cmd, bytes, /* exactly= */ true) ? SCSI_EXECUTE : SCSI_ENDED;
}

static void miscompare(struct scsi_command *cmd, bool known, uint64_t offset)
{
    struct scsi_cause cause = { .key = SENSE_MISCOMPARE,
                                .asc = ASC_MISCOMPARE,
                                .has_information = known,
                                .information = offset };
    scsi_check(cmd, &cause);
}

/* The chunk that came; false: it differs. */
static bool compare_chunk(struct scsi_command *cmd)
{
    uint64_t *chunk = &cmd->work[CHUNK];
    uint64_t same = scsi_iov_compare(cmd, cmd->cursor, cmd->scratch->data, *chunk);

    if (same < *chunk) {
        miscompare(cmd, /* known= */ true, cmd->cursor + same);
        return false;
    }
    cmd->cursor += *chunk;
    *chunk = 0;
    return true;
}

static int read_chunk(struct scsi_command *cmd, uint64_t bytes)
{
    uint64_t max = scsi_max_io(cmd) < SCRATCH_BYTES ? scsi_max_io(cmd) : SCRATCH_BYTES;

    if (!scsi_scratch(cmd))
        return STEP_WAIT;
    cmd->work[CHUNK] = bytes < max ? bytes : max;
    scsi_step_scratch_io(cmd, BACKEND_READ, begin_of(cmd) + cmd->cursor, cmd->work[CHUNK], 0);
    return STEP_WAIT;
}

static int flush_if(struct scsi_command *cmd, bool wanted)
{
    cmd->work[STATE] = FLUSH;
    if (!wanted)
        return STEP_DONE;
    scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
    return STEP_WAIT;
}

/*
 * A worker that died had begun to write: what it compared was equal. Which blocks are as they were and
 * which are as they shall be tells how far it came; one that is neither was written by somebody else
 * since, which can only have been after the whole.
 */
#define SEEN_OLD   1u
#define SEEN_OTHER 2u

static bool is_resumed(const struct scsi_command *cmd)
{
    return cmd->kept && cmd->kept->begun;
}

static void look_at_chunk(struct scsi_command *cmd)
{
    uint64_t half = cmd->blocks << cmd->unit->block_shift, *chunk = &cmd->work[CHUNK];
    uint32_t block = scsi_block_bytes(cmd);

    for (uint64_t at = 0; at < *chunk; at += block) {
        const uint8_t *now = cmd->scratch->data + at;
        if (scsi_iov_compare(cmd, cmd->cursor + at, now, block) == block)
            cmd->work[SEEN] |= SEEN_OLD;
        else if (scsi_iov_compare(cmd, half + cmd->cursor + at, now, block) != block)
            cmd->work[SEEN] |= SEEN_OTHER;
    }
    cmd->cursor += *chunk;
    *chunk = 0;
}

/* From here on it is done again, not compared again. */
static void begin_writing(struct scsi_command *cmd)
{
    if (!cmd->kept)
        return;
    crash_point("compared");
    atomic_signal_fence(memory_order_release);
    cmd->kept->begun = 1;
    crash_point("compare-noted");
}

/* The cursor runs over the whole of Data-Out: the first half is compared, the second written. */
static int compare_and_write_step(struct scsi_command *cmd)
{
    uint64_t *state = &cmd->work[STATE], half = cmd->blocks << cmd->unit->block_shift;
    bool stable = scsi_write_through(cmd), fua = stable && backend_fua(cmd);

    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, *state != COMPARE, cmd->lba);
        return STEP_DONE;
    }
    if (*state == COMPARE) {
        if (cmd->work[CHUNK] && is_resumed(cmd))
            look_at_chunk(cmd);
        else if (cmd->work[CHUNK] && !compare_chunk(cmd))
            return STEP_DONE;
        if (cmd->cursor < half)
            return read_chunk(cmd, half - cmd->cursor);
        if (is_resumed(cmd) && cmd->work[SEEN] != SEEN_OLD)
            return flush_if(cmd, stable);
        begin_writing(cmd);
        *state = WRITE;
    }
    if (*state == WRITE) {
        cmd->cursor += cmd->work[CHUNK];
        cmd->work[CHUNK] = 0;
        if (cmd->cursor < 2 * half)
            return scsi_chunk(cmd, BACKEND_WRITE, begin_of(cmd) - half, 2 * half,
                              fua ? BACKEND_IO_FUA : 0, &cmd->work[CHUNK]);
        return flush_if(cmd, stable && !fua);
    }
    return STEP_DONE;
}

/* The backend does it in one. It does not tell where the difference is. */
static int backend_compare_step(struct scsi_command *cmd)
{
    uint64_t half = cmd->blocks << cmd->unit->block_shift;
    bool stable = scsi_write_through(cmd), fua = stable && backend_fua(cmd);

    if (cmd->work[STATE] == COMPARE) {
        cmd->work[STATE] = WRITE;
        begin_writing(cmd);
        scsi_step_io(cmd, BACKEND_COMPARE_AND_WRITE, begin_of(cmd), half, cmd->iov, cmd->iov_count,
                     fua ? BACKEND_IO_FUA : 0);
        return STEP_WAIT;
    }
    if (cmd->io.result == -EILSEQ && cmd->work[STATE] == WRITE)
        miscompare(cmd, /* known= */ false, 0);
    else if (cmd->io.result < 0)
        scsi_io_error(cmd, cmd->io.result, /* writing= */ true, cmd->lba);
    if (cmd->status != SCSI_GOOD || cmd->work[STATE] == FLUSH)
        return STEP_DONE;
    return flush_if(cmd, stable && !fua);
}

void execute_compare_and_write(struct scsi_command *cmd)
{
    uint64_t half = cmd->blocks << cmd->unit->block_shift;
    bool native = cmd->unit->backend->info.features & BACKEND_FEATURE_COMPARE_AND_WRITE;

    if (half == 0)
        scsi_finish(cmd);
    else
        scsi_steps(cmd, native && half <= scsi_max_io(cmd) && !is_resumed(cmd)
                            ? backend_compare_step
                            : compare_and_write_step);
}

/* ---- ORWRITE ---- */

enum { READ_OLD, WRITE_NEW, OR_FLUSH };

/* The scratch buffer takes the bits of Data-Out from the cursor on. */
static void or_chunk(struct scsi_command *cmd)
{
    uint8_t *to = cmd->scratch->data, piece[512];

    for (uint64_t at = 0; at < cmd->work[CHUNK]; at += sizeof(piece)) {
        scsi_iov_get(cmd, cmd->cursor + at, piece, sizeof(piece)); /* blocks are 512 or more */
        for (unsigned i = 0; i < sizeof(piece); i++)
            to[at + i] |= piece[i];
    }
}

static int orwrite_step(struct scsi_command *cmd)
{
    uint64_t *state = &cmd->work[STATE], *chunk = &cmd->work[CHUNK];
    bool stable = scsi_write_through(cmd), fua = stable && backend_fua(cmd);

    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, *state != READ_OLD, cmd->lba);
        return STEP_DONE;
    }
    if (*state == READ_OLD && *chunk) {
        or_chunk(cmd);
        *state = WRITE_NEW;
        scsi_step_scratch_io(cmd, BACKEND_WRITE, begin_of(cmd) + cmd->cursor, *chunk,
                             fua ? BACKEND_IO_FUA : 0);
        return STEP_WAIT;
    }
    if (*state == OR_FLUSH)
        return STEP_DONE;
    cmd->cursor += *chunk;
    *chunk = 0;
    *state = READ_OLD;
    if (cmd->cursor < cmd->buffer_bytes)
        return read_chunk(cmd, cmd->buffer_bytes - cmd->cursor);
    *state = OR_FLUSH;
    if (!stable || fua)
        return STEP_DONE;
    scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
    return STEP_WAIT;
}

enum scsi_next start_orwrite(struct scsi_command *cmd)
{
    scsi_decode_range(cmd);
    if (!scsi_check_range(cmd) || !scsi_check_length(cmd))
        return SCSI_ENDED;
    uint64_t bytes = cmd->blocks << cmd->unit->block_shift;
    return collect_whole(cmd, bytes, /* exactly= */ false) ? SCSI_EXECUTE : SCSI_ENDED;
}

void execute_orwrite(struct scsi_command *cmd)
{
    if (cmd->buffer_bytes)
        scsi_steps(cmd, orwrite_step);
    else
        scsi_finish(cmd);
}

/* ---- WRITE ATOMIC ---- */

enum scsi_next start_write_atomic(struct scsi_command *cmd)
{
    if (get_be16(cmd->cdb + 10)) { /* ATOMIC BOUNDARY, and the limit for it is 0 */
        scsi_bad_cdb(cmd, 10, -1);
        return SCSI_ENDED;
    }
    scsi_decode_range(cmd);
    if (!scsi_check_range(cmd))
        return SCSI_ENDED;
    uint64_t odd = (1u << cmd->unit->physical_exponent) - 1;
    if (cmd->lba & odd) {
        scsi_bad_cdb(cmd, 2, -1);
        return SCSI_ENDED;
    }
    if (cmd->blocks > cmd->unit->atomic_max || (cmd->blocks & odd)) {
        scsi_bad_cdb(cmd, 12, -1);
        return SCSI_ENDED;
    }
    uint64_t bytes = cmd->blocks << cmd->unit->block_shift;
    return collect_whole(cmd, bytes, /* exactly= */ false) ? SCSI_EXECUTE : SCSI_ENDED;
}

/* It is noted before the first byte is written: the next worker lets nobody in before it has written all. */
void execute_write_atomic(struct scsi_command *cmd)
{
    scsi_note(cmd, NOTE_BEGUN, 0);
    execute_read_write(cmd);
}
