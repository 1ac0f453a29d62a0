/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prepare. Storage that takes the place of another one is opened beside it and looked at, under running
 * I/O. What cannot be open twice (the same file with other options) is closed first, when the LUN is held
 * (daemon_reload_hold.c), and opened again when something fails: then initiators have seen a pause.
 */
#include "daemon_reload.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LEAVE_WAIT_NS (10 * NS_PER_S) /* for storage of the exchange before this one */
#define LOOK_MS       2
#define PATH_WAIT_NS  (60 * NS_PER_S) /* as for opening it */

struct daemon_lun *reload_find_lun(struct daemon *d, const struct plan_step *s)
{
    const struct config_target *t = s->old_target;
    return daemon_target_find(d, t->name)->luns[s->old_lun - t->luns];
}

static struct reload_swap *swap_at(const struct daemon_reload *r, unsigned i)
{
    return &g_array_index(r->swaps, struct reload_swap, i);
}

static bool failed(const struct daemon_reload *r)
{
    return config_problems_errors(r->problems) != 0;
}

/* ---- undo ---- */

static void close_new(struct daemon_reload *r, struct reload_swap *w)
{
    bool memory = w->backend && storage_uses_memory(w->backend);
    if (w->backend)
        daemon_lun_close(r->daemon, w->backend);
    w->backend = NULL;
    if (memory && !w->old_memory)
        daemon_drop_memory(r->daemon, "lun:", w->lun->unit);
}

static void open_old(struct daemon_reload *r, struct reload_swap *w)
{
    struct daemon *d = r->daemon;
    struct daemon_lun *l = w->lun;
    close_new(r, w);
    if (!w->closed)
        return;
    l->backend = NULL;
    unsigned before = config_problems_count(r->problems);
    if (daemon_lun_open(d, d->config, l->target->config, l->config, false, NULL, &l->backend,
                        r->problems) < 0)
        daemon_absent_again(d, l, &w->old, config_problems_get(r->problems, before)->text);
    else
        daemon_absent_clear(l);
    scsi_unit_set_backend(l->unit, l->backend);
    daemon_absent_kept(l);
}

void reload_undo(struct daemon_reload *r)
{
    GHashTableIter iter;
    gpointer backend;
    for (unsigned i = 0; i < r->swaps->len; i++)
        open_old(r, swap_at(r, i));
    reload_release(r);
    g_array_set_size(r->swaps, 0);
    g_hash_table_iter_init(&iter, r->opened);
    while (g_hash_table_iter_next(&iter, NULL, &backend))
        daemon_lun_close(r->daemon, backend);
    g_hash_table_remove_all(r->opened);
}

/* ---- the new storage ---- */

/* It takes the place of the old one: as large, with the same blocks. */
static void check_new(struct daemon_reload *r, const struct reload_swap *w)
{
    const struct backend_info *new = &w->backend->info, *old = &w->old;
    const char *target = w->lun->target->config->name;
    unsigned number = w->lun->config->number;
    if (w->step->lun_change & PLAN_LUN_IDENTITY)
        return;
    if (new->block_bytes != old->block_bytes)
        config_problem_error(r->problems, w->step->at,
                             "target %s LUN %u: the new storage has blocks of %u bytes, and not of "
                             "%u as the disk",
                             target, number, new->block_bytes, old->block_bytes);
    else if (new->bytes < old->bytes && !r->how.force)
        config_problem_error(r->problems, w->step->at,
                             "target %s LUN %u: the new storage has %" PRIu64
                             " bytes, fewer than the disk (%" PRIu64
                             "); a disk is made smaller only with --force",
                             target, number, new->bytes, old->bytes);
}

/* A look at a path: a file system may let it wait. */
struct look {
    char *path;
    int error;
};

static void look_free(struct look *l)
{
    g_free(l->path);
    g_free(l);
}

static void look_run(void *data)
{
    struct look *l = data;
    l->error = access(l->path, F_OK) < 0 ? errno : 0;
}

static void look_late(struct daemon *d, void *data)
{
    look_free(data);
}

/* 0, or negative errno. */
static int look_at(struct daemon_reload *r, const struct reload_swap *w, const char *path)
{
    struct look *l = g_new0(struct look, 1);
    const struct daemon_work work = { .verb = "looking for a disk",
                                      .target = w->lun->target->config->name,
                                      .lun = w->lun->config->number,
                                      .deadline_ns = PATH_WAIT_NS,
                                      .run = look_run,
                                      .late = look_late };
    l->path = g_strdup(path);
    int result = daemon_aside(r->daemon, &work, l);
    if (result < 0)
        return result;
    result = -l->error;
    look_free(l);
    return result;
}

