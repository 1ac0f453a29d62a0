/* SPDX-License-Identifier: BSD-3-Clause */
/* LUNs, units, targets and the login catalog, made from the configuration. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon_private.h"
#include "plugin/loader.h"

#define ANSWER_LIMIT_NS (20 * NS_PER_S) /* an I/O older than this is worth a line in the log */
#define CLOSE_WAIT_MS   10000

/* A line that begins with the place in the configuration file. */
static void complain(const struct config_node *at, const char *target, unsigned lun, const char *text)
{
    struct config_problems *problems = config_problems_new();
    config_problem_error(problems, at, "target %s LUN %u: %s", target, lun, text);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
}

static int open_storage(struct daemon *d, const struct config_target *target, struct daemon_lun *l)
{
    const struct config_lun *c = l->config;
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config;
    if (plugin_load(d->config->daemon.plugin_path, HF_KIND_HANDLER, c->handler, &plugin, &error) < 0) {
        complain(c->handler_node, target->name, c->number, error.text);
        return -1;
    }
    struct config_problems *problems = config_problems_new();
    int r = plugin_config_new(plugin, c->options, c->handler_node, &config, problems);
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    if (r < 0)
        return -1;
    struct storage_options options = {
        .services = &d->storage,
        .plugin = plugin,
        .config = config,
        .target = target->name,
        .lun = c->number,
        .read_only = c->read_only,
        .block_bytes = c->block_size,
    };
    if (storage_open(&options, &l->backend, &error) < 0) {
        complain(c->handler_node, target->name, c->number, error.text);
        return -1;
    }
    if (c->physical_block_size)
        l->backend->info.physical_block_bytes = c->physical_block_size;
    if (c->rotational)
        l->backend->info.rotational = 1;
    return 0;
}

static unsigned port_tags(const struct config_target *t, uint16_t tags[static SCSI_PORTS_MAX])
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
static void access_states(const struct config_target *t, uint8_t states[static SCSI_PORTS_MAX])
{
    uint16_t tags[SCSI_PORTS_MAX];
    unsigned n = port_tags(t, tags);
    memset(states, 0, SCSI_PORTS_MAX);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = t->portal_count; j-- > 0;)
            if (t->portals[j]->tag == tags[i])
                states[i] = (uint8_t)t->portals[j]->access_state;
}

static int open_lun(struct daemon *d, const struct config_target *target, struct daemon_lun *l)
{
    const struct config_lun *c = l->config;
    uint8_t states[SCSI_PORTS_MAX];
    if (open_storage(d, target, l) < 0)
        return -1;
    access_states(target, states);
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
        .lanes = d->data_count,
        .services = &d->scsi,
    };
    int r = scsi_unit_create(&config, l->backend, &l->unit);
    if (r < 0) {
        complain(c->handler_node, target->name, c->number, g_strerror(-r));
        return -1;
    }
    l->unit->user = l;
    log_info("daemon", "LUN opened target=%s lun=%u handler=%s bytes=%llu block=%u read-only=%s",
             target->name, c->number, c->handler, (unsigned long long)l->backend->info.bytes,
             l->backend->info.block_bytes, l->unit->read_only ? "yes" : "no");
    return 0;
}

static struct scsi_unit *unit_of(const struct daemon_target *t, unsigned number)
{
    for (unsigned i = 0; i < t->config->lun_count; i++)
        if (t->luns[i].config->number == number)
            return t->luns[i].unit;
    return NULL;
}

static int add_view(const struct daemon_target *t, const struct config_view *v,
                    struct scsi_lun_map *map)
{
    struct scsi_unit *units[SCSI_LUNS_MAX];
    uint16_t luns[SCSI_LUNS_MAX];
    struct scsi_lun_map *view;
    if (v->lun_count > SCSI_LUNS_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < v->lun_count; i++) {
        luns[i] = (uint16_t)v->luns[i].number;
        units[i] = unit_of(t, v->luns[i].lun);
    }
    int r = scsi_lun_map_create(units, luns, v->lun_count, &view);
    return r < 0 ? r : scsi_lun_map_add_view(map, v->initiators, view);
}

/* All LUNs by their own numbers, and what some initiators see instead. */
static int make_map(const struct daemon_target *t, struct scsi_unit *const *units,
                    struct scsi_lun_map **ret_map)
{
    struct scsi_lun_map *map;
    int r = scsi_lun_map_create(units, /* luns= */ NULL, t->config->lun_count, &map);
    if (r < 0)
        return r;
    for (unsigned i = 0; r == 0 && i < t->config->view_count; i++)
        r = add_view(t, &t->config->views[i], map);
    if (r < 0)
        scsi_lun_map_free(map);
    else
        *ret_map = map;
    return r;
}

