/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods, what each needs, and the checks that are the same for all. */
#include <string.h>

#include "base/log.h"
#include "config/scalar.h"
#include "control/server.h"

#define STRING_REQUIRED(key)                                                                       \
    {                                                                                              \
        key, G_TYPE_STRING, true                                                                   \
    }
#define STRING(key)                                                                                \
    {                                                                                              \
        key, G_TYPE_STRING, false                                                                  \
    }
#define NUMBER_REQUIRED(key)                                                                       \
    {                                                                                              \
        key, G_TYPE_INT64, true                                                                    \
    }
#define BOOL(key)                                                                                  \
    {                                                                                              \
        key, G_TYPE_BOOLEAN, false                                                                 \
    }
#define OBJECT(key)                                                                                \
    {                                                                                              \
        key, G_TYPE_OBJECT, false                                                                  \
    }
#define SIZE_REQUIRED(key)                                                                         \
    {                                                                                              \
        key, G_TYPE_NONE, true                                                                     \
    }

static const struct verb verbs[] = {
    { "status", VERB_SNAPSHOT_OPTIONAL, look_status, { { 0 } } },
    { "targets", VERB_SNAPSHOT, look_targets, { { 0 } } },
    { "sessions", VERB_SNAPSHOT, look_sessions, { STRING("target") } },
    { "luns", 0, look_luns, { STRING("target") } },
    { "portals", VERB_SNAPSHOT, look_portals, { { 0 } } },
    { "progress", VERB_SNAPSHOT, look_progress, { { 0 } } },
    { "top", VERB_SNAPSHOT, look_top, { { 0 } } },
    { "metrics", VERB_SNAPSHOT, look_metrics, { { 0 } } },
    { "session.drop", VERB_CHANGES, act_session_drop, { NUMBER_REQUIRED("id") } },
    { "lun.resize",
      VERB_CHANGES | VERB_QUEUED,
      act_lun_resize,
      { STRING_REQUIRED("target"), NUMBER_REQUIRED("lun"), SIZE_REQUIRED("size") } },
    { "log.level", 0, act_log_level, { STRING("level") } },
    { "plan", VERB_CHANGES | VERB_SNAPSHOT, look_plan, { STRING_REQUIRED("file") } },
    { "target.set",
      VERB_CHANGES | VERB_QUEUED,
      act_target_set,
      { STRING_REQUIRED("target"), OBJECT("keys"), BOOL("force"), STRING("drain") } },
    { "target.remove",
      VERB_CHANGES | VERB_QUEUED,
      act_target_remove,
      { STRING_REQUIRED("target"), BOOL("force"), STRING("drain") } },
    { "lun.set",
      VERB_CHANGES | VERB_QUEUED,
      act_lun_set,
      { STRING_REQUIRED("target"), NUMBER_REQUIRED("lun"), OBJECT("keys"), BOOL("force"),
        STRING("drain") } },
    { "lun.remove",
      VERB_CHANGES | VERB_QUEUED,
      act_lun_remove,
      { STRING_REQUIRED("target"), NUMBER_REQUIRED("lun"), BOOL("force"), STRING("drain") } },
    { "lun.reopen",
      VERB_CHANGES | VERB_QUEUED,
      act_lun_reopen,
      { STRING_REQUIRED("target"), NUMBER_REQUIRED("lun"), BOOL("force"), STRING("drain") } },
    { "reload", VERB_CHANGES | VERB_QUEUED, act_reload, { BOOL("force"), STRING("drain") } },
    { "upgrade", VERB_CHANGES, ask_upgrade, { STRING("binary"), BOOL("worker-only") } },
    { "upgrade.show", 0, ask_upgrade_show, { { 0 } } },
    { "fence.raise", VERB_CHANGES, ask_fence_raise, { { 0 } } },
    { "fence.lower", VERB_CHANGES, ask_fence_lower, { { 0 } } },
    { "fence.show", 0, ask_fence_show, { { 0 } } },
};

const struct verb *verb_find(const char *method)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (!strcmp(verbs[i].method, method))
            return &verbs[i];
    return NULL;
}

const char *verb_nearest(const char *method)
{
    const char *names[G_N_ELEMENTS(verbs) + 1] = { NULL };
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
        names[i] = verbs[i].method;
    return strlen(method) < 64 ? config_nearest(method, names) : NULL;
}

/* ---- parameters ---- */

static const struct verb_param *find_param(const struct verb *verb, const char *name)
{
    for (unsigned i = 0; i < VERB_PARAMS_MAX && verb->params[i].name; i++)
        if (!strcmp(verb->params[i].name, name))
            return &verb->params[i];
    return NULL;
}

