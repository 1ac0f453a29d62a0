/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's answer to the keeper's question whether it lives: when a message has gone through every
 * reactor and back to the control thread. A question that comes while an earlier one is on its way is
 * answered with it, or never.
 */
#include <stdatomic.h>

#include "daemon_private.h"

struct daemon_pulse {
    struct daemon_note note;
    struct daemon *daemon;
    uint32_t number;
    bool under_way;
    _Atomic unsigned missing;
    struct pulse_part {
        struct reactor_message message;
        struct daemon_pulse *pulse;
    } parts[]; /* one a reactor */
};

static void all_back(struct daemon *d, struct daemon_note *note)
{
    struct daemon_pulse *p = container_of(note, struct daemon_pulse, note);
    p->under_way = false;
    daemon_tell(d, &(struct link_message){ .type = LINK_PONG, .fd = -1, .ping.number = p->number });
}

/* On each reactor. */
static void part_run(struct reactor_message *message)
{
    struct daemon_pulse *p = container_of(message, struct pulse_part, message)->pulse;
    if (atomic_fetch_sub(&p->missing, 1) == 1)
        daemon_note(p->daemon, &p->note);
}

static struct daemon_pulse *pulse_new(struct daemon *d)
{
    struct daemon_pulse *p =
        g_malloc0(sizeof(*p) + (d->data_count + 1) * sizeof(struct pulse_part));
    p->daemon = d;
    p->note.run = all_back;
    for (unsigned i = 0; i <= d->data_count; i++) {
        p->parts[i].message.run = part_run;
        p->parts[i].pulse = p;
    }
    return p;
}

void daemon_pulse(struct daemon *d, uint32_t number)
{
    if (!d->pulse)
        d->pulse = pulse_new(d);
    struct daemon_pulse *p = d->pulse;
    p->number = number;
    if (p->under_way)
        return;
    p->under_way = true;
    p->missing = d->data_count + 1;
    for (unsigned i = 0; i <= d->data_count; i++)
        reactor_post(d->reactors[i], &p->parts[i].message);
}
