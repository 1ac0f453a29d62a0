/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of two files matched by their names; see plan.h. Every part of the new file is looked at
 * once, so that a plan costs what the files are long.
 */
#include "reload/plan.h"

#include <errno.h>
#include <string.h>

#include "plugin/loader.h"
#include "plugin/options.h"
#include "reload/fields.h"

/* While a plan is made. */
struct maker {
    const struct config *from, *to;
    struct config_problems *problems;
    GArray *removals, *changes, *additions; /* of struct plan_step */
};

static void put(GArray *steps, struct plan_step step)
{
    g_array_append_val(steps, step);
}

/* `step` says what it is about; it is put down when there is a difference. */
static void put_change(struct maker *m, struct difference *d, struct plan_step step)
{
    step.kind = PLAN_CHANGE;
    step.class = d->class;
    step.lun_change = d->lun_change;
    step.keys = difference_end(d);
    if (step.keys)
        put(m->changes, step);
}

/* By name, for one kind of named things. */
static GHashTable *index_new(const void *items, unsigned count, size_t bytes, size_t name_at)
{
    GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < count; i++) {
        const char *item = (const char *)items + i * bytes;
        g_hash_table_insert(index, *(char *const *)(item + name_at), (gpointer)item);
    }
    return index;
}

#define INDEX(array, count, type)                                                                  \
    index_new(array, count, sizeof(struct type), offsetof(struct type, name))

/* What is new has to be right in itself. */
static void check_new(struct maker *m, const struct plugin_use *use)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config = NULL;
    if (plugin_load(m->to->daemon.plugin_path, use->kind, use->plugin, &plugin, &error) < 0)
        config_problem_error(m->problems, use->at, "%s", error.text);
    else
        plugin_config_new(plugin, use->options, use->at, &config, m->problems);
    plugin_config_free(config);
}

static struct plugin_use use_of_lun(const struct config_lun *l)
{
    return (struct plugin_use){ HF_KIND_HANDLER, l->handler, l->options, l->handler_node };
}

static struct plugin_use use_of_auth(const struct config_auth *a)
{
    return (struct plugin_use){ HF_KIND_AUTH, a->plugin, a->options, a->plugin_node };
}

static struct plugin_use use_of_fence(const struct config_fence *f)
{
    return (struct plugin_use){ HF_KIND_FENCE, f->plugin, f->options, f->plugin_node };
}

/* One plugin in place of another, or another configuration of the same. */
static void differ_plugin(struct maker *m, struct difference *d, const struct plugin_use *a,
                          const struct plugin_use *b)
{
    if (strcmp(a->plugin, b->plugin) == 0) {
        differ_options(d, m->from, a, m->to, b, m->problems);
        return;
    }
    g_string_append(d->keys, "plugin");
    d->any = true;
    check_new(m, b);
}

/* ---- daemon, fence ---- */

static void plan_daemon(struct maker *m)
{
    struct difference d;
    difference_init(&d);
    differ_daemon(&d, &m->from->daemon, &m->to->daemon);
    differ_discovery(&d, &m->from->discovery, &m->to->discovery);
    const struct config_node *at = m->to->daemon.node ? m->to->daemon.node : m->to->discovery.node;
    if (!at)
        at = m->to->root;
    put_change(m, &d, (struct plan_step){ .object = PLAN_DAEMON, .at = at });
}

static void plan_fence(struct maker *m)
{
    const struct config_fence *a = &m->from->fence, *b = &m->to->fence;
    struct plan_step step = { .object = PLAN_FENCE, .at = b->node ? b->node : a->node };
    struct difference d;
    if (!a->node && !b->node)
        return;
    struct plugin_use before = use_of_fence(a), after = use_of_fence(b);
    if (!a->node || !b->node) {
        step.kind = b->node ? PLAN_ADD : PLAN_REMOVE;
        put(b->node ? m->additions : m->removals, step);
        if (b->node)
            check_new(m, &after);
        return;
    }
    difference_init(&d);
    differ_plugin(m, &d, &before, &after);
    put_change(m, &d, step);
}

/* ---- portals ---- */

