/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prepare. A disk that is closed and opened again answers BUSY from the moment it is paused: its commands
 * come to their end, its storage is closed, and that with the new options is opened. When something
 * fails the old one is opened again, and its initiators have seen nothing but BUSY.
 */
#include "daemon_reload.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define REST_NS (10 * NS_PER_S)

/* While prepared disks come to rest. */
struct pause {
    struct daemon_reload *reload;
    struct daemon_rest rest;
};

struct daemon_lun *reload_find_lun(struct daemon *d, const struct plan_step *s)
{
    const struct config_target *t = s->old_target;
    const struct daemon_target *target = d->targets[t - d->config->targets];
    return target->luns[s->old_lun - t->luns];
}

static struct reload_swap *swap_at(const struct daemon_reload *r, unsigned i)
{
    return &g_array_index(r->swaps, struct reload_swap, i);
}

static int open_new(struct daemon_reload *r, const struct plan_step *s,
                    struct backend **ret_backend)
{
    return daemon_lun_open(r->daemon, r->next->config, s->new_target, s->new_lun,
                           s->lun_change & PLAN_LUN_SIZE, ret_backend, r->problems);
}

/* ---- undo ---- */

static void open_old(struct daemon_reload *r, struct reload_swap *w)
{
    struct daemon *d = r->daemon;
    struct daemon_lun *l = w->lun;
    if (w->backend)
        daemon_lun_close(r->daemon, w->backend);
    w->backend = NULL;
    if (w->closed) {
        l->backend = NULL;
        if (daemon_lun_open(d, d->config, l->target->config, l->config, false, &l->backend,
                            r->problems) < 0) {
            log_error("reload", "a disk cannot be opened again, it stays BUSY target=%s lun=%u",
                      l->target->config->name, l->config->number);
            return;
        }
        scsi_unit_set_backend(l->unit, l->backend);
    }
    scsi_unit_resume(l->unit);
}

void reload_undo(struct daemon_reload *r)
{
    GHashTableIter iter;
    gpointer backend;
    for (unsigned i = 0; i < r->swaps->len; i++)
        open_old(r, swap_at(r, i));
    g_array_set_size(r->swaps, 0);
    g_hash_table_iter_init(&iter, r->opened);
    while (g_hash_table_iter_next(&iter, NULL, &backend))
        daemon_lun_close(r->daemon, backend);
    g_hash_table_remove_all(r->opened);
}

/* ---- prepare ---- */

static void close_and_open(struct daemon_reload *r, struct reload_swap *w)
{
    struct daemon_lun *l = w->lun;
    scsi_unit_quiesce(l->unit);
    struct backend *backend = g_steal_pointer(&l->backend); /* nobody looks at it from now on */
    if (daemon_lun_close(r->daemon, backend) < 0) {
        l->backend = backend;
        config_problem_error(r->problems, w->step->at, "target %s LUN %u does not close",
                             l->target->config->name, l->config->number);
        return;
    }
    w->closed = true;
    open_new(r, w->step, &w->backend);
}

static void paused(struct daemon_rest *rest, bool at_rest)
{
    struct pause *p = container_of(rest, struct pause, rest);
    struct daemon_reload *r = p->reload;
    g_ptr_array_free(rest->luns, TRUE);
    g_free(p);
    if (!at_rest)
        config_problem_error(r->problems, swap_at(r, 0)->step->at,
                             "I/O under way does not come to its end");
    for (unsigned i = 0; i < r->swaps->len && !config_problems_errors(r->problems); i++)
        close_and_open(r, swap_at(r, i));
    reload_say(r);
}

static void open_added(struct daemon_reload *r, const struct config_target *target,
                       const struct config_lun *lun)
{
    struct backend *backend = NULL;
    if (daemon_lun_open(r->daemon, r->next->config, target, lun, false, &backend, r->problems) == 0)
        g_hash_table_insert(r->opened, (gpointer)lun, backend);
}

static void prepare_step(struct daemon_reload *r, const struct plan_step *s)
{
    bool shrinks_open = (s->lun_change & PLAN_LUN_SHRINK) && !(s->lun_change & PLAN_LUN_IDENTITY);
    struct reload_swap swap = { .step = s };
    if (s->object == PLAN_TARGET && s->kind == PLAN_ADD)
        for (unsigned i = 0; i < s->new_target->lun_count; i++)
            open_added(r, s->new_target, &s->new_target->luns[i]);
    if (s->object != PLAN_LUN)
        return;
    if (s->kind == PLAN_ADD)
        open_added(r, s->new_target, s->new_lun);
    if (s->kind != PLAN_CHANGE ||
        (!(s->lun_change & (PLAN_LUN_REPLACE | PLAN_LUN_IDENTITY)) && !shrinks_open))
        return;
    swap.lun = reload_find_lun(r->daemon, s);
    g_array_append_val(r->swaps, swap);
}

void reload_prepare(struct daemon_reload *r)
{
    for (unsigned i = 0; i < r->plan->count && !config_problems_errors(r->problems); i++)
        prepare_step(r, &r->plan->steps[i]);
    if (!r->swaps->len || config_problems_errors(r->problems)) {
        g_array_set_size(r->swaps, config_problems_errors(r->problems) ? 0 : r->swaps->len);
        reload_say(r);
        return;
    }
    struct pause *p = g_new0(struct pause, 1);
    p->reload = r;
    p->rest = (struct daemon_rest){ .done = paused,
                                    .luns = g_ptr_array_new(),
                                    .deadline_ns = clock_now_ns() + REST_NS,
                                    .may_abort = r->how.force };
    for (unsigned i = 0; i < r->swaps->len; i++) {
        scsi_unit_pause(swap_at(r, i)->lun->unit);
        g_ptr_array_add(p->rest.luns, swap_at(r, i)->lun);
    }
    daemon_rest_begin(r->daemon, &p->rest);
}
