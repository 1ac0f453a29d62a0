/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new configuration that differs in one target from the one in effect, as the worker has found (link.h,
 * link_reload.patched): the text is patched, and nothing of it is read here. What the keeper itself goes by
 * (portals, fence, daemon) has not changed. What there is of the text stays where it is: it is changed in place when
 * the new configuration is in effect, and written from what is before, the patch and what is behind it.
 */
#pragma once

#include "config/revise.h"
#include "keeper/state.h"

struct patched {
    char *said; /* what `patch` points into; g_free() */
    struct config_patch patch;
    int trial_fd; /* sealed: the small configuration, for trial.h */
};

/*
 * 0; -ESTALE: the text in effect here is another one; -EBADMSG: it is no patch of it; or another negative
 * errno.
 */
int patch_take(const struct keeper *k, const struct link_message *m, struct patched *ret_patched);

/* The new text, of pieces. */
#define PATCH_PIECES 3
void patch_pieces(const struct keeper *k, const struct patched *patched,
                  struct iovec pieces[static PATCH_PIECES]);
/* The same as a sealed memfd. 0 or negative errno. */
int patch_seal(const struct keeper *k, const struct patched *patched, int *ret_fd);