static int unknown_param(struct call *call, const char *name)
{
    const char *names[VERB_PARAMS_MAX + 1] = { NULL };
    for (unsigned i = 0; i < VERB_PARAMS_MAX && call->verb->params[i].name; i++)
        names[i] = call->verb->params[i].name;
    g_autofree char *hint = strlen(name) < 64 ? config_did_you_mean(name, names) : g_strdup("");
    return call_fail(call, RPC_PARAMS, "%s has no parameter '%.64s'%s", call->verb->method, name,
                     hint);
}

static int check_param(struct call *call, const struct verb_param *p, JsonNode *node)
{
    GType type = json_node_get_value_type(node);
    if (p->type == G_TYPE_STRING && type != G_TYPE_STRING)
        return call_fail(call, RPC_PARAMS, "%s must be a string", p->name);
    if (p->type == G_TYPE_OBJECT)
        return JSON_NODE_HOLDS_OBJECT(node)
                   ? 0
                   : call_fail(call, RPC_PARAMS, "%s must be an object", p->name);
    if (p->type == G_TYPE_BOOLEAN && type != G_TYPE_BOOLEAN)
        return call_fail(call, RPC_PARAMS, "%s must be true or false", p->name);
    if (p->type == G_TYPE_INT64 && (type != G_TYPE_INT64 || json_node_get_int(node) < 0))
        return call_fail(call, RPC_PARAMS, "%s must be a number, 0 or more", p->name);
    if (p->type == G_TYPE_NONE && type != G_TYPE_STRING &&
        (type != G_TYPE_INT64 || json_node_get_int(node) < 0))
        return call_fail(call, RPC_PARAMS, "%s must be a size: a number of bytes, or as \"20G\"",
                         p->name);
    return 0;
}

static int check_params(struct call *call)
{
    if (call->params) {
        g_autoptr(GList) names = json_object_get_members(call->params);
        for (GList *n = names; n; n = n->next) {
            const struct verb_param *p = find_param(call->verb, n->data);
            int r = p ? check_param(call, p, json_object_get_member(call->params, n->data))
                      : unknown_param(call, n->data);
            if (r)
                return r;
        }
    }
    for (unsigned i = 0; i < VERB_PARAMS_MAX && call->verb->params[i].name; i++) {
        const struct verb_param *p = &call->verb->params[i];
        if (p->required && !(call->params && json_object_has_member(call->params, p->name)))
            return call_fail(call, RPC_PARAMS, "%s needs the parameter '%s'", call->verb->method,
                             p->name);
    }
    return 0;
}

const char *call_string(const struct call *call, const char *name)
{
    JsonNode *node = call->params ? json_object_get_member(call->params, name) : NULL;
    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

bool call_flag(const struct call *call, const char *name)
{
    JsonNode *node = call->params ? json_object_get_member(call->params, name) : NULL;
    return node && json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

bool call_number(const struct call *call, const char *name, uint64_t *ret_number)
{
    JsonNode *node = call->params ? json_object_get_member(call->params, name) : NULL;
    if (!node || json_node_get_value_type(node) != G_TYPE_INT64)
        return false;
    *ret_number = (uint64_t)json_node_get_int(node);
    return true;
}

int call_target(struct call *call, const char *name)
{
    const struct control_services *s = &call->control->services;
    const char *wanted = call_string(call, name);
    char normal[ISCSI_NAME_MAX + 1];
    const char *problem;
    if (iscsi_name_normalise(wanted, normal, &problem) < 0) {
        call_fail(call, RPC_PARAMS, "'%.64s' is no target name: %s", wanted, problem);
        return -1;
    }
    for (unsigned i = 0; i < s->target_count(s->user); i++) {
        struct control_target t;
        s->target(s->user, i, &t);
        if (!strcmp(t.config->name, normal))
            return (int)i;
    }
    call_fail(call, RPC_REFUSED, "there is no target '%s'", normal);
    return -1;
}

/* ---- running ---- */

void verb_run(struct call *call)
{
    unsigned flags = call->verb->flags;
    if ((flags & VERB_SNAPSHOT) && !call->snapshot) {
        call_fail(call, RPC_INTERNAL, "a reactor does not answer");
        call_end(call);
    } else if (call->verb->run(call) != VERB_PENDING) {
        call_end(call);
    }
}

void verb_start(struct call *call)
{
    const struct verb *verb = call->verb;
    if ((verb->flags & VERB_CHANGES) && !client_may_change(call->client)) {
        call_fail(call, RPC_NOT_PERMITTED,
                  "%s: only root and the group of the control socket may do this", verb->method);
        call_end(call);
    } else if (check_params(call) != 0) {
        call_end(call);
    } else if (verb->flags & (VERB_SNAPSHOT | VERB_SNAPSHOT_OPTIONAL)) {
        snapshot_wait(call);
    } else if (verb->flags & VERB_QUEUED) {
        call_queue(call);
    } else {
        verb_run(call);
    }
}
