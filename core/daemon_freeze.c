/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The old worker's part of an upgrade. The keeper has a new one ready and says FREEZE: logins under way
 * are finished, every reactor holds still, storage is closed, FROZEN. From then on nothing is touched;
 * the process ends. When a reactor cannot hold still in time, everything goes on as before.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_control.h"
#include "daemon_private.h"
#include "handover/freeze.h"

#define LOGINS_NS (100 * NS_PER_MS)
#define LINGER_MS 3000

struct daemon_freeze {
    struct daemon *daemon;
    struct daemon_note note;
    uint64_t begin_ns, timeout_ns;
    _Atomic unsigned missing, failed;
    struct freeze freezes[]; /* one an engine */
};

static void tell_failed(struct daemon *d, const char *text)
{
    struct link_message m = {.type = LINK_FREEZE_FAILED, .fd = -1};
    g_strlcpy(m.failed.text, text, sizeof(m.failed.text));
    daemon_tell(d, &m);
}

static void all_answered(struct daemon *d, struct daemon_note *note)
{
    struct daemon_freeze *z = d->freeze;
    if (z->failed) {
        for (unsigned i = 0; i <= d->data_count; i++)
            if (z->freezes[i].user) /* holds still */
                freeze_undo(&z->freezes[i]);
        acceptor_release(d->acceptor);
        tell_failed(d, "I/O under way did not end in time");
        d->freeze = NULL; /* the messages of the undo are still in it: a few hundred bytes a failure */
        return;
    }
    daemon_control_stop(d); /* its clients ask the next worker */
    bool clean = daemon_targets_release(d);
    struct link_message m = {.type = LINK_FROZEN, .fd = -1, .frozen.clean = clean};
    log_info("handover", "holding still took=%.3fms clean=%s",
             (double)(clock_now_ns() - z->begin_ns) / 1e6, clean ? "yes" : "no");
    daemon_tell(d, &m);
    link_flush(&d->link);
    /* Taking down the address space takes time that the new worker can use better: wait for its READY,
       which the keeper shows by closing the link. */
    poll(&(struct pollfd){.fd = d->link.fd}, 1, LINGER_MS);
    _exit(0);
}

/* On each reactor. */
static void answered(struct freeze *f, bool still)
{
    struct daemon_freeze *z = f->user;
    if (!still) {
        f->user = NULL;
        z->failed++;
    }
    if (--z->missing == 0)
        daemon_note(z->daemon, &z->note);
}

/* Login reactor: no login is under way. */
static void logins_held(void *user)
{
    struct daemon_freeze *z = user;
    struct daemon *d = z->daemon;
    z->missing = d->data_count + 1;
    for (unsigned i = 0; i <= d->data_count; i++) {
        z->freezes[i] = (struct freeze){.engine = &d->engines[i],
                                        .timeout_ns = z->timeout_ns,
                                        .done = answered,
                                        .user = z};
        freeze_begin(&z->freezes[i]);
    }
}

void daemon_freeze(struct daemon *d, uint32_t deadline_ms)
{
    if (d->freeze || !d->acceptor) {
        tell_failed(d, "not now");
        return;
    }
    struct daemon_freeze *z =
        g_malloc0(sizeof(*z) + (d->data_count + 1) * sizeof(struct freeze));
    z->daemon = d;
    z->note.run = all_answered;
    z->begin_ns = clock_now_ns();
    z->timeout_ns = deadline_ms * NS_PER_MS;
    d->freeze = z;
    acceptor_hold(d->acceptor, LOGINS_NS, logins_held, z);
}