static void plan_portals(struct maker *m)
{
    g_autoptr(GHashTable) old = INDEX(m->from->portals, m->from->portal_count, config_portal);
    g_autoptr(GHashTable) new = INDEX(m->to->portals, m->to->portal_count, config_portal);
    for (unsigned i = 0; i < m->from->portal_count; i++) {
        const struct config_portal *p = &m->from->portals[i];
        if (!g_hash_table_contains(new, p->name))
            put(m->removals, (struct plan_step){ .kind = PLAN_REMOVE,
                                                 .object = PLAN_PORTAL,
                                                 .class = PLAN_LOGIN,
                                                 .old_portal = p,
                                                 .at = p->node });
    }
    for (unsigned i = 0; i < m->to->portal_count; i++) {
        const struct config_portal *p = &m->to->portals[i],
                                   *before = g_hash_table_lookup(old, p->name);
        struct plan_step step = {
            .object = PLAN_PORTAL, .old_portal = before, .new_portal = p, .at = p->node
        };
        struct difference d;
        if (!before) {
            step.kind = PLAN_ADD;
            put(m->additions, step);
            continue;
        }
        difference_init(&d);
        differ_portal(&d, before, p);
        put_change(m, &d, step);
    }
}

/* ---- ways to authenticate ---- */

static void plan_auth_change(struct maker *m, const struct config_auth *a,
                             const struct config_auth *b)
{
    struct plugin_use before = use_of_auth(a), after = use_of_auth(b);
    struct difference d;
    difference_init(&d);
    differ_plugin(m, &d, &before, &after);
    d.class = PLAN_LOGIN;
    put_change(
        m, &d,
        (struct plan_step){ .object = PLAN_AUTH, .old_auth = a, .new_auth = b, .at = b->node });
}

static void plan_auths(struct maker *m)
{
    g_autoptr(GHashTable) old = INDEX(m->from->auths, m->from->auth_count, config_auth);
    g_autoptr(GHashTable) new = INDEX(m->to->auths, m->to->auth_count, config_auth);
    for (unsigned i = 0; i < m->from->auth_count; i++) {
        const struct config_auth *a = &m->from->auths[i];
        if (!g_hash_table_contains(new, a->name))
            put(m->removals, (struct plan_step){ .kind = PLAN_REMOVE,
                                                 .object = PLAN_AUTH,
                                                 .class = PLAN_LOGIN,
                                                 .old_auth = a,
                                                 .at = a->node });
    }
    for (unsigned i = 0; i < m->to->auth_count; i++) {
        const struct config_auth *a = &m->to->auths[i], *before = g_hash_table_lookup(old, a->name);
        struct plugin_use use = use_of_auth(a);
        if (before) {
            plan_auth_change(m, before, a);
            continue;
        }
        check_new(m, &use);
        put(m->additions,
            (struct plan_step){
                .kind = PLAN_ADD, .object = PLAN_AUTH, .new_auth = a, .at = a->node });
    }
}

/* ---- targets and LUNs ---- */

static struct plan_step lun_step(enum plan_kind kind, const struct config_target *old_target,
                                 const struct config_target *new_target,
                                 const struct config_lun *old_lun, const struct config_lun *new_lun)
{
    return (struct plan_step){ .kind = kind,
                               .object = PLAN_LUN,
                               .class = kind == PLAN_REMOVE ? PLAN_END : PLAN_NOTICE,
                               .old_target = old_target,
                               .new_target = new_target,
                               .old_lun = old_lun,
                               .new_lun = new_lun,
                               .at = new_lun ? new_lun->key_node : old_lun->key_node };
}

static void plan_lun_change(struct maker *m, const struct config_target *old_target,
                            const struct config_target *new_target, const struct config_lun *a,
                            const struct config_lun *b)
{
    struct difference d;
    struct plugin_use before = use_of_lun(a), after = use_of_lun(b);
    difference_init(&d);
    differ_lun(&d, a, b);
    if (strcmp(a->handler, b->handler) == 0)
        differ_options(&d, m->from, &before, m->to, &after, m->problems);
    else
        check_new(m, &after);
    put_change(m, &d, lun_step(PLAN_CHANGE, old_target, new_target, a, b));
}

