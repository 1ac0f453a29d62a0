/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hold of LUNs whose storage is exchanged: commands that come wait, those under way end, and what was
 * written is on stable storage before anything else happens. All of that within one deadline, shorter than
 * initiators have patience; when it passes the old storage goes on as if nothing had been.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon_reload.h"
#include "scsi/sanitize.h"

#define HOLD_NS (10 * NS_PER_S)

/* One flush; it outlives the hold when the handler does not answer in time. */
struct flush {
    struct daemon *daemon;
    struct reload_hold *hold; /* NULL: nobody waits for it any more */
    unsigned swap;
    struct backend *backend;
    struct reactor_message message;
    struct backend_io io;
    struct daemon_note note;
};

struct reload_hold {
    struct daemon_reload *reload;
    struct daemon_rest rest;
    GPtrArray *flushes; /* under way */
    guint timer;
};

static struct reload_swap *swap_at(const struct daemon_reload *r, unsigned i)
{
    return &g_array_index(r->swaps, struct reload_swap, i);
}

static void hold_end(struct reload_hold *h)
{
    struct daemon_reload *r = h->reload;
    if (h->timer)
        g_source_remove(h->timer);
    g_ptr_array_free(h->flushes, TRUE);
    g_free(h);
    reload_at_rest(r);
}

/* ---- flush ---- */

static void not_flushed(struct daemon_reload *r, const struct reload_swap *w, const char *why)
{
    const char *target = w->lun->target->config->name;
    if (r->how.force)
        log_warning("reload",
                    "a LUN leaves storage that could not be flushed target=%s lun=%u error=\"%s\"",
                    target, w->lun->config->number, why);
    else
        config_problem_error(r->problems, w->step->at,
                             "target %s LUN %u stays where it is: what was written there could not "
                             "be flushed: %s",
                             target, w->lun->config->number, why);
}

static void flushed(struct daemon *d, struct daemon_note *note)
{
    struct flush *f = container_of(note, struct flush, note);
    struct reload_hold *h = f->hold;
    if (h && f->io.result < 0)
        not_flushed(h->reload, swap_at(h->reload, f->swap), g_strerror(-f->io.result));
    if (h)
        g_ptr_array_remove_fast(h->flushes, f);
    if (h && !h->flushes->len)
        hold_end(h);
    g_free(f);
}

static gboolean flush_late(gpointer data)
{
    struct reload_hold *h = data;
    for (unsigned i = 0; i < h->flushes->len; i++) {
        struct flush *f = g_ptr_array_index(h->flushes, i);
        f->hold = NULL;
        not_flushed(h->reload, swap_at(h->reload, f->swap), "it takes too long");
    }
    h->timer = 0;
    hold_end(h);
    return G_SOURCE_REMOVE;
}

/* On the reactor. */
static void io_done(struct backend_io *io)
{
    struct flush *f = container_of(io, struct flush, io);
    daemon_note(f->daemon, &f->note);
}

static void submit(struct reactor_message *message)
{
    struct flush *f = container_of(message, struct flush, message);
    struct backend *backend = f->backend;
    backend->ops->submit(backend, &f->io); /* f may be gone */
    if (backend->ops->kick)
        backend->ops->kick(backend);
}

static void flush_begin(struct reload_hold *h, unsigned swap)
{
    struct daemon *d = h->reload->daemon;
    struct flush *f = g_new0(struct flush, 1);
    f->daemon = d;
    f->hold = h;
    f->swap = swap;
    f->backend = swap_at(h->reload, swap)->lun->backend;
    f->io.op = BACKEND_FLUSH;
    f->io.done = io_done;
    f->note.run = flushed;
    f->message.run = submit;
    g_ptr_array_add(h->flushes, f);
    reactor_post(d->reactors[0], &f->message);
}

static bool wants_flush(const struct reload_swap *w)
{
    uint32_t features = w->lun->backend->info.features;
    return !storage_is_absent(w->lun->backend) && features & BACKEND_FEATURE_VOLATILE_CACHE &&
           !(features & BACKEND_FEATURE_READ_ONLY);
}

/* ---- hold ---- */

static void at_rest(struct daemon_rest *rest, bool still)
{
    struct reload_hold *h = container_of(rest, struct reload_hold, rest);
    struct daemon_reload *r = h->reload;
    g_ptr_array_free(rest->luns, TRUE);
    if (!still)
        config_problem_error(r->problems, swap_at(r, 0)->step->at,
                             "target %s LUN %u stays where it is: I/O under way does not come to "
                             "its end",
                             swap_at(r, 0)->lun->target->config->name,
                             swap_at(r, 0)->lun->config->number);
    for (unsigned i = 0; still && i < r->swaps->len; i++)
        if (wants_flush(swap_at(r, i)))
            flush_begin(h, i);
    if (h->flushes->len)
        h->timer = g_timeout_add((guint)(reload_hold_left(r) / NS_PER_MS), flush_late, h);
    else
        hold_end(h);
}

void reload_hold(struct daemon_reload *r)
{
    struct reload_hold *h = g_new0(struct reload_hold, 1);
    r->held_ns = clock_now_ns();
    h->reload = r;
    h->flushes = g_ptr_array_new();
    h->rest = (struct daemon_rest){ .done = at_rest,
                                    .luns = g_ptr_array_new(),
                                    .deadline_ns = r->held_ns + HOLD_NS,
                                    .may_abort = r->how.force };
    for (unsigned i = 0; i < r->swaps->len; i++) {
        struct daemon_lun *l = swap_at(r, i)->lun;
        scsi_unit_hold(l->unit, l->target->scsi);
        swap_at(r, i)->held = l->unit;
        if (storage_is_absent(l->backend))
            scsi_sanitize_hold(l->unit, true);
        storage_send_away(l->backend); /* nobody would answer what waits for one that is absent */
        g_ptr_array_add(h->rest.luns, l);
    }
    log_info("reload", "LUNs are held count=%u", r->swaps->len);
    daemon_rest_begin(r->daemon, &h->rest);
}

uint64_t reload_hold_left(const struct daemon_reload *r)
{
    uint64_t now = clock_now_ns(), until = r->held_ns + HOLD_NS;
    return until > now + NS_PER_S ? until - now : NS_PER_S;
}

/* ---- and its end ---- */

static void go_on(struct daemon_round *round, struct engine *e)
{
    engine_run_paused(e);
}

static void gone_on(struct daemon_round *round)
{
    g_free(round);
}

void reload_release(struct daemon_reload *r)
{
    bool any = false;
    for (unsigned i = 0; i < r->swaps->len; i++) {
        struct reload_swap *w = swap_at(r, i);
        if (!w->held)
            continue;
        scsi_unit_release(w->held, w->lun->target->scsi);
        if (w->held == w->lun->unit) /* it stays what it was */
            scsi_sanitize_hold(w->held, false);
        w->held = NULL;
        any = true;
    }
    if (!any)
        return;
    struct daemon_round *round = g_new0(struct daemon_round, 1);
    round->look = go_on;
    round->done = gone_on;
    daemon_round(r->daemon, round);
    log_info("reload", "LUNs were held took=%.3fms", (double)(clock_now_ns() - r->held_ns) / 1e6);
}
