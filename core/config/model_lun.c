/* SPDX-License-Identifier: BSD-3-Clause */
/* LUNs: number, handler with its options, identity, access. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/model_private.h"

#define AT(type, member) offsetof(struct type, member)

/* Identifiers by length in bytes; a first digit that must match, or 0. */
struct id_form {
    unsigned bytes;
    const char *first_digits;
};

/* SPC-5 7.7.6.6: NAA 2, 3 and 5 are 8 bytes long, NAA 6 is 16. */
static const struct id_form naa_forms[] = { { 8, "235" }, { 16, "6" }, { 0 } };
static const struct id_form eui_forms[] = { { 8 }, { 12 }, { 16 }, { 0 } };

static unsigned read_id(const char *text, const struct id_form *forms, uint8_t id[static 16])
{
    for (; forms->bytes; forms++) {
        if (config_text_hex(text, id, forms->bytes) < 0)
            continue;
        return !forms->first_digits || strchr(forms->first_digits, "0123456789abcdef"[id[0] >> 4])
                   ? forms->bytes
                   : 0;
    }
    return 0;
}

static void read_naa(const struct config_node *node, const struct config_field *field, void *object,
                     struct config_reader *reader)
{
    struct config_lun *lun = object;
    const char *text;
    if (!node || config_read_string(node, field->key, &text, reader->problems) < 0)
        return;
    lun->naa_length = read_id(text, naa_forms, lun->naa);
    if (!lun->naa_length)
        config_problem_error(reader->problems, node,
                             "%s: must be 16 hexadecimal digits beginning with 2, 3 or 5, or 32 "
                             "beginning with 6",
                             field->key);
}

static void read_eui(const struct config_node *node, const struct config_field *field, void *object,
                     struct config_reader *reader)
{
    struct config_lun *lun = object;
    const char *text;
    if (!node || config_read_string(node, field->key, &text, reader->problems) < 0)
        return;
    lun->eui_length = read_id(text, eui_forms, lun->eui);
    if (!lun->eui_length)
        config_problem_error(reader->problems, node, "%s: must be 16, 24 or 32 hexadecimal digits",
                             field->key);
}

/* One of `words`, of which the first is "auto" (0) and the others are sizes; "4K" is 4096, too. */
static unsigned read_one_size(const struct config_node *node, const char *key,
                              const char *const *words, struct config_reader *reader)
{
    unsigned index = 0;
    uint64_t bytes, word;
    if (!node)
        return 0;
    if (node->type == CONFIG_SCALAR && config_text_size(node->text, &bytes) == 0) {
        for (unsigned i = 1; words[i]; i++) {
            if (config_text_size(words[i], &word) == 0 && word == bytes)
                return (unsigned)bytes;
        }
    }
    if (config_read_choice(node, key, words, &index, reader->problems) < 0 || index == 0)
        return 0;
    return (unsigned)strtoul(words[index], NULL, 10);
}

static void read_block_size(const struct config_node *node, const struct config_field *field,
                            void *object, struct config_reader *reader)
{
    static const char *const words[] = { "auto", "512", "4096", NULL };
    struct config_lun *lun = object;
    lun->block_size = read_one_size(node, field->key, words, reader);
}

static void read_physical_block_size(const struct config_node *node,
                                     const struct config_field *field, void *object,
                                     struct config_reader *reader)
{
    static const char *const words[] = { "auto", "512", "4096", "8192", "16384", "65536", NULL };
    struct config_lun *lun = object;
    lun->physical_block_size = read_one_size(node, field->key, words, reader);
}

static void read_when_late(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader)
{
    static const char *const words[] = { "stall", "busy", "fail", NULL };
    struct config_lun *lun = object;
    unsigned index = 0;
    if (node && config_read_choice(node, field->key, words, &index, reader->problems) == 0)
        lun->when_late = index;
}

