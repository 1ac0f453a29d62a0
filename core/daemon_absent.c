/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LUNs that are absent: what an earlier worker had open and this one cannot. They do not keep the others down:
 * their units are made as they were, of what is kept of their storage (scsi/keep.h), and their commands wait
 * (plugin/absent.c). Each is tried again, sooner at first and then now and then, a few at a time, on threads of their
 * own. Not while something else is going on with LUNs or reactors: what a trial has found meanwhile is
 * taken up afterwards.
 *
 * A LUN that workers have crashed over is not even tried: whoever has mended it says so (`lun reopen`).
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_private.h"
#include "plugin/loader.h"
#include "scsi/keep.h"

#define TICK_MS      500
#define FIRST_NS     (1 * NS_PER_S)
#define LAST_NS      (10 * NS_PER_S)
#define AT_A_TIME    32u
#define HANGS_NS     (2 * NS_PER_S) /* a trial that takes longer is in nobody's way, */
#define AT_MOST      256u           /* unless there are many of those */
#define SAY_AGAIN_NS (600 * NS_PER_S)

struct daemon_absent {
    enum keep_absent reason;
    char *why;
    uint64_t since_ns, next_ns, wait_ns, said_ns, tried_ns;
    bool tried; /* a thread is at it */
    bool open;  /* it has succeeded: `info` */
    struct backend_info info;
};

/* Of a thread that tries. */
struct trial {
    struct backend *backend;
    const struct plugin *plugin;
    struct plugin_config *config;
    char *target;
    struct backend_info info;
    struct hf_error error;
    int r;
};

/* ---- to be absent, and not any more ---- */

void daemon_absent_clear(struct daemon_lun *l)
{
    if (l->absent)
        g_free(l->absent->why);
    g_clear_pointer(&l->absent, g_free);
}

bool daemon_absent_is(const struct daemon_lun *l, struct control_absent *ret_absent)
{
    const struct daemon_absent *a = l->absent;
    if (a)
        *ret_absent = (struct control_absent){ .why = a->why,
                                               .since_ns = a->since_ns,
                                               .quarantined = a->reason == KEEP_QUARANTINE };
    return a != NULL;
}

static void say(const struct daemon_lun *l, const char *what)
{
    l->absent->said_ns = clock_now_ns();
    log_error("daemon", "%s target=%s lun=%u handler=%s error=\"%s\"", what,
              l->target->config->name, l->config->number, l->config->handler, l->absent->why);
}

/* Whoever takes over from a worker that is there still leaves it to that one to go on. */
bool daemon_absent_before(struct daemon *d, const struct daemon_lun *l, struct daemon_before *ret_before)
{
    struct keep_data *kept =
        d->again ? scsi_keep_area_find(d->scsi.area, l->target->config->name, l->config->number)
                 : NULL;
    if (!kept || !scsi_keep_storage(kept, &ret_before->info))
        return false;
    ret_before->absent = (enum keep_absent)atomic_load(&kept->absent);
    return d->after_death || d->args->generation == 1 || ret_before->absent != KEEP_THERE;
}

static gboolean tick(gpointer data);

static void begin(struct daemon *d, struct daemon_lun *l, const struct backend_info *info,
                  enum keep_absent reason, const char *why)
{
    const struct config_lun *c = l->config;
    const struct storage_options options = {
        .services = &d->storage,
        .target = l->target->config->name,
        .lun = c->number,
        .read_only = c->read_only,
        .block_bytes = c->block_size,
        .mark = scsi_keep_area_mark(d->scsi.area, l->target->config->name, c->number),
    };
    l->backend = storage_open_absent(&options, c->handler, info);
    storage_set_deadline(l->backend, c->deadline_ns, (enum storage_when_late)c->when_late);
    daemon_absent_clear(l);
    l->absent = g_new0(struct daemon_absent, 1);
    *l->absent = (struct daemon_absent){
        .reason = reason, .why = g_strdup(why), .since_ns = clock_now_ns(), .wait_ns = FIRST_NS
    };
    l->absent->next_ns = l->absent->since_ns + FIRST_NS;
    say(l, reason == KEEP_QUARANTINE
               ? "LUN is put aside, workers have crashed over it: its commands wait until it is "
                 "opened again by request (lun reopen)"
               : "LUN is absent, its commands wait: it cannot be opened, and is tried again");
    if (!d->absent_timer)
        d->absent_timer = g_timeout_add(TICK_MS, tick, d);
}

