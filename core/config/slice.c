/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See revise.h: the text. A target has the lines from that of its key to that of the next key, so a comment
 * above a target is the last of the one before: nothing that is edited depends on it.
 */
#include <errno.h>
#include <string.h>

#include "config/places.h"

#define ROOM (64u << 10) /* a text that is patched grows by so much */

/* One for each target, and one for what is behind the last. */
struct place {
    size_t begin;
    struct config_source *source; /* of its nodes */
};

struct config_places {
    GArray *places;
    GHashTable *identities; /* "serial X" -> number of LUNs */
    long nodes;             /* in the whole file */
};

struct config_places *config_places_free(struct config_places *p)
{
    if (!p)
        return NULL;
    g_array_free(p->places, TRUE);
    g_hash_table_unref(p->identities);
    g_free(p);
    return NULL;
}

struct config_places *config_places_of(const struct config *config)
{
    return ((const struct config_owner *)config)->places;
}

static struct place *place_at(const struct config_places *p, unsigned i)
{
    return &g_array_index(p->places, struct place, i);
}

/* ---- finding them ---- */

/* A walk over the lines of a text. */
struct lines {
    const char *text;
    size_t length, at;
    unsigned line; /* that begins at `at` */
};

static bool go_to(struct lines *w, unsigned line)
{
    while (w->line < line) {
        const char *end = memchr(w->text + w->at, '\n', w->length - w->at);
        if (!end)
            return false;
        w->at = (size_t)(end - w->text) + 1;
        w->line++;
    }
    return w->line == line;
}

/* The key stands first on the line, as it reads (a quoted one: with its quote). */
static bool key_is_here(const struct lines *w, const struct config_node *key)
{
    size_t blank = key->column - 1, bytes = strlen(key->text);
    const char *at = w->text + w->at;
    if (w->length - w->at < blank || w->length - w->at - blank < bytes)
        return false;
    for (size_t i = 0; i < blank; i++)
        if (at[i] != ' ')
            return false;
    return key->quoted ? at[blank] == '"' || at[blank] == '\''
                       : !memcmp(at + blank, key->text, bytes);
}

bool place_of_key(const char *text, size_t length, const struct config_node *key, size_t *ret_begin)
{
    struct lines w = { text, length, 0, 1 };
    if (!go_to(&w, key->line_read) || !key_is_here(&w, key))
        return false;
    *ret_begin = w.at;
    return true;
}

static long count_nodes(const struct config_node *node)
{
    long n = 1;
    for (unsigned i = 0; node->type != CONFIG_SCALAR && i < node->count; i++)
        n += node->type == CONFIG_SEQUENCE
                 ? count_nodes(node->items[i])
                 : count_nodes(node->entries[i].key) + count_nodes(node->entries[i].value);
    return n;
}

/* ---- identities ---- */

static void count_identity(GHashTable *table, const char *what, const struct config_node *node,
                           int by)
{
    if (!node || node->type != CONFIG_SCALAR)
        return;
    char *key = g_strdup_printf("%s %s", what, node->text);
    int count = GPOINTER_TO_INT(g_hash_table_lookup(table, key)) + by;
    if (count)
        g_hash_table_insert(table, key, GINT_TO_POINTER(count));
    else
        g_hash_table_remove(table, key);
    if (!count)
        g_free(key);
}

static void count_identities(GHashTable *table, const struct config_target *t, int by)
{
    for (unsigned i = 0; t && i < t->lun_count; i++) {
        count_identity(table, "serial", t->luns[i].serial_node, by);
        count_identity(table, "naa", t->luns[i].naa_node, by);
        count_identity(table, "eui", t->luns[i].eui_node, by);
    }
}

static GHashTable *identities_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static bool is_used(const struct config_places *p, GHashTable *own, const char *what,
                    const struct config_node *node)
{
    if (!node || node->type != CONFIG_SCALAR)
        return false;
    g_autofree char *key = g_strdup_printf("%s %s", what, node->text);
    return g_hash_table_lookup(p->identities, key) != g_hash_table_lookup(own, key);
}

