/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of type HANDLER: another handler and its options, {handler: NAME, options: {…}}, read and
 * checked as those of a LUN are. The value belongs to the configuration that it stands in.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "config/scalar.h"
#include "plugin/options_private.h"

static int read_keys(const struct config_node *node, struct config_problems *problems)
{
    static const char *const known[] = { "handler", "options", NULL };
    int r = 0;
    for (unsigned i = 0; i < node->count; i++) {
        if (g_strv_contains(known, node->entries[i].key->text))
            continue;
        config_unknown_key(node->entries[i].key, known, problems);
        r = -EINVAL;
    }
    return r;
}

int options_read_lower(struct plugin_config *config, const struct config_node *node,
                       const char *key, const struct hf_lower_config **ret_lower,
                       struct config_problems *problems)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    const char *name;
    int r = config_read_type(node, key, CONFIG_MAPPING, problems);
    if (r < 0 || (r = read_keys(node, problems)) < 0)
        return r;
    const struct config_node *handler = config_node_get(node, "handler");
    if (!handler) {
        config_problem_error(problems, node, "%s: the key 'handler' is missing", key);
        return -EINVAL;
    }
    if (config_read_string(handler, "handler", &name, problems) < 0)
        return -EINVAL;
    if (plugin_load(plugin_search_paths(), HF_KIND_HANDLER, name, &plugin, &error) < 0) {
        config_problem_error(problems, handler, "%s: %s", key, error.text);
        return -EINVAL;
    }
    struct hf_lower_config *lower = options_add_lower(config);
    lower->plugin = plugin;
    r = plugin_config_new(plugin, config_node_get(node, "options"), handler, &lower->config,
                          problems);
    if (r == 0)
        *ret_lower = lower;
    return r;
}
