/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events of libyaml -> nodes, with an explicit stack, so the depth of a file is a number and not
 * a call depth. Nodes and texts live in chunks that are freed together.
 * A syntax error ends the reading (what follows is a guess); all else is reported and read on.
 */
#include "config/yaml.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <yaml.h>

#include "config/chunks.h"

#define KEYS_FEW 8 /* so many are compared one by one */

struct config_tree {
    struct config_chunks *chunks;  /* nodes, arrays, texts */
    struct config_chunks *sources; /* one beside the other, as they are shifted */
    const struct config_node *root;
    char *file;
};

/* A sequence or mapping that is being read. */
struct level {
    struct config_node *node;
    GPtrArray *items; /* of a mapping: keys and values by turns */
    GHashTable *keys; /* text -> key node, of a mapping that has many */
    GHashTable *bad;  /* keys that do not count; NULL: none */
    bool private;     /* what stands in here is */
};

struct reader {
    yaml_parser_t parser;
    struct config_tree *tree;
    struct config_problems *problems;
    struct level levels[CONFIG_DEPTH_MAX];
    unsigned depth;
    unsigned nodes;
    unsigned documents;
    const struct config_source *source; /* of the nodes that come */
    bool stop;
    bool broken; /* the tree does not say what the file says */
};

static void problem_at(struct reader *r, yaml_mark_t mark, const char *text)
{
    config_problem_add(r->problems, CONFIG_ERROR, r->tree->file, (unsigned)mark.line + 1,
                       (unsigned)mark.column + 1, "%s", text);
}

static void give_up(struct reader *r, yaml_mark_t mark, const char *text)
{
    problem_at(r, mark, text);
    r->stop = r->broken = true;
}

static bool expects_key(const struct level *l)
{
    return l->node->type == CONFIG_MAPPING && l->items->len % 2 == 0;
}

/* Under `options:` everything is a plugin's own and may be a secret. */
static bool in_private(const struct reader *r)
{
    if (r->depth == 0)
        return false;
    const struct level *l = &r->levels[r->depth - 1];
    if (l->private || l->node->type != CONFIG_MAPPING || l->items->len % 2 == 0)
        return l->private;
    const struct config_node *key = g_ptr_array_index(l->items, l->items->len - 1);
    return strcmp(key->text, "options") == 0;
}

static _Atomic unsigned long nodes_made;

unsigned long config_nodes_made(void)
{
    return nodes_made;
}

static const struct config_source *source_new(struct config_tree *tree)
{
    struct config_source *source = config_chunks_alloc(tree->sources, sizeof(*source));
    source->file = tree->file;
    return source;
}

/* A node that comes now is a key of the top, or of `targets`. */
static bool begins_source(const struct reader *r)
{
    if (r->depth == 0 || r->depth > 2 || !expects_key(&r->levels[r->depth - 1]))
        return false;
    const struct level *top = &r->levels[0];
    if (r->depth == 1 || top->node->type != CONFIG_MAPPING || top->items->len < 2)
        return r->depth == 1;
    const struct config_node *key = g_ptr_array_index(top->items, top->items->len - 2);
    return !strcmp(key->text, "targets"); /* the value is in its place, and open */
}

static struct config_node *node_new(struct reader *r, enum config_node_type type, yaml_mark_t mark)
{
    nodes_made++;
    if (++r->nodes > CONFIG_NODES_MAX) {
        give_up(r, mark, "the file has too many values");
        return NULL;
    }
    struct config_node *n = config_chunks_alloc(r->tree->chunks, sizeof(*n));
    n->type = type;
    n->private = in_private(r);
    if (begins_source(r))
        r->source = source_new(r->tree);
    n->source = r->source;
    n->line_read = (unsigned)mark.line + 1;
    n->column = (unsigned)mark.column + 1;
    n->text = "";
    return n;
}

/* The key of that text, or NULL. */
static const struct config_node *find_key(struct level *l, const char *text)
{
    if (!l->keys && l->items->len > 2 * KEYS_FEW) {
        l->keys = g_hash_table_new(g_str_hash, g_str_equal);
        for (unsigned i = 0; i < l->items->len; i += 2) {
            struct config_node *key = g_ptr_array_index(l->items, i);
            if (key->type == CONFIG_SCALAR && !g_hash_table_contains(l->keys, key->text))
                g_hash_table_insert(l->keys, (gpointer)key->text, key);
        }
    }
    if (l->keys)
        return g_hash_table_lookup(l->keys, text);
    for (unsigned i = 0; i < l->items->len; i += 2) {
        const struct config_node *key = g_ptr_array_index(l->items, i);
        if (key->type == CONFIG_SCALAR && !strcmp(key->text, text))
            return key;
    }
    return NULL;
}

