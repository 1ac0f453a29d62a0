/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a node to the plugin's struct: see options.h. A table is walked twice: over the keys of the
 * file, for those that nobody knows, and over the rows, for values, defaults and what is missing.
 * All memory hangs on the configuration and is wiped when it goes: any of it may be a secret.
 */
#include "plugin/options.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/secret.h"
#include "config/scalar.h"
#include "plugin/options_private.h"

struct block {
    struct block *next;
    size_t bytes;
    _Alignas(16) char data[];
};

struct plugin_config {
    const struct plugin *plugin;
    struct block *blocks;
    void *data;
    struct hf_lower_config *lowers;
    _Atomic unsigned more_owners;
};

/* One filling. */
struct fill {
    struct plugin_config *config;
    const struct config_node *at; /* for what is missing without a node of its own */
    struct config_problems *problems;
};

void *options_alloc(struct plugin_config *config, size_t bytes)
{
    struct block *block = g_malloc0(sizeof(*block) + bytes);
    block->bytes = bytes;
    block->next = config->blocks;
    config->blocks = block;
    return block->data;
}

static int fill_table(struct fill *f, const struct hf_option *rows, const struct config_node *node,
                      const char *key, char *base);

/* ------------------------------------------------------------------------------------- scalars */

static bool has_range(const struct hf_option *row)
{
    return row->min || row->max;
}

static int fill_number(struct fill *f, const struct hf_option *row, const struct config_node *node,
                       uint64_t *ret_value)
{
    uint64_t max = has_range(row) ? row->max : UINT64_MAX;
    switch (row->type) {
    case HF_OPTION_SIZE:
        return config_read_size(node, row->name, row->min, max, ret_value, f->problems);
    case HF_OPTION_DURATION:
        return config_read_duration(node, row->name, row->min, max, ret_value, f->problems);
    default:
        return config_read_unsigned(node, row->name, row->min, max, ret_value, f->problems);
    }
}

