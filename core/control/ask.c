/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Methods that the keeper answers: upgrades and the fence. A call that waits for it is in control->asks
 * and survives its client. Raising and lowering end when the fence is up or down, or cannot be: the
 * keeper is asked again until then. An upgrade is answered when it has begun, because it ends this
 * worker's connections: its end is asked of the next worker (upgrade.show).
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/look.h"
#include "control/server.h"

#define AGAIN_MS       50
#define KEEPER_MS      5000  /* it has one thread and answers at once */
#define FENCE_LIMIT_MS 15000 /* two helpers, each killed after five seconds, and some more */

struct ask {
    struct list link;
    struct call *call;
    enum control_ask what; /* what the call is for; later questions are the SHOW of it */
    uint32_t id;
    guint timer; /* of the next question, or of the limit */
    uint64_t deadline_ns;
    bool asked_before;
    uint64_t failed_before; /* what the fence has failed to do */
};

static void ask_free(struct ask *ask)
{
    if (ask->timer)
        g_source_remove(ask->timer);
    list_remove(&ask->link);
    g_free(ask);
}

static void ask_end(struct ask *ask)
{
    struct call *call = ask->call;
    ask_free(ask);
    call_end(call);
}

static gboolean no_answer(gpointer data)
{
    struct ask *ask = data;
    ask->timer = 0;
    call_fail(ask->call, RPC_INTERNAL, "the keeper does not answer");
    ask_end(ask);
    return G_SOURCE_REMOVE;
}

static void put_question(struct ask *ask, enum control_ask what, const char *path, bool worker_only)
{
    struct control *control = ask->call->control;
    ask->id = ++control->last_ask;
    ask->timer = g_timeout_add(KEEPER_MS, no_answer, ask);
    control->services.ask(control->services.user, what, ask->id, path, worker_only);
}

static int begin_with(struct call *call, enum control_ask what, const char *path, bool worker_only)
{
    struct ask *ask = g_new0(struct ask, 1);
    ask->call = call;
    ask->what = what;
    ask->deadline_ns = clock_now_ns() + FENCE_LIMIT_MS * NS_PER_MS;
    list_append(&call->control->asks, &ask->link);
    call->acting = true;
    put_question(ask, what, path, worker_only);
    return VERB_PENDING;
}

static int begin(struct call *call, enum control_ask what)
{
    return begin_with(call, what, NULL, false);
}

static struct ask *take(struct control *control, uint32_t id)
{
    list_for_each(n, &control->asks)
    {
        struct ask *ask = list_entry(n, struct ask, link);
        if (ask->id != id)
            continue;
        g_source_remove(ask->timer);
        ask->timer = 0;
        return ask;
    }
    return NULL;
}

void ask_deinit(struct control *control)
{
    list_for_each_safe(n, &control->asks)
    {
        struct ask *ask = list_entry(n, struct ask, link);
        call_fail(ask->call, RPC_INTERNAL, "the daemon stops");
        ask_end(ask);
    }
}

/* ---- the fence ---- */

int ask_fence_show(struct call *call)
{
    return begin(call, CONTROL_FENCE_SHOW);
}

int ask_fence_raise(struct call *call)
{
    log_notice("control", "the fence is raised by request");
    return begin(call, CONTROL_FENCE_RAISE);
}

int ask_fence_lower(struct call *call)
{
    log_notice("control", "the fence is lowered by request");
    return begin(call, CONTROL_FENCE_LOWER);
}

static const char *text_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

static void put_fence(struct json_writer *w, const struct control_fence *f)
{
    json_put_open(w, NULL, '{');
    json_put_bool(w, "configured", f->configured);
    json_put_string(w, "plugin", text_or_null(f->plugin));
    json_put_bool(w, "up", f->up);
    json_put_bool(w, "wanted", f->wanted);
    json_put_string(w, "reason", f->up || f->wanted ? text_or_null(f->reason) : NULL);
    json_put_double(w, "up-seconds", seconds_of(f->up_ns));
    json_put_double(w, "left-seconds", seconds_of(f->left_ns));
    json_put_double(w, "up-total-seconds", seconds_of(f->up_total_ns));
    json_put_u64(w, "raised", f->raised);
    json_put_u64(w, "renewed", f->renewed);
    json_put_u64(w, "lowered", f->lowered);
    json_put_u64(w, "failed", f->failed);
    json_put_u64(w, "timeouts", f->timeouts);
    json_put_string(w, "last-error", text_or_null(f->last_error));
    json_put_close(w, '}');
}

