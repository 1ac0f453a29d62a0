/* SPDX-License-Identifier: BSD-3-Clause */
/* See keys.h. */
#include "ctl/keys.h"

#include <string.h>

#include "config/problem.h"
#include "config/schema.h"
#include "config/yaml.h"

static bool is_lun_key(const char *key)
{
    for (const struct config_schema *const *s = config_schemas; *s; s++) {
        if (strcmp((*s)->name, "lun") != 0)
            continue;
        for (const struct config_field *f = (*s)->fields; f->key; f++)
            if (!strcmp(f->key, key))
                return true;
    }
    return false;
}

static bool is_list(const char *key)
{
    static const char *const lists[] = { "initiators", "portals", "session.header-digest",
                                         "session.data-digest", NULL };
    return g_strv_contains(lists, key);
}

static void put_list(struct json_writer *w, const char *key, const char *value)
{
    g_auto(GStrv) items = g_strsplit(value, ",", 0);
    json_put_open(w, key, '[');
    for (unsigned i = 0; items[i]; i++)
        json_put_string(w, NULL, items[i]);
    json_put_close(w, ']');
}

static void put_node(struct json_writer *w, const char *key, const struct config_node *node)
{
    if (node->type == CONFIG_SCALAR) {
        json_put_string(w, key, node->text);
        return;
    }
    json_put_open(w, key, node->type == CONFIG_SEQUENCE ? '[' : '{');
    for (unsigned i = 0; i < node->count; i++)
        if (node->type == CONFIG_SEQUENCE)
            put_node(w, NULL, node->items[i]);
        else
            put_node(w, node->entries[i].key->text, node->entries[i].value);
    json_put_close(w, node->type == CONFIG_SEQUENCE ? ']' : '}');
}

/* A list or mapping as YAML writes it on one line: [{op: write}]. False: it is none, and so plain text. */
static bool put_flow(struct json_writer *w, const char *key, const char *value)
{
    struct config_problems *problems = config_problems_new();
    g_autofree char *text = g_strdup_printf("value: %s\n", value);
    struct config_tree *tree = NULL;
    const struct config_node *node = NULL;
    if ((*value == '[' || *value == '{') &&
        config_tree_parse(text, strlen(text), "", &tree, problems) == 0 &&
        config_problems_errors(problems) == 0)
        node = config_node_get(config_tree_root(tree), "value");
    if (node)
        put_node(w, key, node);
    config_tree_free(tree);
    config_problems_free(problems);
    return node != NULL;
}

char *keys_put(struct json_writer *w, bool lun, char **words, int count)
{
    json_put_open(w, "keys", '{');
    for (int i = 0; i < count; i++) {
        const char *value = strchr(words[i], '=');
        if (!value || value == words[i])
            return g_strdup_printf("'%s' is not KEY=VALUE", words[i]);
        g_autofree char *name = g_strndup(words[i], (gsize)(value - words[i]));
        bool option = lun && !is_lun_key(name) && !strchr(name, '.');
        g_autofree char *key = g_strdup_printf("%s%s", option ? "options." : "", name);
        value++;
        if (!*value)
            json_put_raw(w, key, "null");
        else if (is_list(key))
            put_list(w, key, value);
        else if (!put_flow(w, key, value))
            json_put_string(w, key, value);
    }
    json_put_close(w, '}');
    return NULL;
}