static int check_length(struct fill *f, const struct hf_option *row, const struct config_node *node,
                        size_t bytes)
{
    if (!has_range(row) || (bytes >= row->min && bytes <= row->max))
        return 0;
    config_problem_error(f->problems, node,
                         "%s: has %zu bytes, must have %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                         row->name, bytes, row->min, row->max);
    return -EINVAL;
}

static int fill_text(struct fill *f, const struct hf_option *row, const struct config_node *node,
                     const char **ret_text)
{
    const char *text;
    int r = row->type == HF_OPTION_PATH ? config_read_path(node, row->name, &text, f->problems)
                                        : config_read_string(node, row->name, &text, f->problems);
    if (r == 0)
        r = check_length(f, row, node, strlen(text));
    if (r < 0)
        return r;
    size_t bytes = strlen(text) + 1;
    *ret_text = memcpy(options_alloc(f->config, bytes), text, bytes);
    return 0;
}

static int fill_scalar(struct fill *f, const struct hf_option *row, const struct config_node *node,
                       void *field)
{
    bool on;
    unsigned index;
    int r;
    switch (row->type) {
    case HF_OPTION_STRING:
    case HF_OPTION_PATH:
        return fill_text(f, row, node, field);
    case HF_OPTION_BOOL:
        r = config_read_bool(node, row->name, &on, f->problems);
        if (r == 0)
            *(uint32_t *)field = on;
        return r;
    case HF_OPTION_CHOICE:
        r = config_read_choice(node, row->name, row->choices, &index, f->problems);
        if (r == 0)
            *(uint32_t *)field = index;
        return r;
    default:
        return fill_number(f, row, node, field);
    }
}

static int fill_default(struct fill *f, const struct hf_option *row, void *field)
{
    const struct config_node node = { .type = CONFIG_SCALAR, .text = row->default_value };
    return fill_scalar(f, row, &node, field);
}

char *options_default_problem(const struct hf_option *row)
{
    struct plugin_config config = { 0 };
    struct fill f = { .config = &config, .problems = config_problems_new() };
    uint64_t field[2] = { 0 };
    char *text = NULL;
    if (fill_default(&f, row, field) < 0 && config_problems_count(f.problems) > 0)
        text = g_strdup(config_problems_get(f.problems, 0)->text);
    config_problems_free(f.problems);
    while (config.blocks) {
        struct block *block = config.blocks;
        config.blocks = block->next;
        g_free(block);
    }
    return text;
}

/* -------------------------------------------------------------------------- lists, tables, secrets */

static int fill_item(struct fill *f, const struct hf_option *row, const struct config_node *node,
                     char *field)
{
    struct hf_option item = *row;
    item.type = row->item_type;
    item.min = item.max = 0;
    if (item.type == HF_OPTION_TABLE)
        return fill_table(f, row->table, node, row->name, field);
    return fill_scalar(f, &item, node, field);
}

static int fill_list(struct fill *f, const struct hf_option *row, const struct config_node *node,
                     struct hf_list *ret_list)
{
    uint64_t max = has_range(row) ? MIN(row->max, HF_OPTION_ITEMS_MAX) : HF_OPTION_ITEMS_MAX;
    int r = config_read_type(node, row->name, CONFIG_SEQUENCE, f->problems);
    if (r < 0)
        return r;
    if (node->count < row->min || node->count > max) {
        config_problem_error(f->problems, node,
                             "%s: has %u items, must have %" G_GUINT64_FORMAT
                             " to %" G_GUINT64_FORMAT,
                             row->name, node->count, row->min, max);
        return -EINVAL;
    }
    if (node->count == 0)
        return 0;
    size_t stride = options_item_bytes(row);
    char *items = options_alloc(f->config, stride * node->count);
    for (unsigned i = 0; i < node->count; i++)
        if (fill_item(f, row, node->items[i], items + stride * i) < 0)
            r = -EINVAL;
    *ret_list = (struct hf_list){ .items = items, .count = node->count };
    return r;
}

static int fill_nested(struct fill *f, const struct hf_option *row, const struct config_node *node,
                       const void **ret_struct)
{
    char *nested = options_alloc(f->config, row->table_bytes);
    *ret_struct = nested;
    return fill_table(f, row->table, node, row->name, nested);
}

static int fill_secret(struct fill *f, const struct hf_option *row, const struct config_node *node,
                       const struct config_node *file, const char *file_key,
                       struct hf_secret *ret_secret)
{
    const char *text;
    if (node && file) {
        config_problem_error(f->problems, file, "%s and %s exclude each other", row->name,
                             file_key);
        return -EINVAL;
    }
    int r = file ? options_read_secret_file(f->config, file, file_key, ret_secret, f->problems)
                 : config_read_string(node, row->name, &text, f->problems);
    if (r == 0 && !file)
        r = strlen(text) <= OPTIONS_SECRET_MAX
                ? options_take_secret(f->config, text, strlen(text), ret_secret)
                : check_length(f,
                               &(struct hf_option){ .name = row->name, .max = OPTIONS_SECRET_MAX },
                               node, strlen(text));
    return r < 0 ? r : check_length(f, row, file ? file : node, ret_secret->bytes);
}

/* ------------------------------------------------------------------------------------- tables */

static const struct config_node *value_of(const struct config_node *node, const char *key)
{
    const struct config_node *value = config_node_get(node, key);
    return value && config_node_is_null(value) ? NULL : value;
}

static char *secret_file_key(const struct hf_option *row)
{
    return g_strdup_printf("%s-file", row->name);
}

static int fill_value(struct fill *f, const struct hf_option *row, const struct config_node *value,
                      void *field)
{
    switch (row->type) {
    case HF_OPTION_LIST:
        return fill_list(f, row, value, field);
    case HF_OPTION_TABLE:
        return fill_nested(f, row, value, field);
    case HF_OPTION_HANDLER:
        return options_read_lower(f->config, value, row->name, field, f->problems);
    default:
        return fill_scalar(f, row, value, field);
    }
}

static int fill_row(struct fill *f, const struct hf_option *row, const struct config_node *node,
                    void *field)
{
    const struct config_node *value = value_of(node, row->name);
    g_autofree char *file_key = row->type == HF_OPTION_SECRET ? secret_file_key(row) : NULL;
    const struct config_node *file = file_key ? value_of(node, file_key) : NULL;
    if (row->type == HF_OPTION_SECRET && (value || file))
        return fill_secret(f, row, value, file, file_key, field);
    if (value)
        return fill_value(f, row, value, field);
    if (row->default_value)
        return fill_default(f, row, field);
    if (!(row->flags & HF_OPTION_REQUIRED))
        return 0;
    config_problem_error(f->problems, node ? node : f->at, "%s%s%s%s is missing", row->name,
                         file_key ? " (or better " : "", file_key ? file_key : "",
                         file_key ? ")" : "");
    return -EINVAL;
}

/* The keys that rows stand for, ended by NULL. */
static GPtrArray *known_keys(const struct hf_option *rows)
{
    GPtrArray *known = g_ptr_array_new_with_free_func(g_free);
    for (; rows && rows->name; rows++) {
        g_ptr_array_add(known, g_strdup(rows->name));
        if (rows->type == HF_OPTION_SECRET)
            g_ptr_array_add(known, secret_file_key(rows));
    }
    g_ptr_array_add(known, NULL);
    return known;
}

static int check_keys(struct fill *f, const struct hf_option *rows, const struct config_node *node)
{
    g_autoptr(GPtrArray) known = known_keys(rows);
    const char *const *words = (const char *const *)known->pdata;
    int r = 0;
    for (unsigned i = 0; i < node->count; i++) {
        if (g_strv_contains(words, node->entries[i].key->text))
            continue;
        config_unknown_key(node->entries[i].key, words, f->problems);
        r = -EINVAL;
    }
    return r;
}

/* `node` may be NULL: then there are only defaults. Goes on after mistakes, to find all of them. */
static int fill_table(struct fill *f, const struct hf_option *rows, const struct config_node *node,
                      const char *key, char *base)
{
    int r = 0;
    if (node && (config_read_type(node, key, CONFIG_MAPPING, f->problems) < 0))
        return -EINVAL;
    if (node && check_keys(f, rows, node) < 0)
        r = -EINVAL;
    for (; rows && rows->name; rows++)
        if (fill_row(f, rows, node, base + rows->offset) < 0)
            r = -EINVAL;
    return r;
}

/* --------------------------------------------------------------------------------------- whole */

typedef int32_t (*validate_fn)(const void *config, struct hf_error *error);

static validate_fn validate_of(const struct plugin *plugin)
{
    switch (plugin->info.kind) {
    case HF_KIND_HANDLER:
        return plugin->handler.validate;
    case HF_KIND_AUTH:
        return plugin->auth.validate;
    default:
        return plugin->fence.validate;
    }
}

static int validate(struct fill *f, const struct config_node *options)
{
    const struct plugin *plugin = f->config->plugin;
    struct hf_error why = PLUGIN_ERROR_INIT;
    validate_fn check = validate_of(plugin);
    int r = check ? check(f->config->data, &why) : 0;
    if (r == 0)
        return 0;
    config_problem_error(f->problems, options ? options : f->at, "%s: %s", plugin->info.name,
                         why.text[0] ? why.text : "refuses these options without saying why");
    return -EINVAL;
}

int plugin_config_new(const struct plugin *plugin, const struct config_node *options,
                      const struct config_node *at, struct plugin_config **ret_config,
                      struct config_problems *problems)
{
    struct plugin_config *config = g_new0(struct plugin_config, 1);
    struct fill f = { .config = config, .at = at, .problems = problems };
    config->plugin = plugin;
    if (plugin->info.config_bytes)
        config->data = options_alloc(config, plugin->info.config_bytes);
    if (options && config_node_is_null(options))
        options = NULL;
    int r = fill_table(&f, plugin->info.options, options, "options", config->data);
    if (r == 0)
        r = validate(&f, options);
    if (r == 0)
        *ret_config = config;
    else
        plugin_config_free(config);
    return r;
}

struct plugin_config *options_ref(struct plugin_config *config)
{
    atomic_fetch_add(&config->more_owners, 1);
    return config;
}

struct hf_lower_config *options_add_lower(struct plugin_config *config)
{
    struct hf_lower_config *lower = g_new0(struct hf_lower_config, 1);
    lower->next = config->lowers;
    config->lowers = lower;
    return lower;
}

static void free_lowers(struct plugin_config *config)
{
    struct hf_lower_config *lower;
    while ((lower = config->lowers)) {
        config->lowers = lower->next;
        plugin_config_free(lower->config);
        g_free(lower);
    }
}

struct plugin_config *plugin_config_free(struct plugin_config *config)
{
    if (!config || atomic_fetch_sub(&config->more_owners, 1) > 0)
        return NULL;
    free_lowers(config);
    while (config->blocks) {
        struct block *block = config->blocks;
        config->blocks = block->next;
        secret_wipe(block->data, block->bytes);
        g_free(block);
    }
    g_free(config);
    return NULL;
}

const void *plugin_config_data(const struct plugin_config *config)
{
    return config->data;
}

const struct hf_option *options_rows(const struct plugin_config *config)
{
    return config->plugin->info.options;
}
