/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Option tables of strangers: copied row by row into our own struct and checked, so that the rest of
 * the daemon can trust a table. A field must lie inside the struct, be aligned and overlap no other;
 * words and nested tables are ended within limits; defaults are read as a file's values would be.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "plugin/options.h"
#include "plugin/options_private.h"
#include "plugin/ops_check.h"

#define CHOICES_MAX 64

struct type_info {
    const char *name;
    size_t bytes, align;
};

static const struct type_info types[] = {
    [HF_OPTION_STRING] = { "string", sizeof(char *), _Alignof(char *) },
    [HF_OPTION_PATH] = { "path", sizeof(char *), _Alignof(char *) },
    [HF_OPTION_SECRET] = { "secret", sizeof(struct hf_secret), _Alignof(struct hf_secret) },
    [HF_OPTION_UNSIGNED] = { "unsigned", sizeof(uint64_t), _Alignof(uint64_t) },
    [HF_OPTION_SIZE] = { "size", sizeof(uint64_t), _Alignof(uint64_t) },
    [HF_OPTION_DURATION] = { "duration", sizeof(uint64_t), _Alignof(uint64_t) },
    [HF_OPTION_BOOL] = { "bool", sizeof(uint32_t), _Alignof(uint32_t) },
    [HF_OPTION_CHOICE] = { "choice", sizeof(uint32_t), _Alignof(uint32_t) },
    [HF_OPTION_LIST] = { "list", sizeof(struct hf_list), _Alignof(struct hf_list) },
    [HF_OPTION_TABLE] = { "table", sizeof(void *), _Alignof(void *) },
    [HF_OPTION_HANDLER] = { "handler", sizeof(void *), _Alignof(void *) },
};

static bool type_known(uint32_t type)
{
    return type >= HF_OPTION_STRING && type < G_N_ELEMENTS(types);
}

const char *plugin_option_type_name(uint32_t type)
{
    return type_known(type) ? types[type].name : "unknown";
}

size_t options_field_bytes(uint32_t type)
{
    return types[type].bytes;
}

size_t options_item_bytes(const struct hf_option *row)
{
    return row->item_type == HF_OPTION_TABLE ? row->table_bytes : types[row->item_type].bytes;
}

uint32_t options_value_type(const struct hf_option *row)
{
    return row->type == HF_OPTION_LIST ? row->item_type : row->type;
}

static int bad(struct hf_error *error, const struct hf_option *row, const char *what)
{
    return plugin_fail(error, EINVAL, "bad option table: '%s': %s", row->name, what);
}

static int check_field(const struct hf_option *row, uint64_t bytes, struct hf_error *error)
{
    const struct type_info *type = &types[row->type];
    if (row->offset > bytes || type->bytes > bytes - row->offset)
        return plugin_fail(error, EINVAL,
                           "bad option table: '%s': its field (offset %" G_GUINT64_FORMAT
                           ", %zu bytes) is outside the struct of %" G_GUINT64_FORMAT " bytes",
                           row->name, row->offset, type->bytes, bytes);
    if (row->offset % type->align)
        return bad(error, row, "its field is not aligned");
    return 0;
}

static int check_words(const struct hf_option *row, struct hf_error *error)
{
    unsigned count = 0;
    while (row->choices && count <= CHOICES_MAX && row->choices[count])
        count++;
    if (count == 0 || count > CHOICES_MAX)
        return bad(error, row, "its choices are missing or more than 64");
    return 0;
}

static int check_default(const struct hf_option *row, struct hf_error *error)
{
    char *text;
    if (!row->default_value)
        return 0;
    if (row->type == HF_OPTION_LIST || row->type == HF_OPTION_TABLE ||
        row->type == HF_OPTION_SECRET || row->type == HF_OPTION_HANDLER)
        return bad(error, row, "an option of its type has no default");
    if (row->flags & HF_OPTION_REQUIRED)
        return bad(error, row, "it is required and has a default");
    text = options_default_problem(row);
    if (!text)
        return 0;
    plugin_fail(error, EINVAL, "bad option table: '%s': its default '%s' is no value: %s",
                row->name, row->default_value, text);
    g_free(text);
    return -EINVAL;
}

static int check_row(const struct hf_option *row, uint64_t bytes, struct hf_error *error)
{
    int r;
    if (!plugin_name_is_good(row->name))
        return plugin_fail(error, EINVAL,
                           "bad option table: '%.64s' is no name: a-z, 0-9 and '-' only",
                           row->name);
    if (!type_known(row->type))
        return plugin_fail(error, EINVAL, "bad option table: '%s': unknown type %u", row->name,
                           row->type);
    if (!row->help)
        return bad(error, row, "its help is missing");
    if (row->change > HF_CHANGE_IDENTITY)
        return bad(error, row, "unknown change class");
    if (row->min > row->max)
        return bad(error, row, "its range is empty");
    if (row->type == HF_OPTION_LIST &&
        (!type_known(row->item_type) || row->item_type == HF_OPTION_LIST ||
         row->item_type == HF_OPTION_HANDLER || row->item_type == HF_OPTION_SECRET))
        return bad(error, row, "a list cannot have items of that type");
    if ((r = check_field(row, bytes, error)) < 0)
        return r;
    if (options_value_type(row) == HF_OPTION_CHOICE && (r = check_words(row, error)) < 0)
        return r;
    return check_default(row, error);
}

