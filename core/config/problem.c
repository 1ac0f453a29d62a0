/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/problem.h"

#include <glib.h>
#include <string.h>

#include "config/yaml.h"

#define TEXT_MAX 400 /* bytes of one problem's text */

struct config_problems {
    GPtrArray *list; /* struct config_problem */
    unsigned errors;
    unsigned left_out;
    bool sorted;
};

static void problem_free(gpointer data)
{
    struct config_problem *p = data;
    g_free(p->file);
    g_free(p->text);
    g_free(p);
}

struct config_problems *config_problems_new(void)
{
    struct config_problems *problems = g_new0(struct config_problems, 1);
    problems->list = g_ptr_array_new_with_free_func(problem_free);
    return problems;
}

struct config_problems *config_problems_free(struct config_problems *problems)
{
    if (!problems)
        return NULL;
    g_ptr_array_unref(problems->list);
    g_free(problems);
    return NULL;
}

/* Printable in one line: control bytes as \xNN, invalid UTF-8 replaced, cut when too long. */
static char *safe_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (const char *c = valid; *c && out->len < TEXT_MAX; c = g_utf8_next_char(c)) {
        gunichar u = g_utf8_get_char(c);
        if (u < 0x20 || (u >= 0x7f && u < 0xa0))
            g_string_append_printf(out, "\\x%02x", u);
        else if (u == 0x2028 || u == 0x2029 || (u >= 0x202a && u <= 0x202e) ||
                 (u >= 0x2066 && u <= 0x2069)) /* line and direction controls */
            g_string_append_printf(out, "\\u%04x", u);
        else
            g_string_append_unichar(out, u);
    }
    if (out->len >= TEXT_MAX)
        g_string_append(out, "…");
    return g_string_free(out, FALSE);
}

static void add(struct config_problems *problems, enum config_severity severity, const char *file,
                unsigned line, unsigned column, const char *format, va_list args)
{
    if (severity == CONFIG_ERROR)
        problems->errors++;
    if (problems->list->len >= CONFIG_PROBLEMS_MAX) {
        problems->left_out++;
        return;
    }
    g_autofree char *text = g_strdup_vprintf(format, args);
    struct config_problem *p = g_new0(struct config_problem, 1);
    p->severity = severity;
    p->file = safe_text(file ? file : "");
    p->line = line;
    p->column = column;
    p->text = safe_text(text);
    g_ptr_array_add(problems->list, p);
    problems->sorted = false;
}

static void add_at(struct config_problems *problems, enum config_severity severity,
                   const struct config_node *at, const char *format, va_list args)
{
    if (at)
        add(problems, severity, config_node_file(at), config_node_line(at), at->column, format,
            args);
    else
        add(problems, severity, NULL, 0, 0, format, args);
}

void config_problem_error(struct config_problems *problems, const struct config_node *at,
                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_at(problems, CONFIG_ERROR, at, format, args);
    va_end(args);
}

void config_problem_warning(struct config_problems *problems, const struct config_node *at,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_at(problems, CONFIG_WARNING, at, format, args);
    va_end(args);
}

void config_problem_add(struct config_problems *problems, enum config_severity severity,
                        const char *file, unsigned line, unsigned column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(problems, severity, file, line, column, format, args);
    va_end(args);
}

unsigned config_problems_errors(const struct config_problems *problems)
{
    return problems->errors;
}

unsigned config_problems_count(const struct config_problems *problems)
{
    return problems->list->len;
}

static int compare(gconstpointer a, gconstpointer b)
{
    const struct config_problem *x = *(const struct config_problem *const *)a;
    const struct config_problem *y = *(const struct config_problem *const *)b;
    int r = strcmp(x->file, y->file);
    if (r)
        return r;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return 0; /* g_ptr_array_sort() is stable: in the order of finding */
}

const struct config_problem *config_problems_get(struct config_problems *problems, unsigned index)
{
    if (!problems->sorted) {
        g_ptr_array_sort(problems->list, compare);
        problems->sorted = true;
    }
    return index < problems->list->len ? g_ptr_array_index(problems->list, index) : NULL;
}

char *config_problem_format(const struct config_problem *p)
{
    const char *kind = p->severity == CONFIG_WARNING ? "warning: " : "";
    if (p->file[0] == '\0')
        return g_strdup_printf("%s%s", kind, p->text);
    if (p->line == 0)
        return g_strdup_printf("%s: %s%s", p->file, kind, p->text);
    return g_strdup_printf("%s:%u:%u: %s%s", p->file, p->line, p->column, kind, p->text);
}

void config_problems_print(struct config_problems *problems, FILE *to)
{
    for (unsigned i = 0; i < problems->list->len; i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        fprintf(to, "%s\n", line);
    }
    if (problems->left_out)
        fprintf(to, "and %u more\n", problems->left_out);
}
