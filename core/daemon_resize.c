/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another size for a LUN in use (control_services.resize). When the configuration says a size, it is changed
 * there and reloaded, and the file with it. When the file is not ours to write, or says none, the handler's own
 * update() gets the `size` that was asked for, and the keeper's configuration before it: a worker that
 * dies in between is replaced by one that makes the disk as large as it reads there.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "config/edit.h"
#include "config/scalar.h"
#include "control/plan.h"
#include "daemon_private.h"
#include "plugin/loader.h"

typedef void resize_done_fn(void *data, const char *why, const struct config_node *stale);

struct resize {
    struct daemon *daemon;
    struct daemon_lun *lun;
    char *target;
    unsigned number;
    uint64_t bytes;
    struct plugin_config *config; /* with the new size */
    resize_done_fn *done;
    void *data;
    char why[LINK_TEXT_MAX];
};

/* Where the configuration says a size; NULL: nowhere. */
static const struct config_node *size_node(const struct config_lun *c)
{
    const struct config_node *node = config_node_get(c->options, "size");
    return node && node->type == CONFIG_SCALAR && !config_node_is_null(node) ? node : NULL;
}

/* Where the configuration says another size than this one; NULL: nowhere. */
static const struct config_node *stale_node(const struct config_lun *c, uint64_t bytes)
{
    const struct config_node *node = size_node(c);
    uint64_t said;
    return node && config_text_size(node->text, &said) == 0 && said != bytes ? node : NULL;
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
    const struct config_node size_key = { .text = "size" }, size_value = { .text = size },
                             grow_key = { .text = "grow" }, grow_value = { .text = "yes" };
    struct changed_options o = { .mapping = { .type = CONFIG_MAPPING } };
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
    if (d->resize || d->reload || d->asker.done)
        return g_strdup("another resize is under way");
    if (d->stopping || d->freeze)
        return g_strdup("this worker is about to end");
    struct control_absent absent;
    if (daemon_absent_is(l, &absent))
        return g_strdup_printf("it is absent: %s", absent.why);
    if (bytes < info->bytes)
        return g_strdup_printf(
            "it has %" PRIu64
            " bytes and is not made smaller (lun set and reload do that with --force)",
            info->bytes);
    if (bytes % info->block_bytes)
        return g_strdup_printf("%" PRIu64 " is not a number of blocks of %u bytes", bytes,
                               info->block_bytes);
    return NULL;
}

/* ---- doing it ---- */

void daemon_amend_size(struct daemon *d, const char *target, unsigned lun, uint64_t bytes)
{
    struct link_message m = { .type = LINK_AMEND, .fd = -1 };
    m.amend.bytes = bytes;
    m.amend.lun = lun;
    g_strlcpy(m.amend.target, target, sizeof(m.amend.target));
    daemon_tell(d, &m);
}

static void ask_keeper(struct daemon *d, const struct resize *r, uint64_t bytes)
{
    daemon_amend_size(d, r->target, r->lun->config->number, bytes);
}

static void resize_free(struct resize *r)
{
    plugin_config_free(r->config);
    g_free(r->target);
    g_free(r);
}

static void finish(struct daemon *d, const char *why)
{
    struct resize *r = d->resize;
    const struct config_node *stale = size_node(r->lun->config);
    d->resize = NULL;
    r->done(r->data, why, stale);
    resize_free(r);
}

/* `amended`: the keeper's configuration has the new size already. */
static void update(struct daemon *d, bool amended)
{
    struct resize *r = d->resize;
    struct backend *backend = r->lun->backend;
    struct hf_error error = PLUGIN_ERROR_INIT;
    uint64_t before = backend->info.bytes;
    int result = daemon_lun_update(d, backend, r->config, &error);
    if (result == 0) {
        r->config = NULL;    /* the storage's */
        daemon_notes_run(d); /* what the handler has said of its size */
    }
    if (result == 0 && backend->info.bytes == r->bytes) {
        log_notice("daemon",
                   "LUN resized by request target=%s lun=%u bytes=%" PRIu64 " before=%" PRIu64,
                   r->target, r->lun->config->number, r->bytes, before);
        r->lun->resized = stale_node(r->lun->config, r->bytes) ? r->bytes : 0;
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

/* ---- by way of the file ---- */

/* A reload of the text with this size; false: it cannot be changed there. */
static bool reload_with_size(struct resize *r, uint64_t bytes, bool force, control_reload_fn *done)
{
    struct daemon *d = r->daemon;
    g_autofree char *number = g_strdup_printf("%u", r->number);
    g_autofree char *size = config_format_size(bytes);
    const char *path[] = { "targets", r->target, "luns", number, "options", "size", NULL };
    struct control_reload how = { .force = force, .fd = -1, .write = true };
    struct config_slice slice = { 0 };
    bool sliced = daemon_slice(d, r->target, &slice) == 0;
    g_autofree char *text = NULL;
    size_t length = 0;
    if (config_edit(sliced ? slice.text : d->text, sliced ? slice.length : d->text_length, path,
                    size, &text, &length) < 0) {
        config_slice_clear(&slice);
        return false;
    }
    if (sliced) {
        daemon_revise_ask(d, &slice, text, length, r->target, &how, done, r);
        config_slice_clear(&slice);
        return true;
    }
    how.fd = control_text_fd(text, length);
    if (how.fd < 0)
        return false;
    daemon_reload_ask(d, &how, done, r);
    close(how.fd);
    return true;
}

static void answer(struct resize *r, const char *why)
{
    r->done(r->data, why, NULL);
    resize_free(r);
}

static void taken_back(void *data, const struct plan *plan, unsigned upgrade, const char *why)
{
    struct resize *r = data;
    answer(r, r->why);
}

/* Where it is by now: another reload may have been faster. */
static struct daemon_lun *find_again(const struct resize *r)
{
    const struct daemon_target *t = daemon_target_find(r->daemon, r->target);
    for (unsigned j = 0; t && j < t->lun_count; j++)
        if (t->luns[j]->config->number == r->number)
            return t->luns[j];
    return NULL;
}

static void rewritten(void *data, const struct plan *plan, unsigned upgrade, const char *why)
{
    struct resize *r = data;
    struct daemon *d = r->daemon;
    r->lun = find_again(r);
    if (!r->lun || !r->lun->backend) {
        answer(r, "it is not there any more");
    } else if (r->lun->backend->info.bytes == r->bytes) {
        answer(r, NULL);
    } else if (why && !plan && !d->resize && !d->reload) { /* not by way of the file, then */
        d->resize = r;
        ask_keeper(d, r, r->bytes);
    } else {
        g_strlcpy(r->why, why ? why : "the handler did not change it", sizeof(r->why));
        if (!plan ||
            !reload_with_size(r, r->lun->backend->info.bytes, /* force= */ true, taken_back))
            answer(r, r->why);
    }
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
        done(data, NULL, stale_node(l->config, bytes));
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
    struct resize *r = g_new0(struct resize, 1);
    *r = (struct resize){ .daemon = d,
                          .lun = l,
                          .target = g_strdup(d->targets[target]->config->name),
                          .number = l->config->number,
                          .bytes = bytes,
                          .config = config,
                          .done = done,
                          .data = data };
    if (size_node(l->config) && reload_with_size(r, bytes, /* force= */ false, rewritten))
        return;
    d->resize = r;
    if (size_node(l->config))
        ask_keeper(d, r, bytes);
    else
        update(d, /* amended= */ false);
}
