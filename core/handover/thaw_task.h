/* SPDX-License-Identifier: BSD-3-Clause */
/* The tasks of a session that is being thawed. */
#pragma once

#include "iscsi/engine.h"

struct thawed {
    struct reactor_message message;
    struct session *session;
    struct connection *connections[STATE_CONNECTIONS_PER_SESSION];
    unsigned connection_count;
    uint32_t exp_cmd_sn, max_cmd_sn;
    unsigned numbers_given; /* to connections: session.numbers_given */
    struct task **due;      /* those that go on at once, in order; g_free() */
    unsigned due_count;
};

/* Rebuilds tasks, buffers, and what each connection was receiving; false: something does not fit. */
bool thaw_tasks(struct thawed *w, const char **ret_why);
/* All fits: what their commands have begun is theirs before any reactor starts. */
void thaw_tasks_resumed(struct thawed *w);
/* Gives back what thaw_tasks() took. */
void thaw_tasks_release(struct thawed *w);
/* On the session's reactor, connections attached: delivers them. */
void thaw_tasks_go(struct thawed *w);
