/* SPDX-License-Identifier: BSD-3-Clause */
/* See revise.h: the model. Where targets stand in the text is in slice.c. */
#include "config/revise.h"

#include <errno.h>
#include <string.h>

#include "base/iscsi_name.h"
#include "config/places.h"

/* A target that was read alone, with what it owns. */
struct config_part {
    struct config_tree *tree;
    struct config_chunks *chunks;
    struct config_target *target;
};

struct config_revision {
    struct config_target *old, *new; /* NULL: none */
    struct config_part *part; /* of `new`; when it is applied: of `old`, which may have none */
    unsigned index;
    struct config_slice slice; /* without its text */
    char *text;                /* in place of its targets */
    size_t length;
    size_t *begins; /* of those, in the whole text */
    unsigned count;
    long lines, nodes; /* more than before */
};

static void part_free(struct config_part *p)
{
    if (!p)
        return;
    config_chunks_free(p->chunks);
    config_tree_free(p->tree);
    g_free(p);
}

void config_target_free_part(struct config_target *target)
{
    part_free(target->part);
}

struct config_revision *config_revision_free(struct config_revision *r)
{
    if (!r)
        return NULL;
    part_free(r->part);
    g_free(r->text);
    g_free(r->begins);
    g_free(r);
    return NULL;
}

/* ---- reading ---- */

static const struct config_entry *find_entry(const struct config_node *targets, const char *name)
{
    char normal[ISCSI_NAME_MAX + 1];
    const char *problem;
    for (unsigned i = 0; targets && targets->type == CONFIG_MAPPING && i < targets->count; i++)
        if (iscsi_name_normalise(targets->entries[i].key->text, normal, &problem) == 0 &&
            !strcmp(normal, name))
            return &targets->entries[i];
    return NULL;
}

static bool read_part(struct config *config, struct config_part *part, const char *name,
                      struct config_problems *problems)
{
    const struct config_node *targets = config_node_get(config_tree_root(part->tree), "targets");
    const struct config_entry *entry = find_entry(targets, name);
    if (!entry)
        return false;
    part->chunks = config_chunks_new();
    struct config_reader reader = { problems, part->chunks, config };
    part->target = config_read_target(entry, &reader);
    part->target->part = part;
    config_check_target(part->target, config, problems);
    return true;
}

static unsigned count_lines(const char *text, size_t length)
{
    unsigned lines = 0;
    for (const char *end = text + length; (text = memchr(text, '\n', (size_t)(end - text))); text++)
        lines++;
    return lines;
}

/* Its nodes were read from line so and so of the slice. */
static void shift_part(struct config_part *part, int by)
{
    ((struct config_source *)part->target->key_node->source)->shift = by;
}

/* Where the targets of the edited slice begin. False: not each on a line of its own. */
static bool find_begins(struct config_revision *r, const struct config_part *part,
                        const char *edited, size_t length)
{
    const struct config_node *targets = config_node_get(config_tree_root(part->tree), "targets");
    if (!targets || targets->type != CONFIG_MAPPING)
        return false;
    r->count = targets->count;
    r->begins = g_new0(size_t, r->count + 1);
    for (unsigned i = 0; i < r->count; i++) {
        if (!place_of_key(edited, length, targets->entries[i].key, &r->begins[i]))
            return false;
        r->begins[i] = r->begins[i] - r->slice.head + r->slice.begin;
    }
    return true;
}

static struct config_target *find_old(struct config *config, const char *name, unsigned *ret_index)
{
    struct config_target *old = (struct config_target *)config_find_target(config, name);
    unsigned i = old ? 0 : config->target_count;
    while (i < config->target_count && config->targets[i] != old)
        i++;
    *ret_index = i;
    return old;
}

/* Nothing else than one target has come, changed or gone. */
static bool is_plain(const struct config *config, const struct config_revision *r)
{
    unsigned had = r->slice.last - r->slice.first + 1;
    return (r->old || r->new) && r->count == had + !r->old - !r->new &&
           (r->old ? r->index >= r->slice.first && r->index <= r->slice.last
                   : r->slice.last + 1 == config->target_count);
}

int config_revision_new(struct config *config, const struct config_slice *slice, const char *edited,
                        size_t length, const char *target, struct config_revision **ret_revision)
{
    struct config_problems *problems = config_problems_new();
    struct config_revision *r = g_new0(struct config_revision, 1);
    struct config_places *places = config_places_of(config);
    r->slice = *slice;
    r->slice.text = NULL;
    r->part = g_new0(struct config_part, 1);
    bool good = places && slice_frames(slice, edited, length) &&
                config_tree_parse(edited, length, config->file, &r->part->tree, problems) == 0 &&
                find_begins(r, r->part, edited, length);
    if (good) {
        r->length = length - slice->head - slice->tail;
        r->text = g_strndup(edited + slice->head, r->length);
        r->old = find_old(config, target, &r->index);
        if (read_part(config, r->part, target, problems))
            r->new = r->part->target;
        r->lines =
            (long)count_lines(r->text, r->length) -
            count_lines(slice->text + slice->head, slice->length - slice->head - slice->tail);
    }
    if (good && r->new)
        shift_part(r->part, (int)config_node_line(config->targets[slice->first]->key_node) - 1 -
                                (int)count_lines(edited, slice->head));
    good = good && config_problems_count(problems) == 0 && is_plain(config, r) &&
           places_admit(places, r->old, r->new, &r->nodes);
    config_problems_free(problems);
    if (!good) {
        config_revision_free(r);
        return -EINVAL;
    }
    *ret_revision = r;
    return 0;
}

const struct config_target *config_revision_old(const struct config_revision *r)
{
    return r->old;
}

const struct config_target *config_revision_new_target(const struct config_revision *r)
{
    return r->new;
}

unsigned config_revision_index(const struct config_revision *r)
{
    return r->index;
}

struct config_patch config_revision_patch(const struct config_revision *r)
{
    return (struct config_patch){ .at = r->slice.begin,
                                  .cut = r->slice.end - r->slice.begin,
                                  .length = r->length,
                                  .text = r->text };
}

/* ---- applying ---- */

static void change_list(struct config *config, const struct config_revision *r)
{
    struct config_target **at = NULL;
    size_t behind = config->target_count - r->index;
    if (!r->old) {
        config->targets =
            g_renew(struct config_target *, config->targets, config->target_count + 1);
        config->target_count++;
    }
    at = &config->targets[r->index];
    if (!r->new) {
        memmove(at, at + 1, (behind - 1) * sizeof(*at));
        config->target_count--;
    } else {
        *at = r->new;
    }
}

void config_revision_apply(struct config *config, struct config_revision *r)
{
    struct config_owner *o = (struct config_owner *)config;
    struct config_part *gone = r->old ? r->old->part : NULL;
    config_find_target(config, ""); /* there is a table */
    if (r->old)
        g_hash_table_remove(o->by_name, r->old->name);
    if (r->new)
        g_hash_table_insert(o->by_name, (gpointer)r->new->name, r->new);
    change_list(config, r);
    places_change(o->places, config,
                  &(struct places_change){ .index = r->index,
                                           .old = r->old,
                                           .new = r->new,
                                           .first = r->slice.first,
                                           .begins = r->begins,
                                           .count = r->count,
                                           .bytes = (ssize_t)r->length -
                                                    (ssize_t)(r->slice.end - r->slice.begin),
                                           .lines = (int)r->lines,
                                           .nodes = r->nodes });
    if (!r->new)
        part_free(r->part); /* it was read for nothing */
    r->part = gone;
}
