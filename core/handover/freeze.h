/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A reactor holds still: nothing is parsed, received or sent any more, and what the units were doing
 * is over. Then its state memory says all, and another process may go on with it (thaw.h), or this one
 * after all (freeze_undo()).
 */
#pragma once

#include "iscsi/engine.h"

struct freeze {
    struct engine *engine;          /* in */
    uint64_t timeout_ns;            /* in: for I/O under way */
    unsigned (*waiting)(void);      /* in: on the reactor: I/O of commands that has not begun and may wait for
                                       ever; not waited for. NULL: there is none */
    /* On the reactor: it holds still (true), or could not in time and goes on (false). */
    void (*done)(struct freeze *f, bool still);
    void *user;
    /* Private. */
    struct reactor_message message;
    struct reactor_task look;
    struct timer poll;
    uint64_t deadline_ns;
};

/* Any thread. One at a time for each engine. */
void freeze_begin(struct freeze *f);
/* Any thread, after done(f, true): everything goes on where it stood. */
void freeze_undo(struct freeze *f);
