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
#include "scsi/backend.h"

#define SCSI_CDB_MAX      32
#define SCSI_SENSE_MAX    64
#define SCSI_TRANSFER_MAX (4u << 20) /* MAXIMUM TRANSFER LENGTH, bytes */

struct scsi_nexus;
struct scsi_unit;
struct scsi_opcode;
struct buf;

enum scsi_next { SCSI_ENDED, SCSI_EXECUTE };

enum scsi_attribute { /* SAM-5 8.9; the values are RFC 7143's (11.3.1) */
    SCSI_UNTAGGED = 0,
    SCSI_SIMPLE = 1,
    SCSI_ORDERED = 2,
    SCSI_HEAD_OF_QUEUE = 3,
    SCSI_ACA = 4,
};

struct scsi_command {
    /* Set by the transport before scsi_start(). */
    void (*done)(struct scsi_command *cmd);
    struct scsi_nexus *nexus;
    uint64_t lun;                /* as on the wire (SAM-5 4.7), big-endian value */
    uint8_t cdb[SCSI_CDB_MAX];
    uint8_t cdb_bytes;
    uint8_t attribute;           /* enum scsi_attribute */
    bool expects_in, expects_out; /* the R and W bits */
    uint32_t expected_bytes;     /* Expected Data Transfer Length */

    /* Set by scsi_start() when it returns SCSI_EXECUTE. */
    struct scsi_unit *unit;      /* NULL: the command is answered without a unit */
    uint32_t data_out_bytes;     /* to collect: never more than expected_bytes */
    uint32_t buffer_bytes;       /* memory the transport must supply in iov; 0: none */
    arena_ref mapped;            /* not 0: Data-In is sent from here, data_in_bytes is set already,
                                    no buffer is needed */

    /* Set by the transport before scsi_execute(); Data-Out is in it, Data-In goes to it. Elements
       are multiples of 512 bytes but for the last. Valid until done. */
    const struct iovec *iov;
    uint32_t iov_count;

    /* Set when the command has ended. */
    uint8_t status;              /* SAM-5 5.3.1 */
    uint8_t sense_bytes;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t data_in_bytes;      /* to send: never more than expected_bytes or buffer_bytes */
    uint64_t transfer_length;    /* what the command would have moved without the limit of
                                    expected_bytes; the transport computes the residual from it */

    /* The layer's own, between start and done. */
    const struct scsi_opcode *opcode;
    uint64_t lba;
    uint64_t blocks;
    struct backend_io io;
    struct iovec io_iov[2];
    uint64_t cursor, work[6];
    struct buf *scratch;
    bool aborted;
};

enum scsi_next scsi_start(struct scsi_command *cmd);
void scsi_execute(struct scsi_command *cmd);
/* The transport does not want the answer any more; done() still comes (soon if it can). */
void scsi_abort(struct scsi_command *cmd);
/* Once at the end of a reactor turn in which scsi_execute() was called: kicks the backends that
   want it. */
void scsi_kick(void);
