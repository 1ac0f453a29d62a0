/* SPDX-License-Identifier: BSD-3-Clause */
/* See show.h. */
#include "ctl/show.h"

#include <inttypes.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/units.h"
#include "ctl/value.h"

static JsonArray *array_of(JsonNode *result)
{
    return JSON_NODE_HOLDS_ARRAY(result) ? json_node_get_array(result) : NULL;
}

static JsonObject *object_of(JsonNode *result)
{
    return JSON_NODE_HOLDS_OBJECT(result) ? json_node_get_object(result) : NULL;
}

static struct table *finish(struct table *t, GString *out)
{
    table_write(t, out, 0, 0);
    return table_free(t);
}

/* ---- status ---- */

static void show_reactors(JsonObject *status, GString *out)
{
    static const char *const headings[] = { ">REACTOR",  "ROLE",  ">SESSIONS",
                                            ">COMMANDS", ">READ", ">WRITTEN",
                                            ">BUFFERS",  ">OF",   NULL };
    JsonArray *reactors = value_array(status, "reactors");
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(reactors); i++) {
        JsonObject *r = value_item(reactors, i);
        table_print(t, "%" PRIu64, value_number(r, "number"));
        table_text(t, value_text(r, "role"));
        table_print(t, "%" PRIu64, value_number(r, "sessions"));
        table_take(t, units_count((double)value_number(r, "commands")));
        table_take(t, units_bytes((double)value_number(r, "read-bytes")));
        table_take(t, units_bytes((double)value_number(r, "written-bytes")));
        table_take(t, units_bytes((double)value_number(r, "buffer-bytes")));
        table_take(t, units_bytes((double)value_number(r, "buffer-limit")));
    }
    if (table_rows(t))
        g_string_append_c(out, '\n');
    if (table_rows(t))
        finish(t, out);
    else
        table_free(t);
}

static void line(GString *out, const char *name, char *text)
{
    g_string_append_printf(out, "%-14s%s\n", name, text);
    g_free(text);
}

static void show_pauses(JsonObject *k, const char *key, const char *failures, GString *out)
{
    JsonObject *p = value_object(k, key);
    if (!p || !(value_number(p, "count") + value_number(p, failures)))
        return;
    line(out, key,
         g_strdup_printf("%" PRIu64 ", %" PRIu64 " %s; the last pause took %.1f ms",
                         value_number(p, "count"), value_number(p, failures), failures,
                         1e3 * value_real(p, "last-pause-seconds")));
}

/* Of the keeper, which may run another binary than the worker. */
static void show_keeper_binary(JsonObject *k, GString *out)
{
    uint64_t replaced = value_number(k, "replaced"),
             failed = value_number(k, "replacements-failed");
    GString *text = g_string_new(value_text(k, "version"));
    if (replaced)
        g_string_append_printf(text, ", replaced %" PRIu64 " times", replaced);
    if (failed)
        g_string_append_printf(text, ", %" PRIu64 " times not", failed);
    line(out, "keeper", g_string_free(text, FALSE));
}

static void show_keeper(JsonObject *s, GString *out)
{
    JsonObject *k = value_object(s, "keeper");
    g_autofree char *worker = units_duration(value_real(s, "uptime-seconds"));
    uint64_t deaths = value_number(k, "worker-deaths");
    if (!k) {
        line(out, "running for", g_strdup_printf("%s (the worker)", worker));
        return;
    }
    g_autofree char *all = units_duration(value_real(k, "uptime-seconds"));
    line(out, "running for", g_strdup_printf("%s, this worker for %s", all, worker));
    show_keeper_binary(k, out);
    if (deaths)
        line(out, "worker deaths",
             g_strdup_printf("%" PRIu64 ", the last by %s", deaths, value_text(k, "last-death")));
    else
        line(out, "worker deaths", g_strdup("none"));
    show_pauses(k, "restarts", "crashes", out);
    show_pauses(k, "upgrades", "failed", out);
    line(out, "connections",
         g_strdup_printf("%" PRIu64 " held of at most %" PRIu64 ", %" PRIu64 " turned away",
                         value_number(k, "connections-held"), value_number(k, "connections-max"),
                         value_number(k, "connections-refused")));
}

