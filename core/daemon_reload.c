/* SPDX-License-Identifier: BSD-3-Clause */
/* A reload from RELOAD to RELOADED; see daemon_reload.h. */
#include "daemon_reload.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/file.h"
#include "config/scalar.h"

static struct daemon_reload *reload_free(struct daemon_reload *r)
{
    plan_free(r->plan);
    daemon_snapshot_free(r->next);
    config_free(r->config);
    config_revision_free(r->revision);
    g_free(r->text);
    config_problems_free(r->problems);
    if (r->opened)
        g_hash_table_unref(r->opened);
    if (r->swaps)
        g_array_free(r->swaps, TRUE);
    g_free(r->in_use);
    g_free(r);
    return NULL;
}

/* ---- answers ---- */

/* The first error as a line, cut to what a message holds. */
static void take_text(struct config_problems *problems, char text[static LINK_TEXT_MAX])
{
    text[0] = '\0';
    for (unsigned i = 0; i < config_problems_count(problems) && !text[0]; i++) {
        const struct config_problem *p = config_problems_get(problems, i);
        g_autofree char *line = config_problem_format(p);
        if (p->severity == CONFIG_ERROR)
            g_strlcpy(text, line, LINK_TEXT_MAX);
    }
}

/* Who asked for it hears how it ended; NULL: it is in effect, or (not 0) that upgrade has begun. */
static void answer(struct daemon *d, const struct plan *plan, unsigned upgrade, const char *why)
{
    struct daemon_asker asker = d->asker;
    d->asker = (struct daemon_asker){ 0 };
    g_free(asker.target);
    config_revision_free(asker.revision);
    if (asker.done)
        asker.done(asker.data, plan, upgrade, why);
}

/* Every problem, a line each; g_free(). */
static char *all_problems(struct config_problems *problems)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        g_string_append_printf(text, "%s%s", i ? "\n" : "", line);
    }
    return g_string_free(text, FALSE);
}

static void finish(struct daemon_reload *r, unsigned upgrade)
{
    struct daemon *d = r->daemon;
    bool asked = r->how.asked;
    g_autofree char *why = all_problems(r->problems);
    config_problems_print(r->problems, stderr);
    d->reload = NULL;
    if (asked)
        answer(d, r->plan, upgrade, config_problems_errors(r->problems) ? why : NULL);
    reload_free(r);
}

void reload_say(struct daemon_reload *r)
{
    struct link_message m = { .type = LINK_RELOAD_READY, .fd = -1 };
    if (config_problems_errors(r->problems) == 0)
        m.verdict.ok = r->handover ? LINK_OK_HANDOVER : LINK_OK;
    take_text(r->problems, m.verdict.text);
    if (!m.verdict.ok)
        reload_undo(r);
    daemon_tell(r->daemon, &m);
    if (m.verdict.ok)
        r->ready = true;
    else
        finish(r, 0);
}

/* ---- what stands in the way ---- */

static bool is_sanitizing(struct daemon *d, const struct plan_step *s)
{
    const struct scsi_unit *unit = reload_find_lun(d, s)->unit;
    return atomic_load(&unit->not_ready) & UNIT_SANITIZING;
}

/* Storage that is absent may be opened again where it is: the sanitize goes on. Only by force is it given up with the
   disk. */
static void judge_sanitize(struct daemon_reload *r, const struct plan_step *s, const char *target,
                           unsigned lun)
{
    struct control_absent absent;
    bool change = s->kind == PLAN_CHANGE && !(s->lun_change & PLAN_LUN_IDENTITY);
    bool may = daemon_absent_is(reload_find_lun(r->daemon, s), &absent) &&
               (change ? !s->keys || !(s->lun_change & PLAN_LUN_MOVE) : r->how.force);
    if (!may)
        config_problem_error(r->problems, s->at, "target %s LUN %u is being sanitized", target,
                             lun);
}

static void judge_place(struct daemon_reload *r, const struct config_node *at, const char *target,
                        unsigned lun)
{
    if (retire_has(r->daemon, target, lun))
        config_problem_error(r->problems, at,
                             "target %s LUN %u: the disk that was removed there is not closed yet",
                             target, lun);
}

/* Its size is what it is when it is back. */
static void judge_absent(struct daemon_reload *r, const struct plan_step *s)
{
    struct control_absent absent;
    if (s->kind == PLAN_CHANGE && (s->lun_change & PLAN_LUN_SIZE) &&
        !(s->lun_change & (PLAN_LUN_MOVE | PLAN_LUN_IDENTITY)) &&
        daemon_absent_is(reload_find_lun(r->daemon, s), &absent))
        config_problem_error(r->problems, s->at,
                             "target %s LUN %u is absent, its size cannot be changed: %s",
                             s->new_target->name, s->new_lun->number, absent.why);
}

