/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Epochs: "everything published before now has been seen, and everything taken out of reach before
 * now is no longer in use". One message travels through all the reactors, one after the other;
 * every reactor runs it between two pieces of work, so whatever it held on its stack when the wait
 * began is gone when the message leaves it. (What it keeps across turns is the owner's business.)
 */
#pragma once

#include "reactor/reactor.h"

struct epoch_wait {
    /* All reactors have gone round. Runs on `home`, or on the last reactor when home is NULL (then
     * hand it on to your own loop). The wait may be freed or used again from inside. */
    void (*done)(struct epoch_wait *wait);
    struct reactor *home;
    struct reactor_message message; /* private, as the rest */
    struct reactor *const *reactors;
    unsigned count, next;
};

/* Any thread. `reactors` and `wait` stay valid until done(). count 0 needs a home. */
void epoch_wait_async(struct epoch_wait *wait, struct reactor *const *reactors, unsigned count);
