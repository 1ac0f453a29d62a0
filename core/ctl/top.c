/* SPDX-License-Identifier: BSD-3-Clause */
/* See top.h. */
#include "ctl/top.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/top_rates.h"
#include "ctl/units.h"
#include "ctl/value.h"

#define HEAD_LINES      3
#define LIVE_TIMEOUT_MS 2000u

struct top {
    const struct rpc *rpc;
    const struct top_options *options;
    JsonNode *before, *after; /* the last two looks */
    char *why;                /* the last one failed */
    bool sessions_first, paused;
};

static enum rpc_outcome look(struct top *t)
{
    struct rpc_call call = { .method = "top", .repeatable = true };
    JsonNode *result = NULL;
    g_clear_pointer(&t->why, g_free);
    enum rpc_outcome outcome = rpc_call(t->rpc, &call, &result, &t->why);
    if (outcome != RPC_DONE)
        return outcome;
    if (t->before)
        json_node_unref(t->before);
    t->before = t->after;
    t->after = result;
    return outcome;
}

static JsonObject *object_of(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* ---- the picture ---- */

static void put_totals(const struct top_rates *r, GString *out)
{
    double commands = 0, read_bytes = 0, written_bytes = 0;
    for (unsigned i = 0; i < r->sessions->len; i++) {
        const struct top_session *s = &g_array_index(r->sessions, struct top_session, i);
        commands += s->commands;
        read_bytes += s->read_bytes;
        written_bytes += s->written_bytes;
    }
    g_autofree char *c = units_count(commands), *rb = units_bytes(read_bytes),
                    *wb = units_bytes(written_bytes);
    g_string_append_printf(
        out, "%u sessions, %u disks in use: %s commands/s, %sB/s read, %sB/s written\n",
        r->sessions->len, r->luns->len, c, rb, wb);
}

static void put_luns(const struct top_rates *r, GString *out, unsigned rows, unsigned columns)
{
    static const char *const headings[] = { "TARGET",   ">LUN", ">READ/S", ">B/S",   ">MEAN",
                                            ">WRITE/S", ">B/S", ">MEAN",   ">QUEUE", NULL };
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < r->luns->len && (!rows || i < rows); i++) {
        const struct top_lun *l = &g_array_index(r->luns, struct top_lun, i);
        table_text(t, l->target);
        table_print(t, "%" G_GUINT64_FORMAT, l->lun);
        table_take(t, units_count(l->reads));
        table_take(t, units_bytes(l->read_bytes));
        table_take(t, units_latency(l->read_ns));
        table_take(t, units_count(l->writes));
        table_take(t, units_bytes(l->written_bytes));
        table_take(t, units_latency(l->write_ns));
        table_print(t, "%" G_GUINT64_FORMAT, l->queue);
    }
    table_write(t, out, rows, columns);
    table_free(t);
}

static void put_sessions(const struct top_rates *r, GString *out, unsigned rows, unsigned columns)
{
    static const char *const headings[] = { ">ID",         "INITIATOR", "TARGET",
                                            ">COMMANDS/S", ">READ B/S", ">WRITTEN B/S",
                                            ">MEAN",       ">QUEUE",    NULL };
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < r->sessions->len && (!rows || i < rows); i++) {
        const struct top_session *s = &g_array_index(r->sessions, struct top_session, i);
        table_print(t, "%" G_GUINT64_FORMAT, s->id);
        table_text(t, s->initiator);
        table_text(t, s->target);
        table_take(t, units_count(s->commands));
        table_take(t, units_bytes(s->read_bytes));
        table_take(t, units_bytes(s->written_bytes));
        table_take(t, units_latency(s->latency_ns));
        table_print(t, "%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, s->outstanding, s->window);
    }
    table_write(t, out, rows, columns);
    table_free(t);
}

static void put_head(const struct top *t, GString *out)
{
    JsonObject *o = object_of(t->after);
    time_t now = time(NULL);
    struct tm local;
    char clock[16];
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
    g_string_append_printf(out,
                           "holdfast  %s  worker generation %" G_GUINT64_FORMAT
                           ", deaths %" G_GUINT64_FORMAT "%s\n",
                           clock, value_number(o, "generation"), value_number(o, "worker-deaths"),
                           t->paused ? "  (paused)" : "");
}

