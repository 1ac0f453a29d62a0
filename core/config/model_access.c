/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may ask what there is (`discovery:`), and who is sent elsewhere (`redirect:` of a target). */
#include <string.h>

#include "config/model_private.h"

#define AT(type, member) offsetof(struct type, member)
#define REDIRECTS_MAX    64
#define HOST_MAX         253 /* of a DNS name */

/* ---- redirect ---- */

static bool is_host(const char *text, size_t chars)
{
    if (!chars || chars > HOST_MAX || text[0] == '-' || text[0] == '.')
        return false;
    for (size_t i = 0; i < chars; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '-' && text[i] != '.')
            return false;
    return true;
}

static bool is_port(const char *text)
{
    guint64 port;
    return g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL);
}

/* "host:port" with the port filled in, as TargetAddress has it; NULL: the text is no such thing. */
static const char *target_address(const char *text, struct config_reader *reader)
{
    struct address address;
    char canonical[ADDRESS_TEXT_MAX];
    if (address_parse(text, &address) == 0)
        return address_is_wildcard(&address)
                   ? NULL
                   : config_keep(reader, address_format(&address, canonical));
    const char *colon = strchr(text, ':');
    size_t chars = colon ? (size_t)(colon - text) : strlen(text);
    /* a name of digits and dots alone would be an address that is none */
    if (!is_host(text, chars) || strspn(text, "0123456789.") >= chars ||
        (colon && !is_port(colon + 1)))
        return NULL;
    g_autofree char *whole =
        colon ? g_strdup(text) : g_strdup_printf("%s:%d", text, ADDRESS_DEFAULT_PORT);
    return config_keep(reader, whole);
}

static void read_to(const struct config_node *node, const struct config_field *field, void *object,
                    struct config_reader *reader)
{
    struct config_redirect *redirect = object;
    const char *text;
    if (config_read_string(node, field->key, &text, reader->problems) < 0)
        return;
    redirect->to = target_address(text, reader);
    if (!redirect->to)
        config_problem_error(reader->problems, node,
                             "%s: '%s' is no address to go to (192.0.2.1:3260, [2001:db8::1]:3260, "
                             "san.example.org)",
                             field->key, text);
}

static void read_portals(const struct config_node *node, const struct config_field *field,
                         void *object, struct config_reader *reader)
{
    struct config_redirect *redirect = object;
    if (node)
        config_read_portal_list(node, field->key, &redirect->portals, &redirect->portal_count,
                                reader);
}

static const struct config_field redirect_fields[] = {
    { "to", FIELD_CUSTOM, .read = read_to, .required = true },
    { "permanent", FIELD_BOOL, AT(config_redirect, permanent), 0, 0, "no" },
    { "portals", FIELD_CUSTOM, .read = read_portals },
    { "initiators", FIELD_CUSTOM, AT(config_redirect, initiators), .read = config_read_initiators },
    { NULL },
};
const struct config_schema config_redirect_schema = { "redirect", redirect_fields };

void config_read_redirects(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader)
{
    struct config_target *t = object;
    const struct config_node *const *items = (const struct config_node *const *)&node;
    unsigned count = 1;
    if (!node || config_node_is_null(node))
        return;
    if (node->type == CONFIG_SEQUENCE) {
        items = (const struct config_node *const *)node->items;
        count = node->count;
    }
    if (count > REDIRECTS_MAX) {
        config_problem_error(reader->problems, node, "%s: more than %d", field->key, REDIRECTS_MAX);
        return;
    }
    t->redirects = config_alloc(reader, (count + 1) * sizeof(*t->redirects));
    t->redirect_count = count;
    for (unsigned i = 0; i < count; i++) {
        t->redirects[i].node = items[i];
        config_schema_read(&config_redirect_schema, items[i], field->key, &t->redirects[i], reader);
    }
}

/* ---- discovery ---- */

static void read_discovery_auth(const struct config_node *node, const struct config_field *field,
                                void *object, struct config_reader *reader)
{
    struct config_discovery *d = object;
    if (node)
        d->auth = config_find_auth(node, field->key, reader);
}

static const struct config_field discovery_fields[] = {
    { "auth", FIELD_CUSTOM, .read = read_discovery_auth },
    { "initiators", FIELD_CUSTOM, AT(config_discovery, initiators),
      .read = config_read_initiators },
    { NULL },
};
const struct config_schema config_discovery_schema = { "discovery", discovery_fields };

void config_read_discovery(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader)
{
    struct config *config = object;
    if (!node || config_node_is_null(node))
        return;
    config->discovery.node = node;
    config_schema_read(&config_discovery_schema, node, field->key, &config->discovery, reader);
}
