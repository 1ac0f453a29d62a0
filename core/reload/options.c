/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of plugins: what their own tables say of a change. */
#include <string.h>

#include "config/scalar.h"
#include "plugin/loader.h"
#include "plugin/options.h"
#include "reload/fields.h"

static bool same_node(const struct config_node *a, const struct config_node *b)
{
    if (!a || !b)
        return a == b;
    if (a->type != b->type || a->count != b->count || a->quoted != b->quoted ||
        strcmp(a->text, b->text) != 0)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        if (a->type == CONFIG_SEQUENCE ? !same_node(a->items[i], b->items[i])
                                       : !same_node(a->entries[i].key, b->entries[i].key) ||
                                             !same_node(a->entries[i].value, b->entries[i].value))
            return false;
    }
    return true;
}

static void found(struct difference *d, const char *key, enum plan_class class, unsigned lun_change)
{
    g_string_append_printf(d->keys, "%soptions%s%s", d->any ? ", " : "", key ? "." : "",
                           key ? key : "");
    d->class = MAX(d->class, class);
    d->lun_change |= lun_change;
    d->any = true;
}

static void each_lun_row(void *user, const struct hf_option *row)
{
    bool size = strcmp(row->name, "size") == 0;
    switch (row->change) {
    case HF_CHANGE_LIVE:
        found(user, row->name, size ? PLAN_NOTICE : PLAN_LIVE,
              PLAN_LUN_OPTIONS | (size ? PLAN_LUN_SIZE : 0));
        break;
    case HF_CHANGE_REOPEN:
        found(user, row->name, PLAN_REOPEN,
              PLAN_LUN_REPLACE | PLAN_LUN_MOVE | (size ? PLAN_LUN_SIZE : 0));
        break;
    default:
        found(user, row->name, PLAN_END, PLAN_LUN_IDENTITY);
        break;
    }
}

/* Ways to log in are opened anew with every change, a fence is told what it is now. */
static void each_other_row(void *user, const struct hf_option *row)
{
    found(user, row->name, PLAN_LIVE, 0);
}

static bool size_of(const struct config_node *options, uint64_t *ret_bytes)
{
    const struct config_node *node = config_node_get(options, "size");
    return node && node->type == CONFIG_SCALAR && config_text_size(node->text, ret_bytes) == 0;
}

static bool shrinks(const struct config_node *a, const struct config_node *b)
{
    uint64_t before, after;
    return size_of(a, &before) && size_of(b, &after) && after < before;
}

void differ_options(struct difference *d, const struct config *from, const struct plugin_use *a,
                    const struct config *to, const struct plugin_use *b,
                    struct config_problems *problems)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin = NULL;
    struct plugin_config *before = NULL, *after = NULL;

    if (same_node(a->options, b->options))
        return;
    if (plugin_load(to->daemon.plugin_path, b->kind, b->plugin, &plugin, &error) < 0) {
        config_problem_error(problems, b->at, "%s", error.text);
        return;
    }
    if (plugin_config_new(plugin, b->options, b->at, &after, problems) < 0)
        return;
    struct config_problems *old_problems = config_problems_new();
    bool handler = b->kind == HF_KIND_HANDLER;
    if (plugin_config_new(plugin, a->options, a->at, &before, old_problems) == 0)
        plugin_config_differences(before, after, handler ? each_lun_row : each_other_row, d);
    else /* a secret file that is gone, for one: nothing is known of what there was */
        found(d, NULL, handler ? PLAN_REOPEN : PLAN_LIVE,
              handler ? PLAN_LUN_REPLACE | PLAN_LUN_MOVE : 0);
    config_problems_free(old_problems);
    plugin_config_free(before);
    plugin_config_free(after);
    if ((d->lun_change & PLAN_LUN_SIZE) && shrinks(a->options, b->options))
        d->lun_change |= PLAN_LUN_SHRINK;
}

void differ_running(struct difference *d, const struct plugin_config *running,
                    const struct config *to, const struct plugin_use *b,
                    struct config_problems *problems)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin = NULL;
    struct plugin_config *now = NULL;

    if (plugin_load(to->daemon.plugin_path, b->kind, b->plugin, &plugin, &error) < 0)
        config_problem_error(problems, b->at, "%s", error.text);
    else if (plugin_config_new(plugin, b->options, b->at, &now, problems) == 0)
        plugin_config_differences(running, now, each_other_row, d);
    plugin_config_free(now);
}
