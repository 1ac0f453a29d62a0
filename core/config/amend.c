/* SPDX-License-Identifier: BSD-3-Clause */
/* See amend.h. The value is found by the parser's place of it and must then be there literally. */
#include "config/amend.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "config/model.h"
#include "config/scalar.h"

static struct config *parse(const char *text, size_t length)
{
    struct config_problems *problems = config_problems_new();
    struct config *config = NULL;
    int r = config_parse(text, length, "", &config, problems);
    config_problems_free(problems);
    return r < 0 ? NULL : config;
}

/* The byte of a line and column (both from 1, columns in characters); `length` when there is none. */
static size_t offset_of(const char *text, size_t length, unsigned line, unsigned column)
{
    size_t at = 0;
    while (--line) {
        const char *end = at < length ? memchr(text + at, '\n', length - at) : NULL;
        if (!end)
            return length;
        at = (size_t)(end - text) + 1;
    }
    for (; at < length && column > 1; column--)
        for (at++; at < length && ((unsigned char)text[at] & 0xc0) == 0x80; at++)
            ;
    return at;
}

/* Where the characters of a scalar stand in the text, behind a quote if there is one. */
static int place_of(const char *text, size_t length, const struct config_node *node, size_t *ret_at)
{
    size_t at = offset_of(text, length, config_node_line(node), node->column),
           bytes = strlen(node->text);
    if (node->quoted && at < length && (text[at] == '"' || text[at] == '\''))
        at++;
    if (!bytes || bytes > length - at || memcmp(text + at, node->text, bytes) != 0)
        return -EINVAL;
    *ret_at = at;
    return 0;
}

static const struct config_node *size_node(const struct config *config, const char *target,
                                           unsigned lun)
{
    const struct config_target *t = config_find_target(config, target);
    const struct config_lun *l = t ? config_find_lun(t, lun) : NULL;
    const struct config_node *node = l ? config_node_get(l->options, "size") : NULL;
    return node && node->type == CONFIG_SCALAR && !config_node_is_null(node) ? node : NULL;
}

/* The new text says what it should, to the parser too. */
static int verify(const char *text, size_t length, const char *target, unsigned lun, uint64_t bytes)
{
    struct config *config = parse(text, length);
    uint64_t said = 0;
    const struct config_node *node = config ? size_node(config, target, lun) : NULL;
    int r = node && config_text_size(node->text, &said) == 0 && said == bytes ? 0 : -EINVAL;
    config_free(config);
    return r;
}

int config_amend_size(const char *text, size_t length, const char *target, unsigned lun,
                      uint64_t bytes, char **ret_text, size_t *ret_length)
{
    struct config *config = parse(text, length);
    if (!config)
        return -EINVAL;
    const struct config_node *node = size_node(config, target, lun);
    size_t at = 0, old = node ? strlen(node->text) : 0;
    int r = node ? place_of(text, length, node, &at) : -ENOENT;
    config_free(config);
    if (r < 0)
        return r;
    g_autofree char *value = config_format_size(bytes);
    GString *out = g_string_new_len(text, (gssize)at);
    g_string_append(out, value);
    g_string_append_len(out, text + at + old, (gssize)(length - at - old));
    r = verify(out->str, out->len, target, lun, bytes);
    *ret_length = out->len;
    *ret_text = g_string_free(out, r < 0);
    return r;
}
