/* SPDX-License-Identifier: BSD-3-Clause */
/* Epochs (epoch.h): the message posts itself to the next reactor until there is none. */
#include "reactor/epoch.h"

static void finish(struct reactor_message *message)
{
    struct epoch_wait *wait = container_of(message, struct epoch_wait, message);
    wait->done(wait);
}

static void step(struct reactor_message *message)
{
    struct epoch_wait *wait = container_of(message, struct epoch_wait, message);
    struct reactor *next = NULL;
    if (wait->next < wait->count) {
        next = wait->reactors[wait->next++];
    } else if (wait->home && wait->home != reactor_current()) {
        message->run = finish;
        next = wait->home;
    }
    if (next)
        reactor_post(next, message);
    else
        wait->done(wait);
}

void epoch_wait_async(struct epoch_wait *wait, struct reactor *const *reactors, unsigned count)
{
    wait->reactors = reactors;
    wait->count = count;
    wait->next = 0;
    wait->message.run = count ? step : finish;
    reactor_post(count ? reactors[wait->next++] : wait->home, &wait->message);
}