/* `lines` and `columns` of the screen; 0: no limit. */
static void picture(const struct top *t, GString *out, unsigned lines, unsigned columns)
{
    struct top_rates *r = top_rates_new(object_of(t->before), object_of(t->after));
    unsigned rest = lines > HEAD_LINES + 6 ? lines - HEAD_LINES - 4 : 4;
    unsigned first = lines ? rest / 2 : 0, second = lines ? rest - rest / 2 : 0;
    put_head(t, out);
    put_totals(r, out);
    g_string_append_c(out, '\n');
    if (t->sessions_first)
        put_sessions(r, out, first, columns);
    else
        put_luns(r, out, first, columns);
    g_string_append_c(out, '\n');
    if (t->sessions_first)
        put_luns(r, out, second, columns);
    else
        put_sessions(r, out, second, columns);
    top_rates_free(r);
}

/* ---- live ---- */

static void draw(const struct top *t)
{
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned rows, columns;
    terminal_size(&rows, &columns);
    picture(t, out, rows, columns);
    g_string_append_printf(out, "%.*s", (int)columns,
                           t->why ? t->why : "q quit  s sessions first  l disks first  p pause");
    terminal_draw(out->str);
}

/* Waits for the next look; false: quit. */
static bool keys(struct top *t)
{
    uint64_t until = clock_now_ns() + t->options->interval_ms * NS_PER_MS;
    for (;;) {
        uint64_t now = clock_now_ns();
        int key = now < until ? terminal_key((unsigned)((until - now) / NS_PER_MS) + 1) : 0;
        if (key == -1 || key == 'q' || key == 'Q')
            return false;
        if (key == 's' || key == 'l')
            t->sessions_first = key == 's';
        if (key == 'p')
            t->paused = !t->paused;
        if (key)
            draw(t);
        else if (clock_now_ns() >= until)
            return true;
        else
            draw(t); /* the window has another size */
    }
}

static void live(struct top *t)
{
    struct rpc limited = *t->rpc; /* keys want to be heard */
    limited.timeout_ms = MIN(limited.timeout_ms, LIVE_TIMEOUT_MS);
    t->rpc = &limited;
    do {
        if (!t->paused)
            look(t);
        draw(t);
    } while (keys(t));
    terminal_end();
    g_clear_pointer(&t->why, g_free);
}

/* ---- not live ---- */

static enum rpc_outcome print_json(struct top *t)
{
    enum rpc_outcome outcome = RPC_DONE;
    for (unsigned i = 0; outcome == RPC_DONE && i < MAX(t->options->count, 1u); i++) {
        if (i)
            g_usleep(t->options->interval_ms * 1000ul);
        outcome = look(t);
        if (outcome != RPC_DONE)
            break;
        g_autofree char *text = json_to_string(t->after, FALSE);
        printf("%s\n", text);
        fflush(stdout);
    }
    return outcome;
}

static enum rpc_outcome print_text(struct top *t)
{
    enum rpc_outcome outcome = look(t);
    for (unsigned i = 0; outcome == RPC_DONE && i < MAX(t->options->count, 1u); i++) {
        g_usleep(t->options->interval_ms * 1000ul);
        outcome = look(t);
        if (outcome != RPC_DONE)
            break;
        g_autoptr(GString) out = g_string_new(i ? "\n" : NULL);
        picture(t, out, 0, 0);
        fputs(out->str, stdout);
        fflush(stdout);
    }
    return outcome;
}

enum rpc_outcome top_run(const struct rpc *rpc, const struct top_options *options, char **ret_why)
{
    struct top t = { .rpc = rpc, .options = options };
    enum rpc_outcome outcome = options->json ? print_json(&t) : look(&t);
    if (!options->json && outcome == RPC_DONE) {
        if (!options->count && terminal_begin())
            live(&t);
        else
            outcome = print_text(&t);
    }
    *ret_why = t.why;
    if (t.before)
        json_node_unref(t.before);
    if (t.after)
        json_node_unref(t.after);
    return outcome;
}
