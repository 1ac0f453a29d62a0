/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon_private.h"

void daemon_resize(void *user, unsigned target, unsigned lun, uint64_t bytes,
                   void (*done)(void *data, const char *why, const struct config_node *stale),
                   void *data)
{
    done(data, "not possible", NULL);
}