static int open_target(struct daemon *d, struct daemon_target *t)
{
    const struct config_target *c = t->config;
    uint16_t tags[SCSI_PORTS_MAX];
    unsigned tag_count = port_tags(c, tags);
    int r = scsi_target_create(c->name, c->alias, tags, tag_count, &t->scsi);
    if (r < 0) {
        log_error("daemon", "target refused target=%s error=\"%s\"", c->name, g_strerror(-r));
        return -1;
    }
    t->scsi->user = t;
    t->scsi->guard = c->auth;
    t->luns = g_new0(struct daemon_lun, c->lun_count);
    struct scsi_unit **units = g_new0(struct scsi_unit *, c->lun_count + 1);
    int failed = 0;
    for (unsigned i = 0; i < c->lun_count; i++) {
        t->luns[i].daemon = d;
        t->luns[i].config = &c->luns[i];
        if (open_lun(d, c, &t->luns[i]) < 0)
            failed = -1;
        units[i] = t->luns[i].unit;
    }
    struct scsi_lun_map *map;
    if (!failed) {
        r = make_map(t, units, &map);
        if (r < 0) {
            log_error("daemon", "target refused target=%s luns=%u error=\"%s\"", c->name, c->lun_count,
                      g_strerror(-r));
            failed = -1;
        } else {
            scsi_lun_map_free(scsi_target_publish(t->scsi, map));
        }
    }
    g_free(units);
    if (!c->auth)
        log_notice("daemon", "target is open to every initiator that may see it (no auth) target=%s",
                   c->name);
    return failed;
}

static int open_auth(struct daemon *d, unsigned i)
{
    const struct config_auth *c = &d->config->auths[i];
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config = NULL;
    struct config_problems *problems = config_problems_new();
    if (plugin_load(d->config->daemon.plugin_path, HF_KIND_AUTH, c->plugin, &plugin, &error) < 0)
        config_problem_error(problems, c->plugin_node, "auth %s: %s", c->name, error.text);
    else if (plugin_config_new(plugin, c->options, c->plugin_node, &config, problems) == 0 &&
             plugin_authenticator_open(plugin, config, &d->auth_services, &d->auths[i], &error) < 0)
        config_problem_error(problems, c->plugin_node, "auth %s: %s", c->name, error.text);
    int r = config_problems_errors(problems) ? -1 : 0;
    config_problems_print(problems, stderr);
    config_problems_free(problems);
    return r;
}

int daemon_targets_open(struct daemon *d)
{
    const struct config *c = d->config;
    int failed = 0;
    d->auths = g_new0(struct iscsi_authenticator *, c->auth_count + 1);
    d->targets = g_new0(struct daemon_target, c->target_count + 1);
    for (unsigned i = 0; i < c->auth_count; i++)
        if (open_auth(d, i) < 0)
            failed = -1;
    for (unsigned i = 0; i < c->target_count; i++) {
        d->targets[i].config = &c->targets[i];
        if (open_target(d, &d->targets[i]) < 0)
            failed = -1;
    }
    return failed;
}

/* ---- catalog ---- */

static uint8_t digests(unsigned mask)
{
    return (uint8_t)((mask & CONFIG_DIGEST_NONE ? ISCSI_DIGEST_BIT(ISCSI_DIGEST_NONE) : 0) |
                     (mask & CONFIG_DIGEST_CRC32C ? ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C) : 0));
}

static struct iscsi_limits limits_of(const struct config_session *s)
{
    struct iscsi_limits l = iscsi_limits_default;
    l.max_recv_data_segment_length = s->max_recv_data_segment_length;
    l.max_burst_length = s->max_burst_length;
    l.first_burst_length = s->first_burst_length;
    l.max_outstanding_r2t = (uint16_t)s->max_outstanding_r2t;
    l.max_connections = (uint16_t)s->max_connections;
    l.time2wait = (uint16_t)s->default_time2wait;
    l.time2retain = (uint16_t)s->default_time2retain;
    l.initial_r2t = s->initial_r2t;
    l.immediate_data = s->immediate_data;
    l.header_digests = digests(s->header_digest);
    l.data_digests = digests(s->data_digest);
    return l;
}

static struct catalog_portal *portals_of(const struct config *c)
{
    struct catalog_portal *portals = g_new0(struct catalog_portal, c->portal_count + 1);
    for (unsigned i = 0; i < c->portal_count; i++) {
        const struct config_portal *p = &c->portals[i];
        const char **addresses = g_new0(const char *, p->listen_count + 1);
        for (unsigned j = 0; j < p->listen_count; j++) {
            char text[ADDRESS_TEXT_MAX];
            addresses[j] = g_strdup(address_format(&p->listen[j].address, text));
        }
        portals[i] = (struct catalog_portal){p->name, p->tag, addresses, p->listen_count};
    }
    return portals;
}

