/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See upgrade.h. The worker that begins an upgrade goes with it, and its control connections: how it went
 * is asked of whatever worker there is, by the number that the keeper gave the upgrade.
 */
#include "ctl/upgrade.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "ctl/value.h"

#define AGAIN_MS 50

static JsonObject *object_of(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* The daemon has another working directory. */
static char *absolute(const char *binary)
{
    char *resolved = realpath(binary, NULL);
    char *path = resolved ? g_strdup(resolved) : g_canonicalize_filename(binary, NULL);
    free(resolved);
    return path;
}

static enum rpc_outcome begin(const struct rpc *rpc, const char *binary, bool worker_only,
                              JsonNode **ret_result, char **ret_why)
{
    g_autoptr(GString) params = g_string_new(NULL);
    struct json_writer w = { .out = params };
    g_autofree char *path = binary ? absolute(binary) : NULL;
    json_put_open(&w, NULL, '{');
    if (path)
        json_put_string(&w, "binary", path);
    if (worker_only)
        json_put_bool(&w, "worker-only", true);
    json_put_close(&w, '}');
    struct rpc_call call = { .method = "upgrade", .params = params->str };
    return rpc_call(rpc, &call, ret_result, ret_why);
}

/* A line for each step; *shown is the last one that was told. */
static void progress(JsonObject *o, char **shown)
{
    const char *state = value_text(o, "state");
    if (!g_strcmp0(*shown, state))
        return;
    g_free(*shown);
    *shown = g_strdup(state);
    if (!strcmp(state, "preparing"))
        printf("preparing %s, generation %" PRIu64 "\n", value_text(o, "binary"),
               value_number(o, "generation"));
    else if (!strcmp(state, "freezing"))
        printf("prepared; the worker finishes the I/O under way\n");
    else if (!strcmp(state, "taking over"))
        printf("the new worker takes over\n");
    else if (!strcmp(state, "done"))
        printf("done: generation %" PRIu64 ", process %" PRIu64 ", pause %.1f ms\n",
               value_number(o, "generation"), value_number(o, "pid"),
               value_real(o, "pause-seconds") * 1e3);
    fflush(stdout);
}

/* The worker is done. True when the keeper is, too, or does not follow; NULL of an old one: it never does. */
static bool keeper_has_followed(JsonObject *o, enum rpc_outcome *ret_outcome, char **ret_why)
{
    const char *keeper = value_text(o, "keeper");
    if (!g_strcmp0(keeper, "failed")) {
        *ret_outcome = RPC_REFUSED;
        *ret_why = g_strdup_printf("the new worker serves, but the keeper stays what it was: %s",
                                   value_text(o, "keeper-why"));
    }
    return g_strcmp0(keeper, "pending") != 0;
}

/* True when it has ended; *ret_outcome then says how. */
static bool has_ended(JsonObject *o, uint64_t number, enum rpc_outcome *ret_outcome, char **ret_why)
{
    const char *state = value_text(o, "state");
    *ret_outcome = RPC_REFUSED;
    if (value_number(o, "number") != number) {
        *ret_why = g_strdup(
            "another upgrade or a restart of the daemon came after it; how it ended is not known");
        return true;
    }
    if (!strcmp(state, "failed")) {
        *ret_why = g_strdup_printf("the upgrade failed, everything goes on as before: %s",
                                   value_text(o, "why"));
        return true;
    }
    *ret_outcome = RPC_DONE;
    return !strcmp(state, "done") && keeper_has_followed(o, ret_outcome, ret_why);
}

static const struct rpc_call show = { .method = "upgrade.show", .repeatable = true };

/* `result` is how it stands now (taken over), if `outcome` is RPC_DONE; `number` 0: of that one. */
static enum rpc_outcome follow(const struct rpc *rpc, uint64_t number, enum rpc_outcome outcome,
                               JsonNode *result, bool json, JsonNode **ret_result, char **ret_why)
{
    uint64_t deadline = clock_now_ns() + rpc->timeout_ms * NS_PER_MS;
    g_autofree char *shown = NULL;

    if (!number)
        number = value_number(object_of(result), "number");
    while (outcome == RPC_DONE) {
        if (!json)
            progress(object_of(result), &shown);
        if (has_ended(object_of(result), number, &outcome, ret_why))
            break;
        g_clear_pointer(&result, json_node_unref);
        if (clock_now_ns() >= deadline) {
            *ret_why = g_strdup("it has not ended in time; it goes on");
            outcome = RPC_UNREACHABLE;
            break;
        }
        g_usleep(AGAIN_MS * 1000);
        outcome = rpc_call(rpc, &show, &result, ret_why);
    }
    *ret_result = result;
    return outcome;
}

enum rpc_outcome upgrade_wait(const struct rpc *rpc, uint64_t number, bool json, char **ret_why)
{
    JsonNode *result = NULL;
    enum rpc_outcome outcome = rpc_call(rpc, &show, &result, ret_why);
    outcome = follow(rpc, number, outcome, result, json, &result, ret_why);
    g_clear_pointer(&result, json_node_unref);
    return outcome;
}

enum rpc_outcome upgrade_run(const struct rpc *rpc, const char *binary, bool worker_only,
                             bool json, char **ret_why)
{
    JsonNode *result = NULL;
    enum rpc_outcome outcome = begin(rpc, binary, worker_only, &result, ret_why);
    outcome = follow(rpc, 0, outcome, result, json, &result, ret_why);
    if (outcome == RPC_DONE && json) {
        g_autofree char *text = json_to_string(result, TRUE);
        printf("%s\n", text);
    }
    g_clear_pointer(&result, json_node_unref);
    return outcome;
}
