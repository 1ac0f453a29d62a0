/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the targets of a configuration stand in its text: private to slice.c and revise.c, see revise.h. */
#pragma once

#include <sys/types.h>

#include "config/model_private.h"
#include "config/revise.h"

/* NULL: no slice was cut yet. */
struct config_places *config_places_of(const struct config *config);

/* The byte at which the line of this key begins; false: it is not the first on its line. */
bool place_of_key(const char *text, size_t length, const struct config_node *key,
                  size_t *ret_begin);
/* What is before and behind the targets is that of the slice. */
bool slice_frames(const struct config_slice *slice, const char *edited, size_t length);

/*
 * One in place of the other (or NULL): not too many values, and no identity that another LUN has. *ret_nodes:
 * more than before.
 */
bool places_admit(const struct config_places *places, const struct config_target *old,
                  const struct config_target *new, long *ret_nodes);

struct places_change {
    unsigned index;
    const struct config_target *old, *new;
    unsigned first, count; /* targets from there on begin here: */
    const size_t *begins;
    ssize_t bytes; /* and what is behind them is moved by so much */
    int lines;     /* as is what stands behind `index` */
    long nodes;
};
/* `config` has the new list. */
void places_change(struct config_places *places, const struct config *config,
                   const struct places_change *change);
