/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RFC 7143 12.1.4: a CHAP secret has 96 bits at least. A shorter one is told by --check, with its place; by whatever
 * auth plugin, from its option table and what has been read by it.
 */
#include "check_secrets.h"

#include <glib.h>
#include <string.h>

#define SHORT_BYTES 12u

static void check_table(const struct hf_option *table, const char *config,
                        const struct config_node *options, struct config_problems *problems);

static void check_secret(const struct hf_option *row, const struct hf_secret *secret,
                         const struct config_node *options, struct config_problems *problems)
{
    g_autofree char *in_file = g_strdup_printf("%s-file", row->name);
    const struct config_node *node = config_node_get(options, row->name);
    const char *key = row->name;

    if (node == NULL) {
        node = config_node_get(options, in_file);
        key = in_file;
    }
    if (node != NULL && secret->data != NULL && secret->bytes < SHORT_BYTES)
        config_problem_warning(problems, node,
                               "%s: %u bytes; a CHAP secret has %u or more, as some initiators "
                               "insist (RFC 7143 12.1.4)",
                               key, secret->bytes, SHORT_BYTES);
}

static void check_list(const struct hf_option *row, const struct hf_list *list,
                       const struct config_node *node, struct config_problems *problems)
{
    const char *items = list->items;

    if (node == NULL || node->type != CONFIG_SEQUENCE || row->item_type != HF_OPTION_TABLE)
        return;
    for (unsigned i = 0; i < list->count && i < node->count; i++)
        check_table(row->table, items + (size_t)i * row->table_bytes, node->items[i], problems);
}

static void check_table(const struct hf_option *table, const char *config,
                        const struct config_node *options, struct config_problems *problems)
{
    for (const struct hf_option *row = table; row != NULL && row->name != NULL; row++) {
        const void *at = config + row->offset;
        const struct config_node *node = config_node_get(options, row->name);
        if (row->type == HF_OPTION_SECRET)
            check_secret(row, at, options, problems);
        else if (row->type == HF_OPTION_LIST)
            check_list(row, at, node, problems);
        else if (row->type == HF_OPTION_TABLE && *(const char *const *)at != NULL)
            check_table(row->table, *(const char *const *)at, node, problems);
    }
}

void check_secrets(const struct plugin *plugin, const struct plugin_config *config,
                   const struct config_node *options, struct config_problems *problems)
{
    const char *data = plugin_config_data(config);

    if (data != NULL && plugin->info.kind == HF_KIND_AUTH)
        check_table(plugin->info.options, data, options, problems);
}
