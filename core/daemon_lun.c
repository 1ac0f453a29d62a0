/* SPDX-License-Identifier: BSD-3-Clause */
/* A LUN from its part of the configuration: storage, then the unit on it. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/scalar.h"
#include "daemon_private.h"
#include "plugin/loader.h"
#include "scsi/keep.h"

/* ---- plugins ---- */

static char *load_plugin(const struct config *config, uint32_t kind, const char *name,
                         const struct config_node *at)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    if (plugin_load(config->daemon.plugin_path, kind, name, &plugin, &error) == 0)
        return NULL;
    return g_strdup_printf("%s:%u:%u: %s", config_node_file(at), config_node_line(at), at->column,
                           error.text);
}

char *daemon_plugins_load(const struct config *config)
{
    char *why = NULL;
    for (unsigned i = 0; i < config->auth_count && !why; i++)
        why = load_plugin(config, HF_KIND_AUTH, config->auths[i].plugin,
                          config->auths[i].plugin_node);
    for (unsigned i = 0; i < config->target_count; i++)
        for (unsigned j = 0; j < config->targets[i]->lun_count && !why; j++)
            why = load_plugin(config, HF_KIND_HANDLER, config->targets[i]->luns[j].handler,
                              config->targets[i]->luns[j].handler_node);
    return why;
}

/* ---- options ---- */

bool daemon_handler_has(const struct plugin *plugin, const char *option)
{
    for (const struct hf_option *row = plugin->info.options; row && row->name; row++)
        if (!strcmp(row->name, option))
            return true;
    return false;
}

/*
 * The options as the handler gets them. `grown`: that the size is another one is wanted, which is the consent
 * that `grow` of the file handler stands for.
 */
int daemon_lun_options(const struct plugin *plugin, const struct config_lun *c, bool grown,
                       struct plugin_config **ret_config, struct config_problems *problems)
{
    const struct config_node key = { .text = "grow" }, value = { .text = "yes" };
    unsigned count = c->options ? c->options->count : 0, at = 0;
    g_autofree struct config_entry *entries = NULL;
    struct config_node mapping = { .type = CONFIG_MAPPING };
    if (!grown || !config_node_get(c->options, "size") || !daemon_handler_has(plugin, "grow"))
        return plugin_config_new(plugin, c->options, c->handler_node, ret_config, problems);
    entries = g_new0(struct config_entry, count + 1);
    for (; at < count; at++)
        entries[at] = c->options->entries[at];
    for (at = 0; at < count && strcmp(entries[at].key->text, "grow") != 0;)
        at++;
    entries[at] = (struct config_entry){ &key, &value };
    mapping = *c->options;
    mapping.entries = entries;
    mapping.count = MAX(count, at + 1);
    return plugin_config_new(plugin, &mapping, c->handler_node, ret_config, problems);
}

/* ---- storage ---- */

#define OPEN_WAIT_NS  (60 * NS_PER_S)
#define CLOSE_WAIT_MS 10000u
#define GONE_WAIT_MS  100u

/* A disk that is opened, closed or changed. */
struct lun_work {
    struct storage_options options;
    char *target;
    struct backend *backend;
    struct plugin_config *config;
    struct hf_error error;
    int r;
};

static struct lun_work *work_new(void)
{
    struct lun_work *w = g_new0(struct lun_work, 1);
    w->error = (struct hf_error)PLUGIN_ERROR_INIT;
    return w;
}

static void work_free(struct lun_work *w)
{
    g_free(w->target);
    g_free(w);
}

static void open_run(void *data)
{
    struct lun_work *w = data;
    w->r = storage_open(&w->options, &w->backend, &w->error);
}

static void open_late(struct daemon *d, void *data)
{
    struct lun_work *w = data;
    if (w->r == 0)
        storage_close(w->backend, NULL, NULL);
    work_free(w);
}