/* Without the names of target and LUN, which are said beside it. */
static const char *without_names(const struct daemon_lun *l, const char *why)
{
    g_autofree char *names =
        g_strdup_printf("target %s LUN %u: ", l->target->config->name, l->config->number);
    return g_str_has_prefix(why, names) ? why + strlen(names) : why;
}

void daemon_absent_begin(struct daemon *d, struct daemon_lun *l, const struct daemon_before *before,
                         const char *why)
{
    begin(d, l, &before->info,
          before->absent == KEEP_QUARANTINE ? KEEP_QUARANTINE : KEEP_ABSENT, without_names(l, why));
}

void daemon_absent_again(struct daemon *d, struct daemon_lun *l, const struct backend_info *was,
                         const char *why)
{
    begin(d, l, was, KEEP_ABSENT, without_names(l, why));
    scsi_unit_set_absent(l->unit, KEEP_ABSENT);
}

void daemon_absent_kept(struct daemon_lun *l)
{
    if (l->absent)
        scsi_unit_set_absent(l->unit, l->absent->reason);
    else
        scsi_unit_storage_kept(l->unit);
}

/* It is served again, as `info` says. */
static void back(struct daemon *d, struct daemon_lun *l)
{
    const struct backend_info info = l->absent->info;
    uint64_t before = l->backend->info.bytes, since = l->absent->since_ns;
    if (!storage_return(l->backend, &info))
        return;
    daemon_absent_clear(l);
    if (info.bytes != before)
        scsi_unit_changed(l->unit, SCSI_UNIT_CAPACITY);
    scsi_unit_storage_kept(l->unit);
    if (!d->holds_memory)
        daemon_removed_settle(d);
    log_notice("daemon", "LUN is back target=%s lun=%u absent=%.1fs", l->target->config->name,
               l->config->number, (double)(clock_now_ns() - since) / 1e9);
}

/* ---- trials ---- */

static void not_yet(struct daemon_lun *l, const char *why)
{
    struct daemon_absent *a = l->absent;
    uint64_t now = clock_now_ns();
    bool other = g_strcmp0(a->why, why) != 0;
    if (other) {
        g_free(a->why);
        a->why = g_strdup(why);
    }
    a->wait_ns = MIN(a->wait_ns * 2, LAST_NS);
    a->next_ns = now + a->wait_ns;
    if (other || now - a->said_ns >= SAY_AGAIN_NS)
        say(l, "LUN is absent still, its commands wait");
}

static void trial_run(void *data)
{
    struct trial *t = data;
    t->r = storage_trial(t->backend, t->plugin, t->config, &t->info, &t->error);
}

static struct daemon_lun *lun_of(struct daemon *d, const struct backend *backend)
{
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++)
            if (d->targets[i]->luns[j]->backend == backend)
                return d->targets[i]->luns[j];
    return NULL;
}

static void trial_over(struct daemon *d, void *data)
{
    struct trial *t = data;
    struct daemon_lun *l = lun_of(d, t->backend);
    d->absent_trials--;
    if (l && l->absent && l->absent->tried) {
        l->absent->tried = false;
        l->absent->open = t->r == 0;
        l->absent->info = t->info;
        if (t->r < 0)
            not_yet(l, t->error.text);
    }
    g_free(t->target);
    g_free(t);
}

