/* SPDX-License-Identifier: BSD-3-Clause */
/* See json.h. */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p;) {
        gunichar c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append(out, "\xef\xbf\xbd");
            p++;
            continue;
        }
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", (char)c);
        else if (c == '\n')
            g_string_append(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            g_string_append_printf(out, "\\u%04x", (unsigned)c);
        else
            g_string_append_unichar(out, c);
        p = g_utf8_next_char(p);
    }
    g_string_append_c(out, '"');
}

static void put_key(struct json_writer *w, const char *key)
{
    if (w->comma)
        g_string_append_c(w->out, ',');
    w->comma = true;
    if (!key)
        return;
    put_text(w->out, key);
    g_string_append_c(w->out, ':');
}

void json_put_open(struct json_writer *w, const char *key, char bracket)
{
    put_key(w, key);
    g_string_append_c(w->out, bracket);
    w->comma = false;
}

void json_put_close(struct json_writer *w, char bracket)
{
    g_string_append_c(w->out, bracket);
    w->comma = true;
}

void json_put_string(struct json_writer *w, const char *key, const char *text)
{
    put_key(w, key);
    if (text)
        put_text(w->out, text);
    else
        g_string_append(w->out, "null");
}

void json_put_u64(struct json_writer *w, const char *key, uint64_t number)
{
    put_key(w, key);
    g_string_append_printf(w->out, "%" PRIu64, number);
}

void json_put_double(struct json_writer *w, const char *key, double number)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    put_key(w, key);
    if (isfinite(number))
        g_string_append(w->out, g_ascii_formatd(text, sizeof(text), "%.9g", number));
    else
        g_string_append(w->out, "null");
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
    put_key(w, key);
    g_string_append(w->out, value ? "true" : "false");
}

void json_put_raw(struct json_writer *w, const char *key, const char *text)
{
    put_key(w, key);
    g_string_append(w->out, text);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The byte after the string that begins at `at`; `end` when it does not end. */
static size_t skip_string(const char *text, size_t at, size_t end)
{
    for (at++; at < end; at++) {
        if (text[at] == '\\')
            at++;
        else if (text[at] == '"')
            return at + 1;
    }
    return end;
}

bool json_text_is_sane(const char *text, size_t bytes, unsigned depth_max)
{
    size_t at = 0, end = bytes;
    unsigned depth = 0;

    if (!g_utf8_validate_len(text, bytes, NULL))
        return false;
    while (at < end && is_space(text[at]))
        at++;
    while (end > at && is_space(text[end - 1]))
        end--;
    if (at == end || (text[at] != '{' && text[at] != '['))
        return false;
    while (at < end) {
        char c = text[at];
        if (c == '"') {
            at = skip_string(text, at, end);
            continue;
        }
        at++;
        if ((c == '{' || c == '[') && ++depth > depth_max)
            return false;
        if (c == '}' || c == ']') {
            if (--depth == 0)
                return at == end;
        }
    }
    return false;
}
