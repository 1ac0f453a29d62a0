/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of a configuration must agree on, once each has been read. */
#include <string.h>

#include "config/model_private.h"

static unsigned port_of(const struct address *a)
{
    return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

static char *address_key(const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    unsigned scope = a->any.sa_family == AF_INET6 ? a->v6.sin6_scope_id : 0;
    return g_strdup_printf("%s %u", address_format(a, text), scope);
}

/* All addresses of one family and port: what a wildcard listens on. */
static char *wildcard_key(const struct address *a)
{
    return g_strdup_printf("%s %u", a->any.sa_family == AF_INET ? "v4" : "v6", port_of(a));
}

struct listeners {
    GHashTable *addresses; /* address_key -> node */
    GHashTable *wildcards; /* wildcard_key -> node */
    struct config_problems *problems;
};

static void note_listen(struct listeners *s, const struct config_listen *l)
{
    char *key = address_key(&l->address);
    const struct config_node *first = g_hash_table_lookup(s->addresses, key);
    if (first) {
        config_problem_error(s->problems, l->node,
                             "listen: '%s' is listened on already at line %u column %u",
                             l->node->text, config_node_line(first), first->column);
        g_free(key);
        return;
    }
    g_hash_table_insert(s->addresses, key, (gpointer)l->node);
    if (address_is_wildcard(&l->address))
        g_hash_table_insert(s->wildcards, wildcard_key(&l->address), (gpointer)l->node);
}

static void check_wildcard(struct listeners *s, const struct config_listen *l)
{
    g_autofree char *key = wildcard_key(&l->address);
    const struct config_node *all = g_hash_table_lookup(s->wildcards, key);
    if (all && all != l->node && !address_is_wildcard(&l->address))
        config_problem_error(s->problems, l->node,
                             "listen: '%s' is part of '%s' at line %u column %u", l->node->text,
                             all->text, config_node_line(all), all->column);
}

/* 0.0.0.0 and [::] do not collide: an IPv6 socket is bound for IPv6 alone. */
static void check_listen(const struct config *config, struct config_problems *problems)
{
    struct listeners s = {
        .addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .wildcards = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .problems = problems,
    };
    for (unsigned i = 0; i < config->portal_count; i++)
        for (unsigned j = 0; j < config->portals[i].listen_count; j++)
            note_listen(&s, &config->portals[i].listen[j]);
    for (unsigned i = 0; i < config->portal_count; i++)
        for (unsigned j = 0; j < config->portals[i].listen_count; j++)
            check_wildcard(&s, &config->portals[i].listen[j]);
    g_hash_table_unref(s.addresses);
    g_hash_table_unref(s.wildcards);
}

/* RFC 7143 13.14: FirstBurstLength must not exceed MaxBurstLength. */
static void check_bursts(const struct config_session *s, struct config_problems *problems)
{
    if (s->first_burst_length <= s->max_burst_length)
        return;
    g_autofree char *first = config_format_size(s->first_burst_length);
    g_autofree char *max = config_format_size(s->max_burst_length);
    config_problem_error(problems, s->first_burst_node ? s->first_burst_node : s->max_burst_node,
                         "first-burst-length (%s) must not be larger than max-burst-length (%s)",
                         first, max);
}

/*
 * Initiators take two LUNs of one identity for two ways to one disk. That may be meant (the same
 * file behind two targets), so it is only a warning.
 */
static void check_identity(GHashTable *seen, const char *what, const struct config_node *node,
                           struct config_problems *problems)
{
    if (!node || node->type != CONFIG_SCALAR)
        return;
    char *key = g_strdup_printf("%s %s", what, node->text);
    const struct config_node *first = g_hash_table_lookup(seen, key);
    if (!first) {
        g_hash_table_insert(seen, key, (gpointer)node);
        return;
    }
    config_problem_warning(problems, node,
                           "%s '%s' is used already at line %u column %u; initiators will take "
                           "both LUNs for one disk",
                           what, node->text, config_node_line(first), first->column);
    g_free(key);
}

static bool has_tag(const struct config_target *t, unsigned before, unsigned tag)
{
    for (unsigned i = 0; i < before; i++)
        if (t->portals[i]->tag == tag)
            return true;
    return false;
}

static void check_counts(const struct config_target *t, struct config_problems *problems)
{
    unsigned tags = 0;
    for (unsigned i = 0; i < t->portal_count; i++)
        tags += !has_tag(t, i, t->portals[i]->tag);
    if (tags > CONFIG_TAGS_MAX)
        config_problem_error(problems, t->key_node,
                             "target '%s': its portals have %u different tags, at most %d can be",
                             t->key_node->text, tags, CONFIG_TAGS_MAX);
    if (t->lun_count > CONFIG_LUNS_MAX)
        config_problem_error(problems, t->luns[CONFIG_LUNS_MAX].key_node,
                             "target '%s': has %u LUNs, at most %d can be", t->key_node->text,
                             t->lun_count, CONFIG_LUNS_MAX);
}

static void check_target(const struct config_target *t, GHashTable *seen,
                         const struct config *config, struct config_problems *problems)
{
    const struct config_node *portals = config_node_get(config->root, "portals");
    if (config->portal_count == 0 && (!portals || config_node_is_null(portals) ||
                                      (portals->type == CONFIG_MAPPING && portals->count == 0)))
        config_problem_error(problems, t->key_node,
                             "target '%s' cannot be reached: there are no portals",
                             t->key_node->text);
    check_bursts(&t->session, problems);
    check_counts(t, problems);
    for (unsigned i = 0; i < t->lun_count; i++) {
        check_identity(seen, "serial", t->luns[i].serial_node, problems);
        check_identity(seen, "naa", t->luns[i].naa_node, problems);
        check_identity(seen, "eui", t->luns[i].eui_node, problems);
    }
}

void config_check_target(const struct config_target *target, const struct config *config,
                         struct config_problems *problems)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    check_target(target, seen, config, problems);
}

void config_check(const struct config *config, struct config_problems *problems)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    check_listen(config, problems);
    for (unsigned i = 0; i < config->target_count; i++)
        check_target(config->targets[i], seen, config, problems);
}
