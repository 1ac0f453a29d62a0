/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READ and WRITE. The way of nearly all of them is short: decode, range, one submit, done. Others
 * go in steps: more than the backend takes at once, memory that does not fit the length, an
 * expected length that ends within a block, FUA on a backend that cannot.
 */
#include "scsi/read_write.h"

#include <string.h>

#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

static uint32_t whole_blocks(const struct scsi_command *cmd, uint32_t bytes)
{
    uint32_t block = scsi_block_bytes(cmd);
    return (bytes + block - 1) & ~(block - 1);
}

void scsi_read_copied(struct scsi_command *cmd)
{
    cmd->mapped = 0;
    cmd->buffer_bytes = whole_blocks(cmd, cmd->data_in_bytes);
}

/* An earlier worker has read all of it into the memory that it has. */
static bool is_copied(const struct scsi_command *cmd)
{
    return cmd->partly_sent && scsi_noted(cmd) == NOTE_BEGUN &&
           cmd->had_bytes >= whole_blocks(cmd, cmd->data_in_bytes);
}

enum scsi_next start_read(struct scsi_command *cmd)
{
    const struct backend_info *info = &cmd->unit->backend->info;

    scsi_decode_range(cmd);
    if (!scsi_check_range(cmd) || !scsi_check_length(cmd))
        return SCSI_ENDED;
    scsi_sending(cmd, cmd->blocks << cmd->unit->block_shift);
    /* What is sent from the store has no moment of its own: not while somebody has blocks alone, and
       not where one writes atomically (settle.h). */
    bool alone = atomic_load_explicit(&cmd->unit->ranges.exclusive, memory_order_relaxed) != 0 ||
                 atomic_load_explicit(&cmd->unit->atomic_used, memory_order_relaxed);
    if (__builtin_expect(cmd->partly_sent, 0)) /* goes on as it began */
        alone = is_copied(cmd);
    if (info->store_arena && cmd->data_in_bytes && !alone)
        cmd->mapped = arena_ref_make(info->store_arena, cmd->lba << cmd->unit->block_shift);
    else
        scsi_read_copied(cmd);
    return SCSI_EXECUTE;
}

enum scsi_next start_write(struct scsi_command *cmd)
{
    scsi_decode_range(cmd);
    if (!scsi_check_range(cmd) || !scsi_check_length(cmd))
        return SCSI_ENDED;
    if (!scsi_collecting(cmd, cmd->blocks << cmd->unit->block_shift))
        return SCSI_ENDED;
    cmd->buffer_bytes = whole_blocks(cmd, cmd->data_out_bytes);
    return SCSI_EXECUTE;
}

static bool is_write(const struct scsi_command *cmd)
{
    return cmd->data_out_bytes != 0;
}

static void io_done(struct backend_io *io)
{
    struct scsi_command *cmd = container_of(io, struct scsi_command, io);

    if (__builtin_expect(io->result < 0, 0))
        scsi_io_error(cmd, io->result, io->op == BACKEND_WRITE, cmd->lba);
    else if (io->op == BACKEND_READ)
        scsi_note(cmd, NOTE_BEGUN, 0);
    scsi_finish(cmd);
}

/* The memory is exactly as long as the I/O, which the backend takes in one. */
static bool fits(const struct scsi_command *cmd)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < cmd->iov_count; i++)
        sum += cmd->iov[i].iov_len;
    return sum == cmd->buffer_bytes && sum <= scsi_max_io(cmd);
}

/* Steps of a READ: a FUA read first brings what a volatile cache holds to the medium. */
static int read_step(struct scsi_command *cmd)
{
    uint64_t *state = &cmd->work[0], *chunk = &cmd->work[1];
    uint64_t begin = cmd->lba << cmd->unit->block_shift;

    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, /* writing= */ false,
                      cmd->lba + (cmd->cursor >> cmd->unit->block_shift));
        return STEP_DONE;
    }
    if (*state == 0) {
        *state = 1;
        if (scsi_fua(cmd) && (cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE)) {
            scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
            return STEP_WAIT;
        }
    }
    cmd->cursor += *chunk;
    if (cmd->cursor < cmd->buffer_bytes)
        return scsi_chunk(cmd, BACKEND_READ, begin, cmd->buffer_bytes, 0, chunk);
    scsi_note(cmd, NOTE_BEGUN, 0);
    return STEP_DONE;
}

