/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See top_rates.h. Counters begin at 0 in every worker, and a session's in every session: one that is
 * smaller than before has begun anew, and counts in full.
 */
#include "ctl/top_rates.h"

#include "ctl/value.h"

static char *lun_key(JsonObject *lun)
{
    return g_strdup_printf("%s/%" G_GUINT64_FORMAT, value_text(lun, "target"),
                           value_number(lun, "lun"));
}

static char *session_key(JsonObject *session)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT " %s %s", value_number(session, "id"),
                           value_text(session, "initiator"), value_text(session, "target"));
}

static GHashTable *index_of(JsonArray *array, char *(*key_of)(JsonObject *))
{
    GHashTable *index = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < value_count(array); i++) {
        JsonObject *o = value_item(array, i);
        if (o)
            g_hash_table_insert(index, key_of(o), o);
    }
    return index;
}

static JsonObject *find(GHashTable *index, char *(*key_of)(JsonObject *), JsonObject *o)
{
    g_autofree char *key = key_of(o);
    return g_hash_table_lookup(index, key);
}

static double grown(JsonObject *before, JsonObject *after, const char *key)
{
    guint64 from = value_number(before, key), to = value_number(after, key);
    return (double)(to >= from ? to - from : to);
}

static double mean(double sum, double count)
{
    return count > 0 ? sum / count : 0;
}

static void add_lun(struct top_rates *r, JsonObject *before, JsonObject *after)
{
    JsonObject *read0 = value_object(before, "reads"), *read1 = value_object(after, "reads");
    JsonObject *write0 = value_object(before, "writes"), *write1 = value_object(after, "writes");
    double reads = grown(read0, read1, "commands"), writes = grown(write0, write1, "commands");
    struct top_lun lun = {
        .target = g_strdup(value_text(after, "target")),
        .lun = value_number(after, "lun"),
        .reads = reads / r->seconds,
        .writes = writes / r->seconds,
        .read_bytes = grown(read0, read1, "bytes") / r->seconds,
        .written_bytes = grown(write0, write1, "bytes") / r->seconds,
        .read_ns = mean(grown(read0, read1, "latency-ns"), reads),
        .write_ns = mean(grown(write0, write1, "latency-ns"), writes),
        .queue = value_number(after, "at-handler") + value_number(after, "waiting"),
        .held = value_bool(after, "held"),
    };
    g_array_append_val(r->luns, lun);
}

static void add_session(struct top_rates *r, JsonObject *before, JsonObject *after)
{
    struct top_session session = {
        .id = value_number(after, "id"),
        .initiator = g_strdup(value_text(after, "initiator")),
        .target = g_strdup(value_text(after, "target")),
        .commands = grown(before, after, "commands") / r->seconds,
        .read_bytes = grown(before, after, "read-bytes") / r->seconds,
        .written_bytes = grown(before, after, "written-bytes") / r->seconds,
        .latency_ns = mean(grown(before, after, "latency-ns"), grown(before, after, "executed")),
        .outstanding = value_number(after, "outstanding"),
        .window = value_number(after, "window"),
    };
    g_array_append_val(r->sessions, session);
}

static gint descending(double a, double b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

static double lun_key_of(const struct top_lun *l, enum top_order order)
{
    switch (order) {
    case TOP_BY_BYTES:
        return l->read_bytes + l->written_bytes;
    case TOP_BY_LATENCY:
        return MAX(l->read_ns, l->write_ns);
    case TOP_BY_QUEUE:
        return (double)l->queue;
    case TOP_BY_COMMANDS:
        break;
    }
    return l->reads + l->writes;
}

static double session_key_of(const struct top_session *s, enum top_order order)
{
    switch (order) {
    case TOP_BY_BYTES:
        return s->read_bytes + s->written_bytes;
    case TOP_BY_LATENCY:
        return s->latency_ns;
    case TOP_BY_QUEUE:
        return (double)s->outstanding;
    case TOP_BY_COMMANDS:
        break;
    }
    return s->commands;
}

static gint busier_lun(gconstpointer a, gconstpointer b, gpointer order)
{
    enum top_order by = GPOINTER_TO_UINT(order);
    return descending(lun_key_of(a, by), lun_key_of(b, by));
}

static gint busier_session(gconstpointer a, gconstpointer b, gpointer order)
{
    enum top_order by = GPOINTER_TO_UINT(order);
    return descending(session_key_of(a, by), session_key_of(b, by));
}

static void lun_clear(void *data)
{
    g_free(((struct top_lun *)data)->target);
}

static void session_clear(void *data)
{
    g_free(((struct top_session *)data)->initiator);
    g_free(((struct top_session *)data)->target);
}

static void add_all(struct top_rates *r, JsonArray *before, JsonArray *after,
                    char *(*key_of)(JsonObject *),
                    void (*add)(struct top_rates *, JsonObject *, JsonObject *))
{
    g_autoptr(GHashTable) index = index_of(before, key_of);
    for (unsigned i = 0; i < value_count(after); i++) {
        JsonObject *o = value_item(after, i);
        if (o)
            add(r, find(index, key_of, o), o);
    }
}

struct top_rates *top_rates_new(JsonObject *before, JsonObject *after, enum top_order order)
{
    struct top_rates *r = g_new0(struct top_rates, 1);
    guint64 from = value_number(before, "time-ns"), to = value_number(after, "time-ns");
    r->luns = g_array_new(FALSE, FALSE, sizeof(struct top_lun));
    r->sessions = g_array_new(FALSE, FALSE, sizeof(struct top_session));
    g_array_set_clear_func(r->luns, lun_clear);
    g_array_set_clear_func(r->sessions, session_clear);
    if (to <= from)
        return r;
    r->seconds = (double)(to - from) / 1e9;
    add_all(r, value_array(before, "luns"), value_array(after, "luns"), lun_key, add_lun);
    add_all(r, value_array(before, "sessions"), value_array(after, "sessions"), session_key,
            add_session);
    g_array_sort_with_data(r->luns, busier_lun, GUINT_TO_POINTER(order));
    g_array_sort_with_data(r->sessions, busier_session, GUINT_TO_POINTER(order));
    return r;
}

struct top_rates *top_rates_free(struct top_rates *r)
{
    g_array_unref(r->luns);
    g_array_unref(r->sessions);
    g_free(r);
    return NULL;
}