static int open_aside(struct daemon *d, const struct storage_options *options,
                      struct backend **ret_backend, struct hf_error *error)
{
    struct lun_work *w = work_new();
    w->options = *options;
    w->options.target = w->target = g_strdup(options->target);
    const struct daemon_work work = { .verb = "opening a disk",
                                      .target = w->target,
                                      .lun = options->lun,
                                      .deadline_ns =
                                          d->open_within_ns ? d->open_within_ns : OPEN_WAIT_NS,
                                      .run = open_run,
                                      .late = open_late };
    int r = daemon_aside(d, &work, w);
    if (r < 0)
        return plugin_fail(error, -r, "handler %s does not open it: %s", options->plugin->info.name,
                           g_strerror(-r));
    r = w->r;
    if (r < 0)
        *error = w->error;
    else
        *ret_backend = w->backend;
    work_free(w);
    return r;
}

/* A later worker of one keeper opens what an earlier one had open; of another keeper's worker, that the
   service manager has kept, the memory of units knows it. */
static bool used_before(const struct daemon *d, const char *target, unsigned lun)
{
    return d->again && (d->args->generation > 1 || scsi_keep_area_has(d->scsi.area, target, lun));
}

static int open_plugin(struct daemon *d, const struct config *whole,
                       const struct config_target *target, const struct config_lun *c, bool grown,
                       struct backend *beside, struct backend **ret_backend,
                       struct config_problems *problems)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config;
    int r = plugin_load(whole->daemon.plugin_path, HF_KIND_HANDLER, c->handler, &plugin, &error);
    if (r == 0 && daemon_space_judge(plugin->handler.space != NULL, c, problems) < 0)
        return -ENOTSUP;
    if (r == 0) {
        r = daemon_lun_options(plugin, c, grown, &config, problems);
        if (r < 0)
            return r;
        struct storage_options options = {
            .services = &d->storage,
            .plugin = plugin,
            .config = config,
            .target = target->name,
            .lun = c->number,
            .read_only = c->read_only,
            .block_bytes = c->block_size,
            .beside = beside,
            .again = used_before(d, target->name, c->number),
            .free_by_ns = d->free_by_ns,
            .mark = scsi_keep_area_mark(d->scsi.area, target->name, c->number),
        };
        r = open_aside(d, &options, ret_backend, &error);
    }
    if (r < 0)
        config_problem_error(problems, c->handler_node, "target %s LUN %u: %s", target->name,
                             c->number, error.text);
    return r;
}

int daemon_lun_open(struct daemon *d, const struct config *whole,
                    const struct config_target *target, const struct config_lun *c, bool grown,
                    struct backend *beside, struct backend **ret_backend,
                    struct config_problems *problems)
{
    int r = open_plugin(d, whole, target, c, grown, beside, ret_backend, problems);
    if (r < 0)
        return r;
    storage_set_deadline(*ret_backend, c->deadline_ns, (enum storage_when_late)c->when_late);
    struct backend_info *info = &(*ret_backend)->info;
    if (c->physical_block_size)
        info->physical_block_bytes = c->physical_block_size;
    if (c->rotational)
        info->rotational = 1;
    return 0;
}

int daemon_storage_close(struct backend *backend)
{
    bool gone = storage_is_absent(backend); /* nothing of it is open, and a trial may hang */
    int r = storage_close_wait(backend, gone ? GONE_WAIT_MS : CLOSE_WAIT_MS);
    return gone ? 0 : r;
}

static void close_run(void *data)
{
    struct lun_work *w = data;
    w->r = daemon_storage_close(w->backend);
}

static void nothing_late(struct daemon *d, void *data)
{
    work_free(data);
}

int daemon_lun_close(struct daemon *d, struct backend *backend)
{
    struct lun_work *w = work_new();
    w->backend = backend;
    w->target = g_strdup(storage_target(backend));
    const struct daemon_work work = { .verb = "closing a disk",
                                      .target = w->target,
                                      .lun = storage_lun(backend),
                                      .run = close_run,
                                      .late = nothing_late };
    int r = daemon_aside(d, &work, w);
    if (r < 0)
        return r;
    r = w->r;
    work_free(w);
    return r;
}

