/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SCSI command between a transport and a logical unit.
 *
 *   scsi_start(cmd)    looks at CDB, nexus, unit attentions and ranges, moves no data. It either ends
 *                      the command (SCSI_ENDED: status and sense are set, done() is not called) or
 *                      says what the transport has to bring: data_out_bytes to collect, and
 *                      buffer_bytes of memory in cmd->iov (the larger need of both directions).
 *   scsi_execute(cmd)  does it. cmd->done(cmd) comes exactly once, from within or later, on the same
 *                      reactor; then status, sense, data_in_bytes and transfer_length are set.
 *
 * Nothing is allocated: all that a command needs between its phases is in the struct.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/list.h"
#include "reactor/bufpool.h"
#include "scsi/backend.h"
#include "scsi/range.h"

#define SCSI_CDB_MAX      32
#define SCSI_SENSE_MAX    64
#define SCSI_TRANSFER_MAX (4u << 20) /* MAXIMUM TRANSFER LENGTH, bytes */
#define SCSI_CLIP_MAX     8          /* 8 elements hold at least one block of 4096 bytes */

enum scsi_phase { SCSI_IDLE, SCSI_STARTED, SCSI_EXECUTING };

struct scsi_nexus;
struct scsi_unit;
struct scsi_opcode;
struct scsi_lane;

enum scsi_next { SCSI_ENDED, SCSI_EXECUTE, SCSI_LATER };

enum scsi_attribute { /* SAM-5 8.9; the values are RFC 7143's (11.3.1) */
                      SCSI_UNTAGGED = 0,
                      SCSI_SIMPLE = 1,
                      SCSI_ORDERED = 2,
                      SCSI_HEAD_OF_QUEUE = 3,
                      SCSI_ACA = 4,
};

/* What a command may leave for the worker that executes it again after this one has died. */
struct scsi_kept {
    uint32_t begun; /* 0 when the command came; `word` is valid */
    uint64_t word;  /* the command's own */
} __attribute__((packed, aligned(4)));

struct scsi_command {
    /* Set by the transport before scsi_start(). */
    void (*done)(struct scsi_command *cmd);
    struct scsi_nexus *nexus;
    uint64_t lun; /* as on the wire (SAM-5 4.7), big-endian value */
    uint8_t cdb[SCSI_CDB_MAX];
    uint8_t cdb_bytes;
    uint8_t attribute;            /* enum scsi_attribute */
    bool expects_in, expects_out; /* the R and W bits */
    uint32_t expected_bytes;      /* Expected Data Transfer Length */
    struct scsi_kept *kept;       /* NULL: there is no such place */
    /* Its coming is not written down yet: if this worker died now, it would come again, as a new
       command. What must be executed once is not begun then: scsi_start() says SCSI_LATER. */
    bool unborn;
    /* An earlier worker has sent a part of its Data-In: the rest is of the same moment. `had_bytes` of
       memory that it had for the data are here. */
    bool partly_sent;
    uint32_t had_bytes;
    uint64_t id;                  /* of this command among all of its nexus and others; 0: none */

    /* Set by scsi_start() when it returns SCSI_EXECUTE. */
    struct scsi_unit *unit;  /* NULL: the command is answered without a unit */
    uint32_t data_out_bytes; /* to collect: never more than expected_bytes */
    uint32_t buffer_bytes;   /* memory the transport must supply in iov; 0: none */
    arena_ref mapped;        /* not 0: Data-In is sent from here, data_in_bytes is set already,
                                    no buffer is needed */

    /* Set by the transport before scsi_execute(); Data-Out is in it, Data-In goes to it. Elements
       are multiples of 512 bytes but for the last. Valid until done. */
    const struct iovec *iov;
    uint32_t iov_count;

    /* Set when the command has ended. */
    uint8_t status; /* SAM-5 5.3.1 */
    uint8_t sense_bytes;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t data_in_bytes;   /* to send: never more than expected_bytes or buffer_bytes */
    uint64_t transfer_length; /* what the command would have moved without the limit of
                                    expected_bytes; the transport computes the residual from it */

    bool aborted; /* by scsi_abort() or a reset: no answer is to be sent */

    /* The layer's own, between start and done. */
    const struct scsi_opcode *opcode;
    struct scsi_lane *lane; /* of unit, on this reactor */
    struct list lane_link;
    uint64_t started_ns;
    uint64_t lba;
    uint64_t blocks;
    int (*step)(struct scsi_command *cmd); /* commands of several steps; see engine.h */
    struct backend_io io;
    struct iovec io_iov[SCSI_CLIP_MAX];
    uint64_t cursor, work[6];
    struct buf *scratch;
    struct bufpool_waiter scratch_waiter;
    struct scsi_range range;
    uint8_t phase; /* enum scsi_phase */
    bool stepping, stepped;
    bool parked; /* it waits for something else than the backend: … */
    bool (*leave)(struct scsi_command *cmd); /* … which is told when it is aborted; true: the command
                                                ends now, false: it ends by itself */
    void *left;
};

enum scsi_next scsi_start(struct scsi_command *cmd);
void scsi_execute(struct scsi_command *cmd);
/* True: scsi_execute(), which must follow at once, will not wait for another command. For data that
   cannot stay where it is. */
bool scsi_claim(struct scsi_command *cmd);
/* The transport does not want the answer any more; done() still comes (soon if it can), with
   `aborted` set. Between scsi_start() and scsi_execute() it comes from within scsi_abort(), and
   scsi_execute() must not be called any more. */
void scsi_abort(struct scsi_command *cmd);
/* Ends a started, not yet executing command with CHECK CONDITION (the transport found the data at
   fault, e.g. 0Bh/0C0Dh); status and sense are set, done() is not called. */
void scsi_fail(struct scsi_command *cmd, uint8_t key, uint8_t asc, uint8_t ascq);
/* The same with TASK SET FULL: there is no memory for its data. */
void scsi_fail_full(struct scsi_command *cmd);
/* Once at the end of a reactor turn in which scsi_execute() was called: kicks the backends that
   want it. */
void scsi_kick(void);
