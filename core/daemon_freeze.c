/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The old worker's part of an upgrade. The keeper has a new one ready and says FREEZE: logins under way
 * are finished, every reactor holds still, storage is closed, FROZEN. From then on nothing is touched;
 * the process ends. When the new worker has another layout of its memory, the old one writes an image before it
 * lets go of anything, and waits for what the keeper says of it. When a reactor cannot hold still in time, everything goes on as before.
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
    struct daemon_freeze *before; /* that came to nothing, too */
    struct daemon_note note;
    uint64_t begin_ns, timeout_ns;
    bool image, abandoned;
    _Atomic unsigned missing, failed;
    struct freeze freezes[]; /* one an engine */
};

static void tell_failed(struct daemon *d, const char *text)
{
    struct link_message m = { .type = LINK_FREEZE_FAILED, .fd = -1 };
    g_strlcpy(m.failed.text, text, sizeof(m.failed.text));
    daemon_tell(d, &m);
}

static void go_on(struct daemon *d)
{
    struct daemon_freeze *z = d->freeze;
    for (unsigned i = 0; i <= d->data_count; i++)
        if (z->freezes[i].user) /* holds still */
            freeze_undo(&z->freezes[i]);
    acceptor_release(d->acceptor);
    d->freeze =
        NULL; /* the messages of the undo are still in it: kept until the reactors have stopped */
    z->before = d->abandoned_freezes;
    d->abandoned_freezes = z;
    daemon_kept_changed(d); /* what did so while nobody looked */
}

/*
 * The image is out: until the keeper has decided, this thread does nothing else, so that nothing changes
 * what is written in it. What comes meanwhile is for afterwards. False: go on as before.
 */
static bool wait_for_verdict(struct daemon *d)
{
    g_autoptr(GArray) aside = g_array_new(FALSE, FALSE, sizeof(struct link_message));
    int verdict = 0, r = 0;
    while (!verdict) {
        struct link_message m;
        r = link_receive(&d->link, &m);
        if (r < 0)
            _exit(1); /* the keeper is gone, and with it everything */
        if (r > 0 && m.type != LINK_LET_GO && m.type != LINK_GO_ON) {
            g_array_append_val(aside, m);
            continue;
        }
        if (r > 0)
            verdict = (int)m.type;
        else
            poll(&(struct pollfd){ .fd = d->link.fd, .events = POLLIN }, 1, -1);
    }
    if (verdict == LINK_LET_GO)
        return true;
    go_on(d);
    for (guint i = 0; i < aside->len; i++)
        daemon_handle(d, &g_array_index(aside, struct link_message, i));
    return false;
}

/* True: another worker has it. */
static bool send_image(struct daemon *d)
{
    int fd = daemon_image_export(d);
    if (fd < 0) {
        log_error("handover", "no image error=\"%s\"", g_strerror(-fd));
        go_on(d);
        tell_failed(d, "the state cannot be written down");
        return false;
    }
    daemon_tell(d, &(struct link_message){ .type = LINK_IMAGE, .fd = fd });
    link_flush(&d->link);
    close(fd);
    return wait_for_verdict(d);
}

static void all_answered(struct daemon *d, struct daemon_note *note)
{
    struct daemon_freeze *z = d->freeze;
    if (z->failed || z->abandoned) {
        bool failed = !z->abandoned;
        go_on(d);
        if (failed)
            tell_failed(d, "I/O under way did not end in time");
        return;
    }
    if (z->image && !send_image(d))
        return;
    daemon_control_stop(d); /* its clients ask the next worker */
    bool clean = daemon_targets_release(d);
    struct link_message m = { .type = LINK_FROZEN, .fd = -1, .frozen.clean = clean };
    log_info("handover", "holding still took=%.3fms clean=%s",
             (double)(clock_now_ns() - z->begin_ns) / 1e6, clean ? "yes" : "no");
    daemon_tell(d, &m);
    link_flush(&d->link);
    /* Taking down the address space takes time that the new worker can use better: wait for its READY,
       which the keeper shows by closing the link. */
    poll(&(struct pollfd){ .fd = d->link.fd }, 1, LINGER_MS);
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
        z->freezes[i] = (struct freeze){
            .engine = &d->engines[i],
            .timeout_ns = z->timeout_ns,
            .waiting = storage_absent_waiting,
            .done = answered,
            .user = z,
        };
        freeze_begin(&z->freezes[i]);
    }
}

void daemon_freeze_free(struct daemon *d)
{
    while (d->abandoned_freezes) {
        struct daemon_freeze *z = d->abandoned_freezes;
        d->abandoned_freezes = z->before;
        g_free(z);
    }
}

void daemon_freeze_abandon(struct daemon *d)
{
    if (d->freeze)
        d->freeze->abandoned = true;
}

void daemon_freeze(struct daemon *d, uint32_t deadline_ms, bool image)
{
    if (d->freeze || !d->acceptor) {
        tell_failed(d, "not now");
        return;
    }
    struct daemon_freeze *z = g_malloc0(sizeof(*z) + (d->data_count + 1) * sizeof(struct freeze));
    z->daemon = d;
    z->note.run = all_answered;
    z->image = image;
    z->begin_ns = clock_now_ns();
    z->timeout_ns = deadline_ms * NS_PER_MS;
    d->freeze = z;
    acceptor_hold(d->acceptor, LOGINS_NS, logins_held, z);
}