static void catalog_target(struct daemon *d, struct catalog_target *to, struct daemon_target *from,
                           const struct catalog_portal *portals)
{
    const struct config_target *c = from->config;
    from->portals = g_new0(const struct catalog_portal *, c->portal_count + 1);
    for (unsigned i = 0; i < c->portal_count; i++)
        from->portals[i] = &portals[c->portals[i] - d->config->portals];
    *to = (struct catalog_target){
        .name = c->name,
        .alias = c->alias,
        .scsi = from->scsi,
        .portals = from->portals,
        .portal_count = c->portal_count,
        .auth = c->auth ? d->auths[c->auth - d->config->auths] : NULL,
        .initiators = c->initiators,
        .limits = limits_of(&c->session),
        .time2wait_spread = (uint16_t)c->session.time2wait_spread,
        .window = c->session.command_window,
        .nop_interval_ns = c->session.nop_interval_ns,
        .nop_timeout_ns = c->session.nop_timeout_ns,
    };
}

int daemon_catalog_create(struct daemon *d)
{
    const struct config *c = d->config;
    struct catalog_portal *portals = portals_of(c);
    struct catalog_target *targets = g_new0(struct catalog_target, c->target_count + 1);
    for (unsigned i = 0; i < c->target_count; i++)
        catalog_target(d, &targets[i], &d->targets[i], portals);
    d->catalog = (struct catalog){
        .portals = portals,
        .portal_count = c->portal_count,
        .targets = targets,
        .target_count = c->target_count,
        .nop_interval_ns = c->daemon.nop_interval_ns,
        .nop_timeout_ns = c->daemon.nop_timeout_ns,
    };
    return 0;
}

/* ---- watch and end ---- */

void daemon_targets_watch(struct daemon *d)
{
    uint64_t now = clock_now_ns();
    for (unsigned i = 0; i < d->config->target_count; i++)
        for (unsigned j = 0; j < d->targets[i].config->lun_count; j++)
            storage_watch(d->targets[i].luns[j].backend, now, ANSWER_LIMIT_NS);
}

bool daemon_targets_close(struct daemon *d)
{
    bool all = true;
    for (unsigned i = 0; d->targets && i < d->config->target_count; i++) {
        struct daemon_target *t = &d->targets[i];
        for (unsigned j = 0; t->luns && j < t->config->lun_count; j++) {
            struct daemon_lun *l = &t->luns[j];
            if (!l->backend)
                continue;
            if (l->unit)
                scsi_unit_quiesce(l->unit);
            if (storage_close_wait(l->backend, CLOSE_WAIT_MS) < 0) {
                log_error("daemon", "LUN does not close target=%s lun=%u", t->config->name,
                          l->config->number);
                all = false;
                continue;
            }
            l->backend = NULL;
        }
    }
    return all;
}

static bool save_lun(const struct daemon_target *t, struct daemon_lun *l)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    if (!l->backend || storage_save(l->backend, &error) == 0)
        return true;
    log_error("daemon", "LUN cannot hand its state over target=%s lun=%u error=\"%s\"",
              t->config->name, l->config->number, error.text);
    return false;
}

/* RAM LUNs hold nothing that the next worker has to get: their memory is the keeper's. */
bool daemon_targets_release(struct daemon *d)
{
    bool all = true;
    for (unsigned i = 0; i < d->config->target_count; i++)
        for (unsigned j = 0; j < d->targets[i].config->lun_count; j++) {
            struct daemon_lun *l = &d->targets[i].luns[j];
            if (l->unit)
                scsi_unit_quiesce(l->unit);
            all &= save_lun(&d->targets[i], l);
            if (l->backend && !l->backend->info.store_arena &&
                storage_close_wait(l->backend, CLOSE_WAIT_MS) < 0)
                all = false;
        }
    return all;
}

void daemon_targets_free(struct daemon *d)
{
    for (unsigned i = 0; d->targets && i < d->config->target_count; i++) {
        struct daemon_target *t = &d->targets[i];
        for (unsigned j = 0; t->luns && j < t->config->lun_count; j++)
            t->luns[j].unit = scsi_unit_free(t->luns[j].unit);
        t->scsi = scsi_target_free(t->scsi);
        g_free(t->luns);
        g_free(t->portals);
    }
    g_free(d->targets);
    for (unsigned i = 0; d->auths && i < d->config->auth_count; i++)
        plugin_authenticator_close(d->auths[i]);
    g_free(d->auths);
    for (unsigned i = 0; i < d->catalog.portal_count; i++)
        g_strfreev((char **)d->catalog.portals[i].addresses);
    g_free((void *)d->catalog.portals);
    g_free((void *)d->catalog.targets);
}
