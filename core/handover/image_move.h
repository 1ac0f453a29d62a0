/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of a worker that had other pools (another number of reactors, or of another size). A reference
 * into them means nothing here: what lies there is copied into a buffer of ours, and every reference that
 * the image has to it is changed. The old pools are only read, so that the old worker can still go on.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "reactor/bufpool.h"

struct image_move {
    /* The caller's. */
    struct bufpool *const *pools; /* ours: of the data reactors, then the login reactor's */
    unsigned reactors;            /* data reactors; of ours, … */
    unsigned old_reactors;        /* … and of the old worker's: its login reactor's pool is the next */
    /* The old worker's, mapped for as long as the import takes; NULL: there is none. */
    const uint8_t *(*old_pool)(void *user, unsigned index, uint64_t *ret_bytes);
    void *user;
    /* Private. */
    GArray *moved; /* struct moved; when `sorted`, by where it was */
    bool sorted;
    GPtrArray *taken; /* struct buf */
};

void image_move_begin(struct image_move *m);
/* Ours are free again, with what is in them, for bufpool_adopt(). */
void image_move_end(struct image_move *m);

/* A buffer, into the pool of our reactor `pool`. NULL and *ret_ref, or why not. */
const char *image_move_buffer(struct image_move *m, unsigned pool, arena_ref ref, uint32_t bytes,
                              arena_ref *ret_ref);
/* Where this is now: `ref` itself when it was in no pool; 0: it is in no buffer that was moved. */
arena_ref image_move_ref(struct image_move *m, arena_ref ref);
