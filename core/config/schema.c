/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/schema.h"

#include <string.h>

#include "base/clock.h"

#define NAME_MAX_LENGTH 63

void *config_alloc(struct config_reader *reader, size_t bytes)
{
    return config_chunks_alloc(reader->chunks, bytes);
}

char *config_keep(struct config_reader *reader, const char *text)
{
    return config_chunks_text(reader->chunks, text, strlen(text));
}

bool config_is_name(const char *text, bool dots)
{
    size_t length = strlen(text);
    if (length == 0 || length > NAME_MAX_LENGTH || !g_ascii_isalnum(text[0]))
        return false;
    for (const char *c = text; *c; c++)
        if (!g_ascii_isalnum(*c) && *c != '-' && *c != '_' && !(dots && *c == '.'))
            return false;
    return true;
}

unsigned config_read_words(const struct config_node *node, const char *key,
                           const struct config_node ***ret_items, struct config_reader *reader)
{
    const struct config_node *const *from = &node;
    unsigned from_count = 1, count = 0;
    if (node->type == CONFIG_SEQUENCE) {
        from = node->items;
        from_count = node->count;
        if (from_count == 0)
            config_problem_error(reader->problems, node, "%s: must not be an empty list", key);
    }
    const struct config_node **items = config_alloc(reader, (from_count + 1) * sizeof(*items));
    for (unsigned i = 0; i < from_count; i++) {
        const char *text;
        if (config_read_string(from[i], key, &text, reader->problems) == 0)
            items[count++] = from[i];
    }
    *ret_items = items;
    return count;
}

static bool printable_ascii(const char *s)
{
    for (; *s; s++)
        if (*s < 0x20 || *s > 0x7e)
            return false;
    return true;
}

static bool printable(const char *s)
{
    for (; *s; s = g_utf8_next_char(s))
        if (g_unichar_iscntrl(g_utf8_get_char(s)))
            return false;
    return true;
}

static void read_interval(const struct config_node *node, const struct config_field *f,
                          uint64_t *ret_ns, struct config_problems *problems)
{
    uint64_t ns;
    if (config_read_duration(node, f->key, 0, f->max, &ns, problems) < 0)
        return;
    if (ns != 0 && ns < f->min) {
        g_autofree char *min = config_format_duration(f->min);
        config_problem_error(problems, node, "%s: must be 0 (off) or at least %s", f->key, min);
        return;
    }
    *ret_ns = ns;
}

static void read_seconds(const struct config_node *node, const struct config_field *f,
                         unsigned *ret_seconds, struct config_problems *problems)
{
    uint64_t ns;
    if (config_read_duration(node, f->key, f->min, f->max, &ns, problems) < 0)
        return;
    if (ns % NS_PER_S != 0)
        config_problem_error(problems, node, "%s: must be whole seconds", f->key);
    else
        *ret_seconds = (unsigned)(ns / NS_PER_S);
}

static void read_text(const struct config_node *node, const struct config_field *f,
                      const char **ret_text, struct config_problems *problems)
{
    const char *text;
    if (f->type == FIELD_PATH) {
        if (config_read_path(node, f->key, &text, problems) < 0)
            return;
    } else if (config_read_string(node, f->key, &text, problems) < 0) {
        return;
    }
    if (f->type == FIELD_NAME && !config_is_name(text, /* dots= */ false))
        config_problem_error(problems, node,
                             "%s: must be a name of letters, digits, '-' and '_' (at most %d)",
                             f->key, NAME_MAX_LENGTH);
    else if (f->type != FIELD_NAME && strlen(text) > f->max)
        config_problem_error(problems, node, "%s: is longer than %u bytes", f->key,
                             (unsigned)f->max);
    else if (f->type == FIELD_ASCII && !printable_ascii(text))
        config_problem_error(problems, node, "%s: must be printable ASCII", f->key);
    else if (!printable(text))
        config_problem_error(problems, node, "%s: must not contain control characters", f->key);
    else
        *ret_text = text;
}

