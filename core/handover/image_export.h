/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the image of a worker that holds still: from its records alone, the state arena and the kept
 * memory of the units. Any thread, while nothing moves.
 */
#pragma once

#include "handover/image.h"
#include "iscsi/state.h"
#include "scsi/keep.h"

struct image_source {
    uint64_t layout;        /* of this worker's memory */
    const char *state_name; /* of the memfd with the state arena */
    struct keep_area *area; /* NULL: there is none */
    /* By index of the record: how far a connection has received; 0: it is not this worker's. */
    const uint64_t *received; /* [connections] */
};

/* The caller's. */
GByteArray *image_export(const struct image_source *source);

/* image_export_units.c */
void image_export_units(struct image_writer *w, struct keep_area *area, uint32_t *ret_count);