/* What this worker got from the one before it, when there was something. */
static void show_take_over(JsonObject *s, GString *out)
{
    JsonObject *t = value_object(s, "take-over");
    uint64_t resumed = value_number(t, "resumed-sessions"),
             dropped = value_number(t, "dropped-sessions"),
             aside = value_number(t, "quarantined-sessions");
    if (resumed || dropped || aside)
        line(out, "taken over",
             g_strdup_printf("%" PRIu64 " sessions went on, %" PRIu64 " were given up, %" PRIu64
                             " put aside: workers had crashed over what they sent",
                             resumed, dropped, aside));
}

#define ABSENT_SHOWN 10u

static void show_absent(JsonObject *s, GString *out)
{
    JsonArray *luns = value_array(s, "absent-luns");
    unsigned count = value_count(luns);
    for (unsigned i = 0; i < MIN(count, ABSENT_SHOWN); i++) {
        JsonObject *l = value_item(luns, i), *a = value_object(l, "absent");
        if (a)
            line(out, value_bool(a, "quarantined") ? "PUT ASIDE" : "ABSENT",
                 g_strdup_printf("%s LUN %" PRIu64 " for %.0f s: %s", value_text(l, "target"),
                                 value_number(l, "lun"), value_real(a, "seconds"),
                                 value_text(a, "why")));
    }
    if (count > ABSENT_SHOWN)
        line(out, "ABSENT", g_strdup_printf("and %u more LUNs", count - ABSENT_SHOWN));
}

void show_status(JsonNode *result, GString *out)
{
    JsonObject *s = object_of(result), *l = value_object(s, "logins");
    line(out, "holdfastd",
         g_strdup_printf("%s, %s, worker generation %" PRIu64, value_text(s, "version"),
                         value_text(s, "state"), value_number(s, "generation")));
    line(out, "configuration", g_strdup(value_text(s, "config-file")));
    line(out, "log level", g_strdup(value_text(s, "log-level")));
    show_keeper(s, out);
    line(out, "serves",
         g_strdup_printf("%" PRIu64 " targets, %" PRIu64 " LUNs, %" PRIu64 " portals",
                         value_number(s, "targets"), value_number(s, "luns"),
                         value_number(s, "portals")));
    show_take_over(s, out);
    show_absent(s, out);
    JsonObject *oldest = value_object(s, "oldest-io");
    if (oldest)
        line(out, "oldest I/O",
             g_strdup_printf("%.1f s, not answered by handler %s of %s LUN %" PRIu64,
                             value_real(oldest, "seconds"), value_text(oldest, "handler"),
                             value_text(oldest, "target"), value_number(oldest, "lun")));
    line(out, "sessions",
         g_strdup_printf("%" PRIu64 ", and %" PRIu64 " of discovery", value_number(s, "sessions"),
                         value_number(s, "discovery-sessions")));
    line(out, "logins",
         g_strdup_printf("%" PRIu64 " done, %" PRIu64 " refused, %" PRIu64 " not finished in time",
                         value_number(l, "completed"), value_number(l, "refused"),
                         value_number(l, "timed-out")));
    show_reactors(s, out);
}

/* ---- targets, portals ---- */

void show_targets(JsonNode *result, GString *out)
{
    static const char *const headings[] = { "TARGET",  ">LUNS",      ">SESSIONS", "AUTH",
                                            "PORTALS", "INITIATORS", "ALIAS",     NULL };
    JsonArray *targets = array_of(result);
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(targets); i++) {
        JsonObject *o = value_item(targets, i);
        table_text(t, value_text(o, "name"));
        table_print(t, "%" PRIu64, value_number(o, "luns"));
        table_print(t, "%" PRIu64, value_number(o, "sessions"));
        table_text(t, value_text(o, "auth"));
        table_take(t, value_join(o, "portals", ","));
        table_take(t, value_array(o, "initiators") ? value_join(o, "initiators", ",")
                                                   : g_strdup("any"));
        table_text(t, value_text(o, "alias"));
    }
    finish(t, out);
}