/* Nothing is made for a disk that has contents: a name with a mistake in it would be an empty disk. */
static bool is_missing(struct daemon_reload *r, const struct reload_swap *w)
{
    const struct config_lun *c = w->step->new_lun;
    const struct config_node *path = config_node_get(c->options, "path");
    const char *target = w->lun->target->config->name;
    if (r->how.force || !path || path->type != CONFIG_SCALAR)
        return false;
    int error = look_at(r, w, path->text);
    if (error == -ENOENT)
        config_problem_error(r->problems, path,
                             "target %s LUN %u: %s: there is no such file, and a disk in use is "
                             "not moved to an empty one without --force",
                             target, c->number, path->text);
    else if (error == -ETIMEDOUT || error == -ECANCELED)
        config_problem_error(r->problems, path, "target %s LUN %u: %s: %s", target, c->number,
                             path->text, g_strerror(-error));
    return config_problems_errors(r->problems) != 0;
}

static int open_new(struct daemon_reload *r, struct reload_swap *w, struct backend *beside,
                    struct config_problems *problems)
{
    const struct plan_step *s = w->step;
    int result = daemon_lun_open(r->daemon, reload_config(r), s->new_target, s->new_lun,
                                 s->lun_change & PLAN_LUN_SIZE, beside, &w->backend, problems);
    if (result == 0)
        check_new(r, w);
    return result;
}

static void open_beside(struct daemon_reload *r, struct reload_swap *w)
{
    struct config_problems *problems = config_problems_new();
    if (!w->old_memory) /* nothing of an earlier life of the LUN */
        daemon_drop_memory(r->daemon, "lun:", w->lun->unit);
    int result = is_missing(r, w) ? 0 : open_new(r, w, w->lun->backend, problems);
    if (result == -EBUSY) /* by the old one, most likely */
        w->backend = NULL;
    else if (result < 0)
        config_problem_error(r->problems, w->step->new_lun->handler_node, "%s",
                             config_problems_get(problems, 0)->text);
    config_problems_free(problems);
}

static void close_and_open(struct daemon_reload *r, struct reload_swap *w)
{
    struct daemon_lun *l = w->lun;
    scsi_unit_quiesce(l->unit);
    w->closed = true;
    struct backend *backend = g_steal_pointer(&l->backend); /* nobody looks at it from now on */
    r->daemon->open_within_ns = reload_hold_left(r);
    if (daemon_lun_close(r->daemon, backend) == 0)
        open_new(r, w, /* beside= */ NULL, r->problems);
    else
        config_problem_error(r->problems, w->step->at, "target %s LUN %u does not close",
                             l->target->config->name, l->config->number);
    r->daemon->open_within_ns = 0;
}

void reload_at_rest(struct daemon_reload *r)
{
    for (unsigned i = 0; i < r->swaps->len && !failed(r); i++)
        if (!swap_at(r, i)->backend)
            close_and_open(r, swap_at(r, i));
    reload_say(r);
}

/* ---- prepare ---- */

static void open_added(struct daemon_reload *r, const struct config_target *target,
                       const struct config_lun *lun)
{
    struct backend *backend = NULL;
    if (daemon_lun_open(r->daemon, reload_config(r), target, lun, false, NULL, &backend,
                        r->problems) == 0)
        g_hash_table_insert(r->opened, (gpointer)lun, backend);
}

static void add_swap(struct daemon_reload *r, const struct plan_step *s)
{
    struct daemon_lun *l = reload_find_lun(r->daemon, s);
    struct reload_swap swap = { .step = s, .lun = l };
    if (!l->backend) {
        config_problem_error(r->problems, s->at, "target %s LUN %u is not open",
                             l->target->config->name, l->config->number);
        return;
    }
    swap.old = l->backend->info;
    swap.old_memory = storage_uses_memory(l->backend);
    if (s->lun_change & PLAN_LUN_MOVE && !(s->lun_change & PLAN_LUN_IDENTITY))
        open_beside(r, &swap);
    g_array_append_val(r->swaps, swap);
}

static void prepare_step(struct daemon_reload *r, const struct plan_step *s)
{
    bool shrinks_open = (s->lun_change & PLAN_LUN_SHRINK) && !(s->lun_change & PLAN_LUN_IDENTITY);
    if (s->object == PLAN_TARGET && s->kind == PLAN_ADD)
        for (unsigned i = 0; i < s->new_target->lun_count; i++)
            open_added(r, s->new_target, &s->new_target->luns[i]);
    if (s->object != PLAN_LUN)
        return;
    if (s->kind == PLAN_ADD)
        open_added(r, s->new_target, s->new_lun);
    if (s->kind == PLAN_CHANGE &&
        ((s->lun_change & (PLAN_LUN_REPLACE | PLAN_LUN_IDENTITY)) || shrinks_open))
        add_swap(r, s);
}

static gboolean prepare(gpointer data)
{
    struct daemon_reload *r = data;
    if (retire_exchanges(r->daemon) && clock_now_ns() < r->until_ns)
        return G_SOURCE_CONTINUE;
    for (unsigned i = 0; i < r->plan->count && !failed(r); i++)
        prepare_step(r, &r->plan->steps[i]);
    if (r->swaps->len && !failed(r))
        reload_hold(r);
    else
        reload_say(r);
    return G_SOURCE_REMOVE;
}

void reload_prepare(struct daemon_reload *r)
{
    r->until_ns = clock_now_ns() + LEAVE_WAIT_NS;
    if (prepare(r) == G_SOURCE_CONTINUE)
        g_timeout_add(LOOK_MS, prepare, r);
}