static gboolean ask_again(gpointer data)
{
    struct ask *ask = data;
    ask->timer = 0;
    put_question(ask, CONTROL_FENCE_SHOW, NULL, false);
    return G_SOURCE_REMOVE;
}

/* NULL: what was wanted is so now; "": not yet; else why it cannot be. */
static const char *fence_outcome(enum control_ask what, uint64_t failed_before,
                                 const struct control_fence *f)
{
    bool up = what == CONTROL_FENCE_RAISE;
    if (what == CONTROL_FENCE_SHOW)
        return NULL;
    if (f->error == -ENOTSUP || !f->configured)
        return "there is no fence: 'fence:' of the configuration is missing, or its plugin drops "
               "nothing";
    if (f->error == -EBUSY)
        return "the daemon stops";
    if (f->error)
        return g_strerror(-f->error);
    if (f->up == up)
        return NULL;
    if (f->busy || f->wanted == up) /* under way, or tried again soon */
        return f->failed > failed_before && !up ? f->last_error : "";
    return text_or_null(f->last_error) ? f->last_error : "something else was wanted meanwhile";
}

void control_fence_answer(struct control *control, uint32_t id, const struct control_fence *fence)
{
    struct ask *ask = control ? take(control, id) : NULL;
    if (!ask)
        return;
    if (!ask->asked_before)
        ask->failed_before = fence->failed;
    ask->asked_before = true;
    const char *why = fence_outcome(ask->what, ask->failed_before, fence);
    if (why && !*why && clock_now_ns() < ask->deadline_ns) {
        ask->timer = g_timeout_add(AGAIN_MS, ask_again, ask);
        return;
    }
    if (why)
        call_fail(ask->call, RPC_REFUSED, "the fence is %s: %s", fence->up ? "up" : "down",
                  *why ? why : "its helper does not end");
    else
        put_fence(&ask->call->result, fence);
    ask_end(ask);
}

/* ---- upgrades ---- */

int ask_upgrade_show(struct call *call)
{
    return begin(call, CONTROL_UPGRADE_SHOW);
}

/* Whoever names a binary lets it run as root: the group of the socket may not. */
int ask_upgrade(struct call *call)
{
    const char *binary = call_string(call, "binary");
    if (binary && !client_is_owner(call->client))
        return call_fail(
            call, RPC_NOT_PERMITTED,
            "upgrade: only root and the owner of the control socket may name a binary");
    if (binary && (*binary != '/' || strlen(binary) >= CONTROL_PATH_MAX))
        return call_fail(call, RPC_PARAMS, "binary must be an absolute path, below %d bytes",
                         CONTROL_PATH_MAX);
    log_notice("control", "upgrade by request binary=%s", binary ? binary : "(the daemon's own)");
    return begin_with(call, CONTROL_UPGRADE_BEGIN, binary, call_flag(call, "worker-only"));
}

void control_upgrade_answer(struct control *control, uint32_t id, const struct control_upgrade *u)
{
    static const char *const states[] = { "none",        "preparing", "freezing",
                                          "taking over", "done",      "failed" };
    static const char *const keepers[] = { "same", "pending", "done", "failed" };
    struct ask *ask = control ? take(control, id) : NULL;
    if (!ask)
        return;
    struct json_writer *w = &ask->call->result;
    if (ask->what == CONTROL_UPGRADE_BEGIN && u->state == CONTROL_UPGRADE_FAILED) {
        call_fail(ask->call, RPC_REFUSED, "no upgrade: %s", u->why);
        ask_end(ask);
        return;
    }
    json_put_open(w, NULL, '{');
    json_put_u64(w, "number", u->number);
    json_put_string(w, "state",
                    (unsigned)u->state < G_N_ELEMENTS(states) ? states[u->state] : NULL);
    json_put_string(w, "binary", text_or_null(u->binary));
    json_put_u64(w, "generation", u->generation);
    json_put_u64(w, "pid", u->pid);
    json_put_double(w, "pause-seconds", seconds_of(u->pause_ns));
    json_put_string(w, "why", text_or_null(u->why));
    json_put_string(w, "keeper",
                    (unsigned)u->keeper < G_N_ELEMENTS(keepers) ? keepers[u->keeper] : NULL);
    json_put_string(w, "keeper-why", text_or_null(u->keeper_why));
    json_put_close(w, '}');
    ask_end(ask);
}
