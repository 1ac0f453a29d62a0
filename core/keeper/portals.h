/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The listening sockets. They are bound early, so that a port in use stops the start before anything
 * else happens, and listen only when the first worker is ready: until then a connect is refused,
 * which is the truth. After that they stay open as long as the keeper; while no worker is ready the
 * kernel's backlog holds new connections.
 */
#pragma once

#include "config/model.h"

struct portal_listener {
    int fd; /* -1: closed */
    const struct config_portal *portal;
    unsigned index; /* which address of the portal */
};

struct portals {
    struct portal_listener *listeners;
    unsigned count;
    int backlog;
};

/*
 * Binds every address of every portal. 0; or -EINVAL with one problem for each that failed, and
 * nothing bound.
 */
int portals_bind(struct portals *portals, const struct config *config,
                 struct config_problems *problems);
/* Starts listening; as above. May be called again without effect. */
int portals_listen(struct portals *portals, struct config_problems *problems);
/* Closes them; may be called twice. */
void portals_close(struct portals *portals);
/* "san=127.0.0.1:3260,[::1]:3260 lab=..." for the log; g_free(). */
char *portals_describe(const struct portals *portals);
