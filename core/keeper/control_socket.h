/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket that holdfastctl speaks to. The keeper binds it and never accepts from it: every worker
 * gets a copy of the descriptor, so a client that comes while there is no worker waits in the
 * backlog for the next one instead of being refused.
 */
#pragma once

#include "keeper/inherit.h"

#include "config/model.h"

#include <sys/types.h>

#define CONTROL_SOCKET_BACKLOG 1024

struct control_socket {
    int fd; /* listening; -1: there is none */
    char *path;
    dev_t device; /* of the name in the file system: what we may remove again */
    ino_t inode;
    bool leaving; /* its name stays: somebody else listens on */
    struct store *store;
    struct store_item *stored;
};

/*
 * Makes the socket of the configuration: mode 0660, group of `daemon.user` when we are root; a missing
 * directory is made, a socket nobody listens on (any more: dying.h) is replaced, anything else in its
 * place is left alone. False after a line in the log when it cannot be and the file asks for it by name; where it
 * is only the default, the daemon does without it, after a warning. One that an earlier keeper has left
 * in the store goes on, with the clients that wait there.
 */
bool control_socket_open(struct control_socket *s, const struct config *config,
                         struct inheritance *inherited, struct store *store);
/* Removes its name when it still is ours, and closes it; may be called twice. */
void control_socket_close(struct control_socket *s);
