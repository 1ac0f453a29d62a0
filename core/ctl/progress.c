/* SPDX-License-Identifier: BSD-3-Clause */
/* See progress.h; and `progress` for people. */
#include "ctl/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/units.h"
#include "ctl/value.h"

#define AGAIN_MS 200

static JsonArray *array_of(JsonNode *result)
{
    return JSON_NODE_HOLDS_ARRAY(result) ? json_node_get_array(result) : NULL;
}

static bool is_drain(JsonObject *o)
{
    return !strcmp(value_text(o, "action"), "drain");
}

static char *what_is_left(JsonObject *o)
{
    g_autofree char *left = units_duration(value_real(o, "left-seconds"));
    uint64_t commands = value_number(o, "commands"), sessions = value_number(o, "sessions");
    if (value_has(o, "sessions"))
        return g_strdup_printf("%" PRIu64 " sessions, %" PRIu64 " commands, at most %s", sessions,
                               commands, left);
    return g_strdup_printf("%" PRIu64 " commands, at most %s", commands, left);
}

static char *progress_of(JsonObject *o)
{
    if (is_drain(o))
        return what_is_left(o);
    if (value_has(o, "percent"))
        return g_strdup_printf("%.1f %%", value_real(o, "percent"));
    g_autofree char *bytes = units_bytes((double)value_number(o, "bytes"));
    return g_strdup_printf("%s written, %" PRIu64 " segments done", bytes,
                           value_number(o, "segments"));
}

void show_progress(JsonNode *result, GString *out)
{
    static const char *const headings[] = { "ACTION", "TARGET", ">LUN", "PROGRESS", NULL };
    JsonArray *all = array_of(result);
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(all); i++) {
        JsonObject *o = value_item(all, i);
        table_text(t, value_text(o, "action"));
        table_text(t, value_text(o, "target"));
        if (value_has(o, "lun"))
            table_print(t, "%" PRIu64, value_number(o, "lun"));
        else
            table_text(t, "-");
        table_take(t, progress_of(o));
    }
    table_write(t, out, 0, 0);
    table_free(t);
}

/* ---- waiting ---- */

/* Of all that is drained: the line, or NULL when nothing is. */
static char *remaining(JsonNode *result)
{
    JsonArray *all = array_of(result);
    uint64_t sessions = 0, commands = 0, count = 0;
    double seconds = 0;
    for (unsigned i = 0; i < value_count(all); i++) {
        JsonObject *o = value_item(all, i);
        if (!is_drain(o))
            continue;
        count++;
        sessions += value_number(o, "sessions");
        commands += value_number(o, "commands");
        seconds = MAX(seconds, value_real(o, "left-seconds"));
    }
    g_autofree char *left = units_duration(seconds);
    return count ? g_strdup_printf("draining: %" PRIu64 " sessions, %" PRIu64
                                   " commands are left, at most %s",
                                   sessions, commands, left)
                 : NULL;
}

enum rpc_outcome progress_wait(const struct rpc *rpc, bool json, char **ret_why)
{
    struct rpc_call call = { .method = "progress", .repeatable = true };
    bool live = !json && isatty(STDOUT_FILENO), told = false;
    for (;;) {
        JsonNode *result = NULL;
        enum rpc_outcome outcome = rpc_call(rpc, &call, &result, ret_why);
        g_autofree char *line = outcome == RPC_DONE ? remaining(result) : NULL;
        g_clear_pointer(&result, json_node_unref);
        if (live && (line || told))
            printf("\r\033[K%s", line ? line : outcome == RPC_DONE ? "drained\n" : "");
        fflush(stdout);
        told = told || line;
        if (!line)
            return outcome;
        g_usleep(AGAIN_MS * 1000);
    }
}