static bool same_key(const struct hf_option *a, const struct hf_option *b)
{
    char file[80];
    if (strcmp(a->name, b->name) == 0)
        return true;
    g_snprintf(file, sizeof(file), "%s-file", a->name);
    return a->type == HF_OPTION_SECRET && strcmp(file, b->name) == 0;
}

static bool overlap(const struct hf_option *a, const struct hf_option *b)
{
    return a->offset < b->offset + types[b->type].bytes &&
           b->offset < a->offset + types[a->type].bytes;
}

static int check_against(const struct hf_option *rows, const struct hf_option *row,
                         struct hf_error *error)
{
    for (; rows < row; rows++) {
        if (same_key(rows, row) || same_key(row, rows))
            return bad(error, row, "the name stands twice");
        if (overlap(rows, row))
            return plugin_fail(error, EINVAL, "bad option table: '%s' and '%s' fill the same bytes",
                               rows->name, row->name);
    }
    return 0;
}

static int copy_table(const struct hf_option *from, uint64_t bytes, unsigned depth,
                      struct hf_option **ret_table, struct hf_error *error);

static int copy_nested(struct hf_option *row, unsigned depth, struct hf_error *error)
{
    const struct hf_option *theirs = row->table;
    struct hf_option *ours = NULL;
    row->table = NULL;
    if (options_value_type(row) != HF_OPTION_TABLE)
        return 0;
    if (!theirs || row->table_bytes == 0 || row->table_bytes > OPTIONS_STRUCT_MAX)
        return bad(error, row, "its nested table is missing or has no size");
    if (depth == HF_OPTION_DEPTH_MAX)
        return bad(error, row, "tables are nested too deeply");
    int r = copy_table(theirs, row->table_bytes, depth + 1, &ours, error);
    if (r < 0)
        return r;
    if (!ours)
        return bad(error, row, "its nested table is empty");
    row->table = ours;
    return 0;
}

/* Copies one row; false at the end of the table. */
static bool take_row(const char **cursor, struct hf_option *row)
{
    uint32_t size;
    memcpy(&size, *cursor, sizeof(size));
    memset(row, 0, sizeof(*row));
    if (size < offsetof(struct hf_option, help))
        return false;
    memcpy(row, *cursor, MIN(size, sizeof(*row)));
    *cursor += size;
    return row->name != NULL;
}

static int copy_table(const struct hf_option *from, uint64_t bytes, unsigned depth,
                      struct hf_option **ret_table, struct hf_error *error)
{
    struct hf_option *rows = g_new0(struct hf_option, HF_OPTION_ROWS_MAX + 1);
    const char *cursor = (const char *)from;
    unsigned count = 0;
    int r = 0;
    while (r == 0 && take_row(&cursor, &rows[count])) {
        struct hf_option *row = &rows[count];
        const struct hf_option *nested = row->table;
        row->table = NULL; /* theirs, until it is copied */
        if (count == HF_OPTION_ROWS_MAX) {
            r = plugin_fail(error, EINVAL, "bad option table: more than %u rows",
                            HF_OPTION_ROWS_MAX);
            break;
        }
        r = check_row(row, bytes, error);
        if (r == 0)
            r = check_against(rows, row, error);
        row->table = nested;
        if (r == 0)
            r = copy_nested(row, depth, error);
        else
            row->table = NULL;
        count++;
    }
    rows[count].name = NULL;
    if (r < 0 || count == 0) {
        plugin_options_free(rows);
        rows = NULL;
    }
    if (r == 0)
        *ret_table = rows;
    return r;
}

int plugin_options_copy(const struct hf_option *table, uint64_t config_bytes,
                        struct hf_option **ret_table, struct hf_error *error)
{
    if (config_bytes > OPTIONS_STRUCT_MAX)
        return plugin_fail(error, EINVAL, "bad option table: its struct is larger than 64K");
    if (!table) {
        *ret_table = NULL;
        return 0;
    }
    return copy_table(table, config_bytes, 1, ret_table, error);
}

bool plugin_option_is_disk(const struct hf_option *table, const struct hf_option *row)
{
    for (const struct hf_option *other = table; other->name; other++)
        if (other->type == HF_OPTION_HANDLER)
            return false;
    return row->type == HF_OPTION_PATH && (row->flags & HF_OPTION_REQUIRED);
}

struct hf_option *plugin_options_free(struct hf_option *table)
{
    for (struct hf_option *row = table; row && row->name; row++)
        plugin_options_free((struct hf_option *)row->table);
    g_free(table);
    return NULL;
}
