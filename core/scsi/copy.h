/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Third-party copy (SPC-4 5.17.3, 6.4): EXTENDED COPY (LID1) moves blocks between any two units that
 * the initiator can see through a session of its own, and RECEIVE COPY RESULTS tells how far it is.
 *
 *   copy_list.c    the parameter list
 *   copy_find.c    from a designator to a unit, and what its sender is denied there
 *   copy.c         the work, a piece at a time
 *   copy_patch.c   a piece that is not whole blocks
 *   copy_status.c  what RECEIVE COPY RESULTS answers
 *
 * All of it runs on the reactor of the command's session. Every piece is a READ and a WRITE inside
 * the daemon, which the units treat as they treat others: reservations, exclusive ranges, resets,
 * write protection. How far a copy is outlives the worker (scsi_command.kept): the next one goes on.
 */
#pragma once

#include "scsi/command.h"
#include "scsi/copy_status.h"
#include "scsi/nexus.h"
#include "scsi/reservation.h"

#define COPY_CSCDS_MAX         16u
#define COPY_SEGMENTS_MAX      64u
#define COPY_HEADER            16u
#define COPY_CSCD              32u
#define COPY_DESCRIPTORS_MAX   (COPY_CSCD * (COPY_CSCDS_MAX + COPY_SEGMENTS_MAX)) /* bytes */
#define COPY_SEGMENT_BYTES_MAX (256u << 20) /* MAXIMUM SEGMENT LENGTH */

/* ---- the parameter list ---- */

struct copy_list {
    uint8_t id;
    bool forgotten; /* LIST ID USAGE: nobody will ask for it */
    unsigned cscds, segments;
    uint32_t segments_at; /* offset of the first */
};

struct copy_segment {
    uint16_t source, destination; /* indices of CSCDs */
    bool in_bytes;                /* `count`: bytes; otherwise blocks … */
    bool of_destination;          /* … of the destination, otherwise of the source */
    uint32_t count;
    uint64_t source_lba, destination_lba;
    uint16_t source_offset, destination_offset; /* bytes, only with in_bytes */
};

/* Checks the list as a whole; false: status is set. */
bool copy_list_read(struct scsi_command *cmd, struct copy_list *ret_list);
/* `index` < list->segments. */
void copy_list_segment(const struct scsi_command *cmd, const struct copy_list *list, unsigned index,
                       struct copy_segment *ret_segment);

/* ---- units ---- */

/* One end of a copy, as its sender sees it: good for this turn. */
struct copy_end {
    struct scsi_unit *unit;
    struct scsi_nexus nexus; /* names alone: who the pieces are from */
    struct scsi_nexus_unit access;
    char port[PR_PORT_MAX];
};

/* The unit that CSCD `index` names; false: there is none that the sender can see. */
bool copy_find(const struct scsi_command *cmd, unsigned index, struct copy_end *ret_end);

/* ---- a piece that is not whole blocks ---- */

extern const struct scsi_opcode copy_patch_row;
/* For a command inside the daemon of that row: cdb[2-9] the block, cdb[10-11] the offset in it. */
#define COPY_PATCH_OFFSET 10

/* ---- holding still ---- */

/* This reactor's copies pause before their next piece, or go on. They count as still: another process
   begins their commands again. */
void scsi_copies_hold(bool still);
/* On each reactor, when a unit is held no more: those that waited for it begin their piece anew. */
void scsi_copies_go_on(void);
/* Those that stand still. */
unsigned scsi_copies_held(void);
