/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker: the composition root that wires configuration, plugins, reactors, targets and logins
 * together, and the control thread's loop. Started by the keeper, told by it what to do.
 */
#pragma once

struct daemon_args {
    int link_fd;             /* to the keeper (keeper/link.h) */
    int tombstone_fd;        /* write end; goes into every ring */
    int config_fd;           /* sealed memfd: the text of the configuration */
    const char *config_file; /* its name, for messages */
    unsigned generation;
    bool again; /* the one before is dead: nobody else can go on */
    bool spare; /* in reserve: nobody needs it until GO */
};

/* Runs until the keeper says STOP (0) or something makes it impossible to start or go on (1). */
int daemon_run(const struct daemon_args *args);
