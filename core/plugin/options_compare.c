/* SPDX-License-Identifier: BSD-3-Clause */
/* Two configurations of one plugin: which of the options that differ asks for most. */
#include <string.h>

#include "plugin/options_private.h"

static bool same_struct(const struct hf_option *rows, const char *a, const char *b);

static bool same_lower(const struct hf_lower_config *a, const struct hf_lower_config *b)
{
    if (!a || !b)
        return a == b;
    return a->plugin == b->plugin && plugin_config_compare(a->config, b->config) < 0;
}

static bool same_value(const struct hf_option *row, uint32_t type, const void *a, const void *b)
{
    const char *text_a, *text_b;
    switch (type) {
    case HF_OPTION_STRING:
    case HF_OPTION_PATH:
        text_a = *(const char *const *)a;
        text_b = *(const char *const *)b;
        return text_a && text_b ? strcmp(text_a, text_b) == 0 : text_a == text_b;
    case HF_OPTION_SECRET: {
        const struct hf_secret *x = a, *y = b;
        return x->bytes == y->bytes && (x->bytes == 0 || memcmp(x->data, y->data, x->bytes) == 0);
    }
    case HF_OPTION_TABLE: /* a field of it; an item of a list is the struct itself */
        text_a = *(const char *const *)a;
        text_b = *(const char *const *)b;
        return text_a && text_b ? same_struct(row->table, text_a, text_b) : text_a == text_b;
    case HF_OPTION_HANDLER:
        return same_lower(*(const struct hf_lower_config *const *)a,
                          *(const struct hf_lower_config *const *)b);
    default:
        return memcmp(a, b, options_field_bytes(type)) == 0;
    }
}

static bool same_list(const struct hf_option *row, const struct hf_list *a, const struct hf_list *b)
{
    size_t stride = options_item_bytes(row);
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const char *x = (const char *)a->items + stride * i,
                   *y = (const char *)b->items + stride * i;
        if (row->item_type == HF_OPTION_TABLE ? !same_struct(row->table, x, y)
                                              : !same_value(row, row->item_type, x, y))
            return false;
    }
    return true;
}

static bool same_row(const struct hf_option *row, const char *a, const char *b)
{
    const void *x = a + row->offset, *y = b + row->offset;
    return row->type == HF_OPTION_LIST ? same_list(row, x, y) : same_value(row, row->type, x, y);
}

static bool same_struct(const struct hf_option *rows, const char *a, const char *b)
{
    for (; rows->name; rows++)
        if (!same_row(rows, a, b))
            return false;
    return true;
}

void plugin_config_differences(const struct plugin_config *a, const struct plugin_config *b,
                               void (*each)(void *user, const struct hf_option *row), void *user)
{
    const struct hf_option *row = options_rows(a);
    for (; row && row->name; row++)
        if (!same_row(row, plugin_config_data(a), plugin_config_data(b)))
            each(user, row);
}

static void greatest(void *user, const struct hf_option *row)
{
    int *most = user;
    *most = (int)row->change > *most ? (int)row->change : *most;
}

int plugin_config_compare(const struct plugin_config *a, const struct plugin_config *b)
{
    int most = -1;
    plugin_config_differences(a, b, greatest, &most);
    return most;
}