static const struct config_field lun_fields[] = {
    { "handler", FIELD_NAME, AT(config_lun, handler), .required = true,
      .node_offset = AT(config_lun, handler_node) },
    { "options", FIELD_SUBTREE, AT(config_lun, options) },
    { "serial", FIELD_ASCII, AT(config_lun, serial), 0, 64,
      .node_offset = AT(config_lun, serial_node) },
    { "naa", FIELD_CUSTOM, .read = read_naa, .node_offset = AT(config_lun, naa_node) },
    { "eui", FIELD_CUSTOM, .read = read_eui, .node_offset = AT(config_lun, eui_node) },
    { "vendor", FIELD_ASCII, AT(config_lun, vendor), 0, 8 },
    { "product", FIELD_ASCII, AT(config_lun, product), 0, 16 },
    { "revision", FIELD_ASCII, AT(config_lun, revision), 0, 4 },
    { "read-only", FIELD_BOOL, AT(config_lun, read_only), 0, 0, "no" },
    { "block-size", FIELD_CUSTOM, .read = read_block_size },
    { "physical-block-size", FIELD_CUSTOM, .read = read_physical_block_size },
    { "max-compare-and-write", FIELD_UNSIGNED, AT(config_lun, max_compare_and_write), 1, 255,
      "255" },
    { "sanitize-rate", FIELD_SIZE, AT(config_lun, sanitize_rate), 0, 1ull << 50, "0" },
    { "deadline", FIELD_DURATION, AT(config_lun, deadline_ns), 100 * NS_PER_MS, 3600 * NS_PER_S,
      "20s" },
    { "when-late", FIELD_CUSTOM, .read = read_when_late },
    { "thresholds", FIELD_CUSTOM, .read = config_read_thresholds,
      .node_offset = AT(config_lun, thresholds_node) },
    { "removable", FIELD_BOOL, AT(config_lun, removable), 0, 0, "no" },
    { "rotational", FIELD_BOOL, AT(config_lun, rotational), 0, 0, "no" },
    { "initiators", FIELD_CUSTOM, AT(config_lun, initiators), .read = config_read_initiators },
    { NULL },
};
const struct config_schema config_lun_schema = { "lun", lun_fields };

static int read_number(struct config_lun *lun, struct config_reader *reader)
{
    uint64_t number;
    int r =
        config_read_unsigned(lun->key_node, "LUN", 0, CONFIG_LUN_MAX, &number, reader->problems);
    if (r == 0)
        lun->number = (unsigned)number;
    return r;
}

static int compare_numbers(const void *a, const void *b)
{
    const struct config_lun *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->key_node->line_read != y->key_node->line_read)
        return x->key_node->line_read < y->key_node->line_read ? -1 : 1;
    return x->key_node->column < y->key_node->column ? -1 : 1;
}

/* "7" and "07" are different keys and the same LUN. */
static void check_numbers(const struct config_target *t, struct config_problems *problems)
{
    for (unsigned i = 1; i < t->lun_count; i++) {
        const struct config_node *one = t->luns[i - 1].key_node, *other = t->luns[i].key_node;
        if (t->luns[i].number == t->luns[i - 1].number)
            config_problem_error(problems, other,
                                 "'%s' is the same LUN as '%s' at line %u column %u", other->text,
                                 one->text, config_node_line(one), one->column);
    }
}

void config_read_luns(const struct config_node *node, const struct config_field *field,
                      void *object, struct config_reader *reader)
{
    struct config_target *t = object;
    if (!node || config_node_is_null(node) ||
        config_read_type(node, field->key, CONFIG_MAPPING, reader->problems) < 0)
        return;
    t->luns = config_alloc(reader, node->count * sizeof(*t->luns));
    for (unsigned i = 0; i < node->count; i++) {
        struct config_lun lun = { .key_node = node->entries[i].key,
                                  .node = node->entries[i].value };
        int r = read_number(&lun, reader);
        g_autofree char *key = g_strdup_printf("LUN %s", lun.key_node->text);
        config_schema_read(&config_lun_schema, lun.node, key, &lun, reader);
        if (r == 0)
            t->luns[t->lun_count++] = lun;
    }
    qsort(t->luns, t->lun_count, sizeof(*t->luns), compare_numbers);
    check_numbers(t, reader->problems);
}