bool places_admit(const struct config_places *p, const struct config_target *old,
                  const struct config_target *new, long *ret_nodes)
{
    g_autoptr(GHashTable) own = identities_new();
    *ret_nodes = (new ? count_nodes(new->node) + 1 : 0) - (old ? count_nodes(old->node) + 1 : 0);
    count_identities(own, old, 1);
    for (unsigned i = 0; new &&i < new->lun_count; i++)
        if (is_used(p, own, "serial", new->luns[i].serial_node) ||
            is_used(p, own, "naa", new->luns[i].naa_node) ||
            is_used(p, own, "eui", new->luns[i].eui_node))
            return false;
    return p->nodes + *ret_nodes <= (long)CONFIG_NODES_MAX;
}

/* ---- made, kept up to date ---- */

/* The key of the top behind `targets`, or NULL. */
static const struct config_node *key_behind(const struct config *config)
{
    const struct config_node *root = config->root;
    for (unsigned i = 0; i + 1 < root->count; i++)
        if (!strcmp(root->entries[i].key->text, "targets"))
            return root->entries[i + 1].key;
    return NULL;
}

static bool add_place(struct config_places *p, struct lines *w, const struct config_node *key)
{
    if (!go_to(w, config_node_line(key)) || !key_is_here(w, key))
        return false;
    g_array_append_val(
        p->places, ((struct place){ w->at, (struct config_source *)(void *)(size_t)key->source }));
    return true;
}

static bool find_places(struct config_places *p, const struct config *config, const char *text,
                        size_t length)
{
    const struct config_node *mapping = config_node_get(config->root, "targets"),
                             *behind = key_behind(config);
    struct lines w = { text, length, 0, 1 };
    if (!mapping || mapping->type != CONFIG_MAPPING || !go_to(&w, config_node_line(mapping)) ||
        w.length - w.at < mapping->column || w.text[w.at + mapping->column - 1] == '{')
        return false;
    for (unsigned i = 0; i < config->target_count; i++)
        if (!add_place(p, &w, config->targets[i]->key_node))
            return false;
    if (behind)
        return add_place(p, &w, behind);
    g_array_append_val(p->places, ((struct place){ length, NULL }));
    return true;
}

static struct config_places *places_of(struct config *config, const char *text, size_t length)
{
    struct config_owner *o = (struct config_owner *)config;
    if (o->places)
        return o->places;
    struct config_places *p = g_new0(struct config_places, 1);
    p->places = g_array_sized_new(FALSE, TRUE, sizeof(struct place), config->target_count + 1);
    p->identities = identities_new();
    p->nodes = count_nodes(config->root);
    for (unsigned i = 0; i < config->target_count; i++)
        count_identities(p->identities, config->targets[i], 1);
    if (!find_places(p, config, text, length))
        return config_places_free(p);
    return o->places = p;
}

static void shift_tail(const struct config *config, int lines)
{
    const struct config_node *root = config->root;
    bool behind = false;
    for (unsigned i = 0; i < root->count; i++) {
        const struct config_node *key = root->entries[i].key;
        if (behind)
            ((struct config_source *)key->source)->shift += lines;
        behind |= !strcmp(key->text, "targets");
    }
}

void places_change(struct config_places *p, const struct config *config,
                   const struct places_change *c)
{
    count_identities(p->identities, c->old, -1);
    count_identities(p->identities, c->new, 1);
    p->nodes += c->nodes;
    if (!c->old)
        g_array_insert_val(p->places, c->index, (struct place){ 0 });
    if (!c->new)
        g_array_remove_index(p->places, c->index);
    else
        place_at(p, c->index)->source = (struct config_source *)c->new->key_node->source;
    for (unsigned i = 0; i < c->count; i++)
        place_at(p, c->first + i)->begin = c->begins[i];
    for (unsigned i = c->first + c->count; c->bytes && i < p->places->len; i++)
        place_at(p, i)->begin += (size_t)c->bytes;
    for (unsigned i = c->new ? c->index + 1 : c->index; c->lines &&i + 1 < p->places->len; i++)
        place_at(p, i)->source->shift += c->lines;
    shift_tail(config, c->lines);
}