static void judge_lun(struct daemon_reload *r, const struct plan_step *s)
{
    const char *target = s->new_target ? s->new_target->name : s->old_target->name;
    unsigned number = s->new_lun ? s->new_lun->number : s->old_lun->number;
    if ((s->lun_change & PLAN_LUN_SHRINK) && !r->how.force)
        config_problem_error(r->problems, s->at,
                             "target %s LUN %u: a disk is made smaller only with --force", target,
                             number);
    if (s->old_lun && s->class >= PLAN_REOPEN && is_sanitizing(r->daemon, s))
        judge_sanitize(r, s, target, number);
    if (s->kind == PLAN_CHANGE && s->class < PLAN_REOPEN) {
        const struct backend *backend = reload_find_lun(r->daemon, s)->backend;
        daemon_space_judge(!backend || storage_is_absent(backend) || storage_tells_space(backend),
                           s->new_lun, r->problems);
    }
    judge_absent(r, s);
    if (s->kind == PLAN_ADD)
        judge_place(r, s->at, target, number);
}

/* What another worker takes over must be the same targets and LUNs; the rest it may read for itself. */
static void judge_handover(struct daemon_reload *r, const struct plan_step *s)
{
    const struct plan_step *with = NULL;
    for (unsigned i = 0; i < r->plan->count && !with; i++)
        if (r->plan->steps[i].class == PLAN_HANDOVER)
            with = &r->plan->steps[i];
    if (!with || s == with ||
        (s->class <= PLAN_LOGIN && s->object != PLAN_LUN &&
         (s->object != PLAN_TARGET || s->kind == PLAN_CHANGE)))
        return;
    g_autofree char *name = plan_step_name(s);
    config_problem_error(r->problems, s->at,
                         "%s %s cannot be changed together with %s, which another worker takes "
                         "over: one after the other, please",
                         plan_object_name(s->object), name, with->keys);
}

static void judge(struct daemon_reload *r)
{
    r->handover = plan_class(r->plan) == PLAN_HANDOVER;
    for (unsigned i = 0; i < r->plan->count; i++) {
        const struct plan_step *s = &r->plan->steps[i];
        if (s->class > PLAN_HANDOVER)
            config_problem_error(r->problems, s->at,
                                 "%s cannot be changed without a stop and a start", s->keys);
        judge_handover(r, s);
        if (s->object == PLAN_LUN)
            judge_lun(r, s);
        for (unsigned j = 0;
             s->object == PLAN_TARGET && s->kind == PLAN_ADD && j < s->new_target->lun_count; j++)
            judge_place(r, s->new_target->luns[j].key_node, s->new_target->name,
                        s->new_target->luns[j].number);
    }
}

static void count_session(const struct session *s, void *data)
{
    struct daemon_reload *r = data;
    for (unsigned i = 0; i < r->plan->count && !s->discovery; i++)
        if (r->plan->steps[i].class == PLAN_END &&
            plan_step_touches(&r->plan->steps[i], s->target, s->initiator, s->nexus->peer))
            r->in_use[i]++;
}

static void in_use_look(struct daemon_round *round, struct engine *e)
{
    struct daemon_reload *r = container_of(round, struct daemon_reload, round);
    if (e->reactor->index == round->daemon->data_count)
        registry_visit(round->daemon->registry, count_session, r);
}

static void in_use_known(struct daemon_round *round)
{
    struct daemon_reload *r = container_of(round, struct daemon_reload, round);
    bool allowed = r->how.force || r->how.drain_ms;
    for (unsigned i = 0; i < r->plan->count && !allowed; i++) {
        g_autofree char *name = plan_step_name(&r->plan->steps[i]);
        if (r->in_use[i])
            config_problem_error(r->problems, r->plan->steps[i].at,
                                 "%s %s is in use (sessions: %u); it goes with --force, or --drain",
                                 plan_object_name(r->plan->steps[i].object), name, r->in_use[i]);
    }
    if (config_problems_errors(r->problems))
        reload_say(r);
    else
        reload_prepare(r);
}

/* ---- the keeper's messages ---- */

/* What the daemon has found itself, on behalf of who asks. */
static int take_revision(struct daemon_reload *r)
{
    struct daemon *d = r->daemon;
    r->revision = g_steal_pointer(&d->asker.revision);
    if (!r->revision) {
        config_problem_error(r->problems, NULL, "nobody has asked for this");
        return -1;
    }
    return plan_make_target(d->config, config_revision_old(r->revision),
                            config_revision_new_target(r->revision), &r->plan, r->problems);
}

/*
 * What was resized by request in a file that is managed elsewhere, which says the old size still: with that text
 * no later worker could open it.
 */
static void check_resized(struct daemon_reload *r)
{
    const struct daemon *d = r->daemon;
    for (unsigned i = 0; i < r->config->target_count; i++) {
        const struct config_target *c = r->config->targets[i];
        const struct daemon_target *t = daemon_target_find(d, c->name);
        for (unsigned j = 0; t && j < t->lun_count; j++) {
            const struct daemon_lun *l = t->luns[j];
            const struct config_lun *to = l->resized ? config_find_lun(c, l->config->number) : NULL;
            const struct config_node *size = to ? config_node_get(to->options, "size") : NULL;
            uint64_t bytes;
            if (!size || size->type != CONFIG_SCALAR || !l->backend ||
                l->backend->info.bytes != l->resized || config_text_size(size->text, &bytes) < 0 ||
                bytes >= l->resized)
                continue;
            g_autofree char *now = config_format_size(l->resized);
            config_problem_error(r->problems, size,
                                 "target %s LUN %u: it has been made larger: write %s here first",
                                 c->name, to->number, now);
        }
    }
}

