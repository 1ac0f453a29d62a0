/* SPDX-License-Identifier: BSD-3-Clause */
/* See table.h. */
#include "ctl/table.h"

#include <stdarg.h>
#include <stdbool.h>

#define ELLIPSIS   "\342\200\246" /* U+2026, a column wide */
#define TEXT_LEAST 12u

struct table {
    GPtrArray *cells; /* the headings are the first row */
    unsigned columns;
    bool *right;
};

static char *printable(const char *text)
{
    char *copy = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = copy; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
    g_free(copy);
    return g_string_free(out, FALSE);
}

struct table *table_new(const char *const *headings)
{
    struct table *t = g_new0(struct table, 1);
    t->cells = g_ptr_array_new_with_free_func(g_free);
    while (headings[t->columns])
        t->columns++;
    t->right = g_new0(bool, t->columns);
    for (unsigned i = 0; i < t->columns; i++) {
        t->right[i] = headings[i][0] == '>';
        table_text(t, headings[i] + t->right[i]);
    }
    return t;
}

struct table *table_free(struct table *t)
{
    g_ptr_array_unref(t->cells);
    g_free(t->right);
    g_free(t);
    return NULL;
}

void table_text(struct table *t, const char *text)
{
    g_ptr_array_add(t->cells, printable(text));
}

void table_take(struct table *t, char *text)
{
    table_text(t, text);
    g_free(text);
}

void table_print(struct table *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    table_take(t, g_strdup_vprintf(format, args));
    va_end(args);
}

unsigned table_rows(const struct table *t)
{
    return t->cells->len / t->columns - 1;
}

static const char *cell(const struct table *t, unsigned row, unsigned column)
{
    return g_ptr_array_index(t->cells, row * t->columns + column);
}

/* Of a terminal. */
static unsigned char_columns(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

static unsigned text_columns(const char *text)
{
    unsigned n = 0;
    for (const char *p = text; *p; p = g_utf8_next_char(p))
        n += char_columns(g_utf8_get_char(p));
    return n;
}

static unsigned width(const struct table *t, unsigned column, unsigned rows)
{
    unsigned widest = 0;
    for (unsigned i = 0; i < rows; i++)
        widest = MAX(widest, text_columns(cell(t, i, column)));
    return widest;
}

/* The end of `text`, where names differ, behind a mark that there is more. */
static const char *shortened(const char *text, unsigned columns, GString *room)
{
    unsigned left = text_columns(text);
    if (left <= columns)
        return text;
    while (*text && left + 1 > columns) {
        left -= char_columns(g_utf8_get_char(text));
        text = g_utf8_next_char(text);
    }
    g_string_assign(room, ELLIPSIS);
    g_string_append(room, text);
    return room->str;
}

/* Takes from the widest columns of text until a line fits, or none has more than it needs to be told apart. */
static void shrink(const struct table *t, unsigned *widths, unsigned columns_max)
{
    unsigned all = 2 * (t->columns - 1);
    for (unsigned i = 0; i < t->columns; i++)
        all += widths[i];
    for (; all > columns_max; all--) {
        unsigned *widest = NULL;
        for (unsigned i = 0; i < t->columns; i++)
            if (!t->right[i] && widths[i] > TEXT_LEAST && (!widest || widths[i] > *widest))
                widest = &widths[i];
        if (!widest)
            return;
        --*widest;
    }
}

static void pad(GString *line, unsigned count)
{
    while (count--)
        g_string_append_c(line, ' ');
}

static void write_line(GString *out, GString *line, unsigned columns_max)
{
    while (line->len && line->str[line->len - 1] == ' ')
        g_string_truncate(line, line->len - 1);
    const char *end = line->str;
    for (unsigned n = 0; columns_max && *end; end = g_utf8_next_char(end)) {
        n += char_columns(g_utf8_get_char(end));
        if (n > columns_max)
            break;
    }
    if (columns_max)
        g_string_truncate(line, (gsize)(end - line->str));
    g_string_append(out, line->str);
    g_string_append_c(out, '\n');
}

void table_write(const struct table *t, GString *out, unsigned rows_max, unsigned columns_max)
{
    unsigned rows = t->cells->len / t->columns;
    g_autofree unsigned *widths = g_new0(unsigned, t->columns);
    if (rows_max && rows > rows_max + 1)
        rows = rows_max + 1;
    for (unsigned i = 0; i < t->columns; i++)
        widths[i] = width(t, i, rows);
    if (columns_max)
        shrink(t, widths, columns_max);
    g_autoptr(GString) room = g_string_new(NULL);
    for (unsigned row = 0; row < rows; row++) {
        GString *line = g_string_new(NULL);
        for (unsigned i = 0; i < t->columns; i++) {
            const char *text = shortened(cell(t, row, i), widths[i], room);
            unsigned space = widths[i] - text_columns(text);
            if (i)
                g_string_append(line, "  ");
            if (t->right[i])
                pad(line, space);
            g_string_append(line, text);
            if (!t->right[i])
                pad(line, space);
        }
        write_line(out, line, columns_max);
        g_string_free(line, TRUE);
    }
}
