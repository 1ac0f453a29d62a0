/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets with their LUN maps, made from the configuration; the watch over LUNs, and their end. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_private.h"
#include "scsi/state_file.h"
#include "scsi/stopped.h"

#define TOLD_MAX 100 /* lines of one kind as all targets are opened; then there is a sum */

_Static_assert(CONFIG_LUNS_MAX <= SCSI_LUNS_MAX && CONFIG_TAGS_MAX < SCSI_PORTS_MAX,
               "what is checked is what there is room for");

/* ---- making ---- */

#define START_NS (2 * NS_PER_S)
#define NEXT_NS  (200 * NS_PER_MS) /* beside one that did not open in START_NS */
#define FREE_NS  (2 * NS_PER_S)    /* a daemon that was killed just now lets go of its disks within milliseconds */

/* False: it is left absent without a try on initiators' time. */
static bool is_to_be_opened(enum keep_absent before, const char **ret_why)
{
    *ret_why = before == KEEP_QUARANTINE ? "its handler has ended workers before this one"
                                         : "so it was for the worker before this one";
    return before == KEEP_THERE;
}

/* What was open in a worker before does not keep all else down when it cannot be opened, or hangs: it is absent. */
static int open_storage(struct daemon *d, struct daemon_target *t, struct daemon_lun *l)
{
    struct daemon_before before;
    const char *why;
    bool may = daemon_absent_before(d, l, &before);
    if (may && !is_to_be_opened(before.absent, &why)) {
        daemon_absent_begin(d, l, &before, why);
        return 0;
    }
    struct config_problems *problems = config_problems_new();
    d->opens_aside = may;
    d->open_within_ns = !may ? 0 : d->met_hang ? NEXT_NS : START_NS;
    int r = daemon_lun_open(d, d->config, t->config, l->config, d->unsettled,
                            /* beside= */ NULL, &l->backend, problems);
    d->met_hang |= r == -ETIMEDOUT;
    d->open_within_ns = 0;
    d->opens_aside = false;
    if (r < 0 && may) {
        daemon_absent_begin(d, l, &before, config_problems_get(problems, 0)->text);
        r = 0; /* that is said in the log */
    } else {
        config_problems_print(problems, stderr);
    }
    config_problems_free(problems);
    return r;
}

static int open_lun(struct daemon *d, struct daemon_target *t, struct daemon_lun *l)
{
    struct config_problems *problems = config_problems_new();
    int r = open_storage(d, t, l);
    if (r == 0) {
        r = daemon_lun_unit(d, t->config, l, /* replaces= */ NULL, &l->unit);
        if (r == 0)
            daemon_absent_kept(l);
        if (r == 0 && !l->absent && ++d->opened_luns <= TOLD_MAX)
            daemon_lun_tell(l);
        if (r < 0)
            config_problem_error(problems, l->config->handler_node, "target %s LUN %u: %s",
                                 t->config->name, l->config->number, g_strerror(-r));
    }
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    return r;
}

int daemon_target_new(struct daemon *d, const struct config_target *c,
                      struct daemon_target **ret_target)
{
    struct daemon_target *t = g_new0(struct daemon_target, 1);
    uint16_t tags[SCSI_PORTS_MAX];
    unsigned tag_count = daemon_port_tags(c, tags);
    int r = scsi_target_create(c->name, c->alias, tags, tag_count, &t->scsi);
    if (r < 0) {
        g_free(t);
        return r;
    }
    t->refs = 1;
    t->config = c;
    t->scsi->user = t;
    t->scsi->guard = c->auth;
    t->luns = g_new0(struct daemon_lun *, c->lun_count + 1);
    if (!c->auth && (!d->loading || ++d->open_targets <= TOLD_MAX))
        log_notice("daemon",
                   "target is open to every initiator that may see it (no auth) target=%s",
                   c->name);
    *ret_target = t;
    return 0;
}

static struct scsi_unit *unit_of(const struct daemon_target *t, unsigned number)
{
    for (unsigned i = 0; i < t->lun_count; i++)
        if (t->luns[i]->config->number == number)
            return t->luns[i]->unit;
    return NULL;
}

static int add_view(const struct daemon_target *t, const struct config_view *v,
                    struct scsi_lun_map *map)
{
    struct scsi_unit *units[SCSI_LUNS_MAX];
    uint16_t luns[SCSI_LUNS_MAX];
    struct scsi_lun_map *view;
    if (v->lun_count > SCSI_LUNS_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < v->lun_count; i++) {
        luns[i] = (uint16_t)v->luns[i].number;
        units[i] = unit_of(t, v->luns[i].lun);
    }
    int r = scsi_lun_map_create(units, luns, v->lun_count, &view);
    return r < 0 ? r : scsi_lun_map_add_view(map, v->initiators, view);
}

/* All LUNs by their own numbers, and what some initiators see instead. */
static int make_map(const struct daemon_target *t, struct scsi_unit *const *units,
                    struct scsi_lun_map **ret_map)
{
    struct scsi_lun_map *map;
    int r = scsi_lun_map_create(units, /* luns= */ NULL, t->lun_count, &map);
    if (r < 0)
        return r;
    for (unsigned i = 0; r == 0 && i < t->config->view_count; i++)
        r = add_view(t, &t->config->views[i], map);
    if (r < 0)
        scsi_lun_map_free(map);
    else
        *ret_map = map;
    return r;
}

int daemon_target_map(const struct daemon_target *t, struct scsi_lun_map **ret_map)
{
    struct scsi_unit **units = g_new0(struct scsi_unit *, t->lun_count + 1);
    for (unsigned i = 0; i < t->lun_count; i++)
        units[i] = t->luns[i]->unit;
    int r = make_map(t, units, ret_map);
    g_free(units);
    return r;
}

