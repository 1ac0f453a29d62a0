/* SPDX-License-Identifier: BSD-3-Clause */
/* See table.h. */
#include "ctl/table.h"

#include <stdarg.h>
#include <stdbool.h>

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

static unsigned width(const struct table *t, unsigned column, unsigned rows)
{
    glong widest = 0;
    for (unsigned i = 0; i < rows; i++)
        widest = MAX(widest, g_utf8_strlen(cell(t, i, column), -1));
    return (unsigned)widest;
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
    if (columns_max && g_utf8_strlen(line->str, -1) > (glong)columns_max)
        g_string_truncate(line,
                          (gsize)(g_utf8_offset_to_pointer(line->str, columns_max) - line->str));
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
    for (unsigned row = 0; row < rows; row++) {
        GString *line = g_string_new(NULL);
        for (unsigned i = 0; i < t->columns; i++) {
            const char *text = cell(t, row, i);
            unsigned space = widths[i] - (unsigned)g_utf8_strlen(text, -1);
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
