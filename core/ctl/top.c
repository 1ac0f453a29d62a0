/* SPDX-License-Identifier: BSD-3-Clause */
/* See top.h. */
#include "ctl/top.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/terminal.h"
#include "ctl/top_picture.h"

#define LIVE_TIMEOUT_MS 2000u

struct top {
    const struct rpc *rpc;
    const struct top_options *options;
    JsonNode *before, *after; /* the last two looks */
    char *why;                /* the last one failed */
    bool sessions_first, paused;
    enum top_order order;
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

/* ---- live ---- */

static const struct order {
    char key;
    const char *name;
} orders[] = {
    [TOP_BY_COMMANDS] = { 'c', "commands" },
    [TOP_BY_BYTES] = { 'b', "bytes" },
    [TOP_BY_LATENCY] = { 't', "latency" },
    [TOP_BY_QUEUE] = { 'u', "queue" },
};

/* No more lines than there are, without the end of the last one. */
static void cut(GString *out, unsigned lines)
{
    const char *end = out->str;
    while (lines && (end = strchr(end, '\n')) && --lines)
        end++;
    g_string_truncate(out, end ? (gsize)(end - out->str) : out->len);
}

static void put_last_line(const struct top *t, GString *out, unsigned columns)
{
    g_autofree char *text =
        t->why
            ? g_strdup(t->why)
            : g_strdup_printf("q quit  s sessions first  l disks first  p pause  by %s (c b t u)",
                              orders[t->order].name);
    const char *end = text;
    for (unsigned n = 0; *end && n < columns; n++)
        end = g_utf8_next_char(end);
    g_string_append_len(out, text, end - text);
}

static void draw(const struct top *t)
{
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned rows, columns;
    struct top_picture p = { .before = t->before,
                             .after = t->after,
                             .order = t->order,
                             .sessions_first = t->sessions_first,
                             .remark = t->paused ? "  (paused)"
                                       : t->why  ? "  (no answer)"
                                                 : NULL };
    terminal_size(&rows, &columns);
    top_picture(&p, out, rows, columns);
    cut(out, rows - 1);
    if (rows > 1)
        g_string_append_c(out, '\n');
    put_last_line(t, out, columns);
    terminal_draw(out->str);
}

/* False: quit. */
static bool obey(struct top *t, int key)
{
    if (key == TERMINAL_OVER || key == 'q' || key == 'Q')
        return false;
    if (key == 's' || key == 'l')
        t->sessions_first = key == 's';
    if (key == 'p')
        t->paused = !t->paused;
    for (unsigned i = 0; i < G_N_ELEMENTS(orders); i++)
        if (key == orders[i].key)
            t->order = i;
    return true;
}

/* Waits for the next look; false: quit. */
static bool keys(struct top *t)
{
    uint64_t until = clock_now_ns() + t->options->interval_ms * NS_PER_MS, now;
    while ((now = clock_now_ns()) < until) {
        int key = terminal_key((unsigned)((until - now) / NS_PER_MS) + 1);
        if (!obey(t, key))
            return false;
        if (key || clock_now_ns() < until) /* the window has another size */
            draw(t);
    }
    return true;
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
        struct top_picture p = { .before = t->before, .after = t->after };
        top_picture(&p, out, 0, 0);
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
