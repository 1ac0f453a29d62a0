/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commit. The new snapshot is built from what was and what was prepared, then published: LUN maps, masks,
 * the catalog. What reactors may still see of the old goes to daemon_retire.c.
 */
#include "daemon_reload.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/loader.h"
#include "scsi/alua.h"

#define FORCE_NS NS_PER_S /* what ends at once still finishes in order what it can in this time */

static uint64_t deadline(const struct daemon_reload *r)
{
    uint64_t ns = r->how.drain_ms && !r->how.force ? r->how.drain_ms * NS_PER_MS : FORCE_NS;
    return clock_now_ns() + ns;
}

static void free_map(void *data)
{
    scsi_lun_map_free(data);
}

static void free_words(void *data)
{
    g_strfreev(data);
}

static void unref_catalog(void *data)
{
    catalog_unref(data);
}

/* ---- disks ---- */

static const struct reload_swap *find_swap(const struct daemon_reload *r,
                                           const struct daemon_lun *l)
{
    for (unsigned i = 0; i < r->swaps->len; i++)
        if (g_array_index(r->swaps, struct reload_swap, i).lun == l)
            return &g_array_index(r->swaps, struct reload_swap, i);
    return NULL;
}

static void must(int r, const struct daemon_lun *l)
{
    if (r < 0) /* no memory: there is no way back and no way on; the next worker has all of it */
        g_error("a prepared disk cannot be served target=%s lun=%u: %s", l->target->config->name,
                l->config->number, g_strerror(-r));
}

static void make_unit(struct daemon_reload *r, struct daemon_lun *l, struct backend *backend,
                      struct scsi_unit *replaces)
{
    l->backend = backend;
    daemon_absent_clear(l);
    must(daemon_lun_unit(r->daemon, l->target->config, l, replaces, &l->unit), l);
    daemon_absent_kept(l);
    scsi_unit_forgive(l->unit);
    daemon_lun_tell(l);
}

/* Another unit on other storage in place of one that is at rest. */
static void swap_unit(struct daemon_reload *r, struct daemon_lun *l, const struct reload_swap *w)
{
    bool identity = w->step->lun_change & PLAN_LUN_IDENTITY;
    struct scsi_unit *old = l->unit;
    struct backend *left = w->closed ? NULL : l->backend;
    uint64_t blocks = atomic_load(&old->blocks);
    if (identity)
        scsi_unit_forget(old);
    make_unit(r, l, w->backend, identity ? NULL : old);
    retire_exchanged(r->daemon, l->target, old, left,
                     w->old_memory && !storage_uses_memory(w->backend));
    if (identity)
        return;
    if (blocks != atomic_load(&l->unit->blocks))
        scsi_unit_changed(l->unit, SCSI_UNIT_CAPACITY);
    if (!scsi_unit_alike(old, &w->old, l->unit))
        scsi_unit_changed(l->unit, SCSI_UNIT_INQUIRY);
    if (w->step->lun_change & PLAN_LUN_MOVE)
        log_notice("reload", "LUN has other storage target=%s lun=%u handler=%s",
                   l->target->config->name, l->config->number, l->config->handler);
}

static void change_mask(struct daemon_reload *r, struct daemon_lun *l)
{
    char **before = scsi_unit_set_initiators(l->unit, l->config->initiators);
    if (before)
        retire_garbage(r->daemon, free_words, before);
}

static struct daemon_lun *take_lun(struct daemon_reload *r, struct daemon_target *t,
                                   const struct config_lun *c, struct daemon_lun *old)
{
    struct daemon_lun *l = old;
    if (!l)
        l = daemon_lun_new(r->daemon, t, c);
    l->config = c;
    if (!old)
        make_unit(r, l, g_hash_table_lookup(r->opened, c), NULL);
    return l;
}

/* ---- targets ---- */

/* The LUNs of `t` become those of t->config; both are sorted by number. */
static void merge_luns(struct daemon_reload *r, struct daemon_target *t)
{
    const struct config_target *c = t->config;
    struct daemon_lun **luns = g_new0(struct daemon_lun *, c->lun_count + 1);
    unsigned i = 0;
    for (unsigned j = 0; j < c->lun_count; j++) {
        while (i < t->lun_count && t->luns[i]->unit->lun < c->luns[j].number)
            retire_lun(r->daemon, t->luns[i++], deadline(r));
        bool same = i < t->lun_count && t->luns[i]->unit->lun == c->luns[j].number;
        luns[j] = take_lun(r, t, &c->luns[j], same ? t->luns[i++] : NULL);
    }
    while (i < t->lun_count)
        retire_lun(r->daemon, t->luns[i++], deadline(r));
    g_free(t->luns);
    t->luns = luns;
    t->lun_count = c->lun_count;
}

