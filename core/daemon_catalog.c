/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots: a configuration, the ways to authenticate it has, and the catalog that logins look at. There
 * is one in effect; one before it lives as long as a login that began with it.
 */
#include <string.h>

#include "base/log.h"
#include "daemon_private.h"
#include "plugin/loader.h"

/* ---- ways to authenticate ---- */

static int open_auth(struct daemon_snapshot *s, unsigned i, struct config_problems *problems)
{
    const struct config_auth *c = &s->config->auths[i];
    struct hf_error error = PLUGIN_ERROR_INIT;
    const struct plugin *plugin;
    struct plugin_config *config = NULL;
    unsigned before = config_problems_errors(problems);
    if (plugin_load(s->config->daemon.plugin_path, HF_KIND_AUTH, c->plugin, &plugin, &error) < 0)
        config_problem_error(problems, c->plugin_node, "auth %s: %s", c->name, error.text);
    else if (plugin_config_new(plugin, c->options, c->plugin_node, &config, problems) == 0 &&
             plugin_authenticator_open(plugin, config, &s->daemon->auth_services, &s->auths[i],
                                       &error) < 0)
        config_problem_error(problems, c->plugin_node, "auth %s: %s", c->name, error.text);
    return config_problems_errors(problems) > before ? -1 : 0;
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
        portals[i] = (struct catalog_portal){ p->name, p->tag, addresses, p->listen_count };
    }
    return portals;
}

static const struct catalog_portal **portals_in_catalog(const struct daemon_snapshot *s,
                                                        const struct config_portal *const *from,
                                                        unsigned count)
{
    const struct catalog_portal **to = g_new0(const struct catalog_portal *, count + 1);
    for (unsigned i = 0; i < count; i++)
        to[i] = &s->catalog.portals[from[i] - s->config->portals];
    return to;
}

static struct catalog_redirect *redirects_of(const struct daemon_snapshot *s,
                                             const struct config_target *c)
{
    struct catalog_redirect *to = g_new0(struct catalog_redirect, c->redirect_count + 1);
    for (unsigned i = 0; i < c->redirect_count; i++) {
        const struct config_redirect *r = &c->redirects[i];
        to[i] = (struct catalog_redirect){
            .initiators = r->initiators,
            .portals = portals_in_catalog(s, r->portals, r->portal_count),
            .portal_count = r->portal_count,
            .to = r->to,
            .permanent = r->permanent,
        };
    }
    return to;
}

static void catalog_target(struct daemon_snapshot *s, struct catalog_target *to,
                           const struct daemon_target *from)
{
    const struct config_target *c = from->config;
    *to = (struct catalog_target){
        .name = c->name,
        .alias = c->alias,
        .scsi = from->scsi,
        .portals = portals_in_catalog(s, c->portals, c->portal_count),
        .portal_count = c->portal_count,
        .auth = c->auth ? s->auths[c->auth - s->config->auths] : NULL,
        .initiators = c->initiators,
        .redirects = redirects_of(s, c),
        .redirect_count = c->redirect_count,
        .reject_send_targets_all = c->session.reject_send_targets_all,
        .limits = limits_of(&c->session),
        .time2wait_spread = (uint16_t)c->session.time2wait_spread,
        .window = c->session.command_window,
        .nop_interval_ns = c->session.nop_interval_ns,
        .nop_timeout_ns = c->session.nop_timeout_ns,
    };
}

static gint by_name(gconstpointer a, gconstpointer b, gpointer user)
{
    const struct catalog_target *targets = user;
    return strcmp(targets[*(const uint32_t *)a].name, targets[*(const uint32_t *)b].name);
}

static uint32_t *sorted(struct catalog_target *targets, unsigned count)
{
    uint32_t *order = g_new(uint32_t, count + 1);
    for (unsigned i = 0; i < count; i++)
        order[i] = i;
    g_qsort_with_data(order, (gint)count, sizeof(*order), by_name, targets);
    return order;
}

void daemon_snapshot_fill(struct daemon_snapshot *s, struct daemon_target *const *targets)
{
    const struct config *c = s->config;
    struct catalog_target *all = g_new0(struct catalog_target, c->target_count + 1);
    s->catalog.portals = portals_of(c);
    s->catalog.portal_count = c->portal_count;
    s->targets = g_new0(struct daemon_target *, c->target_count + 1);
    for (unsigned i = 0; i < c->target_count; i++) {
        catalog_target(s, &all[i], targets[i]);
        s->targets[i] = targets[i];
        daemon_target_ref(targets[i]);
    }
    s->catalog.targets = all;
    s->catalog.by_name = sorted(all, c->target_count);
    s->catalog.target_count = c->target_count;
    s->catalog.discovery_initiators = c->discovery.initiators;
    s->catalog.discovery_auth = c->discovery.auth ? s->auths[c->discovery.auth - c->auths] : NULL;
    s->catalog.nop_interval_ns = c->daemon.nop_interval_ns;
    s->catalog.nop_timeout_ns = c->daemon.nop_timeout_ns;
}

/* ---- life ---- */

static void unused_run(struct daemon *d, struct daemon_note *note)
{
    daemon_snapshot_free(container_of(note, struct daemon_snapshot, note));
}

/* Any thread. */
static void unused(struct catalog *catalog)
{
    struct daemon_snapshot *s = container_of(catalog, struct daemon_snapshot, catalog);
    s->note.run = unused_run;
    daemon_note(s->daemon, &s->note);
}

int daemon_snapshot_new(struct daemon *d, struct config *config,
                        struct daemon_snapshot **ret_snapshot, struct config_problems *problems)
{
    struct daemon_snapshot *s = g_new0(struct daemon_snapshot, 1);
    int r = 0;
    s->daemon = d;
    s->config = config;
    s->catalog.unused = unused;
    s->auths = g_new0(struct iscsi_authenticator *, config->auth_count + 1);
    s->auth_count = config->auth_count;
    for (unsigned i = 0; i < config->auth_count; i++)
        if (open_auth(s, i, problems) < 0)
            r = -1;
    if (r < 0) {
        s->config = NULL; /* the caller's */
        daemon_snapshot_free(s);
        return r;
    }
    *ret_snapshot = s;
    return 0;
}

struct daemon_snapshot *daemon_snapshot_free(struct daemon_snapshot *s)
{
    if (!s)
        return NULL;
    for (unsigned i = 0; i < s->auth_count; i++)
        plugin_authenticator_close(s->auths[i]);
    g_free(s->auths);
    for (unsigned i = 0; i < s->catalog.portal_count; i++)
        g_strfreev((char **)s->catalog.portals[i].addresses);
    for (unsigned i = 0; i < s->catalog.target_count; i++) {
        const struct catalog_target *t = &s->catalog.targets[i];
        for (unsigned j = 0; j < t->redirect_count; j++)
            g_free((void *)t->redirects[j].portals);
        g_free((void *)t->redirects);
        g_free((void *)t->portals);
        daemon_target_unref(s->targets[i]);
    }
    g_free(s->targets);
    g_free((void *)s->catalog.portals);
    g_free((void *)s->catalog.targets);
    g_free((void *)s->catalog.by_name);
    config_free(s->config);
    g_free(s);
    return NULL;
}