/* ---- slices ---- */

int config_slice_cut(struct config *config, const char *text, size_t length, const char *target,
                     struct config_slice *ret_slice)
{
    unsigned count = config->target_count, index = 0;
    struct config_places *p = count ? places_of(config, text, length) : NULL;
    const struct config_target *t = config_find_target(config, target);
    if (!p || (t && count == 1)) /* the last one may go, and leaves no place behind it */
        return -ENOTSUP;
    while (index < count && config->targets[index] != t)
        index++;
    struct config_slice s = { .first = index ? index - 1 : 0, .last = MIN(index + 1, count - 1) };
    s.head = place_at(p, 0)->begin;
    s.begin = place_at(p, s.first)->begin;
    s.end = place_at(p, s.last + 1)->begin;
    s.tail = length - place_at(p, count)->begin;
    GString *cut = g_string_new_len(text, (gssize)s.head);
    g_string_append_len(cut, text + s.begin, (gssize)(s.end - s.begin));
    g_string_append_len(cut, text + length - s.tail, (gssize)s.tail);
    s.length = cut->len;
    s.text = g_string_free(cut, FALSE);
    *ret_slice = s;
    return 0;
}

void config_slice_clear(struct config_slice *slice)
{
    g_clear_pointer(&slice->text, g_free);
}

bool slice_frames(const struct config_slice *s, const char *edited, size_t length)
{
    return length >= s->head + s->tail && !memcmp(edited, s->text, s->head) &&
           !memcmp(edited + length - s->tail, s->text + s->length - s->tail, s->tail);
}

char *config_slice_join(const struct config_slice *s, const char *edited, size_t length,
                        const char *text, size_t text_length, size_t *ret_length)
{
    if (!slice_frames(s, edited, length))
        return NULL;
    const struct config_patch patch = { .at = s->begin,
                                        .cut = s->end - s->begin,
                                        .length = length - s->head - s->tail,
                                        .text = edited + s->head };
    return config_patch_apply(&patch, text, text_length, ret_length);
}

bool config_patch_fits(const struct config_patch *patch, size_t length)
{
    return patch->at <= length && patch->cut <= length - patch->at &&
           patch->length <= CONFIG_TEXT_MAX &&
           length - patch->cut + patch->length <= CONFIG_TEXT_MAX;
}

char *config_patch_apply(const struct config_patch *patch, const char *text, size_t length,
                         size_t *ret_length)
{
    if (!config_patch_fits(patch, length))
        return NULL;
    size_t behind = length - patch->at - patch->cut;
    char *whole = g_malloc(length - patch->cut + patch->length + 1);
    memcpy(whole, text, patch->at);
    memcpy(whole + patch->at, patch->text, patch->length);
    memcpy(whole + patch->at + patch->length, text + patch->at + patch->cut, behind);
    *ret_length = patch->at + patch->length + behind;
    whole[*ret_length] = '\0';
    return whole;
}

char *config_patch_put(const struct config_patch *patch, char *text, size_t *length)
{
    size_t behind = *length - patch->at - patch->cut, now = patch->at + patch->length + behind;
    if (now >= *length) /* the same room as before, but once in so many bytes */
        text = g_realloc(text, (now / ROOM + 1) * ROOM);
    memmove(text + patch->at + patch->length, text + patch->at + patch->cut, behind);
    memcpy(text + patch->at, patch->text, patch->length);
    text[now] = '\0';
    *length = now;
    return text;
}