/* Both are sorted by number. */
static void plan_luns(struct maker *m, const struct config_target *a, const struct config_target *b)
{
    unsigned i = 0, j = 0;
    while (i < a->lun_count || j < b->lun_count) {
        const struct config_lun *x = i < a->lun_count ? &a->luns[i] : NULL,
                                *y = j < b->lun_count ? &b->luns[j] : NULL;
        if (x && (!y || x->number < y->number)) {
            put(m->removals, lun_step(PLAN_REMOVE, a, b, x, NULL));
            i++;
        } else if (!x || y->number < x->number) {
            struct plugin_use use = use_of_lun(y);
            check_new(m, &use);
            put(m->additions, lun_step(PLAN_ADD, a, b, NULL, y));
            j++;
        } else {
            plan_lun_change(m, a, b, x, y);
            i++;
            j++;
        }
    }
}

static void plan_target_change(struct maker *m, const struct config_target *a,
                               const struct config_target *b)
{
    struct difference d;
    difference_init(&d);
    differ_target(&d, a, b);
    put_change(m, &d,
               (struct plan_step){
                   .object = PLAN_TARGET, .old_target = a, .new_target = b, .at = b->key_node });
    plan_luns(m, a, b);
}

/* One of both is NULL when it is added or removed. */
static void plan_target(struct maker *m, const struct config_target *a,
                        const struct config_target *b)
{
    if (a && b) {
        plan_target_change(m, a, b);
        return;
    }
    if (a) {
        put(m->removals, (struct plan_step){ .kind = PLAN_REMOVE,
                                             .object = PLAN_TARGET,
                                             .class = PLAN_END,
                                             .old_target = a,
                                             .at = a->key_node });
        return;
    }
    for (unsigned j = 0; j < b->lun_count; j++) {
        struct plugin_use use = use_of_lun(&b->luns[j]);
        check_new(m, &use);
    }
    put(m->additions,
        (struct plan_step){
            .kind = PLAN_ADD, .object = PLAN_TARGET, .new_target = b, .at = b->key_node });
}

static void plan_targets(struct maker *m)
{
    for (unsigned i = 0; i < m->from->target_count; i++) {
        const struct config_target *t = m->from->targets[i];
        if (!config_find_target(m->to, t->name))
            plan_target(m, t, NULL);
    }
    for (unsigned i = 0; i < m->to->target_count; i++) {
        const struct config_target *t = m->to->targets[i];
        plan_target(m, config_find_target(m->from, t->name), t);
    }
}

/* ---- the plan ---- */

static void append_steps(struct plan *plan, GArray *steps)
{
    if (steps->len)
        memcpy(&plan->steps[plan->count], steps->data, steps->len * sizeof(struct plan_step));
    plan->count += steps->len;
    g_array_free(steps, TRUE);
}

static struct maker maker_new(const struct config *from, const struct config *to,
                              struct config_problems *problems)
{
    return (struct maker){ .from = from,
                           .to = to,
                           .problems = problems,
                           .removals = g_array_new(FALSE, FALSE, sizeof(struct plan_step)),
                           .changes = g_array_new(FALSE, FALSE, sizeof(struct plan_step)),
                           .additions = g_array_new(FALSE, FALSE, sizeof(struct plan_step)) };
}

static struct plan *maker_end(struct maker *m)
{
    struct plan *plan = g_new0(struct plan, 1);
    plan->from = m->from;
    plan->to = m->to;
    plan->steps = g_new0(struct plan_step, m->removals->len + m->changes->len + m->additions->len);
    append_steps(plan, m->removals);
    append_steps(plan, m->changes);
    append_steps(plan, m->additions);
    return plan;
}

int plan_make(const struct config *from, const struct config *to, struct plan **ret_plan,
              struct config_problems *problems)
{
    unsigned errors = config_problems_errors(problems);
    struct maker m = maker_new(from, to, problems);
    plan_daemon(&m);
    plan_portals(&m);
    plan_fence(&m);
    plan_auths(&m);
    plan_targets(&m);

