/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets: name, portals, authentication, who may log in, limits of the session. */
#include <string.h>

#include "base/clock.h"
#include "base/initiators.h"
#include "config/model_private.h"

#define AT(type, member) offsetof(struct type, member)
#define LENGTH_24BIT     ((1u << 24) - 1) /* RFC 7143 13: largest of the length keys */
#define RFC_SECONDS_MAX  (3600 * NS_PER_S)

static void read_digests(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader)
{
    static const char *const words[] = { "none", "crc32c", NULL };
    unsigned *set = (unsigned *)((char *)object + field->offset);
    const struct config_node **items;
    if (!node) {
        *set = CONFIG_DIGEST_NONE | CONFIG_DIGEST_CRC32C;
        return;
    }
    unsigned count = config_read_words(node, field->key, &items, reader);
    for (unsigned i = 0; i < count; i++) {
        unsigned index;
        if (config_read_choice(items[i], field->key, words, &index, reader->problems) == 0)
            *set |= 1u << index; /* CONFIG_DIGEST_* */
    }
}

static void read_send_targets_all(const struct config_node *node, const struct config_field *field,
                                  void *object, struct config_reader *reader)
{
    static const char *const words[] = { "own", "reject", NULL };
    struct config_session *s = object;
    unsigned index = 0;
    if (node)
        config_read_choice(node, field->key, words, &index, reader->problems);
    s->reject_send_targets_all = index == 1;
}

static const struct config_field session_fields[] = {
    { "max-connections", FIELD_UNSIGNED, AT(config_session, max_connections), 1, 8, "1" },
    { "first-burst-length", FIELD_SIZE32, AT(config_session, first_burst_length), 512, LENGTH_24BIT,
      "256K", .node_offset = AT(config_session, first_burst_node) },
    { "max-burst-length", FIELD_SIZE32, AT(config_session, max_burst_length), 512, LENGTH_24BIT,
      "1M", .node_offset = AT(config_session, max_burst_node) },
    { "max-recv-data-segment-length", FIELD_SIZE32,
      AT(config_session, max_recv_data_segment_length), 512, LENGTH_24BIT, "256K" },
    { "max-outstanding-r2t", FIELD_UNSIGNED, AT(config_session, max_outstanding_r2t), 1, 64, "8" },
    { "initial-r2t", FIELD_BOOL, AT(config_session, initial_r2t), 0, 0, "no" },
    { "immediate-data", FIELD_BOOL, AT(config_session, immediate_data), 0, 0, "yes" },
    { "header-digest", FIELD_CUSTOM, AT(config_session, header_digest), .read = read_digests },
    { "data-digest", FIELD_CUSTOM, AT(config_session, data_digest), .read = read_digests },
    { "default-time2wait", FIELD_SECONDS, AT(config_session, default_time2wait), 0, RFC_SECONDS_MAX,
      "2s" },
    { "time2wait-spread", FIELD_SECONDS, AT(config_session, time2wait_spread), 0, RFC_SECONDS_MAX,
      "2s" },
    { "default-time2retain", FIELD_SECONDS, AT(config_session, default_time2retain), 0,
      RFC_SECONDS_MAX, "20s" },
    { "command-window", FIELD_UNSIGNED, AT(config_session, command_window), 1, 1024, "128" },
    { "send-targets-all", FIELD_CUSTOM, .read = read_send_targets_all },
    /* Without a default here: read_session() starts from the daemon's. */
    { "nop-interval", FIELD_INTERVAL, AT(config_session, nop_interval_ns), NS_PER_S,
      3600 * NS_PER_S },
    { "nop-timeout", FIELD_DURATION, AT(config_session, nop_timeout_ns), NS_PER_S,
      3600 * NS_PER_S },
    { NULL },
};
const struct config_schema config_session_schema = { "session", session_fields };

static void read_session(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader)
{
    struct config_session *s = &((struct config_target *)object)->session;
    s->node = node;
    s->nop_interval_ns = reader->config->daemon.nop_interval_ns;
    s->nop_timeout_ns = reader->config->daemon.nop_timeout_ns;
    config_schema_read(&config_session_schema, node, field->key, s, reader);
}

const char **config_portal_names(const struct config *config)
{
    const char **names = g_new0(const char *, config->portal_count + 1);
    for (unsigned i = 0; i < config->portal_count; i++)
        names[i] = config->portals[i].name;
    return names;
}

const char **config_auth_names(const struct config *config)
{
    const char **names = g_new0(const char *, config->auth_count + 2);
    for (unsigned i = 0; i < config->auth_count; i++)
        names[i] = config->auths[i].name;
    names[config->auth_count] = "none";
    return names;
}

static const struct config_portal *find_portal(const struct config_node *node, const char *key,
                                               struct config_reader *reader)
{
    const struct config *config = reader->config;
    for (unsigned i = 0; i < config->portal_count; i++)
        if (strcmp(config->portals[i].name, node->text) == 0)
            return &config->portals[i];
    g_autofree const char **names = config_portal_names(config);
    g_autofree char *hint = config_did_you_mean(node->text, names);
    config_problem_error(reader->problems, node, "%s: there is no portal '%s'%s", key, node->text,
                         hint);
    return NULL;
}

static bool has_portal(const struct config_portal *const *portals, unsigned count,
                       const struct config_portal *portal)
{
    for (unsigned i = 0; i < count; i++)
        if (portals[i] == portal)
            return true;
    return false;
}

