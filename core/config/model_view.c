/* SPDX-License-Identifier: BSD-3-Clause */
/* Views: the numbers by which some initiators see a target's units. */
#include <stdlib.h>

#include "config/model_private.h"

#define AT(type, member) offsetof(struct type, member)

/* While a target's views are read. */
struct view_reader {
    struct config_view view;
    const struct config_target *target;
};

static bool has_lun(const struct config_target *t, unsigned number)
{
    for (unsigned i = 0; i < t->lun_count; i++)
        if (t->luns[i].number == number)
            return true;
    return false;
}

static int read_number(const struct config_node *node, const char *key, unsigned *ret_number,
                       struct config_reader *reader)
{
    uint64_t number;
    int r = config_read_unsigned(node, key, 0, CONFIG_LUN_MAX, &number, reader->problems);
    if (r == 0)
        *ret_number = (unsigned)number;
    return r;
}

static void add(struct config_view *v, const struct config_view_lun *lun,
                const struct config_node *node, struct config_reader *reader)
{
    for (unsigned i = 0; i < v->lun_count; i++) {
        const struct config_view_lun *other = &v->luns[i];
        if (other->number != lun->number && other->lun != lun->lun)
            continue;
        config_problem_error(reader->problems, other->number == lun->number ? lun->key_node : node,
                             "%s %u stands at line %u column %u already",
                             other->number == lun->number ? "number" : "LUN",
                             other->number == lun->number ? lun->number : lun->lun,
                             config_node_line(other->key_node), other->key_node->column);
        return;
    }
    v->luns[v->lun_count++] = *lun;
}

static void read_view_luns(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader)
{
    struct view_reader *r = object;
    struct config_view *v = &r->view;
    if (!node || config_node_is_null(node) ||
        config_read_type(node, field->key, CONFIG_MAPPING, reader->problems) < 0)
        return;
    v->luns = config_alloc(reader, node->count * sizeof(*v->luns));
    for (unsigned i = 0; i < node->count; i++) {
        const struct config_node *value = node->entries[i].value;
        struct config_view_lun lun = { .key_node = node->entries[i].key };
        if (read_number(lun.key_node, "LUN", &lun.number, reader) < 0 ||
            read_number(value, "LUN", &lun.lun, reader) < 0)
            continue;
        if (has_lun(r->target, lun.lun))
            add(v, &lun, value, reader);
        else
            config_problem_error(reader->problems, value, "%s: the target has no LUN %u",
                                 field->key, lun.lun);
    }
}

static const struct config_field view_fields[] = {
    { "initiators", FIELD_CUSTOM, AT(config_view, initiators), .required = true,
      .read = config_read_initiators },
    { "luns", FIELD_CUSTOM, .required = true, .read = read_view_luns },
    { NULL },
};
const struct config_schema config_view_schema = { "view", view_fields };

void config_read_views(const struct config_node *node, const struct config_field *field,
                       void *object, struct config_reader *reader)
{
    struct config_target *t = object;
    if (!node || config_node_is_null(node) ||
        config_read_type(node, field->key, CONFIG_MAPPING, reader->problems) < 0)
        return;
    t->views = config_alloc(reader, node->count * sizeof(*t->views));
    for (unsigned i = 0; i < node->count; i++) {
        const struct config_node *key = node->entries[i].key;
        struct view_reader r = { .target = t };
        r.view.node = node->entries[i].value;
        r.view.name = key->text;
        if (!config_is_name(key->text, /* dots= */ true)) {
            config_problem_error(reader->problems, key,
                                 "view '%s': a name has 1 to 63 letters, digits, dots, - and _",
                                 key->text);
            continue;
        }
        g_autofree char *name = g_strdup_printf("view %s", key->text);
        config_schema_read(&config_view_schema, r.view.node, name, &r, reader);
        if (r.view.initiators)
            t->views[t->view_count++] = r.view;
    }
}