/* Broken and repeated keys are reported; the later stages see only the first. */
static void leave_out(struct level *l, struct config_node *key)
{
    if (!l->bad)
        l->bad = g_hash_table_new(NULL, NULL);
    g_hash_table_add(l->bad, key);
}

static void check_key(struct reader *r, struct level *l, struct config_node *key)
{
    if (key->type != CONFIG_SCALAR) {
        config_problem_error(r->problems, key, "a key must be a word, not %s",
                             config_node_type_name(key->type));
        leave_out(l, key);
        return;
    }
    const struct config_node *first = find_key(l, key->text);
    if (first) {
        config_problem_error(r->problems, key, "'%s' stands here twice, first at line %u column %u",
                             key->text, config_node_line(first), first->column);
        leave_out(l, key);
    } else if (l->keys) {
        g_hash_table_insert(l->keys, (gpointer)key->text, key);
    }
}

/* Puts a complete or just opened node where it belongs. */
static void place(struct reader *r, struct config_node *node)
{
    if (r->depth == 0) {
        r->tree->root = node;
        return;
    }
    struct level *l = &r->levels[r->depth - 1];
    if (expects_key(l))
        check_key(r, l, node);
    g_ptr_array_add(l->items, node);
}

static void scalar(struct reader *r, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct config_node *n = node_new(r, CONFIG_SCALAR, event->start_mark);
    if (!n)
        return;
    if (memchr(text, '\0', length))
        config_problem_error(r->problems, n, "a value must not contain a NUL character");
    n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = config_chunks_text(r->tree->chunks, text, strlen(text));
    place(r, n);
}

static void open_level(struct reader *r, const yaml_event_t *event, enum config_node_type type)
{
    if (r->depth == CONFIG_DEPTH_MAX) {
        give_up(r, event->start_mark, "lists and mappings are nested too deeply");
        return;
    }
    struct config_node *n = node_new(r, type, event->start_mark);
    if (!n)
        return;
    place(r, n);
    struct level *l = &r->levels[r->depth++];
    l->node = n;
    l->private = n->private;
    if (!l->items)
        l->items = g_ptr_array_new();
}

/* The array serves the next one of this depth. */
static void level_clear(struct level *l)
{
    g_ptr_array_set_size(l->items, 0);
    g_clear_pointer(&l->keys, g_hash_table_unref);
    g_clear_pointer(&l->bad, g_hash_table_unref);
}

static void close_mapping(struct reader *r, struct level *l)
{
    unsigned pairs = l->items->len / 2, count = 0;
    struct config_entry *entries =
        config_chunks_alloc(r->tree->chunks, pairs * sizeof(*entries) + 1);
    for (unsigned i = 0; i < pairs; i++) {
        const struct config_node *key = g_ptr_array_index(l->items, 2 * i);
        if (l->bad && g_hash_table_contains(l->bad, key))
            continue;
        entries[count].key = key;
        entries[count++].value = g_ptr_array_index(l->items, 2 * i + 1);
    }
    l->node->entries = entries;
    l->node->count = count;
}

static void close_level(struct reader *r)
{
    struct level *l = &r->levels[--r->depth];
    if (l->node->type == CONFIG_MAPPING) {
        close_mapping(r, l);
    } else {
        size_t bytes = l->items->len * sizeof(gpointer);
        gpointer items = config_chunks_alloc(r->tree->chunks, bytes + 1);
        if (bytes)
            memcpy(items, l->items->pdata, bytes);
        l->node->items = items;
        l->node->count = l->items->len;
    }
    level_clear(l);
}

/* Anchors and tags would make the file mean something that its text does not show. */
static void refuse_anchor_and_tag(struct reader *r, const yaml_event_t *event,
                                  const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor)
        problem_at(r, event->start_mark, "anchors (&) and aliases (*) are not supported");
    if (tag)
        problem_at(r, event->start_mark, "tags (!) are not supported");
}

static void on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++r->documents > 1)
            give_up(r, event->start_mark, "a second document begins here; only one is allowed");
        break;
    case YAML_ALIAS_EVENT:
        give_up(r, event->start_mark, "anchors (&) and aliases (*) are not supported");
        break;
    case YAML_SCALAR_EVENT:
        refuse_anchor_and_tag(r, event, event->data.scalar.anchor, event->data.scalar.tag);
        scalar(r, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_anchor_and_tag(r, event, event->data.sequence_start.anchor,
                              event->data.sequence_start.tag);
        open_level(r, event, CONFIG_SEQUENCE);
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_anchor_and_tag(r, event, event->data.mapping_start.anchor,
                              event->data.mapping_start.tag);
        open_level(r, event, CONFIG_MAPPING);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_level(r);
        break;
    case YAML_STREAM_END_EVENT:
        r->stop = true;
        break;
    default:
        break;
    }
}