void config_read_portal_list(const struct config_node *node, const char *key,
                             const struct config_portal ***ret_portals, unsigned *ret_count,
                             struct config_reader *reader)
{
    const struct config_node **items;
    unsigned count = config_read_words(node, key, &items, reader), used = 0;
    const struct config_portal **portals = config_alloc(reader, (count + 1) * sizeof(*portals));
    for (unsigned i = 0; i < count; i++) {
        const struct config_portal *portal = find_portal(items[i], key, reader);
        if (has_portal(portals, used, portal))
            config_problem_error(reader->problems, items[i], "%s: '%s' stands here twice", key,
                                 portal->name);
        else if (portal)
            portals[used++] = portal;
    }
    *ret_portals = portals;
    *ret_count = used;
}

static void read_target_portals(const struct config_node *node, const struct config_field *field,
                                void *object, struct config_reader *reader)
{
    struct config_target *t = object;
    const struct config *config = reader->config;
    if (node) {
        config_read_portal_list(node, field->key, &t->portals, &t->portal_count, reader);
        return;
    }
    t->portals = config_alloc(reader, (config->portal_count + 1) * sizeof(*t->portals));
    for (unsigned i = 0; i < config->portal_count; i++) /* all of them */
        t->portals[t->portal_count++] = &config->portals[i];
}

const struct config_auth *config_find_auth(const struct config_node *node, const char *key,
                                           struct config_reader *reader)
{
    const struct config *config = reader->config;
    const char *name;
    if (config_read_string(node, key, &name, reader->problems) < 0 || strcmp(name, "none") == 0)
        return NULL;
    for (unsigned i = 0; i < config->auth_count; i++)
        if (strcmp(config->auths[i].name, name) == 0)
            return &config->auths[i];
    g_autofree const char **names = config_auth_names(config);
    g_autofree char *hint = config_did_you_mean(name, names);
    config_problem_error(reader->problems, node, "%s: there is no auth '%s'%s", key, name, hint);
    return NULL;
}

static void read_target_auth(const struct config_node *node, const struct config_field *field,
                             void *object, struct config_reader *reader)
{
    struct config_target *t = object;
    if (node)
        t->auth = config_find_auth(node, field->key, reader);
}

void config_read_initiators(const struct config_node *node, const struct config_field *field,
                            void *object, struct config_reader *reader)
{
    const char *const **to = (const char *const **)((char *)object + field->offset);
    const struct config_node **items;
    if (!node)
        return;
    unsigned count = config_read_words(node, field->key, &items, reader);
    const char **patterns = config_alloc(reader, (count + 1) * sizeof(*patterns));
    for (unsigned i = 0; i < count; i++) {
        /* Names are compared in their normal form, which has no upper case. */
        g_autofree char *lower = g_utf8_strdown(items[i]->text, -1);
        patterns[i] = config_keep(reader, lower);
        if (initiators_check(lower) < 0)
            config_problem_error(reader->problems, items[i],
                                 "%s: '%s' is no network (192.0.2.0/24, 2001:db8::/32) and no "
                                 "pattern of names",
                                 field->key, items[i]->text);
        else if (strlen(lower) > ISCSI_NAME_MAX)
            config_problem_error(reader->problems, items[i],
                                 "%s: the pattern is longer than any name (%d bytes)", field->key,
                                 ISCSI_NAME_MAX);
    }
    *to = patterns;
}

static const struct config_field target_fields[] = {
    { "alias", FIELD_TEXT, AT(config_target, alias), 0, 255 },
    { "portals", FIELD_CUSTOM, .read = read_target_portals },
    { "auth", FIELD_CUSTOM, .read = read_target_auth },
    { "initiators", FIELD_CUSTOM, AT(config_target, initiators), .read = config_read_initiators },
    { "redirect", FIELD_CUSTOM, .read = config_read_redirects },
    { "session", FIELD_CUSTOM, .read = read_session },
    { "luns", FIELD_CUSTOM, .read = config_read_luns },
    { "views", FIELD_CUSTOM, .read = config_read_views },
    { NULL },
};
const struct config_schema config_target_schema = { "target", target_fields };

struct config_target *config_read_target(const struct config_entry *entry,
                                         struct config_reader *reader)
{
    struct config_target *t = config_alloc(reader, sizeof(*t));
    char name[ISCSI_NAME_MAX + 1];
    const char *problem;
    t->key_node = entry->key;
    t->node = entry->value;
    t->name = t->key_node->text;
    if (iscsi_name_normalise(t->name, name, &problem) < 0)
        config_problem_error(reader->problems, t->key_node, "target name '%s': %s", t->name,
                             problem);
    else
        t->name = config_keep(reader, name);
    config_schema_read(&config_target_schema, t->node, "target", t, reader);
    return t;
}

/* "IQN.x" and "iqn.x" are different keys and the same target. */
static void check_name(GHashTable *seen, const struct config_target *t,
                       struct config_problems *problems)
{
    const struct config_target *first = g_hash_table_lookup(seen, t->name);
    if (first)
        config_problem_error(problems, t->key_node,
                             "'%s' is the same target as at line %u column %u", t->key_node->text,
                             config_node_line(first->key_node), first->key_node->column);
    else
        g_hash_table_insert(seen, (gpointer)t->name, (gpointer)t);
}

void config_read_targets(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader)
{
    struct config *config = object;
    if (!node || config_node_is_null(node) ||
        config_read_type(node, field->key, CONFIG_MAPPING, reader->problems) < 0)
        return;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    config->targets = g_new0(struct config_target *, node->count + 1);
    config->target_count = node->count;
    for (unsigned i = 0; i < node->count; i++) {
        struct config_target *t = config_read_target(&node->entries[i], reader);
        check_name(seen, t, reader->problems);
        config->targets[i] = t;
    }
}
