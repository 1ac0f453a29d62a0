/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads an image into the memory of this worker: the state arena and the kept memory of the units,
 * neither of which anybody uses yet. Afterwards they look as if a worker of this layout had left
 * them, and thaw.h goes on from there. All or nothing; the old worker waits meanwhile and goes on
 * when the answer is no.
 *
 * The image is not trusted: every index, length and reference is checked before it is used.
 */
#pragma once

#include "handover/image_format.h"
#include "handover/image_move.h"
#include "iscsi/state.h"
#include "scsi/keep.h"

struct image_import {
    /* In. */
    uint64_t layout;               /* of this worker's memory */
    const struct state_head *head; /* what the state arena will begin with */
    struct keep_area *area;        /* NULL: there is none */
    struct image_move *move;       /* for a worker that had other pools; NULL: those are refused */
    /* Out: head.state_name and state_bytes say what to make unusable before the first byte moves. */
    struct image_head from;
    uint32_t sessions, connections, units;
    /* Private. */
    struct scsi_keep keep;                        /* the unit, … */
    GHashTable *session_index, *connection_index; /* of the old records -> of ours + 1 */
    struct session_record *session;               /* … the session, … */
    uint32_t tasks_max;
    struct task_record *task; /* … the task, … */
    arena_ref answer;         /* … what its answer was before its buffers moved, … */
    unsigned transfers;
    struct connection_record *connection; /* … and the connection that is being read */
    uint64_t send_end;
};

/* Control thread, before GO. NULL, or why not: then all is empty again. */
const char *image_import(struct image_import *in, const void *image, size_t bytes);

/* image_units.c: a record of that kind; NULL, or why it cannot be. */
const char *image_import_unit(struct image_import *in, const struct image_record *record);
const char *image_import_of_unit(struct image_import *in, const struct image_record *record);
