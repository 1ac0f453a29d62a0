/* SPDX-License-Identifier: BSD-3-Clause */
/* See top_picture.h. */
#include "ctl/top_picture.h"

#include <string.h>
#include <time.h>

#include "ctl/table.h"
#include "ctl/units.h"
#include "ctl/value.h"

#define OTHER_LINES 8u /* pauses, totals, two headings, what lies between, and the last line */

static JsonObject *object_of(JsonNode *node)
{
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static void put_line(GString *out, unsigned columns, const char *text)
{
    const char *end = text + strlen(text);
    if (columns && g_utf8_strlen(text, -1) > (glong)columns)
        end = g_utf8_offset_to_pointer(text, columns);
    g_string_append_len(out, text, end - text);
    g_string_append_c(out, '\n');
}

static void put_totals(const struct top_rates *r, GString *out, unsigned columns)
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
    g_autofree char *line =
        g_strdup_printf("%u sessions, %u disks in use: %s commands/s, %sB/s read, %sB/s written",
                        r->sessions->len, r->luns->len, c, rb, wb);
    put_line(out, columns, line);
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
        table_print(t, "%" G_GUINT64_FORMAT "%s", l->queue, l->held ? " held" : "");
    }
    table_write(t, out, rows, columns);
    table_free(t);
}

static void put_sessions(const struct top_rates *r, GString *out, unsigned rows, unsigned columns)
{
    static const char *const headings[] = { ">ID",     "INITIATOR", "TARGET", ">CMDS/S", ">RD B/S",
                                            ">WR B/S", ">MEAN",     ">QUEUE", NULL };
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

static void put_pauses(JsonObject *o, const char *key, const char *one, const char *many,
                       GString *out)
{
    JsonObject *p = value_object(o, key);
    guint64 n = value_number(p, "count");
    if (!n)
        return;
    g_autofree char *last = units_latency(1e9 * value_real(p, "last-pause-seconds"));
    g_string_append_printf(out, "%s%" G_GUINT64_FORMAT " %s, last %s", out->len ? "; " : "", n,
                           n == 1 ? one : many, last);
}

/* Of the daemon's life: that is how long it is told after a pause what its initiators have waited. */
static char *pauses_of(JsonObject *o)
{
    GString *out = g_string_new(NULL);
    double fence = value_real(o, "fence-up-seconds");
    put_pauses(o, "upgrades", "upgrade", "upgrades", out);
    put_pauses(o, "restarts", "restart", "restarts", out);
    if (!out->len)
        g_string_append(out, "none");
    if (fence > 0) {
        g_autofree char *age = units_duration(fence);
        g_string_append_printf(out, "; the fence is up for %s", age);
    }
    return g_string_free(out, FALSE);
}

static void put_head(const struct top_picture *p, GString *out, unsigned columns)
{
    JsonObject *o = object_of(p->after);
    time_t now = time(NULL);
    struct tm local;
    char clock[16];
    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
    g_autofree char *pauses = pauses_of(o);
    g_autofree char *first = g_strdup_printf(
        "holdfast  %s  worker generation %" G_GUINT64_FORMAT ", deaths %" G_GUINT64_FORMAT "%s",
        clock, value_number(o, "generation"), value_number(o, "worker-deaths"),
        p->remark ? p->remark : "");
    g_autofree char *second = g_strdup_printf("pauses: %s", pauses);
    put_line(out, columns, first);
    put_line(out, columns, second);
}

/* The rows of the table above, and those of the one below: what one does not need the other may have. */
static void share(unsigned rest, unsigned above, unsigned below, unsigned *ret_above,
                  unsigned *ret_below)
{
    unsigned half = rest / 2;
    *ret_below = MAX(rest - half, rest - MIN(rest, above));
    *ret_above = MAX(half, rest - MIN(rest, below));
}

void top_picture(const struct top_picture *p, GString *out, unsigned lines, unsigned columns)
{
    struct top_rates *r = top_rates_new(object_of(p->before), object_of(p->after), p->order);
    unsigned rest = lines > OTHER_LINES + 2 ? lines - OTHER_LINES : 2, first = 0, second = 0;
    bool by_session = p->sessions_first;
    if (lines)
        share(rest, by_session ? r->sessions->len : r->luns->len,
              by_session ? r->luns->len : r->sessions->len, &first, &second);
    put_head(p, out, columns);
    put_totals(r, out, columns);
    g_string_append_c(out, '\n');
    (by_session ? put_sessions : put_luns)(r, out, first, columns);
    g_string_append_c(out, '\n');
    (by_session ? put_luns : put_sessions)(r, out, second, columns);
    top_rates_free(r);
}
