/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The listening sockets. They are bound early, so that a port in use stops the start before anything
 * else happens, and listen only when the first worker is ready: until then a connect is refused,
 * which is the truth. After that they stay open as long as the keeper; while no worker is ready the
 * kernel's backlog holds new connections. The service manager keeps them from then on, too; or it has
 * made them (socket activation): then they listen from the beginning.
 */
#pragma once

#include "config/model.h"
#include "keeper/inherit.h"

struct portal_listener {
    int fd; /* -1: closed */
    const struct config_portal *portal;
    unsigned index;  /* which address of the portal */
    uint32_t number; /* no other listener of this process has it */
    bool shared;     /* while a change is prepared: the descriptor is that of the one before, too */
    struct store_item *stored;
};

struct portals {
    struct portal_listener *listeners;
    unsigned count;
    int backlog;
    struct store *store;
};

/*
 * Binds every address of every portal that no inherited socket listens at; one that `before` has (NULL:
 * there are none) is used further. At a start (`inherited`) one that is in use may become free (dying.h). 0; or
 * -EINVAL with one problem for each that failed, and nothing bound.
 */
int portals_bind(struct portals *portals, const struct config *config, const struct portals *before,
                 struct inheritance *inherited, struct store *store,
                 struct config_problems *problems);
/* `next` was bound with `portals` as those before and takes their place; what it does not use is closed. */
void portals_replace(struct portals *portals, struct portals *next);
/* The listener of that number, or NULL. */
const struct portal_listener *portals_find(const struct portals *portals, uint32_t number);
/* Starts listening; as above. May be called again without effect. */
int portals_listen(struct portals *portals, struct config_problems *problems);
/* Closes them, but for shared ones; may be called twice. */
void portals_close(struct portals *portals);
/* "san=127.0.0.1:3260,[::1]:3260 lab=..." for the log; g_free(). */
char *portals_describe(const struct portals *portals);