/* The first problem's text; g_free(). */
static char *first_of(struct config_problems *problems)
{
    return g_strdup(config_problems_count(problems) ? config_problems_get(problems, 0)->text
                                                    : "its options are not usable");
}

/* The handler and the options of the configuration in effect. False: `ret_why` says what is wrong; g_free(). */
static bool prepare(struct daemon *d, const struct config_lun *c, struct trial *t, char **ret_why)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    struct config_problems *problems = config_problems_new();
    if (plugin_load(d->config->daemon.plugin_path, HF_KIND_HANDLER, c->handler, &t->plugin,
                    &error) < 0)
        *ret_why = g_strdup(error.text);
    else if (daemon_lun_options(t->plugin, c, /* grown= */ false, &t->config, problems) < 0)
        *ret_why = first_of(problems);
    else
        *ret_why = NULL;
    config_problems_free(problems);
    return *ret_why == NULL;
}

static void try_again(struct daemon *d, struct daemon_lun *l)
{
    g_autofree char *why = NULL;
    struct trial *t = g_new0(struct trial, 1);
    *t = (struct trial){ .backend = l->backend, .error = PLUGIN_ERROR_INIT };
    if (!prepare(d, l->config, t, &why)) {
        not_yet(l, why);
        g_free(t);
        return;
    }
    if (!storage_trial_begin(l->backend)) { /* of before a reload still */
        plugin_config_free(t->config);
        g_free(t);
        return;
    }
    t->target = g_strdup(l->target->config->name);
    const struct daemon_work work = { .verb = "trying a disk that is absent",
                                      .target = t->target,
                                      .lun = l->config->number,
                                      .run = trial_run,
                                      .late = trial_over };
    l->absent->tried = true;
    l->absent->tried_ns = clock_now_ns();
    d->absent_trials++;
    daemon_aside_begin(d, &work, t);
}

static bool busy(const struct daemon *d)
{
    return d->reload || d->resize || d->freeze || d->stopping;
}

/* What a round over all LUNs finds. */
struct round {
    GPtrArray *due;  /* struct daemon_lun */
    unsigned trials; /* under way, without those that hang */
    bool any;
};

static void look(struct daemon *d, struct daemon_lun *l, struct round *r, uint64_t now)
{
    const struct daemon_absent *a = l->absent;
    if (a && a->open)
        back(d, l);
    a = l->absent;
    if (!a)
        return;
    r->any = true;
    if (a->tried)
        r->trials += now - a->tried_ns < HANGS_NS;
    else if (!a->open && a->reason != KEEP_QUARANTINE && a->next_ns <= now)
        g_ptr_array_add(r->due, l);
}

static int by_next(const void *a, const void *b)
{
    const struct daemon_lun *const *x = a, *const *y = b;
    uint64_t first = (*x)->absent->next_ns, second = (*y)->absent->next_ns;
    return (first > second) - (first < second);
}

/* Those first that have waited longest. */
static void try_due(struct daemon *d, const struct round *r)
{
    unsigned trials = r->trials;
    g_ptr_array_sort(r->due, by_next);
    for (unsigned i = 0; i < r->due->len && trials < AT_A_TIME && d->absent_trials < AT_MOST;
         i++, trials++)
        try_again(d, g_ptr_array_index(r->due, i));
}

static gboolean tick(gpointer data)
{
    struct daemon *d = data;
    if (busy(d))
        return G_SOURCE_CONTINUE;
    g_autoptr(GPtrArray) due = g_ptr_array_new();
    struct round round = { .due = due };
    uint64_t now = clock_now_ns();
    for (unsigned i = 0; i < d->target_count; i++)
        for (unsigned j = 0; j < d->targets[i]->lun_count; j++)
            look(d, d->targets[i]->luns[j], &round, now);
    try_due(d, &round);
    if (round.any || d->absent_trials)
        return G_SOURCE_CONTINUE;
    d->absent_timer = 0;
    return G_SOURCE_REMOVE;
}
