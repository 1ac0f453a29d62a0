/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another size for a LUN in use (control_services.resize): the handler's own update() with the `size`
 * that was asked for. The keeper's configuration gets it first, because a worker that dies in between
 * is replaced by one that makes the disk as large as it reads there.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "daemon_private.h"
#include "plugin/loader.h"

typedef void resize_done_fn(void *data, const char *why, const struct config_node *stale);

struct resize {
    struct daemon_lun *lun;
    const char *target;
    uint64_t bytes;
    struct plugin_config *config; /* with the new size */
    resize_done_fn *done;
    void *data;
};

/* Where the configuration says a size; NULL: nowhere. */
static const struct config_node *size_node(const struct config_lun *c)
{
    const struct config_node *node = config_node_get(c->options, "size");
    return node && node->type == CONFIG_SCALAR && !config_node_is_null(node) ? node : NULL;
}

static const struct hf_option *find_option(const struct plugin *plugin, const char *name)
{
    for (const struct hf_option *row = plugin->info.options; row && row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

/* ---- the new options ---- */

/* The LUN's options with other values of some keys, which need not have been there. */
struct changed_options {
    struct config_node mapping;
    struct config_entry *entries;
};

static void change_option(struct changed_options *o, const struct config_node *key,
                          const struct config_node *value)
{
    unsigned at = 0;
    while (at < o->mapping.count && strcmp(o->entries[at].key->text, key->text) != 0)
        at++;
    o->entries[at] = (struct config_entry){ key, value };
    o->mapping.count = MAX(o->mapping.count, at + 1);
}

/* A request to grow is the consent that `grow` of the file handler stands for. */
static struct plugin_config *new_config(const struct plugin *plugin, const struct config_lun *c,
                                        const char *size, struct config_problems *problems)
{
    const struct config_node size_key = { .text = "size", .file = "" },
                             size_value = { .text = size, .file = "" },
                             grow_key = { .text = "grow", .file = "" },
                             grow_value = { .text = "yes", .file = "" };
    struct changed_options o = { .mapping = { .type = CONFIG_MAPPING, .file = "" } };
    struct plugin_config *config = NULL;
    unsigned old = c->options ? c->options->count : 0;
    o.entries = g_new0(struct config_entry, old + 2);
    o.mapping.entries = o.entries;
    for (; o.mapping.count < old; o.mapping.count++)
        o.entries[o.mapping.count] = c->options->entries[o.mapping.count];
    change_option(&o, &size_key, &size_value);
    if (find_option(plugin, "grow"))
        change_option(&o, &grow_key, &grow_value);
    int r = plugin_config_new(plugin, &o.mapping, c->handler_node, &config, problems);
    g_free(o.entries);
    return r < 0 ? NULL : config;
}

/* The options as they would be, or NULL and why not. */
static struct plugin_config *prepare(const struct plugin *plugin, const struct config_lun *c,
                                     uint64_t bytes, char **ret_why)
{
    struct config_problems *problems = config_problems_new();
    char size[32];
    g_snprintf(size, sizeof(size), "%" PRIu64, bytes);
    struct plugin_config *old = NULL, *new = new_config(plugin, c, size, problems);
    int change = -1;
    if (new &&plugin_config_new(plugin, c->options, c->handler_node, &old, problems) == 0)
        change = plugin_config_compare(old, new);
    if (config_problems_count(problems))
        *ret_why = g_strdup(config_problems_get(problems, 0)->text);
    else if (change > (int)HF_CHANGE_LIVE)
        *ret_why =
            g_strdup_printf("handler %s cannot change the size of a disk that is open", c->handler);
    config_problems_free(problems);
    plugin_config_free(old);
    if (*ret_why)
        new = plugin_config_free(new);
    return new;
}

static char *refuse(const struct daemon *d, const struct daemon_lun *l, uint64_t bytes)
{
    const struct backend_info *info = &l->backend->info;
    if (d->resize)
        return g_strdup("another resize is under way");
    if (d->stopping || d->freeze)
        return g_strdup("this worker is about to end");
    if (bytes < info->bytes)
        return g_strdup_printf("it has %" PRIu64 " bytes, and disks in use are not made smaller",
                               info->bytes);
    if (bytes % info->block_bytes)
        return g_strdup_printf("%" PRIu64 " is not a number of blocks of %u bytes", bytes,
                               info->block_bytes);
    return NULL;
}

/* ---- doing it ---- */

static void ask_keeper(struct daemon *d, const struct resize *r, uint64_t bytes)
{
    struct link_message m = { .type = LINK_AMEND, .fd = -1 };
    m.amend.bytes = bytes;
    m.amend.lun = r->lun->config->number;
    g_strlcpy(m.amend.target, r->target, sizeof(m.amend.target));
    daemon_tell(d, &m);
}

static void finish(struct daemon *d, const char *why)
{
    struct resize *r = d->resize;
    const struct config_node *stale = size_node(r->lun->config);
    d->resize = NULL;
    r->done(r->data, why, stale);
    plugin_config_free(r->config);
    g_free(r);
}

/* `amended`: the keeper's configuration has the new size already. */
static void update(struct daemon *d, bool amended)
{
    struct resize *r = d->resize;
    struct backend *backend = r->lun->backend;
    struct hf_error error = PLUGIN_ERROR_INIT;
    uint64_t before = backend->info.bytes;
    int result = storage_update(backend, r->config, &error);
    if (result == 0) {
        r->config = NULL;    /* the storage's */
        daemon_notes_run(d); /* what the handler has said of its size */
    }
    if (result == 0 && backend->info.bytes == r->bytes) {
        log_notice("daemon",
                   "LUN resized by request target=%s lun=%u bytes=%" PRIu64 " before=%" PRIu64,
                   r->target, r->lun->config->number, r->bytes, before);
        finish(d, NULL);
        return;
    }
    if (amended)
        ask_keeper(d, r, backend->info.bytes);
    finish(d, result < 0 ? error.text : "the handler did not change it");
}

void daemon_resize_amended(struct daemon *d, int error)
{
    g_autofree char *why = NULL;
    if (!d->resize)
        return; /* taken back after a failure */
    if (error == 0 || error == -ENOENT) {
        update(d, error == 0);
        return;
    }
    why = g_strdup_printf("the configuration of later workers cannot be changed: %s",
                          g_strerror(-error));
    finish(d, why);
}

void daemon_resize(void *user, unsigned target, unsigned lun, uint64_t bytes, resize_done_fn *done,
                   void *data)
{
    struct daemon *d = user;
    struct daemon_lun *l = d->targets[target]->luns[lun];
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config = NULL;
    g_autofree char *why = refuse(d, l, bytes);
    if (!why && bytes == l->backend->info.bytes) {
        done(data, NULL, NULL);
        return;
    }
    if (!why && plugin_load(d->config->daemon.plugin_path, HF_KIND_HANDLER, l->config->handler,
                            &plugin, &error) < 0)
        why = g_strdup(error.text);
    else if (!why && !find_option(plugin, "size"))
        why = g_strdup_printf("handler %s has no option `size`", l->config->handler);
    else if (!why)
        config = prepare(plugin, l->config, bytes, &why);
    if (why) {
        done(data, why, NULL);
        return;
    }
    d->resize = g_new0(struct resize, 1);
    *d->resize = (struct resize){ .lun = l,
                                  .target = d->targets[target]->config->name,
                                  .bytes = bytes,
                                  .config = config,
                                  .done = done,
                                  .data = data };
    if (size_node(l->config))
        ask_keeper(d, d->resize, bytes);
    else
        update(d, /* amended= */ false);
}
