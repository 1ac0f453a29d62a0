/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of several steps: chunks, write then flush, read then compare.
 *
 * A step function is called to begin and again after each I/O (cmd->io.result has its outcome) and
 * after a scratch buffer was waited for. It starts at most one I/O and says how it goes on. I/O
 * that is answered from within `submit` comes back through a loop, never by recursion; after
 * STEPS_AT_ONCE of them the command gives way and goes on at the end of the reactor's turn (turns.c).
 */
#pragma once

#include <stdbool.h>

#include "scsi/command.h"
#include "scsi/unit.h"

enum scsi_step {
    STEP_WAIT,  /* an I/O was submitted, or a scratch buffer is waited for */
    STEP_DONE,  /* status is set */
    STEP_STAND, /* scsi_standing(): it has changed nothing and will be executed anew */
};

#define SCRATCH_BYTES 65536u
#define STEPS_AT_ONCE 8u

struct scsi_nexus_unit;

void scsi_steps(struct scsi_command *cmd, int (*step)(struct scsi_command *cmd));
/* Goes on with the step. */
void scsi_steps_go_on(struct scsi_command *cmd);
/* From a step, followed by STEP_WAIT. Byte offset and length; iov only for READ and WRITE. */
void scsi_step_io(struct scsi_command *cmd, enum backend_op op, uint64_t offset, uint64_t length,
                  const struct iovec *iov, uint32_t iov_count, uint8_t flags);
/* The same with the first `length` bytes of the scratch buffer. */
void scsi_step_scratch_io(struct scsi_command *cmd, enum backend_op op, uint64_t offset,
                          uint64_t length, uint8_t flags);
/* An I/O or a buffer has come: from within the step, or from the reactor. */
void scsi_resume(struct scsi_command *cmd);
/* cmd->scratch of SCRATCH_BYTES is there; false: it is waited for, answer STEP_WAIT. */
bool scsi_scratch(struct scsi_command *cmd);

/*
 * scsi_start() for a command that another one of this layer has made, with done, nexus, cdb and expected
 * length set: on that unit, by that row, without unit attentions. `access` is what the nexus is denied.
 */
enum scsi_next scsi_start_inside(struct scsi_command *cmd, struct scsi_unit *unit,
                                 const struct scsi_opcode *opcode, struct scsi_nexus_unit *access);

/* Ends the command: status is set already. The struct may be gone on return. */
void scsi_finish(struct scsi_command *cmd);

/* The backend of this lane is kicked at the end of the turn. */
void scsi_want_kick(struct scsi_lane *lane);

static inline void scsi_submit(struct scsi_command *cmd)
{
    struct scsi_lane *lane = cmd->lane;
    struct backend *backend = cmd->unit->backend;

    if (backend->ops->kick && !lane->kick_wanted)
        scsi_want_kick(lane);
    backend->ops->submit(backend, &cmd->io);
}

/* A part of cmd->iov: [from, from + *length) as an iovec array of at most SCSI_CLIP_MAX elements in
   cmd->io_iov, shortened in *length to whole blocks when it does not fit. Returns the count. */
uint32_t scsi_clip(struct scsi_command *cmd, uint64_t from, uint64_t *length, uint32_t block_bytes);
/* Bytes to and from cmd->iov at an offset; what lies beyond it is left out. */
void scsi_iov_put(const struct scsi_command *cmd, uint64_t offset, const void *from,
                  uint64_t bytes);
void scsi_iov_get(const struct scsi_command *cmd, uint64_t offset, void *to, uint64_t bytes);
/* Offset of the first difference between cmd->iov at `offset` and `with`, or `bytes`. */
uint64_t scsi_iov_compare(const struct scsi_command *cmd, uint64_t offset, const void *with,
                          uint64_t bytes);
