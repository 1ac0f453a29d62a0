/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new configuration that differs in one target from the one in effect, as the worker has found (link.h,
 * link_reload.patched): the text is patched, and nothing of it is read here. What the keeper itself goes by
 * (portals, fence, daemon) has not changed.
 */
#pragma once

#include "keeper/state.h"

struct patched {
    char *text; /* the whole, g_free() */
    size_t bytes;
    int trial_fd; /* sealed: the small configuration, for trial.h */
};

/*
 * 0; -ESTALE: the text in effect here is another one; -EBADMSG: it is no patch of it; or another negative
 * errno.
 */
int patch_take(const struct keeper *k, const struct link_message *m, struct patched *ret_patched);
