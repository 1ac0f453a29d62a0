/* SPDX-License-Identifier: BSD-3-Clause */
/* See units.h. */
#include "ctl/units.h"

#include <glib.h>
#include <stdbool.h>

/* Three digits, a point only where it says something. */
static char *scaled(double number, const char *unit)
{
    double rounded = number < 99.95 ? (double)(uint64_t)(number * 10 + 0.5) / 10
                                    : (double)(uint64_t)(number + 0.5);
    bool whole = rounded - (double)(uint64_t)rounded < 0.05;
    return g_strdup_printf(whole ? "%.0f%s" : "%.1f%s", rounded, unit);
}

static char *with_prefix(double number, double base, double first, const char *const *prefixes)
{
    unsigned i = 0;
    if (!(number > 0))
        return g_strdup("0");
    if (number < first)
        return scaled(number, "");
    while (number >= base * 0.9995 && prefixes[i + 1]) {
        number /= base;
        i++;
    }
    return scaled(number, prefixes[i]);
}

char *units_bytes(double bytes)
{
    static const char *const prefixes[] = { "", "K", "M", "G", "T", "P", "E", NULL };
    return with_prefix(bytes, 1024, 1024, prefixes);
}

char *units_count(double count)
{
    static const char *const prefixes[] = { "", "k", "M", "G", "T", "P", NULL };
    return with_prefix(count, 1000, 1e6, prefixes);
}

char *units_latency(double ns)
{
    static const char *const prefixes[] = { "ns", "us", "ms", "s", NULL };
    return with_prefix(ns, 1000, 0, prefixes);
}

char *units_duration(double seconds)
{
    uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;
    unsigned day = 24 * 3600;
    if (s < 60)
        return g_strdup_printf("%u s", (unsigned)s);
    if (s < 3600)
        return g_strdup_printf("%u min %u s", (unsigned)(s / 60), (unsigned)(s % 60));
    if (s < day)
        return g_strdup_printf("%u h %u min", (unsigned)(s / 3600), (unsigned)(s % 3600 / 60));
    return g_strdup_printf("%" G_GUINT64_FORMAT " d %u h", s / day, (unsigned)(s % day / 3600));
}