    struct plan *plan = maker_end(&m);
    if (config_problems_errors(problems) > errors) {
        plan_free(plan);
        return -EINVAL;
    }
    *ret_plan = plan;
    return 0;
}

int plan_make_target(const struct config *config, const struct config_target *from,
                     const struct config_target *to, struct plan **ret_plan,
                     struct config_problems *problems)
{
    unsigned errors = config_problems_errors(problems);
    struct maker m = maker_new(config, config, problems);
    plan_target(&m, from, to);
    struct plan *plan = maker_end(&m);
    if (config_problems_errors(problems) > errors) {
        plan_free(plan);
        return -EINVAL;
    }
    *ret_plan = plan;
    return 0;
}

static bool has_step(const struct plan *plan, const struct config_lun *lun)
{
    for (unsigned i = 0; i < plan->count; i++) {
        struct plan_step *s = &plan->steps[i];
        if (s->object != PLAN_LUN || s->new_lun != lun)
            continue;
        s->class = MAX(s->class, PLAN_REOPEN);
        s->lun_change |= PLAN_LUN_REPLACE | PLAN_LUN_MOVE;
        return true;
    }
    return false;
}

int plan_add_reopen(struct plan *plan, const struct config_target *a, const struct config_target *b,
                    unsigned lun)
{
    const struct config_lun *x = a ? config_find_lun(a, lun) : NULL,
                            *y = b ? config_find_lun(b, lun) : NULL;
    if (!x || !y)
        return -ENOENT;
    if (has_step(plan, y))
        return 0;
    struct plan_step step = lun_step(PLAN_CHANGE, a, b, x, y);
    step.class = PLAN_REOPEN;
    step.lun_change = PLAN_LUN_REPLACE | PLAN_LUN_MOVE;
    plan->steps = g_renew(struct plan_step, plan->steps, plan->count + 1);
    plan->steps[plan->count++] = step;
    return 0;
}

static bool has_auth_step(const struct plan *plan, const struct config_auth *auth)
{
    for (unsigned i = 0; i < plan->count; i++)
        if (plan->steps[i].object == PLAN_AUTH && plan->steps[i].new_auth == auth)
            return true;
    return false;
}

static const struct config_auth *find_auth(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->auth_count; i++)
        if (strcmp(config->auths[i].name, name) == 0)
            return &config->auths[i];
    return NULL;
}

int plan_add_secrets(struct plan *plan, plan_running_fn *running, void *user,
                     struct config_problems *problems)
{
    unsigned errors = config_problems_errors(problems);
    for (unsigned i = 0; i < plan->to->auth_count; i++) {
        const struct config_auth *b = &plan->to->auths[i], *a = find_auth(plan->from, b->name);
        struct plugin_use use = use_of_auth(b);
        struct difference d;
        if (!a || strcmp(a->plugin, b->plugin) != 0 || has_auth_step(plan, b))
            continue;
        difference_init(&d);
        differ_running(&d, running(user, a), plan->to, &use, problems);
        char *keys = difference_end(&d);
        if (!keys)
            continue;
        plan->steps = g_renew(struct plan_step, plan->steps, plan->count + 1);
        plan->steps[plan->count++] = (struct plan_step){ .kind = PLAN_CHANGE,
                                                         .object = PLAN_AUTH,
                                                         .class = PLAN_LOGIN,
                                                         .old_auth = a,
                                                         .new_auth = b,
                                                         .keys = keys,
                                                         .at = b->node };
    }
    return config_problems_errors(problems) > errors ? -EINVAL : 0;
}

struct plan *plan_free(struct plan *plan)
{
    if (!plan)
        return NULL;
    for (unsigned i = 0; i < plan->count; i++)
        g_free(plan->steps[i].keys);
    g_free(plan->steps);
    g_free(plan);
    return NULL;
}

enum plan_class plan_class(const struct plan *plan)
{
    enum plan_class most = PLAN_LIVE;
    for (unsigned i = 0; i < plan->count; i++)
        most = MAX(most, plan->steps[i].class);
    return most;
}
