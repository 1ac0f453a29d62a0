/* SPDX-License-Identifier: BSD-3-Clause */
/* The written forms of values, without nodes and messages; see scalar.h. */
#include "config/scalar.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"

/* Digits at the start of `text`; *ret_rest is what follows. */
static int digits(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    uint64_t value = 0;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return -ERANGE;
    *ret_value = value;
    *ret_rest = text;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    { "", 1 },           { "K", 1ull << 10 }, { "M", 1ull << 20 },
    { "G", 1ull << 30 }, { "T", 1ull << 40 }, { "P", 1ull << 50 },
};

static const struct unit duration_units[] = {
    { "h", 3600 * NS_PER_S }, { "m", 60 * NS_PER_S }, { "s", NS_PER_S },
    { "ms", NS_PER_MS },      { "us", NS_PER_US },
};

static int with_unit(const char *text, const struct unit *units, size_t count, uint64_t *ret_value)
{
    const char *rest;
    uint64_t value;
    int r = digits(text, &value, &rest);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rest, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(value, units[i].factor, &value))
            return -ERANGE;
        *ret_value = value;
        return 0;
    }
    return -EINVAL;
}

int config_text_size(const char *text, uint64_t *ret_bytes)
{
    return with_unit(text, size_units, G_N_ELEMENTS(size_units), ret_bytes);
}

int config_text_duration(const char *text, uint64_t *ret_ns)
{
    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    return with_unit(text, duration_units, G_N_ELEMENTS(duration_units), ret_ns);
}

int config_text_bool(const char *text, bool *ret_value)
{
    static const char *const yes[] = { "yes", "true", "on" }, *const no[] = { "no", "false",
                                                                              "off" };
    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        bool value = g_ascii_strcasecmp(text, yes[i]) == 0;
        if (value || g_ascii_strcasecmp(text, no[i]) == 0) {
            *ret_value = value;
            return 0;
        }
    }
    return -EINVAL;
}

int config_text_unsigned(const char *text, uint64_t *ret_value)
{
    const char *rest;
    uint64_t value;
    int r = digits(text, &value, &rest);
    if (r < 0)
        return r;
    if (*rest)
        return -EINVAL;
    *ret_value = value;
    return 0;
}

int config_text_hex(const char *text, uint8_t *ret_bytes, size_t bytes)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        text += 2;
    if (strlen(text) != 2 * bytes)
        return -EINVAL;
    for (size_t i = 0; i < 2 * bytes; i++)
        if (!g_ascii_isxdigit(text[i]))
            return -EINVAL;
    for (size_t i = 0; i < bytes; i++)
        ret_bytes[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 |
                                 g_ascii_xdigit_value(text[2 * i + 1]));
    return 0;
}

char *config_format_size(uint64_t bytes)
{
    size_t i = G_N_ELEMENTS(size_units) - 1;
    while (i > 0 && (bytes == 0 || bytes % size_units[i].factor != 0))
        i--;
    return g_strdup_printf("%" G_GUINT64_FORMAT "%s", bytes / size_units[i].factor,
                           size_units[i].name);
}

char *config_format_duration(uint64_t ns)
{
    if (ns == 0)
        return g_strdup("0");
    for (size_t i = 0; i < G_N_ELEMENTS(duration_units); i++)
        if (ns % duration_units[i].factor == 0)
            return g_strdup_printf("%" G_GUINT64_FORMAT "%s", ns / duration_units[i].factor,
                                   duration_units[i].name);
    return g_strdup_printf("%" G_GUINT64_FORMAT "ns", ns);
}