/* Line and column of a byte; the column counts characters. */
static yaml_mark_t mark_of(const char *text, size_t offset)
{
    yaml_mark_t mark = { .index = offset };
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((text[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static void syntax_error(struct reader *r, const char *text, size_t length)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR) /* has only a byte offset */
        mark = mark_of(text, MIN(p->problem_offset, length));
    g_autofree char *message = g_strdup_printf("%s%s%s", p->problem ? p->problem : "cannot be read",
                                               p->context ? " " : "", p->context ? p->context : "");
    give_up(r, mark, message);
}

static void read_events(struct reader *r, const char *text, size_t length)
{
    if (!yaml_parser_initialize(&r->parser)) {
        config_problem_add(r->problems, CONFIG_ERROR, r->tree->file, 0, 0, "out of memory");
        return;
    }
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, length);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    while (!r->stop) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            syntax_error(r, text, length);
            break;
        }
        on_event(r, &event);
        yaml_event_delete(&event);
    }
    while (r->depth > 0)
        level_clear(&r->levels[--r->depth]);
    for (unsigned i = 0; i < CONFIG_DEPTH_MAX; i++)
        g_clear_pointer(&r->levels[i].items, g_ptr_array_unref);
    yaml_parser_delete(&r->parser);
}

/* Bytes are checked first: libyaml would guess another encoding. */
static int check_text(const char *text, size_t length, const char *file,
                      struct config_problems *problems)
{
    const char *end;
    if (length > CONFIG_TEXT_MAX) {
        config_problem_add(problems, CONFIG_ERROR, file, 0, 0, "the file is larger than %u MiB",
                           CONFIG_TEXT_MAX >> 20);
        return -EINVAL;
    }
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        config_problem_add(problems, CONFIG_ERROR, file, 1, 1,
                           "begins with a byte order mark: save it as UTF-8 without one");
        return -EINVAL;
    }
    if (g_utf8_validate_len(text, length, &end))
        return 0;
    yaml_mark_t mark = mark_of(text, (size_t)(end - text));
    config_problem_add(problems, CONFIG_ERROR, file, (unsigned)mark.line + 1,
                       (unsigned)mark.column + 1, "%s",
                       *end ? "not UTF-8 text" : "a NUL character");
    return -EINVAL;
}

static const struct config_node *empty_root(struct reader *r)
{
    return node_new(r, CONFIG_MAPPING, (yaml_mark_t){ 0 });
}

int config_tree_parse(const char *text, size_t length, const char *file,
                      struct config_tree **ret_tree, struct config_problems *problems)
{
    if (check_text(text, length, file, problems) < 0)
        return -EINVAL;

    struct config_tree *tree = g_new0(struct config_tree, 1);
    tree->chunks = config_chunks_new();
    tree->sources = config_chunks_new();
    tree->file = g_strdup(file);
    struct reader r = { .tree = tree, .problems = problems, .source = source_new(tree) };
    read_events(&r, text, length);
    if (!tree->root || config_node_is_null(tree->root))
        tree->root = empty_root(&r);
    if (!tree->root || r.broken) {
        config_tree_free(tree);
        return -EINVAL;
    }
    *ret_tree = tree;
    return 0;
}

struct config_tree *config_tree_free(struct config_tree *tree)
{
    if (!tree)
        return NULL;
    config_chunks_free(tree->chunks);
    config_chunks_free(tree->sources);
    g_free(tree->file);
    g_free(tree);
    return NULL;
}

const struct config_node *config_tree_root(const struct config_tree *tree)
{
    return tree->root;
}

const struct config_node *config_node_get(const struct config_node *node, const char *key)
{
    if (!node || node->type != CONFIG_MAPPING)
        return NULL;
    for (unsigned i = 0; i < node->count; i++)
        if (strcmp(node->entries[i].key->text, key) == 0)
            return node->entries[i].value;
    return NULL;
}

unsigned config_node_line(const struct config_node *node)
{
    return node->line_read + (node->source ? (unsigned)node->source->shift : 0);
}

const char *config_node_file(const struct config_node *node)
{
    return node->source ? node->source->file : "";
}

bool config_node_is_null(const struct config_node *node)
{
    return node->type == CONFIG_SCALAR && !node->quoted &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

const char *config_node_type_name(enum config_node_type type)
{
    switch (type) {
    case CONFIG_SCALAR:
        return "a value";
    case CONFIG_SEQUENCE:
        return "a list";
    default:
        return "a mapping";
    }
}