static void read_numbers(const struct config_node *node, const struct config_field *f, void *to,
                         struct config_problems *problems)
{
    uint64_t value;
    if (f->type == FIELD_UNSIGNED) {
        if (config_read_unsigned(node, f->key, f->min, f->max, &value, problems) == 0)
            *(unsigned *)to = (unsigned)value;
    } else if (f->type == FIELD_SIZE32) {
        if (config_read_size(node, f->key, f->min, f->max, &value, problems) == 0)
            *(uint32_t *)to = (uint32_t)value;
    } else {
        config_read_size(node, f->key, f->min, f->max, to, problems);
    }
}

static void read_field(const struct config_node *node, const struct config_field *f, void *object,
                       struct config_reader *reader)
{
    void *to = (char *)object + f->offset;
    switch (f->type) {
    case FIELD_UNSIGNED:
    case FIELD_SIZE:
    case FIELD_SIZE32:
        read_numbers(node, f, to, reader->problems);
        break;
    case FIELD_DURATION:
        config_read_duration(node, f->key, f->min, f->max, to, reader->problems);
        break;
    case FIELD_INTERVAL:
        read_interval(node, f, to, reader->problems);
        break;
    case FIELD_SECONDS:
        read_seconds(node, f, to, reader->problems);
        break;
    case FIELD_BOOL:
        config_read_bool(node, f->key, to, reader->problems);
        break;
    case FIELD_PATH:
    case FIELD_TEXT:
    case FIELD_ASCII:
    case FIELD_NAME:
        read_text(node, f, to, reader->problems);
        break;
    case FIELD_SUBTREE:
        if (!config_node_is_null(node) &&
            config_read_type(node, f->key, CONFIG_MAPPING, reader->problems) == 0)
            *(const struct config_node **)to = node;
        break;
    case FIELD_CUSTOM:
        f->read(node, f, object, reader);
        break;
    }
}

static void read_default(const struct config_field *f, void *object, struct config_reader *reader)
{
    struct config_node written = { .type = CONFIG_SCALAR, .text = f->fallback };
    if (f->type == FIELD_CUSTOM)
        f->read(NULL, f, object, reader);
    else if (f->fallback)
        read_field(&written, f, object, reader);
}

static bool is_known(const struct config_schema *schema, const char *key)
{
    for (const struct config_field *f = schema->fields; f->key; f++)
        if (!strcmp(f->key, key))
            return true;
    return false;
}

static void check_keys(const struct config_schema *schema, const struct config_node *node,
                       struct config_problems *problems)
{
    const char *known[64] = { NULL };
    for (unsigned i = 0; i < node->count; i++) {
        const struct config_node *key = node->entries[i].key;
        if (is_known(schema, key->text))
            continue;
        for (unsigned j = 0; schema->fields[j].key && j + 1 < G_N_ELEMENTS(known); j++)
            known[j] = schema->fields[j].key;
        config_unknown_key(key, known, problems);
    }
}

void config_schema_read(const struct config_schema *schema, const struct config_node *node,
                        const char *key, void *object, struct config_reader *reader)
{
    const struct config_node *mapping = node;
    if (node && node->type != CONFIG_MAPPING) {
        if (!config_node_is_null(node)) {
            config_read_type(node, key, CONFIG_MAPPING, reader->problems);
            return;
        }
        mapping = NULL;
    }
    if (mapping)
        check_keys(schema, mapping, reader->problems);
    for (const struct config_field *f = schema->fields; f->key; f++) {
        const struct config_node *value = config_node_get(mapping, f->key);
        if (value) {
            if (f->node_offset)
                *(const struct config_node **)((char *)object + f->node_offset) = value;
            read_field(value, f, object, reader);
        } else if (f->required) {
            config_problem_error(reader->problems, node, "%s: the key '%s' is missing", key,
                                 f->key);
        } else {
            read_default(f, object, reader);
        }
    }
}