static void update_run(void *data)
{
    struct lun_work *w = data;
    w->r = storage_update(w->backend, w->config, &w->error);
}

int daemon_lun_update(struct daemon *d, struct backend *backend, struct plugin_config *config,
                      struct hf_error *error)
{
    struct lun_work *w = work_new();
    w->backend = backend;
    w->config = config;
    w->target = g_strdup(storage_target(backend));
    const struct daemon_work work = { .verb = "changing a disk",
                                      .target = w->target,
                                      .lun = storage_lun(backend),
                                      .run = update_run,
                                      .late = nothing_late };
    int r = daemon_aside(d, &work, w);
    if (r < 0) /* we end, and leave the options to who uses them */
        return 0;
    r = w->r;
    if (r < 0)
        *error = w->error;
    work_free(w);
    return r;
}

/* ---- unit ---- */

unsigned daemon_port_tags(const struct config_target *t, uint16_t tags[static SCSI_PORTS_MAX])
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->portal_count; i++) {
        bool known = false;
        for (unsigned j = 0; j < n; j++)
            known |= tags[j] == t->portals[i]->tag;
        if (!known && n < SCSI_PORTS_MAX)
            tags[n++] = t->portals[i]->tag;
    }
    return n;
}

/* By the order of port_tags(); of several portals with one tag the first one counts. */
void daemon_access_states(const struct config_target *t, uint8_t states[static SCSI_PORTS_MAX])
{
    uint16_t tags[SCSI_PORTS_MAX];
    unsigned n = daemon_port_tags(t, tags);
    memset(states, 0, SCSI_PORTS_MAX);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = t->portal_count; j-- > 0;)
            if (t->portals[j]->tag == tags[i])
                states[i] = (uint8_t)t->portals[j]->access_state;
}

int daemon_lun_unit(struct daemon *d, const struct config_target *target, struct daemon_lun *l,
                    struct scsi_unit *replaces, struct scsi_unit **ret_unit)
{
    const struct config_lun *c = l->config;
    uint8_t states[SCSI_PORTS_MAX];
    daemon_access_states(target, states);
    struct scsi_unit_config config = {
        .target_name = target->name,
        .lun = (uint16_t)c->number,
        .vendor = c->vendor,
        .product = c->product,
        .revision = c->revision,
        .serial = c->serial,
        .naa = c->naa,
        .naa_bytes = c->naa_length,
        .eui = c->eui,
        .eui_bytes = c->eui_length,
        .read_only = c->read_only,
        .removable = c->removable,
        .sanitize_rate = c->sanitize_rate,
        .access_states = states,
        .compare_max = (uint8_t)c->max_compare_and_write,
        .initiators = c->initiators,
        .replaces = replaces,
        .lanes = d->data_count,
        .services = &d->scsi,
        .has_store = storage_uses_memory(l->backend) && storage_is_absent(l->backend),
    };
    int r = scsi_unit_create(&config, l->backend, ret_unit);
    if (r < 0)
        return r;
    (*ret_unit)->user = l;
    storage_set_mark(l->backend, scsi_keep_mark(&(*ret_unit)->home.keep));
    daemon_space_set(*ret_unit, c);
    return 0;
}

void daemon_lun_tell(const struct daemon_lun *l)
{
    const struct config_lun *c = l->config;
    log_info("daemon", "LUN opened target=%s lun=%u handler=%s bytes=%llu block=%u read-only=%s",
             l->target->config->name, c->number, c->handler,
             (unsigned long long)l->backend->info.bytes, l->backend->info.block_bytes,
             l->unit->read_only ? "yes" : "no");
}

struct daemon_lun *daemon_lun_new(struct daemon *d, struct daemon_target *t,
                                  const struct config_lun *config)
{
    struct daemon_lun *l = g_new0(struct daemon_lun, 1);
    l->daemon = d;
    l->target = t;
    l->config = config;
    return l;
}
