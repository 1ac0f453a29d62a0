/* SPDX-License-Identifier: BSD-3-Clause */
/* See check.h. */
#include "check.h"

#include "check_secrets.h"
#include "config/file.h"
#include "plugin/loader.h"
#include "plugin/options.h"
#include "plugin/trial.h"

#include <errno.h>
#include <glib.h>
#include <pwd.h>
#include <string.h>

/* Here, not in core/config: it asks this machine. */
static int check_user(const struct config_daemon *daemon, struct config_problems *problems)
{
    if (daemon->user == NULL || getpwnam(daemon->user) != NULL)
        return 0;
    config_problem_error(problems, daemon->user_node, "user: there is no user '%s'", daemon->user);
    return -EINVAL;
}

int config_file_load(const char *path, struct config_file *ret_file,
                     struct config_problems *problems)
{
    struct config_file file = { 0 };
    int r = config_file_read(path, &file.text, &file.bytes);

    if (r < 0) {
        config_problem_add(problems, CONFIG_ERROR, path, 0, 0, "cannot be read: %s",
                           g_strerror(-r));
        *ret_file = file;
        return -EINVAL;
    }
    r = config_parse_loose(file.text, file.bytes, path, &file.config, problems);
    if (file.config != NULL && check_user(&file.config->daemon, problems) < 0)
        r = -EINVAL;
    if (file.config == NULL)
        g_clear_pointer(&file.text, g_free);
    *ret_file = file;
    return r;
}

void config_file_free(struct config_file *file)
{
    file->config = config_free(file->config);
    g_clear_pointer(&file->text, g_free);
    file->bytes = 0;
}

/* Options that a plugin looks at itself: its code, too, is tried in a child. All in one, as a rule; when
   that one does not survive, each on its own. */
static bool careful;

struct judging {
    const struct plugin *plugin;
    const struct config_node *at, *options;
};

static int judge(void *data, struct hf_error *error)
{
    const struct judging *j = data;
    struct config_problems *problems = config_problems_new();
    struct plugin_config *judged = NULL;
    plugin_config_new(j->plugin, j->options, j->at, &judged, problems);
    return 0; /* what is wrong with them is said by who has survived it */
}

static int judge_in_child(const struct plugin *plugin, const struct config_node *at,
                          const struct config_node *options, struct hf_error *error)
{
    struct judging j = { plugin, at, options };
    struct hf_error why = PLUGIN_ERROR_INIT;
    int r = careful ? trial_run(judge, &j, "looking at its options", &why) : 0;
    if (r == 0)
        return 0;
    if (strncmp(why.text, "looking", 7) == 0)
        r = plugin_fail(error, why.code, "%s: %s", plugin->path, why.text);
    else
        *error = why;
    trial_note(error);
    return r;
}

/* Two LUNs on one file or device: the first to be opened locks out the other. `seen`: LUNs by path. */
static void check_paths(const struct plugin *plugin, const struct config_lun *lun, GHashTable *seen,
                        struct config_problems *problems)
{
    for (const struct hf_option *row = plugin->info.options; row && row->name; row++) {
        const struct config_node *node = config_node_get(lun->options, row->name);
        if (!plugin_option_is_disk(plugin->info.options, row) || !node || !node->text)
            continue;
        const struct config_lun *first = g_hash_table_lookup(seen, node->text);
        if (!first)
            g_hash_table_insert(seen, (gpointer)node->text, (gpointer)lun);
        else if (!first->read_only || !lun->read_only)
            config_problem_warning(
                problems, node,
                "%s: '%s' is that of the LUN at line %u column %u, too; only one "
                "can have it open",
                row->name, node->text, config_node_line(first->key_node), first->key_node->column);
    }
}

/* Returns it, or NULL: there is a problem. */
static const struct plugin *check_plugin(const struct config *config, uint32_t kind,
                                         const char *name, const struct config_node *at,
                                         const struct config_node *options,
                                         struct config_problems *problems)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin = NULL;
    struct plugin_config *judged = NULL;

    if (name == NULL) /* missing, and said so already */
        return NULL;
    if (plugin_load(config->daemon.plugin_path, kind, name, &plugin, &error) < 0 ||
        judge_in_child(plugin, at, options, &error) < 0)
        config_problem_error(problems, at, "%s", error.text);
    else if (plugin_config_new(plugin, options, at, &judged, problems) == 0) {
        check_secrets(plugin, judged, options, problems);
        plugin_config_free(judged);
        return plugin;
    }
    return NULL;
}

static void check_lun(const struct config *config, const struct config_lun *lun, GHashTable *seen,
                      struct config_problems *problems)
{
    const struct plugin *plugin =
        check_plugin(config, HF_KIND_HANDLER, lun->handler, lun->handler_node, lun->options, problems);
    if (plugin == NULL)
        return;
    if (lun->threshold_count && !plugin->handler.space)
        config_problem_error(problems, lun->thresholds_node,
                             "thresholds: handler %s cannot tell how much room there is",
                             lun->handler);
    check_paths(plugin, lun, seen, problems);
}

static void check_all(const struct config *config, struct config_problems *problems)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    if (config->fence.node != NULL)
        check_plugin(config, HF_KIND_FENCE, config->fence.plugin, config->fence.plugin_node,
                     config->fence.options, problems);
    for (unsigned i = 0; i < config->auth_count; i++) {
        const struct config_auth *a = &config->auths[i];
        check_plugin(config, HF_KIND_AUTH, a->plugin, a->plugin_node, a->options, problems);
    }
    for (unsigned i = 0; i < config->target_count; i++) {
        const struct config_target *t = config->targets[i];
        for (unsigned j = 0; j < t->lun_count; j++)
            check_lun(config, &t->luns[j], seen, problems);
    }
}

static int try_all(void *config, struct hf_error *error)
{
    check_all(config, config_problems_new());
    return 0;
}

int check_plugins(const struct config *config, struct config_problems *problems)
{
    unsigned before = config_problems_errors(problems);
    struct hf_error error = PLUGIN_ERROR_INIT;

    careful = trial_is_on() && trial_run(try_all, (void *)config, "a plugin", &error) < 0;
    check_all(config, problems);
    return config_problems_errors(problems) == before ? 0 : -EINVAL;
}
