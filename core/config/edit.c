/* SPDX-License-Identifier: BSD-3-Clause */
/* See edit.h. Where a value begins is known from the parser; where it ends is found here. */
#include "config/edit.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/iscsi_name.h"
#include "config/scalar.h"
#include "config/yaml.h"

struct editor {
    const char *text;
    size_t length;
    GString *out; /* NULL: not changed yet */
};

#define UNKNOWN SIZE_MAX

/* ---- places ---- */

/* The byte of a node's line and column (both from 1, columns in characters). */
static size_t begin_of(const struct editor *e, const struct config_node *node)
{
    size_t at = 0;
    for (unsigned line = config_node_line(node); line > 1; line--) {
        const char *end = memchr(e->text + at, '\n', e->length - at);
        if (!end)
            return e->length;
        at = (size_t)(end - e->text) + 1;
    }
    for (unsigned column = node->column; at < e->length && column > 1; column--)
        for (at++; at < e->length && ((unsigned char)e->text[at] & 0xc0) == 0x80; at++)
            ;
    return at;
}

static size_t quoted_end(const struct editor *e, size_t at)
{
    char quote = e->text[at++];
    for (; at < e->length; at++) {
        if (quote == '"' && e->text[at] == '\\')
            at++;
        else if (e->text[at] == quote && quote == '\'' && at + 1 < e->length &&
                 e->text[at + 1] == '\'')
            at++;
        else if (e->text[at] == quote)
            return at + 1;
    }
    return UNKNOWN;
}

static size_t flow_end(const struct editor *e, size_t at)
{
    unsigned depth = 0;
    while (at < e->length) {
        char c = e->text[at];
        bool word_begins = at == 0 || strchr(" \t\n,[{:", e->text[at - 1]);
        if ((c == '"' || c == '\'') && word_begins) {
            at = quoted_end(e, at);
            if (at == UNKNOWN)
                return UNKNOWN;
            continue;
        }
        if (c == '#' && word_begins)
            while (at < e->length && e->text[at] != '\n')
                at++;
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return at + 1;
        at++;
    }
    return UNKNOWN;
}

static size_t end_of(const struct editor *e, const struct config_node *node)
{
    size_t at = begin_of(e, node), bytes = strlen(node->text);
    if (node->type == CONFIG_SCALAR) {
        if (bytes && at < e->length && (e->text[at] == '"' || e->text[at] == '\''))
            return quoted_end(e, at);
        if (node->quoted && at < e->length && (e->text[at] == '"' || e->text[at] == '\''))
            return quoted_end(e, at);
        return bytes <= e->length - at && !memcmp(e->text + at, node->text, bytes) ? at + bytes
                                                                                   : UNKNOWN;
    }
    if (at < e->length && (e->text[at] == '{' || e->text[at] == '['))
        return flow_end(e, at);
    if (!node->count)
        return UNKNOWN;
    return end_of(e, node->type == CONFIG_SEQUENCE ? node->items[node->count - 1]
                                                   : node->entries[node->count - 1].value);
}

static bool is_flow(const struct editor *e, const struct config_node *node)
{
    size_t at = begin_of(e, node);
    return at < e->length && e->text[at] == '{';
}

/* ---- changes ---- */

static int splice(struct editor *e, size_t from, size_t to, const char *with)
{
    if (from == UNKNOWN || to == UNKNOWN || from > to)
        return -EINVAL;
    e->out = g_string_new_len(e->text, (gssize)from);
    g_string_append(e->out, with);
    g_string_append_len(e->out, e->text + to, (gssize)(e->length - to));
    return 0;
}

static int add_entry(struct editor *e, const struct config_node *mapping, const char *key,
                     const char *value)
{
    size_t at = begin_of(e, mapping), end = end_of(e, mapping);
    g_autofree char *flow = NULL, *block = NULL;
    if (end == UNKNOWN)
        return -EINVAL;
    if (is_flow(e, mapping)) {
        flow = g_strdup_printf(mapping->count ? ", %s: %s" : " %s: %s ", key, value);
        if (mapping->count)
            end = end_of(e, mapping->entries[mapping->count - 1].value);
        else
            end = at + 1;
        return splice(e, end, end, flow);
    }
    while (end < e->length && e->text[end] != '\n')
        end++;
    block =
        g_strdup_printf("\n%*s%s: %s", (int)mapping->entries[0].key->column - 1, "", key, value);
    return splice(e, end, end, block);
}

