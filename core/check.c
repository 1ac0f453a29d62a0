/* SPDX-License-Identifier: BSD-3-Clause */
/* See check.h. */
#include "check.h"

#include "config/file.h"
#include "plugin/loader.h"
#include "plugin/options.h"

#include <errno.h>
#include <glib.h>
#include <pwd.h>

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

static void check_plugin(const struct config *config, uint32_t kind, const char *name,
                         const struct config_node *at, const struct config_node *options,
                         struct config_problems *problems)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin = NULL;
    struct plugin_config *judged = NULL;

    if (name == NULL) /* missing, and said so already */
        return;
    if (plugin_load(config->daemon.plugin_path, kind, name, &plugin, &error) < 0)
        config_problem_error(problems, at, "%s", error.text);
    else if (plugin_config_new(plugin, options, at, &judged, problems) == 0)
        plugin_config_free(judged);
}

int check_plugins(const struct config *config, struct config_problems *problems)
{
    unsigned before = config_problems_errors(problems);

    if (config->fence.node != NULL)
        check_plugin(config, HF_KIND_FENCE, config->fence.plugin, config->fence.plugin_node,
                     config->fence.options, problems);
    for (unsigned i = 0; i < config->auth_count; i++) {
        const struct config_auth *a = &config->auths[i];
        check_plugin(config, HF_KIND_AUTH, a->plugin, a->plugin_node, a->options, problems);
    }
    for (unsigned i = 0; i < config->target_count; i++) {
        const struct config_target *t = &config->targets[i];
        for (unsigned j = 0; j < t->lun_count; j++)
            check_plugin(config, HF_KIND_HANDLER, t->luns[j].handler, t->luns[j].handler_node,
                         t->luns[j].options, problems);
    }
    return config_problems_errors(problems) == before ? 0 : -EINVAL;
}