void show_portals(JsonNode *result, GString *out)
{
    static const char *const headings[] = { "PORTAL", ">TAG", ">CONNECTIONS", "LISTENS ON", NULL };
    JsonArray *portals = array_of(result);
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(portals); i++) {
        JsonObject *o = value_item(portals, i);
        table_text(t, value_text(o, "name"));
        table_print(t, "%" PRIu64, value_number(o, "tag"));
        table_print(t, "%" PRIu64, value_number(o, "connections"));
        table_take(t, value_join(o, "listen", " "));
    }
    finish(t, out);
}

/* ---- luns ---- */

static void way_cells(struct table *t, JsonObject *way)
{
    table_take(t, units_count((double)value_number(way, "commands")));
    table_take(t, units_bytes((double)value_number(way, "bytes")));
    table_take(t, units_latency(value_real(way, "mean-us") * 1e3));
}

/* FULL: the thresholds that are reached, of how many; "-" without any. */
static void space_cells(struct table *t, JsonObject *o)
{
    static const char *const keys[] = { "used-bytes", "available-bytes" };
    JsonArray *thresholds = value_array(o, "thresholds");
    unsigned count = value_count(thresholds), reached = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (value_has(o, keys[i]))
            table_take(t, units_bytes((double)value_number(o, keys[i])));
        else
            table_text(t, "-");
    }
    for (unsigned i = 0; i < count; i++)
        reached += value_bool(value_item(thresholds, i), "reached");
    if (count)
        table_print(t, "%u/%u", reached, count);
    else
        table_text(t, "-");
}

static const char *mode_of(JsonObject *lun)
{
    JsonObject *absent = value_object(lun, "absent");
    if (absent)
        return value_bool(absent, "quarantined") ? "aside" : "absent";
    return value_bool(lun, "read-only") ? "ro" : "rw";
}

void show_luns(JsonNode *result, GString *out)
{
    static const char *const headings[] = { "TARGET", ">LUN",    "HANDLER",  ">SIZE",  ">USED",
                                            ">LEFT",  "FULL",    "MODE",     ">READS", ">READ",
                                            ">MEAN",  ">WRITES", ">WRITTEN", ">MEAN",  ">ERRORS",
                                            ">QUEUE", ">OLDEST", "SERIAL",   NULL };
    JsonArray *luns = array_of(result);
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(luns); i++) {
        JsonObject *o = value_item(luns, i);
        table_text(t, value_text(o, "target"));
        table_print(t, "%" PRIu64, value_number(o, "lun"));
        table_text(t, value_text(o, "handler"));
        table_take(t, units_bytes((double)value_number(o, "bytes")));
        space_cells(t, o);
        table_text(t, mode_of(o));
        way_cells(t, value_object(o, "reads"));
        way_cells(t, value_object(o, "writes"));
        table_take(t, units_count((double)value_number(o, "errors")));
        table_print(t, "%" PRIu64, value_number(o, "at-handler") + value_number(o, "waiting"));
        table_take(t, units_latency(value_real(o, "oldest-seconds") * 1e9));
        table_text(t, value_text(o, "serial"));
    }
    finish(t, out);
}

/* ---- sessions ---- */

static void connection_cells(struct table *t, JsonObject *c)
{
    table_text(t, value_text(c, "address"));
    table_text(t, value_text(c, "portal"));
    table_print(t, "%s/%s", value_text(c, "header-digest"), value_text(c, "data-digest"));
}