static int remove_entry(struct editor *e, const struct config_node *mapping, unsigned index)
{
    const struct config_entry *entry = &mapping->entries[index];
    size_t from = begin_of(e, entry->key), to = end_of(e, entry->value);
    if (to == UNKNOWN)
        return -EINVAL;
    if (mapping->count == 1)
        return splice(e, begin_of(e, mapping), end_of(e, mapping), "{}");
    if (is_flow(e, mapping)) {
        if (index + 1 < mapping->count)
            return splice(e, from, begin_of(e, mapping->entries[index + 1].key), "");
        return splice(e, end_of(e, mapping->entries[index - 1].value), to, "");
    }
    while (from > 0 && e->text[from - 1] != '\n')
        from--;
    while (to < e->length && e->text[to] != '\n')
        to++;
    /* the first entry may share its line with what the mapping belongs to: "- key: value" */
    size_t key = begin_of(e, entry->key);
    for (size_t i = from; i < key; i++)
        if (e->text[i] != ' ')
            return -EINVAL;
    return splice(e, from, to < e->length ? to + 1 : to, "");
}

/* ---- paths ---- */

static bool is_key(const char *parent, const char *there, const char *wanted)
{
    char normal[ISCSI_NAME_MAX + 1];
    const char *problem;
    uint64_t a, b;
    if (!strcmp(there, wanted))
        return true;
    if (parent && !strcmp(parent, "targets"))
        return iscsi_name_normalise(there, normal, &problem) == 0 && !strcmp(normal, wanted);
    return parent && !strcmp(parent, "luns") && config_text_unsigned(there, &a) == 0 &&
           config_text_unsigned(wanted, &b) == 0 && a == b;
}

static int find_entry(const struct config_node *mapping, const char *parent, const char *wanted)
{
    for (unsigned i = 0; i < mapping->count; i++)
        if (is_key(parent, mapping->entries[i].key->text, wanted))
            return (int)i;
    return -1;
}

/* `value` at the end of the path from path[0] on, as nested flow mappings; g_free(). */
static char *nested(const char *const *path, const char *value)
{
    GString *s = g_string_new(NULL);
    unsigned depth = 0;
    for (; path[depth]; depth++)
        g_string_append_printf(s, "{ %s: ", path[depth]);
    g_string_append(s, value);
    while (depth--)
        g_string_append(s, " }");
    return g_string_free(s, FALSE);
}

static int edit_at(struct editor *e, const struct config_node *mapping, const char *parent,
                   const char *const *path, const char *value)
{
    int index = find_entry(mapping, parent, path[0]);
    if (index < 0) {
        g_autofree char *rest = value ? nested(path + 1, value) : NULL;
        return value ? add_entry(e, mapping, path[0], rest) : -ENOENT;
    }
    const struct config_node *at = mapping->entries[index].value;
    if (!path[1] && !value)
        return remove_entry(e, mapping, (unsigned)index);
    if (path[1] && at->type == CONFIG_MAPPING && at->count)
        return edit_at(e, at, path[0], path + 1, value);
    if (!value)
        return -ENOENT;
    if (path[1] && at->type != CONFIG_MAPPING && !config_node_is_null(at))
        return -EINVAL;
    g_autofree char *rest = nested(path + 1, value);
    g_autofree char *spaced = g_strdup_printf(" %s", rest);
    size_t from = begin_of(e, at);
    bool touches = from > 0 && e->text[from - 1] == ':';
    return splice(e, from, end_of(e, at), touches ? spaced : rest);
}

int config_edit(const char *text, size_t length, const char *const *path, const char *value,
                char **ret_text, size_t *ret_length)
{
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    struct editor e = { text, length, NULL };
    int r = config_tree_parse(text, length, "", &tree, problems);
    config_problems_free(problems);
    if (r < 0)
        return -EINVAL;
    const struct config_node *root = config_tree_root(tree);
    r = root->type == CONFIG_MAPPING && root->count ? edit_at(&e, root, NULL, path, value)
                                                    : -EINVAL;
    config_tree_free(tree);
    if (r < 0)
        return r;
    *ret_length = e.out->len;
    *ret_text = g_string_free(e.out, FALSE);
    return 0;
}