static void publish(struct daemon_reload *r, struct daemon_target *t)
{
    struct scsi_lun_map *map = NULL;
    if (daemon_target_map(t, &map) < 0)
        g_error("no memory for the LUNs of %s", t->config->name);
    retire_garbage(r->daemon, free_map, scsi_target_publish(t->scsi, map));
}

static void change_ports(struct daemon_target *t, const struct config_target *before)
{
    uint16_t tags[SCSI_PORTS_MAX], old_tags[SCSI_PORTS_MAX];
    uint8_t states[SCSI_PORTS_MAX], old_states[SCSI_PORTS_MAX];
    unsigned n = daemon_port_tags(t->config, tags), old_n = daemon_port_tags(before, old_tags);
    daemon_access_states(t->config, states);
    daemon_access_states(before, old_states);
    if (n != old_n || memcmp(tags, old_tags, n * sizeof(tags[0])) != 0)
        scsi_target_set_ports(t->scsi, tags, n);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < t->lun_count && (i >= old_n || states[i] != old_states[i]); j++)
            scsi_unit_set_access_state(t->luns[j]->unit, i, (enum scsi_access_state)states[i]);
}

/* Steps of its LUNs, but for what handlers do with their options. */
static void change_luns(struct daemon_reload *r, struct daemon_target *t,
                        const struct plan_step *first, unsigned count)
{
    merge_luns(r, t);
    for (unsigned i = 0; i < count; i++) {
        const struct plan_step *s = &first[i];
        if (s->object != PLAN_LUN || s->new_target != t->config || s->kind != PLAN_CHANGE)
            continue;
        struct daemon_lun *l = t->luns[s->new_lun - t->config->luns];
        const struct reload_swap *w = find_swap(r, l);
        if (w)
            swap_unit(r, l, w);
        else if (s->lun_change & PLAN_LUN_MASK)
            change_mask(r, l);
    }
    publish(r, t);
}

static struct daemon_target *make_target(struct daemon_reload *r, const struct config_target *c)
{
    struct daemon_target *t = NULL;
    if (daemon_target_new(r->daemon, c, &t) < 0)
        g_error("no memory for target %s", c->name);
    merge_luns(r, t);
    publish(r, t);
    log_notice("daemon", "target added target=%s luns=%u", c->name, t->lun_count);
    return t;
}

/* Which targets have a LUN step; the steps of one may stand anywhere among removals, changes, additions. */
static GHashTable *touched_targets(const struct plan *plan)
{
    GHashTable *touched = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < plan->count; i++) {
        const struct plan_step *s = &plan->steps[i];
        if (s->object == PLAN_TARGET && s->kind == PLAN_CHANGE && s->class == PLAN_NOTICE)
            g_hash_table_add(touched, (gpointer)s->new_target->name);
        if (s->object == PLAN_LUN && s->new_target &&
            (s->kind != PLAN_CHANGE ||
             s->lun_change & ~(PLAN_LUN_OPTIONS | PLAN_LUN_SIZE | PLAN_LUN_LATE)))
            g_hash_table_add(touched, (gpointer)s->new_target->name);
    }
    return touched;
}

/* An untouched target only learns where its configuration lies now. (The map of one with views names it.) */
static void repoint(struct daemon_target *t)
{
    for (unsigned i = 0; i < t->lun_count; i++)
        t->luns[i]->config = &t->config->luns[i];
}

static void change_target(struct daemon_reload *r, struct daemon_target *t,
                          const struct config_target *c, bool touched)
{
    const struct config_target *before = t->config;
    t->config = c;
    atomic_store(&t->scsi->guard, c->auth);
    if (touched || c->view_count || before->view_count)
        change_luns(r, t, r->plan->steps, r->plan->count);
    else
        repoint(t);
    change_ports(t, before);
}

static void remove_target(struct daemon_reload *r, struct daemon_target *t)
{
    atomic_store(&t->scsi->removed, true);
    retire_target(r->daemon, t, deadline(r));
}

static void change_targets(struct daemon_reload *r)
{
    struct daemon *d = r->daemon;
    const struct config *to = r->next->config;
    g_autoptr(GHashTable) old = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) touched = touched_targets(r->plan);
    struct daemon_target **targets = g_new0(struct daemon_target *, to->target_count + 1);
    for (unsigned i = 0; i < d->target_count; i++)
        g_hash_table_insert(old, d->targets[i]->scsi->name, d->targets[i]);
    for (unsigned i = 0; i < to->target_count; i++) {
        const struct config_target *c = to->targets[i];
        struct daemon_target *t = g_hash_table_lookup(old, c->name);
        if (!t) {
            targets[i] = make_target(r, c);
            continue;
        }
        g_hash_table_remove(old, c->name);
        change_target(r, t, c, g_hash_table_contains(touched, c->name));
        targets[i] = t;
    }
    for (unsigned i = 0; i < d->target_count; i++)
        if (g_hash_table_contains(old, d->targets[i]->scsi->name))
            remove_target(r, d->targets[i]);
    g_free(d->targets);
    d->targets = targets;
    d->target_count = to->target_count;
}

