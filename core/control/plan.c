/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `plan`: what a reload of another file would do. The file is the descriptor that came with the
 * request, so that the client's rights to read it count, or one of that name on this side.
 */
#include "control/plan.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"
#include "control/look.h"
#include "plugin/storage.h"

#define SESSIONS_NAMED 32 /* of a step; all are counted */

static void put_place(struct json_writer *w, const struct config_node *at)
{
    if (!at)
        return;
    json_put_open(w, "at", '{');
    json_put_string(w, "file", config_node_file(at));
    json_put_u64(w, "line", config_node_line(at));
    json_put_u64(w, "column", at->column);
    json_put_close(w, '}');
}

static void put_sessions(struct json_writer *w, const struct plan_step *step,
                         const struct snapshot *snapshot)
{
    uint64_t touched = 0;
    if (!snapshot)
        return;
    json_put_open(w, "sessions", '[');
    for (unsigned i = 0; i < snapshot->part_count; i++) {
        const struct observation *o = &snapshot->part[i].observation;
        for (uint32_t j = 0; j < o->session_count; j++) {
            const struct observed_session *s = &o->sessions[j];
            if (s->discovery || !plan_step_touches(step, s->target, s->initiator, NULL) ||
                touched++ >= SESSIONS_NAMED)
                continue;
            json_put_open(w, NULL, '{');
            json_put_u64(w, "id", s->tsih);
            json_put_string(w, "initiator", s->initiator);
            json_put_string(w, "target", s->target);
            json_put_close(w, '}');
        }
    }
    json_put_close(w, ']');
    json_put_u64(w, "session-count", touched);
}

static void put_step(struct json_writer *w, const struct plan_step *s,
                     const struct snapshot *snapshot)
{
    g_autofree char *name = plan_step_name(s);
    json_put_open(w, NULL, '{');
    json_put_string(w, "kind", plan_kind_name(s->kind));
    json_put_string(w, "object", plan_object_name(s->object));
    json_put_string(w, "name", name);
    json_put_string(w, "keys", s->keys);
    json_put_string(w, "class", plan_class_name(s->class));
    json_put_string(w, "notice", plan_step_notice(s));
    json_put_bool(w, "shrinks", s->lun_change & PLAN_LUN_SHRINK);
    put_place(w, s->at);
    put_sessions(w, s, snapshot);
    json_put_close(w, '}');
}

void plan_put(struct json_writer *w, const struct plan *plan, const struct snapshot *snapshot,
              unsigned upgrade)
{
    json_put_open(w, NULL, '{');
    json_put_string(w, "file", plan->to->file);
    json_put_string(w, "class", plan->count ? plan_class_name(plan_class(plan)) : "none");
    if (upgrade)
        json_put_u64(w, "upgrade", upgrade);
    json_put_open(w, "steps", '[');
    for (unsigned i = 0; i < plan->count; i++)
        put_step(w, &plan->steps[i], snapshot);
    json_put_close(w, ']');
    json_put_close(w, '}');
}

/* Every problem, a line each: as `holdfastd --check` says them. */
static int fail_with(struct call *call, struct config_problems *problems)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        g_string_append_printf(text, "%s%s", i ? "\n" : "", line);
    }
    return call_fail(call, RPC_REFUSED, "%s", text->str);
}

/* A file of the name, or the one that was sent. */
static int read_file(struct call *call, const char *name, char **ret_text, size_t *ret_length)
{
    struct stat st;
    int r = 0;
    if (call->fd < 0)
        return config_file_read(name, ret_text, ret_length);
    if (fstat(call->fd, &st) < 0 || !S_ISREG(st.st_mode)) /* a pipe could make us wait */
        r = -EINVAL;
    return r < 0 ? r : config_file_read_fd(call->fd, ret_text, ret_length);
}

int look_plan(struct call *call)
{
    const struct control_services *s = &call->control->services;
    const char *name = call_string(call, "file");
    g_autofree char *text = NULL;
    size_t length = 0;
    int r = read_file(call, name, &text, &length);
    if (r < 0)
        return call_fail(call, RPC_REFUSED, "%.4096s: cannot be read: %s", name,
                         r == -EINVAL ? "not a regular file" : g_strerror(-r));
    struct config_problems *problems = config_problems_new();
    struct config *to = NULL;
    struct plan *plan = NULL;
    r = config_parse(text, length, name, &to, problems);
    if (r == 0)
        r = plan_make(s->config(s->user), to, &plan, problems);
    if (r == 0)
        r = plan_add_secrets(plan, s->auth, s->user, problems);
    if (r == 0)
        plan_put(&call->result, plan, call->snapshot, 0);
    else
        fail_with(call, problems);
    plan_free(plan);
    config_free(to);
    config_problems_free(problems);
    return call->error;
}
