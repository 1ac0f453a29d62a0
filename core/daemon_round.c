/* SPDX-License-Identifier: BSD-3-Clause */
/* A message that visits every reactor and comes back; see daemon_private.h. */
#include "daemon_private.h"

static void back(struct daemon *d, struct daemon_note *note)
{
    struct daemon_round *round = container_of(note, struct daemon_round, note);
    round->done(round);
}

static void visit(struct reactor_message *message)
{
    struct daemon_round *round = container_of(message, struct daemon_round, message);
    struct daemon *d = round->daemon;
    if (round->look)
        round->look(round, &d->engines[round->at]);
    if (round->at++ < d->data_count)
        reactor_post(d->reactors[round->at], message);
    else
        daemon_note(d, &round->note);
}

void daemon_round(struct daemon *d, struct daemon_round *round)
{
    round->daemon = d;
    round->at = 0;
    round->message.run = visit;
    round->note.run = back;
    reactor_post(d->reactors[0], &round->message);
}