static int read_text(struct daemon_reload *r, int fd)
{
    int error =
        lseek(fd, 0, SEEK_SET) < 0 ? -1 : config_file_read_fd(fd, &r->text, &r->text_length);
    if (error < 0) {
        config_problem_error(r->problems, NULL, "the new configuration cannot be read");
        return -1;
    }
    if (config_parse(r->text, r->text_length, r->daemon->args->config_file, &r->config,
                     r->problems) < 0)
        return -1;
    if (plan_make(r->daemon->config, r->config, &r->plan, r->problems) < 0)
        return -1;
    check_resized(r);
    return plan_add_secrets(r->plan, daemon_auth_in_effect, r->daemon, r->problems);
}

static int add_reopen(struct daemon_reload *r, const struct daemon_asker *asker)
{
    const struct config_target *from = config_find_target(r->daemon->config, asker->target),
                               *to = r->revision ? config_revision_new_target(r->revision)
                                                 : config_find_target(r->config, asker->target);
    return plan_add_reopen(r->plan, from, to, asker->lun);
}

const struct config *reload_config(const struct daemon_reload *r)
{
    return r->next ? r->next->config : r->daemon->config;
}

static int read_new(struct daemon_reload *r, int fd)
{
    const struct daemon_asker *asker = &r->daemon->asker;
    int result = r->how.patched ? take_revision(r) : read_text(r, fd);
    if (result == 0 && r->how.asked && asker->target)
        result = add_reopen(r, asker);
    if (result == -ENOENT)
        config_problem_error(r->problems, NULL, "target %s has no LUN %u", asker->target,
                             asker->lun);
    return result;
}

void daemon_reload(struct daemon *d, const struct link_message *m)
{
    struct daemon_reload *r = g_new0(struct daemon_reload, 1);
    r->daemon = d;
    r->how = m->reload;
    r->problems = config_problems_new();
    r->swaps = g_array_new(FALSE, TRUE, sizeof(struct reload_swap));
    r->opened = g_hash_table_new(NULL, NULL);
    if (d->stopping || d->freeze || d->reload || d->resize)
        config_problem_error(r->problems, NULL, "not now: the worker is busy with another change");
    else if (read_new(r, m->fd) == 0)
        judge(r);
    if (config_problems_errors(r->problems) == 0) {
        const struct config_daemon *c = &(r->config ? r->config : d->config)->daemon;
        if (!r->how.drain_ms)
            r->how.drain_ms = (uint32_t)(c->drain_ns / NS_PER_MS);
        r->how.force |= c->drain_force;
    }
    if (config_problems_errors(r->problems) ||
        (r->config && daemon_snapshot_new(d, r->config, &r->next, r->problems) < 0)) {
        reload_say(r);
        return;
    }
    r->config = NULL; /* the snapshot's */
    d->reload = r;
    if (r->handover) { /* nothing of it is done here */
        reload_say(r);
        return;
    }
    r->in_use = g_new0(unsigned, r->plan->count + 1);
    r->round.look = in_use_look;
    r->round.done = in_use_known;
    daemon_round(d, &r->round);
}

void daemon_reload_commit(struct daemon *d, const struct link_verdict *verdict)
{
    struct daemon_reload *r = d->reload;
    struct link_message m = { .type = LINK_RELOADED, .fd = -1 };
    if (!r || !r->ready)
        return;
    if (!verdict->ok) {
        reload_undo(r);
        config_problem_error(r->problems, NULL, "%s", verdict->text);
        finish(r, 0);
        return;
    }
    if (r->handover) {
        finish(r, (unsigned)g_ascii_strtoull(verdict->text, NULL, 10));
        return;
    }
    uint64_t begin = clock_now_ns();
    reload_commit(r);
    m.verdict.ok = config_problems_errors(r->problems) == 0;
    take_text(r->problems, m.verdict.text);
    daemon_tell(d, &m);
    log_notice("reload", "in effect steps=%u took=%.3fms", r->plan->count,
               (double)(clock_now_ns() - begin) / 1e6);
    finish(r, 0);
}

void daemon_reload_failed(struct daemon *d, const char *why, bool whole)
{
    if (whole && daemon_revise_again(d))
        return;
    answer(d, NULL, 0, why);
}

void daemon_reload_ask(void *user, const struct control_reload *how, control_reload_fn *done,
                       void *data)
{
    struct daemon *d = user;
    struct link_message m = { .type = LINK_RELOAD_ASK, .fd = how->fd };
    if (d->asker.done || d->reload || d->resize) {
        done(data, NULL, 0, "another change is under way");
        return;
    }
    d->asker = (struct daemon_asker){
        .done = done, .data = data, .target = g_strdup(how->reopen_target), .lun = how->reopen_lun
    };
    m.reload.force = how->force;
    m.reload.drain_ms = how->drain_ms;
    m.reload.write = how->write;
    daemon_tell(d, &m);
}
