/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop under commands of several steps, and parts of iovecs. */
#include "scsi/step.h"

#include <string.h>

#include "scsi/sense.h"
#include "scsi/turns.h"

void scsi_steps_go_on(struct scsi_command *cmd)
{
    int r = STEP_WAIT;

    cmd->stepping = cmd->stepped = true;
    for (unsigned n = 0; cmd->stepped && n < STEPS_AT_ONCE && r == STEP_WAIT; n++) {
        cmd->stepped = false;
        r = cmd->aborted ? STEP_DONE : cmd->step(cmd);
    }
    cmd->stepping = false;
    if (r == STEP_DONE)
        scsi_finish(cmd);
    else if (r == STEP_STAND)
        scsi_stand(cmd);
    else if (cmd->stepped)
        scsi_give_way(cmd);
}

void scsi_resume(struct scsi_command *cmd)
{
    if (cmd->stepping)
        cmd->stepped = true;
    else
        scsi_steps_go_on(cmd);
}

static void step_io_done(struct backend_io *io)
{
    scsi_resume(container_of(io, struct scsi_command, io));
}

void scsi_steps(struct scsi_command *cmd, int (*step)(struct scsi_command *cmd))
{
    cmd->step = step;
    cmd->cursor = 0;
    cmd->io.result = 0;
    memset(cmd->work, 0, sizeof(cmd->work));
    scsi_steps_go_on(cmd);
}

void scsi_step_io(struct scsi_command *cmd, enum backend_op op, uint64_t offset, uint64_t length,
                  const struct iovec *iov, uint32_t iov_count, uint8_t flags)
{
    cmd->io.done = step_io_done;
    cmd->io.op = (uint8_t)op;
    cmd->io.flags = flags;
    cmd->io.offset = offset;
    cmd->io.length = length;
    cmd->io.iov = iov;
    cmd->io.iov_count = iov_count;
    cmd->io.result = 0;
    scsi_submit(cmd);
}

void scsi_step_scratch_io(struct scsi_command *cmd, enum backend_op op, uint64_t offset,
                          uint64_t length, uint8_t flags)
{
    cmd->io_iov[0] = (struct iovec){ cmd->scratch->data, length };
    scsi_step_io(cmd, op, offset, length, cmd->io_iov, 1, flags);
}

uint32_t scsi_clip(struct scsi_command *cmd, uint64_t from, uint64_t *length, uint32_t block_bytes)
{
    uint64_t want = *length, taken = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < cmd->iov_count && taken < want && count < SCSI_CLIP_MAX; i++) {
        const struct iovec *element = &cmd->iov[i];
        if (from >= element->iov_len) {
            from -= element->iov_len;
            continue;
        }
        uint64_t bytes = element->iov_len - from;
        if (bytes > want - taken)
            bytes = want - taken;
        cmd->io_iov[count++] = (struct iovec){ (uint8_t *)element->iov_base + from, bytes };
        taken += bytes;
        from = 0;
    }
    /* Back to a whole number of blocks: shorten from the end. */
    uint64_t excess = taken % block_bytes;
    taken -= excess;
    while (excess) {
        struct iovec *last = &cmd->io_iov[count - 1];
        if (last->iov_len > excess) {
            last->iov_len -= excess;
            break;
        }
        excess -= last->iov_len;
        count--;
    }
    *length = taken;
    return count;
}

/* Walks the contiguous pieces of [skip, skip + left) of an iovec. */
struct piece {
    uint64_t skip, left;
    uint32_t element;
    uint8_t *at;
    uint64_t bytes;
};

static bool next_piece(const struct scsi_command *cmd, struct piece *p)
{
    while (p->left && p->element < cmd->iov_count) {
        const struct iovec *element = &cmd->iov[p->element++];
        if (p->skip >= element->iov_len) {
            p->skip -= element->iov_len;
            continue;
        }
        p->at = (uint8_t *)element->iov_base + p->skip;
        p->bytes = element->iov_len - p->skip;
        if (p->bytes > p->left)
            p->bytes = p->left;
        p->left -= p->bytes;
        p->skip = 0;
        return true;
    }
    return false;
}

void scsi_iov_put(const struct scsi_command *cmd, uint64_t offset, const void *from, uint64_t bytes)
{
    struct piece p = { .skip = offset, .left = bytes };
    for (const uint8_t *source = from; next_piece(cmd, &p); source += p.bytes)
        memcpy(p.at, source, p.bytes);
}

void scsi_iov_get(const struct scsi_command *cmd, uint64_t offset, void *to, uint64_t bytes)
{
    struct piece p = { .skip = offset, .left = bytes };
    for (uint8_t *target = to; next_piece(cmd, &p); target += p.bytes)
        memcpy(target, p.at, p.bytes);
}

uint64_t scsi_iov_compare(const struct scsi_command *cmd, uint64_t offset, const void *with,
                          uint64_t bytes)
{
    struct piece p = { .skip = offset, .left = bytes };
    const uint8_t *other = with;
    uint64_t done = 0;

    while (next_piece(cmd, &p)) {
        if (memcmp(p.at, other, p.bytes) != 0) {
            uint64_t n = 0;
            while (p.at[n] == other[n])
                n++;
            return done + n;
        }
        other += p.bytes;
        done += p.bytes;
    }
    return done;
}