static void session_row(struct table *t, JsonObject *s)
{
    JsonArray *connections = value_array(s, "connections");
    JsonObject *first = value_count(connections) ? value_item(connections, 0) : NULL;
    table_print(t, "%" PRIu64, value_number(s, "id"));
    table_text(t, value_text(s, "initiator"));
    table_text(t, g_str_equal(value_text(s, "type"), "discovery") ? "(discovery)"
                                                                  : value_text(s, "target"));
    connection_cells(t, first);
    table_print(t, "%" PRIu64 "/%" PRIu64, value_number(s, "outstanding"),
                value_number(s, "window"));
    table_take(t, units_count((double)value_number(s, "commands")));
    table_take(t, units_bytes((double)value_number(s, "read-bytes")));
    table_take(t, units_bytes((double)value_number(s, "written-bytes")));
    table_take(t, units_count((double)value_number(s, "errors")));
    for (unsigned i = 1; i < value_count(connections); i++) {
        for (int blank = 0; blank < 3; blank++)
            table_text(t, "");
        connection_cells(t, value_item(connections, i));
        for (int blank = 0; blank < 5; blank++)
            table_text(t, "");
    }
}

void show_sessions(JsonNode *result, GString *out)
{
    static const char *const headings[] = { ">ID",    "INITIATOR", "TARGET",  "ADDRESS",
                                            "PORTAL", "DIGESTS",   ">QUEUE",  ">COMMANDS",
                                            ">READ",  ">WRITTEN",  ">ERRORS", NULL };
    JsonArray *sessions = array_of(result);
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(sessions); i++)
        session_row(t, value_item(sessions, i));
    finish(t, out);
}

/* ---- the others ---- */

void show_metrics(JsonNode *result, GString *out)
{
    g_string_append(out, value_text(object_of(result), "text"));
}

void show_drop(JsonNode *result, GString *out)
{
    g_string_append_printf(out, "session %" PRIu64 " has ended\n",
                           value_number(object_of(result), "id"));
}

void show_resize(JsonNode *result, GString *out)
{
    JsonObject *o = object_of(result), *stale = value_object(o, "stale");
    g_autofree char *before = units_bytes((double)value_number(o, "bytes-before"));
    g_autofree char *now = units_bytes((double)value_number(o, "bytes"));
    g_string_append_printf(out, "%s LUN %" PRIu64 " has %s (%" PRIu64 " bytes), before: %s\n",
                           value_text(o, "target"), value_number(o, "lun"), now,
                           value_number(o, "bytes"), before);
    if (stale)
        g_string_append_printf(
            out,
            "%s:%" PRIu64 ":%" PRIu64 ": the configuration still says %s; change it "
            "to %s before the next start\n",
            value_text(stale, "file"), value_number(stale, "line"), value_number(stale, "column"),
            value_text(stale, "says"), value_text(stale, "should-say"));
}

void show_log_level(JsonNode *result, GString *out)
{
    g_string_append_printf(out, "%s\n", value_text(object_of(result), "level"));
}

void show_fence(JsonNode *result, GString *out)
{
    JsonObject *o = object_of(result);
    if (!value_bool(o, "configured")) {
        g_string_append(out, "there is no fence\n");
        return;
    }
    if (value_bool(o, "up")) {
        g_autofree char *up = units_duration(value_real(o, "up-seconds"));
        g_autofree char *left = units_duration(value_real(o, "left-seconds"));
        g_string_append_printf(out,
                               "the fence is up for %s (%s), at most %s more: initiators wait\n",
                               up, value_text(o, "reason"), left);
    } else {
        g_string_append_printf(out, "the fence is down%s\n",
                               value_bool(o, "wanted") ? ", and is being raised" : "");
    }
    g_string_append_printf(out, "plugin %s, raised %" PRIu64 ", failed %" PRIu64,
                           value_text(o, "plugin"), value_number(o, "raised"),
                           value_number(o, "failed"));
    const char *error = value_text(o, "last-error");
    g_string_append_printf(out, strcmp(error, "-") ? ", last error: %s\n" : "\n", error);
}
