/* SPDX-License-Identifier: BSD-3-Clause */
/* See openmetrics.h. */
#include "control/openmetrics.h"

#include <inttypes.h>
#include <stdarg.h>

void metrics_family(GString *out, const char *name, const char *type, const char *unit,
                    const char *help)
{
    g_string_append_printf(out, "# TYPE %s %s\n", name, type);
    if (unit)
        g_string_append_printf(out, "# UNIT %s %s\n", name, unit);
    g_string_append_printf(out, "# HELP %s %s\n", name, help);
}

static void put_escaped(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            g_string_append(out, "\\n");
        else if (*p == '"' || *p == '\\')
            g_string_append_printf(out, "\\%c", *p);
        else
            g_string_append_c(out, *p);
    }
}

char *metrics_labels(const char *name, ...)
{
    GString *out = g_string_new(NULL);
    va_list args;
    va_start(args, name);
    for (const char *key = name; key; key = va_arg(args, const char *)) {
        g_autofree char *valid = g_utf8_make_valid(va_arg(args, const char *), -1);
        g_string_append_printf(out, "%s%s=\"", out->len ? "," : "", key);
        put_escaped(out, valid);
        g_string_append_c(out, '"');
    }
    va_end(args);
    return g_string_free(out, FALSE);
}

static void put_name(GString *out, const char *name, const char *suffix, const char *labels)
{
    g_string_append(out, name);
    g_string_append(out, suffix);
    if (labels && *labels)
        g_string_append_printf(out, "{%s}", labels);
    g_string_append_c(out, ' ');
}

static void put_real(GString *out, double number)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(out, g_ascii_formatd(text, sizeof(text), "%.12g", number));
}

void metrics_number(GString *out, const char *name, const char *suffix, const char *labels,
                    uint64_t number)
{
    put_name(out, name, suffix, labels);
    g_string_append_printf(out, "%" PRIu64 "\n", number);
}

void metrics_real(GString *out, const char *name, const char *suffix, const char *labels,
                  double number)
{
    put_name(out, name, suffix, labels);
    put_real(out, number);
    g_string_append_c(out, '\n');
}

void metrics_created(GString *out, const char *name, const char *labels, double since)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    put_name(out, name, "_created", labels);
    g_string_append_printf(out, "%s\n", g_ascii_formatd(text, sizeof(text), "%.3f", since));
}

void metrics_histogram(GString *out, const char *name, const char *labels,
                       const struct histogram *h)
{
    uint64_t count = 0;
    const char *comma = labels && *labels ? "," : "";
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += h->bucket[i];
        g_string_append_printf(out, "%s_bucket{%s%sle=\"", name, labels ? labels : "", comma);
        if (histogram_bound_ns(i) == UINT64_MAX)
            g_string_append(out, "+Inf");
        else
            put_real(out, (double)histogram_bound_ns(i) / 1e9);
        g_string_append_printf(out, "\"} %" PRIu64 "\n", count);
    }
    metrics_number(out, name, "_count", labels, count);
    metrics_real(out, name, "_sum", labels, (double)h->sum_ns / 1e9);
}

void metrics_counter(GString *out, const char *name, const char *help, uint64_t number)
{
    metrics_family(out, name, "counter", NULL, help);
    metrics_number(out, name, "_total", NULL, number);
}

void metrics_counter_since(GString *out, const char *name, const char *help, uint64_t number,
                           double since)
{
    metrics_counter(out, name, help, number);
    metrics_created(out, name, NULL, since);
}

void metrics_gauge(GString *out, const char *name, const char *help, uint64_t number)
{
    metrics_family(out, name, "gauge", NULL, help);
    metrics_number(out, name, "", NULL, number);
}

void metrics_end(GString *out)
{
    g_string_append(out, "# EOF\n");
}