static void revise_text(struct daemon *d, const struct config_revision *revision)
{
    const struct config_patch patch = config_revision_patch(revision);
    d->text = config_patch_put(&patch, d->text, &d->text_length);
}

/* The same for one. */
static void revise_target(struct daemon_reload *r)
{
    struct daemon *d = r->daemon;
    const struct config_target *old = config_revision_old(r->revision),
                               *new = config_revision_new_target(r->revision);
    g_autoptr(GHashTable) touched = touched_targets(r->plan);
    unsigned at = config_revision_index(r->revision);
    struct daemon_target *t = old ? d->targets[at] : make_target(r, new);
    if (!old) {
        d->targets = g_renew(struct daemon_target *, d->targets, d->target_count + 1);
        d->targets[d->target_count++] = t;
    } else if (new) {
        change_target(r, t, new, g_hash_table_contains(touched, new->name));
    } else {
        remove_target(r, t);
        d->target_count--;
        memmove(&d->targets[at], &d->targets[at + 1], (d->target_count - at) * sizeof(t));
    }
    config_revision_apply(d->config, r->revision);
    d->snapshot =
        daemon_snapshot_revise(d->snapshot, g_steal_pointer(&r->revision), new ? t : NULL);
    if (new)
        daemon_space_settle_target(t);
}

/* ---- handlers, daemon ---- */

/* New options under running I/O. What a handler refuses leaves the disk as it was. */
static void update_options(struct daemon_reload *r, const struct plan_step *s, struct daemon_lun *l)
{
    struct daemon *d = r->daemon;
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config = NULL;
    int result = plugin_load(d->config->daemon.plugin_path, HF_KIND_HANDLER, l->config->handler,
                             &plugin, &error);
    if (result == 0)
        result = daemon_lun_options(plugin, l->config, s->lun_change & PLAN_LUN_SIZE, &config,
                                    r->problems);
    if (result == 0)
        result = daemon_lun_update(d, l->backend, config, &error);
    if (result == 0)
        return;
    config_problem_error(r->problems, s->at, "target %s LUN %u keeps its old options: %s",
                         l->target->config->name, l->config->number, error.text);
    plugin_config_free(config);
    if (s->lun_change &
        PLAN_LUN_SIZE) /* a worker that comes after this one must be able to open it */
        daemon_amend_size(d, l->target->config->name, l->config->number, l->backend->info.bytes);
}

static void update_handlers(struct daemon_reload *r)
{
    struct daemon *d = r->daemon;
    for (unsigned i = 0; i < r->plan->count; i++) {
        const struct plan_step *s = &r->plan->steps[i];
        if (s->object != PLAN_LUN || s->kind != PLAN_CHANGE ||
            !(s->lun_change & (PLAN_LUN_OPTIONS | PLAN_LUN_LATE)))
            continue;
        const struct daemon_target *t = daemon_target_find(d, s->new_target->name);
        struct daemon_lun *l = t->luns[s->new_lun - t->config->luns];
        if (find_swap(r, l))
            continue;
        if (s->lun_change & PLAN_LUN_LATE)
            storage_change_deadline(l->backend, l->config->deadline_ns,
                                    (enum storage_when_late)l->config->when_late);
        if (s->lun_change & PLAN_LUN_OPTIONS)
            update_options(r, s, l);
    }
    daemon_notes_run(d); /* what handlers have said of their sizes */
}

static void change_daemon(struct daemon *d, const struct config_daemon *c)
{
    log_set_level(c->log_level);
    control_listen(d->control);
    acceptor_set_limits(d->acceptor, c->login_timeout_ns, c->max_connections_per_address,
                        c->max_logins);
    for (unsigned i = 0; i < d->data_count; i++)
        reactor_set_busy_poll(d->reactors[i], c->busy_poll_ns);
}

void reload_commit(struct daemon_reload *r)
{
    struct daemon *d = r->daemon;
    bool whole = !r->revision;
    if (whole) {
        change_targets(r);
        daemon_snapshot_fill(r->next, d->targets);
        d->snapshot = g_steal_pointer(&r->next);
        d->config = d->snapshot->config;
        g_free(d->text);
        d->text = g_steal_pointer(&r->text);
        d->text_length = r->text_length;
    } else {
        revise_text(d, r->revision);
        revise_target(r);
    }
    reload_release(r);
    struct catalog *before = acceptor_set_catalog(d->acceptor, &d->snapshot->catalog);
    update_handlers(r);
    if (whole) {
        change_daemon(d, &d->config->daemon);
        daemon_space_settle(d);
    }
    retire_garbage(d, unref_catalog, before);
}