static int open_luns(struct daemon *d, struct daemon_target *t)
{
    const struct config_target *c = t->config;
    int failed = 0;
    for (unsigned i = 0; i < c->lun_count; i++) {
        t->luns[t->lun_count++] = daemon_lun_new(d, t, &c->luns[i]);
        if (open_lun(d, t, t->luns[i]) < 0)
            failed = -1;
    }
    return failed;
}

static int open_target(struct daemon *d, const struct config_target *c,
                       struct daemon_target **ret_target)
{
    struct scsi_lun_map *map = NULL;
    int r = daemon_target_new(d, c, ret_target);
    if (r == 0 && open_luns(d, *ret_target) < 0)
        return -1;
    if (r == 0)
        r = daemon_target_map(*ret_target, &map);
    if (r < 0) {
        log_error("daemon", "target refused target=%s luns=%u error=\"%s\"", c->name, c->lun_count,
                  g_strerror(-r));
        return -1;
    }
    scsi_lun_map_free(scsi_target_publish((*ret_target)->scsi, map));
    return 0;
}

static void tell_sums(const struct daemon *d)
{
    if (d->open_targets > TOLD_MAX)
        log_notice(
            "daemon",
            "so many targets are open to every initiator that may see them (no auth) targets=%u",
            d->open_targets);
    if (d->opened_luns > TOLD_MAX)
        log_info("daemon", "LUNs opened luns=%u targets=%u", d->opened_luns, d->target_count);
}

int daemon_targets_open(struct daemon *d)
{
    const struct config *c = d->config;
    struct config_problems *problems = config_problems_new();
    int failed = daemon_snapshot_new(d, d->config, &d->snapshot, problems);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    d->targets = g_new0(struct daemon_target *, c->target_count + 1);
    d->loading = true;
    d->free_by_ns = clock_now_ns() + FREE_NS;
    state_file_many_begin();
    for (unsigned i = 0; i < c->target_count; i++) {
        if (open_target(d, c->targets[i], &d->targets[d->target_count]) < 0)
            failed = -1;
        d->target_count += d->targets[d->target_count] != NULL;
    }
    state_file_many_end();
    d->loading = false;
    d->free_by_ns = 0;
    tell_sums(d);
    if (!failed)
        daemon_snapshot_fill(d->snapshot, d->targets);
    return failed;
}

/* ---- watch and end ---- */

void daemon_targets_watch(struct daemon *d)
{
    uint64_t now = clock_now_ns();
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++) {
            const struct daemon_lun *l = d->targets[i]->luns[j];
            if (l->backend)
                storage_watch(l->backend, now, l->config->deadline_ns);
        }
}

bool daemon_targets_close(struct daemon *d)
{
    bool all = true;
    for (unsigned i = 0; i < d->target_count; i++) {
        struct daemon_target *t = d->targets[i];
        for (unsigned j = 0; j < t->lun_count; j++) {
            struct daemon_lun *l = t->luns[j];
            if (!l->backend)
                continue;
            if (l->unit) {
                scsi_unit_quiesce(l->unit);
                scsi_stopped_save(l->unit);
            }
            storage_abandon(l->backend); /* a sanitize that another worker goes on with */
            if (daemon_storage_close(l->backend) < 0) {
                log_error("daemon", "LUN does not close target=%s lun=%u", t->config->name,
                          l->config->number);
                all = false;
                continue;
            }
            l->backend = NULL;
        }
    }
    return all;
}

static bool save_lun(const struct daemon_target *t, struct daemon_lun *l)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (!l->backend || storage_save(l->backend, &error) == 0)
        return true;
    log_error("daemon", "LUN cannot hand its state over target=%s lun=%u error=\"%s\"",
              t->config->name, l->config->number, error.text);
    return false;
}

/* RAM LUNs hold nothing that the next worker has to get: their memory is the keeper's. */
bool daemon_targets_release(struct daemon *d)
{
    bool all = true;
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++) {
            struct daemon_lun *l = d->targets[i]->luns[j];
            if (l->unit)
                scsi_unit_quiesce(l->unit);
            if (l->backend)
                storage_abandon(l->backend);
            all &= save_lun(d->targets[i], l);
            if (l->backend && storage_is_absent(l->backend))
                storage_close(l->backend, NULL, NULL); /* which may hang */
            else if (l->backend && !l->backend->info.store_arena &&
                     daemon_storage_close(l->backend) < 0)
                all = false;
        }
    return all;
}

struct daemon_target *daemon_target_find(const struct daemon *d, const char *name)
{
    const struct catalog_target *t = catalog_find(&d->snapshot->catalog, name);
    return t ? t->scsi->user : NULL;
}

void daemon_target_ref(struct daemon_target *t)
{
    t->refs++;
}

void daemon_target_unref(struct daemon_target *t)
{
    if (--t->refs)
        return;
    for (unsigned j = 0; j < t->lun_count; j++) {
        if (t->luns[j]) {
            t->luns[j]->unit = scsi_unit_free(t->luns[j]->unit);
            daemon_absent_clear(t->luns[j]);
        }
        g_free(t->luns[j]);
    }
    t->scsi = scsi_target_free(t->scsi);
    g_free(t->luns);
    g_free(t);
}

void daemon_targets_free(struct daemon *d)
{
    for (unsigned i = 0; i < d->target_count; i++)
        daemon_target_unref(d->targets[i]);
    g_free(d->targets);
    d->target_count = 0;
}
