/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What units keep over the end of keeper and worker (scsi/stopped.h), while the worker runs: a moment after
 * something of it has changed, all units are looked at, and those that differ from their files are
 * copied, one after the other, on the reactors that change them, and written by this thread. A worker
 * that stops or hands over leaves it at that: the stop writes all, the next worker looks by itself, and
 * when nothing comes of the hand-over this one looks again. So it does some time after a file could not be written.
 */
#include <glib.h>

#include "base/log.h"
#include "daemon_private.h"
#include "scsi/stopped.h"

#define MOMENT_MS 200  /* however often something changes */
#define AGAIN_MS  2000 /* after a failure */

struct daemon_kept {
    struct daemon *daemon;
    struct daemon_note changed, copied;
    struct scsi_stopped_copy copy;
    _Atomic bool told;   /* `changed` is under way, or the moment has begun */
    bool copying, again; /* again: something has changed since the look began */
    bool failing;        /* some file could not be written */
    guint timer;
};

static void look(struct daemon_kept *k);
static bool any_failed(struct daemon *d, bool forget);

static bool wanted(const struct daemon *d)
{
    return d->go && !d->stopping && !d->freeze && d->state_directory;
}

static gboolean moment_over(gpointer data)
{
    struct daemon_kept *k = data;
    k->timer = 0;
    atomic_store(&k->told, false); /* what changes from now on is told again */
    if (k->failing)
        any_failed(k->daemon, /* forget= */ true);
    if (k->copying)
        k->again = true;
    else
        look(k);
    return G_SOURCE_REMOVE;
}

static void look_after(struct daemon_kept *k, guint ms)
{
    if (k->timer)
        g_source_remove(k->timer);
    k->timer = g_timeout_add(ms, moment_over, k);
}

static void changed(struct daemon *d, struct daemon_note *note)
{
    look_after(container_of(note, struct daemon_kept, changed), MOMENT_MS);
}

void daemon_kept_changed(void *user)
{
    struct daemon_kept *k = ((struct daemon *)user)->kept;
    if (!atomic_exchange(&k->told, true))
        daemon_note(k->daemon, &k->changed);
}

static struct daemon_lun *lun_of(struct daemon *d, const struct scsi_unit *unit)
{
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++)
            if (d->targets[i]->luns[j]->unit == unit)
                return d->targets[i]->luns[j];
    return NULL;
}

/* An outage of the state directory is told once, and when it is over. */
static void failed(struct daemon_kept *k, struct daemon_lun *l, int error)
{
    if (!k->failing)
        log_error("daemon",
                  "what initiators have set up is not kept target=%s lun=%u error=\"%s\"; it is "
                  "tried again",
                  l->target->config->name, l->config->number, g_strerror(-error));
    k->failing = l->kept_failed = true;
    if (!k->timer)
        look_after(k, AGAIN_MS);
}

static void copied(struct daemon *d, struct daemon_note *note)
{
    struct daemon_kept *k = container_of(note, struct daemon_kept, copied);
    struct daemon_lun *l =
        wanted(d) ? lun_of(d, k->copy.unit) : NULL; /* it may have gone meanwhile */
    int r = scsi_stopped_copy_end(&k->copy, l != NULL);
    k->copying = false;
    if (l && r < 0) {
        failed(k, l, r);
    } else if (l) {
        l->kept_version = k->copy.version;
        l->kept_known = true;
    }
    look(k);
}

/* On the unit's reactor. */
static void copy_done(struct scsi_stopped_copy *copy)
{
    struct daemon_kept *k = copy->user;
    daemon_note(k->daemon, &k->copied);
}

/* True: its copy is under way. */
static bool look_at(struct daemon_kept *k, struct daemon_lun *l)
{
    uint64_t version = scsi_stopped_version(l->unit);
    if (l->kept_failed || (l->kept_known && l->kept_version == version))
        return false;
    if (!scsi_stopped_is_empty(l->unit)) {
        k->copying = true;
        scsi_stopped_copy(&k->copy, l->unit);
        return true;
    }
    if (l->kept_known || l->unit->home.keep.existed)
        scsi_stopped_forget(l->unit);
    l->kept_version = version;
    l->kept_known = true;
    return false;
}

static bool any_failed(struct daemon *d, bool forget)
{
    bool any = false;
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++) {
            any |= d->targets[i]->luns[j]->kept_failed;
            d->targets[i]->luns[j]->kept_failed &= !forget;
        }
    return any;
}

static void look(struct daemon_kept *k)
{
    struct daemon *d = k->daemon;
    do {
        k->again = false;
        for (unsigned i = 0; wanted(d) && i < d->target_count; i++)
            for (unsigned j = 0; j < d->targets[i]->lun_count; j++)
                if (d->targets[i]->luns[j]->unit && look_at(k, d->targets[i]->luns[j]))
                    return;
    } while (k->again);
    if (k->failing && wanted(d) && !any_failed(d, /* forget= */ false)) {
        log_notice("daemon", "what initiators have set up is kept again");
        k->failing = false;
    }
}

void daemon_kept_init(struct daemon *d)
{
    struct daemon_kept *k = d->kept = g_new0(struct daemon_kept, 1);
    k->daemon = d;
    k->changed.run = changed;
    k->copied.run = copied;
    k->copy.done = copy_done;
    k->copy.user = k;
}

void daemon_kept_free(struct daemon *d)
{
    if (!d->kept)
        return;
    if (d->kept->copying)
        scsi_stopped_copy_end(&d->kept->copy, /* write= */ false);
    if (d->kept->timer)
        g_source_remove(d->kept->timer);
    g_clear_pointer(&d->kept, g_free);
}
