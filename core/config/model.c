/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tree -> configuration: the top of the file, daemon, portals, fence and auth. Targets and LUNs are
 * in model_target.c and model_lun.c, what holds between parts is in check.c.
 */
#include "config/model.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "config/model_private.h"

#define AT(type, member) offsetof(struct type, member)
#define GIB              (1ull << 30)
#define MIB              (1ull << 20)

static void read_version(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader)
{
    uint64_t version;
    if (!node)
        config_problem_error(reader->problems, reader->config->root,
                             "the key 'version' is missing (version: 1)");
    else if (config_read_unsigned(node, field->key, 0, UINT32_MAX, &version, reader->problems) ==
                 0 &&
             version != 1)
        config_problem_error(reader->problems, node,
                             "version: %u is not known; this program reads version 1",
                             (unsigned)version);
}

static void read_reactors(const struct config_node *node, const struct config_field *field,
                          void *object, struct config_reader *reader)
{
    struct config_daemon *daemon = object;
    uint64_t count = 0;
    if (node && !(node->type == CONFIG_SCALAR && strcmp(node->text, "auto") == 0))
        config_read_unsigned(node, field->key, field->min, field->max, &count, reader->problems);
    daemon->reactors = (unsigned)count;
}

static void read_log_level(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader)
{
    static const char *const words[] = { "error", "warning", "notice", "info", "debug", NULL };
    static const enum log_level levels[] = { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE,
                                             LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
    struct config_daemon *daemon = object;
    unsigned index;
    daemon->log_level = LOG_LEVEL_INFO;
    if (node && config_read_choice(node, field->key, words, &index, reader->problems) == 0)
        daemon->log_level = levels[index];
}

static void read_plugin_path(const struct config_node *node, const struct config_field *field,
                             void *object, struct config_reader *reader)
{
    struct config_daemon *daemon = object;
    const struct config_node **items = NULL;
    unsigned count = 0, kept = 0;
    if (node && !(node->type == CONFIG_SEQUENCE && node->count == 0))
        count = config_read_words(node, field->key, &items, reader);
    const char **paths = config_alloc(reader, (count + 1) * sizeof(*paths));
    for (unsigned i = 0; i < count; i++)
        if (config_read_path(items[i], field->key, &paths[kept], reader->problems) == 0)
            kept++;
    daemon->plugin_path = paths;
}

static bool has_port(const char *text)
{
    const char *bracket = strchr(text, ']');
    return strchr(bracket ? bracket : text, ':') != NULL;
}

/* Metrics are for whoever can ask on this machine; there is no other protection. */
static void read_metrics_listen(const struct config_node *node, const struct config_field *field,
                                void *object, struct config_reader *reader)
{
    struct config_daemon *daemon = object;
    struct address address;
    const char *text;
    if (!node || config_read_string(node, field->key, &text, reader->problems) < 0)
        return;
    if (address_parse(text, &address) < 0 || !address_is_loopback(&address) || !has_port(text))
        config_problem_error(reader->problems, node,
                             "%s: '%s' is not a loopback address with a port (127.0.0.1:9464, "
                             "[::1]:9464)",
                             field->key, text);
    else
        daemon->metrics_listen = address;
}

static void read_drain(const struct config_node *node, const struct config_field *field,
                       void *object, struct config_reader *reader)
{
    struct config_daemon *daemon = object;
    const char *text;
    if (!node || config_read_string(node, field->key, &text, reader->problems) < 0 ||
        strcmp(text, "refuse") == 0)
        return;
    daemon->drain_force = strcmp(text, "force") == 0;
    if (!daemon->drain_force && (config_text_duration(text, &daemon->drain_ns) < 0 ||
                                 daemon->drain_ns < field->min || daemon->drain_ns > field->max))
        config_problem_error(reader->problems, node,
                             "%s: must be 'refuse', 'force' or a time from 1s to 1h", field->key);
}

static const struct config_field daemon_fields[] = {
    { "reactors", FIELD_CUSTOM, .min = 1, .max = CONFIG_REACTORS_MAX, .read = read_reactors },
    { "busy-poll", FIELD_DURATION, AT(config_daemon, busy_poll_ns), 0, NS_PER_MS, "0" },
    { "state-directory", FIELD_PATH, AT(config_daemon, state_directory), 0, 4000,
      "/var/lib/holdfast" },
    { "control-socket", FIELD_PATH, AT(config_daemon, control_socket), 0,
      sizeof(((struct sockaddr_un *)0)->sun_path) - 1, "/run/holdfast/control.sock" },
    { "drain", FIELD_CUSTOM, .min = NS_PER_S, .max = 3600 * NS_PER_S, .read = read_drain },
    { "metrics-listen", FIELD_CUSTOM, .read = read_metrics_listen },
    { "metrics-sessions", FIELD_BOOL, AT(config_daemon, metrics_sessions), .fallback = "yes" },
    { "plugin-path", FIELD_CUSTOM, .read = read_plugin_path },
    { "user", FIELD_ASCII, AT(config_daemon, user), 0, 255,
      .node_offset = offsetof(struct config_daemon, user_node) },
    { "sandbox", FIELD_BOOL, AT(config_daemon, sandbox), .fallback = "yes" },
    { "spare-worker", FIELD_BOOL, AT(config_daemon, spare_worker), .fallback = "yes" },
    { "log-level", FIELD_CUSTOM, .read = read_log_level },
    { "login-timeout", FIELD_DURATION, AT(config_daemon, login_timeout_ns), NS_PER_S,
      600 * NS_PER_S, "15s" },
    { "max-connections", FIELD_UNSIGNED, AT(config_daemon, max_connections), 1, 65536, "16384" },
    { "max-connections-per-address", FIELD_UNSIGNED, AT(config_daemon, max_connections_per_address),
      0, 65536, "4096" },
    { "max-logins", FIELD_UNSIGNED, AT(config_daemon, max_logins), 1, 65536, "8192" },
    { "login-concurrency", FIELD_UNSIGNED, AT(config_daemon, login_concurrency), 1, 65536, "512" },
    { "listen-backlog", FIELD_UNSIGNED, AT(config_daemon, listen_backlog), 1, 65535, "4096" },
    { "socket-receive-buffer", FIELD_SIZE32, AT(config_daemon, socket_receive_buffer), 0, GIB,
      "0" },
    { "socket-send-buffer", FIELD_SIZE32, AT(config_daemon, socket_send_buffer), 0, GIB, "0" },
    { "buffer-memory", FIELD_SIZE, AT(config_daemon, buffer_memory_bytes), 16 * MIB, 64 * GIB,
      "64M" },
    { "nop-interval", FIELD_INTERVAL, AT(config_daemon, nop_interval_ns), NS_PER_S, 3600 * NS_PER_S,
      "15s" },
    { "nop-timeout", FIELD_DURATION, AT(config_daemon, nop_timeout_ns), NS_PER_S, 3600 * NS_PER_S,
      "15s" },
    { "watchdog", FIELD_INTERVAL, AT(config_daemon, watchdog_ns), NS_PER_S / 2, 600 * NS_PER_S,
      "2s" },
    { NULL },
};
static const struct config_schema daemon_schema = { "daemon", daemon_fields };

static void read_daemon(const struct config_node *node, const struct config_field *field,
                        void *object, struct config_reader *reader)
{
    struct config *config = object;
    config->daemon.node = node;
    config_schema_read(&daemon_schema, node, field->key, &config->daemon, reader);
}

static void read_listen(const struct config_node *node, const struct config_field *field,
                        void *object, struct config_reader *reader)
{
    struct config_portal *portal = object;
    const struct config_node **items;
    unsigned count = config_read_words(node, field->key, &items, reader);
    if (count > CONFIG_LISTEN_MAX) {
        config_problem_error(reader->problems, node, "%s: more than %d addresses", field->key,
                             CONFIG_LISTEN_MAX);
        count = 0;
    }
    portal->listen = config_alloc(reader, count * sizeof(*portal->listen));
    for (unsigned i = 0; i < count; i++) {
        struct config_listen *l = &portal->listen[portal->listen_count];
        l->node = items[i];
        if (address_parse(items[i]->text, &l->address) < 0)
            config_problem_error(reader->problems, items[i],
                                 "%s: '%s' is not an address (192.0.2.1:3260, [2001:db8::1]:3260)",
                                 field->key, items[i]->text);
        else
            portal->listen_count++;
    }
}

static void read_tag(const struct config_node *node, const struct config_field *field, void *object,
                     struct config_reader *reader)
{
    struct config_portal *portal = object;
    uint64_t tag = 1;
    if (node)
        config_read_unsigned(node, field->key, field->min, field->max, &tag, reader->problems);
    portal->tag = (uint16_t)tag;
}

static void read_access_state(const struct config_node *node, const struct config_field *field,
                              void *object, struct config_reader *reader)
{
    static const char *const words[] = { "active-optimized", "active-non-optimized", "standby",
                                         "unavailable", NULL };
    struct config_portal *portal = object;
    unsigned index = 0;
    if (node && config_read_choice(node, field->key, words, &index, reader->problems) == 0)
        portal->access_state = index;
}

static const struct config_field portal_fields[] = {
    { "listen", FIELD_CUSTOM, .read = read_listen, .required = true },
    { "tag", FIELD_CUSTOM, .min = 1, .max = 65535, .read = read_tag },
    { "access-state", FIELD_CUSTOM, .read = read_access_state },
    { NULL },
};
static const struct config_schema portal_schema = { "portal", portal_fields };

/* Reports a name that could not be referred to or shown. */
static void check_name(const struct config_node *key, struct config_problems *problems)
{
    if (!config_is_name(key->text, /* dots= */ true))
        config_problem_error(problems, key,
                             "'%s' is no name (letters, digits, '-', '_' and '.', at most 63)",
                             key->text);
}

/* An optional mapping of named things; NULL when it is left out or something else. */
static const struct config_node *named_things(const struct config_node *node, const char *key,
                                              struct config_problems *problems)
{
    if (!node || config_node_is_null(node) ||
        config_read_type(node, key, CONFIG_MAPPING, problems) < 0)
        return NULL;
    return node;
}

static void read_portals(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader)
{
    struct config *config = object;
    node = named_things(node, field->key, reader->problems);
    if (!node)
        return;
    if (node->count > CONFIG_PORTALS_MAX) {
        config_problem_error(reader->problems, node, "%s: more than %d", field->key,
                             CONFIG_PORTALS_MAX);
        return;
    }
    config->portals = config_alloc(reader, node->count * sizeof(*config->portals));
    config->portal_count = node->count;
    for (unsigned i = 0; i < node->count; i++) {
        struct config_portal *p = &config->portals[i];
        p->node = node->entries[i].value;
        p->name = node->entries[i].key->text;
        check_name(node->entries[i].key, reader->problems);
        config_schema_read(&portal_schema, p->node, p->name, p, reader);
    }
}

static const struct config_field fence_fields[] = {
    { "plugin", FIELD_NAME, AT(config_fence, plugin), .required = true,
      .node_offset = AT(config_fence, plugin_node) },
    { "options", FIELD_SUBTREE, AT(config_fence, options) },
    { NULL },
};
static const struct config_schema fence_schema = { "fence", fence_fields };

static void read_fence(const struct config_node *node, const struct config_field *field,
                       void *object, struct config_reader *reader)
{
    struct config *config = object;
    if (!node || config_node_is_null(node))
        return;
    config->fence.node = node;
    config_schema_read(&fence_schema, node, field->key, &config->fence, reader);
}

static const struct config_field auth_fields[] = {
    { "plugin", FIELD_NAME, AT(config_auth, plugin), .required = true,
      .node_offset = AT(config_auth, plugin_node) },
    { "options", FIELD_SUBTREE, AT(config_auth, options) },
    { NULL },
};
static const struct config_schema auth_schema = { "auth", auth_fields };

static void read_auths(const struct config_node *node, const struct config_field *field,
                       void *object, struct config_reader *reader)
{
    struct config *config = object;
    node = named_things(node, field->key, reader->problems);
    if (!node)
        return;
    config->auths = config_alloc(reader, node->count * sizeof(*config->auths));
    config->auth_count = node->count;
    for (unsigned i = 0; i < node->count; i++) {
        struct config_auth *a = &config->auths[i];
        const struct config_node *key = node->entries[i].key;
        a->node = node->entries[i].value;
        a->name = key->text;
        check_name(key, reader->problems);
        if (strcmp(a->name, "none") == 0)
            config_problem_error(reader->problems, key,
                                 "'none' means no authentication and "
                                 "cannot be defined");
        config_schema_read(&auth_schema, a->node, a->name, a, reader);
    }
}

/* Targets come last: they refer to the others. */
static const struct config_field file_fields[] = {
    { "version", FIELD_CUSTOM, .read = read_version },
    { "daemon", FIELD_CUSTOM, .read = read_daemon },
    { "portals", FIELD_CUSTOM, .read = read_portals },
    { "fence", FIELD_CUSTOM, .read = read_fence },
    { "auth", FIELD_CUSTOM, .read = read_auths },
    { "discovery", FIELD_CUSTOM, .read = config_read_discovery },
    { "targets", FIELD_CUSTOM, .read = config_read_targets },
    { NULL },
};
static const struct config_schema file_schema = { "file", file_fields };

const struct config_schema *const config_schemas[] = {
    &file_schema,
    &daemon_schema,
    &portal_schema,
    &fence_schema,
    &auth_schema,
    &config_target_schema,
    &config_session_schema,
    &config_lun_schema,
    &config_view_schema,
    &config_discovery_schema,
    &config_redirect_schema,
    &config_thresholds_schema,
    NULL,
};

int config_parse_loose(const char *text, size_t length, const char *file,
                       struct config **ret_config, struct config_problems *problems)
{
    unsigned errors = config_problems_errors(problems);
    struct config_tree *tree;
    *ret_config = NULL;
    if (config_tree_parse(text, length, file, &tree, problems) < 0)
        return -EINVAL;

    struct config_owner *o = g_new0(struct config_owner, 1);
    o->tree = tree;
    o->chunks = config_chunks_new();
    struct config_reader reader = { problems, o->chunks, &o->config };
    o->config.root = config_tree_root(tree);
    o->config.file = config_node_file(o->config.root);
    config_schema_read(&file_schema, o->config.root, "the file", &o->config, &reader);
    config_check(&o->config, problems);
    *ret_config = &o->config;
    return config_problems_errors(problems) > errors ? -EINVAL : 0;
}

int config_parse(const char *text, size_t length, const char *file, struct config **ret_config,
                 struct config_problems *problems)
{
    struct config *config;
    int r = config_parse_loose(text, length, file, &config, problems);
    if (r < 0)
        config_free(config);
    else
        *ret_config = config;
    return r;
}

struct config *config_free(struct config *config)
{
    struct config_owner *o = (struct config_owner *)config;
    if (!o)
        return NULL;
    for (unsigned i = 0; i < config->target_count; i++)
        config_target_free_part(config->targets[i]);
    if (o->by_name)
        g_hash_table_unref(o->by_name);
    config_places_free(o->places);
    g_free(config->targets);
    config_chunks_free(o->chunks);
    config_tree_free(o->tree);
    g_free(o);
    return NULL;
}

const struct config_target *config_find_target(const struct config *config, const char *name)
{
    struct config_owner *o = (struct config_owner *)config;
    if (!o->by_name) {
        o->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        for (unsigned i = 0; i < config->target_count; i++)
            g_hash_table_insert(o->by_name, (gpointer)config->targets[i]->name, config->targets[i]);
    }
    return g_hash_table_lookup(o->by_name, name);
}

const struct config_lun *config_find_lun(const struct config_target *target, unsigned number)
{
    for (unsigned i = 0; i < target->lun_count; i++)
        if (target->luns[i].number == number)
            return &target->luns[i];
    return NULL;
}