int scsi_chunk(struct scsi_command *cmd, enum backend_op op, uint64_t begin, uint64_t total,
               uint8_t flags, uint64_t *ret_chunk)
{
    uint64_t bytes = total - cmd->cursor, max = scsi_max_io(cmd);

    if (bytes > max)
        bytes = max;
    uint32_t count = scsi_clip(cmd, cmd->cursor, &bytes, scsi_block_bytes(cmd));
    if (bytes == 0) { /* the transport brought less memory than was asked for */
        scsi_check_condition(cmd, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
        return STEP_DONE;
    }
    *ret_chunk = bytes;
    scsi_step_io(cmd, op, begin + cmd->cursor, bytes, cmd->io_iov, count, flags);
    return STEP_WAIT;
}

/*
 * Steps of a WRITE, also the first half of WRITE AND VERIFY: complete the last block from the
 * medium when the data ends within it, write the chunks, flush when they must be stable.
 */
enum { WRITE_BEGIN, WRITE_PATCH, WRITE_CHUNKS, WRITE_FLUSHED };

int scsi_write_step(struct scsi_command *cmd, bool stable)
{
    uint64_t *state = &cmd->work[0], *chunk = &cmd->work[1];
    uint32_t shift = cmd->unit->block_shift, block = scsi_block_bytes(cmd);
    uint64_t begin = cmd->lba << shift;
    uint32_t tail = cmd->data_out_bytes % block;
    bool fua = cmd->unit->backend->info.features & BACKEND_FEATURE_FUA;

    if (cmd->io.result < 0) {
        scsi_io_error(cmd, cmd->io.result, *state >= WRITE_CHUNKS,
                      cmd->lba + (cmd->cursor >> shift));
        return STEP_DONE;
    }
    if (*state == WRITE_BEGIN && tail) {
        if (!scsi_scratch(cmd))
            return STEP_WAIT;
        *state = WRITE_PATCH;
        scsi_step_scratch_io(cmd, BACKEND_READ, begin + cmd->buffer_bytes - block, block, 0);
        return STEP_WAIT;
    }
    if (*state == WRITE_PATCH)
        scsi_iov_put(cmd, cmd->data_out_bytes, cmd->scratch->data + tail, block - tail);
    if (*state < WRITE_CHUNKS)
        *state = WRITE_CHUNKS;
    if (*state == WRITE_CHUNKS) {
        cmd->cursor += *chunk;
        *chunk = 0;
        if (cmd->cursor < cmd->buffer_bytes)
            return scsi_chunk(cmd, BACKEND_WRITE, begin, cmd->buffer_bytes,
                              stable && fua ? BACKEND_IO_FUA : 0, chunk);
        *state = WRITE_FLUSHED;
        if (stable && !fua) {
            scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
            return STEP_WAIT;
        }
    }
    return STEP_DONE;
}

static int write_step(struct scsi_command *cmd)
{
    return scsi_write_step(cmd, scsi_write_through(cmd));
}

void execute_read_write(struct scsi_command *cmd)
{
    const struct backend_info *info = &cmd->unit->backend->info;
    bool writing = is_write(cmd), stable = writing && scsi_write_through(cmd);

    if (cmd->buffer_bytes == 0 || /* nothing to move, or it is sent from the store */
        __builtin_expect(!writing && is_copied(cmd), 0)) {
        scsi_finish(cmd);
        return;
    }
    if (__builtin_expect(writing && (cmd->data_out_bytes != cmd->buffer_bytes ||
                                     (stable && !(info->features & BACKEND_FEATURE_FUA))),
                         0) ||
        !fits(cmd)) {
        scsi_steps(cmd, writing ? write_step : read_step);
        return;
    }
    if (__builtin_expect(
            !writing && (info->features & BACKEND_FEATURE_VOLATILE_CACHE) && scsi_fua(cmd), 0)) {
        scsi_steps(cmd, read_step);
        return;
    }
    cmd->io.done = io_done;
    cmd->io.iov = cmd->iov;
    cmd->io.iov_count = cmd->iov_count;
    cmd->io.op = writing ? BACKEND_WRITE : BACKEND_READ;
    cmd->io.flags = stable ? BACKEND_IO_FUA : 0;
    cmd->io.offset = cmd->lba << cmd->unit->block_shift;
    cmd->io.length = cmd->buffer_bytes;
    cmd->io.result = 0;
    scsi_submit(cmd);
}

enum scsi_next start_range(struct scsi_command *cmd)
{
    scsi_decode_range(cmd);
    return scsi_check_range(cmd) ? SCSI_EXECUTE : SCSI_ENDED;
}

/* Nothing to gain: GOOD says that not all of it is in the cache (SBC-3 5.8). */
void execute_prefetch(struct scsi_command *cmd)
{
    scsi_finish(cmd);
}

static int flush_step(struct scsi_command *cmd)
{
    if (cmd->work[0]++ == 0) {
        scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
        return STEP_WAIT;
    }
    if (cmd->io.result < 0)
        scsi_io_error(cmd, cmd->io.result, /* writing= */ true, cmd->lba);
    return STEP_DONE;
}

/* IMMED may be answered early; answered after the flush an error reaches the right command. */
void execute_synchronize_cache(struct scsi_command *cmd)
{
    if (cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE)
        scsi_steps(cmd, flush_step);
    else
        scsi_finish(cmd);
}
