/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots: a configuration, the ways to authenticate it has, and the catalog that logins look at. There
 * is one in effect; one before it lives as long as a login that began with it.
 *
 * A file that is read as a whole makes an edition with one snapshot. When one target changes, another snapshot of
 * the same edition follows: it has all but one entry of the one before. An entry that it has no more belongs to the
 * one before, and goes when neither that one nor any older one is looked at any more. The rest goes with the edition.
 */
#include <string.h>

#include "base/log.h"
#include "daemon_private.h"
#include "plugin/loader.h"

/* A target in catalogs, which holds a reference. */
struct daemon_entry {
    struct catalog_target target; /* first */
    struct daemon_target *of;
};

struct daemon_edition {
    struct config *config;              /* its own */
    struct iscsi_authenticator **auths; /* as config->auths */
    unsigned auth_count;
    struct catalog_portal *portals;
    unsigned portal_count;
    struct list snapshots;
};

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
             plugin_authenticator_open(plugin, config, &s->daemon->auth_services,
                                       &s->edition->auths[i], &error) < 0)
        config_problem_error(problems, c->plugin_node, "auth %s: %s", c->name, error.text);
    return config_problems_errors(problems) > before ? -1 : 0;
}

const struct plugin_config *daemon_auth_in_effect(void *user, const struct config_auth *auth)
{
    const struct daemon_snapshot *s = ((struct daemon *)user)->snapshot;
    return plugin_authenticator_config(s->edition->auths[auth - s->config->auths]);
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

static struct daemon_entry *entry_new(const struct daemon_snapshot *s, struct daemon_target *from)
{
    const struct config_target *c = from->config;
    struct daemon_entry *e = g_new0(struct daemon_entry, 1);
    e->of = from;
    daemon_target_ref(from);
    e->target = (struct catalog_target){
        .name = c->name,
        .alias = c->alias,
        .scsi = from->scsi,
        .portals = portals_in_catalog(s, c->portals, c->portal_count),
        .portal_count = c->portal_count,
        .auth = c->auth ? s->edition->auths[c->auth - s->config->auths] : NULL,
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
    return e;
}

static void entry_free(struct daemon_entry *e)
{
    if (!e)
        return;
    for (unsigned j = 0; j < e->target.redirect_count; j++)
        g_free((void *)e->target.redirects[j].portals);
    g_free((void *)e->target.redirects);
    g_free((void *)e->target.portals);
    daemon_target_unref(e->of);
    g_free(e);
}

static int by_name(const void *a, const void *b)
{
    const struct catalog_target *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

typedef const struct catalog_target *entry_ptr;

static entry_ptr *sorted(const entry_ptr *targets, unsigned count)
{
    entry_ptr *order = g_new(entry_ptr, count + 1);
    memcpy(order, targets, count * sizeof(*order));
    qsort(order, count, sizeof(*order), by_name);
    return order;
}

/* All but the targets. */
static void fill_rest(struct daemon_snapshot *s)
{
    const struct config *c = s->config;
    struct daemon_edition *e = s->edition;
    s->catalog.portals = e->portals;
    s->catalog.portal_count = e->portal_count;
    s->catalog.discovery_initiators = c->discovery.initiators;
    s->catalog.discovery_auth = c->discovery.auth ? e->auths[c->discovery.auth - c->auths] : NULL;
    s->catalog.nop_interval_ns = c->daemon.nop_interval_ns;
    s->catalog.nop_timeout_ns = c->daemon.nop_timeout_ns;
}

void daemon_snapshot_fill(struct daemon_snapshot *s, struct daemon_target *const *targets)
{
    const struct config *c = s->config;
    entry_ptr *all = g_new0(entry_ptr, c->target_count + 1);
    s->edition->portals = portals_of(c);
    s->edition->portal_count = c->portal_count;
    fill_rest(s);
    for (unsigned i = 0; i < c->target_count; i++)
        all[i] = &entry_new(s, targets[i])->target;
    s->catalog.targets = all;
    s->catalog.by_name = sorted(all, c->target_count);
    s->catalog.target_count = c->target_count;
}

/* The list with `old` (NULL: none) at `at` replaced by `new` (NULL: none). */
static entry_ptr *list_with(const entry_ptr *list, unsigned count, unsigned at, entry_ptr old,
                            entry_ptr new)
{
    unsigned skip = old ? 1 : 0, put = new ? 1 : 0;
    entry_ptr *copy = g_new(entry_ptr, count + 2);
    memcpy(copy, list, at * sizeof(*copy));
    if (new)
        copy[at] = new;
    memcpy(copy + at + put, list + at + skip, (count - at - skip) * sizeof(*copy));
    return copy;
}

/* The first that is not before this name. */
static unsigned name_at(const struct catalog *c, const char *name)
{
    unsigned low = 0, high = c->target_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (strcmp(c->by_name[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct daemon_snapshot *snapshot_of(struct daemon *d, struct daemon_edition *e);

struct daemon_snapshot *daemon_snapshot_revise(struct daemon_snapshot *before,
                                               struct config_revision *revision,
                                               struct daemon_target *t)
{
    struct daemon_snapshot *s = snapshot_of(before->daemon, before->edition);
    const struct catalog *c = &before->catalog;
    bool had = config_revision_old(revision) != NULL;
    unsigned at = config_revision_index(revision);
    fill_rest(s); /* which entries point to */
    entry_ptr old = had ? c->targets[at] : NULL, new = t ? &entry_new(s, t)->target : NULL;
    const char *name = old ? old->name : new->name;
    s->catalog.targets = list_with(c->targets, c->target_count, at, old, new);
    s->catalog.by_name = list_with(c->by_name, c->target_count, name_at(c, name), old, new);
    s->catalog.target_count = s->config->target_count;
    before->gone = (struct daemon_entry *)old;
    before->revision = revision;
    return s;
}

/* ---- life ---- */

static void edition_free(struct daemon_edition *e)
{
    for (unsigned i = 0; i < e->auth_count; i++)
        plugin_authenticator_close(e->auths[i]);
    g_free(e->auths);
    for (unsigned i = 0; i < e->portal_count; i++)
        g_strfreev((char **)e->portals[i].addresses);
    g_free(e->portals);
    config_free(e->config);
    g_free(e);
}

/* With what only it and older ones had. */
static void snapshot_free(struct daemon_snapshot *s)
{
    list_remove(&s->link);
    entry_free(s->gone);
    config_revision_free(s->revision);
    g_free((void *)s->catalog.targets);
    g_free((void *)s->catalog.by_name);
    g_free(s);
}

/* The last one that goes takes the edition along. */
static void last_free(struct daemon_snapshot *s)
{
    struct daemon_edition *e = s->edition;
    for (unsigned i = 0; i < s->catalog.target_count; i++)
        entry_free((struct daemon_entry *)s->catalog.targets[i]);
    snapshot_free(s);
    edition_free(e);
}

struct daemon_snapshot *daemon_snapshot_free(struct daemon_snapshot *s)
{
    struct list *all = s ? &s->edition->snapshots : NULL;
    if (!s)
        return NULL;
    s->unused = true;
    while ((s = list_entry(all->next, struct daemon_snapshot, link))->unused) {
        bool last = all->next == all->prev;
        if (last) {
            last_free(s);
            break;
        }
        snapshot_free(s);
    }
    return NULL;
}

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

static struct daemon_snapshot *snapshot_of(struct daemon *d, struct daemon_edition *e)
{
    struct daemon_snapshot *s = g_new0(struct daemon_snapshot, 1);
    s->daemon = d;
    s->edition = e;
    s->config = e->config;
    s->catalog.unused = unused;
    list_append(&e->snapshots, &s->link);
    return s;
}

int daemon_snapshot_new(struct daemon *d, struct config *config,
                        struct daemon_snapshot **ret_snapshot, struct config_problems *problems)
{
    struct daemon_edition *e = g_new0(struct daemon_edition, 1);
    int r = 0;
    list_init(&e->snapshots);
    e->config = config;
    e->auths = g_new0(struct iscsi_authenticator *, config->auth_count + 1);
    e->auth_count = config->auth_count;
    struct daemon_snapshot *s = snapshot_of(d, e);
    for (unsigned i = 0; i < config->auth_count; i++)
        if (open_auth(s, i, problems) < 0)
            r = -1;
    if (r < 0) {
        e->config = NULL; /* the caller's */
        daemon_snapshot_free(s);
        return r;
    }
    *ret_snapshot = s;
    return 0;
}
