/* SPDX-License-Identifier: BSD-3-Clause */
/* When initiators are told that the storage of a LUN fills up: `thresholds` of a LUN. */
#include <string.h>

#include "config/model_private.h"

typedef bool parse_fn(const char *text, struct config_threshold *ret_threshold);

static bool parse_used(const char *text, struct config_threshold *ret_threshold)
{
    size_t digits = strlen(text);
    char number[4] = { 0 };
    uint64_t percent;
    if (digits < 2 || digits > sizeof(number) || text[digits - 1] != '%')
        return false;
    memcpy(number, text, digits - 1);
    if (config_text_unsigned(number, &percent) < 0 || percent < 1 || percent > 100)
        return false;
    ret_threshold->used_percent = percent;
    return true;
}

static bool parse_available(const char *text, struct config_threshold *ret_threshold)
{
    return config_text_size(text, &ret_threshold->available_bytes) == 0 &&
           ret_threshold->available_bytes >= CONFIG_THRESHOLD_MIN &&
           ret_threshold->available_bytes <= CONFIG_THRESHOLD_MAX;
}

static bool is_there(const struct config_lun *lun, const struct config_threshold *threshold)
{
    for (unsigned i = 0; i < lun->threshold_count; i++)
        if (memcmp(&lun->thresholds[i], threshold, sizeof(*threshold)) == 0)
            return true;
    return false;
}

static void read_list(const struct config_node *node, const char *key, parse_fn *parse,
                      const char *form, struct config_lun *lun, struct config_reader *reader)
{
    const struct config_node **items;
    unsigned count = config_read_words(node, key, &items, reader);
    for (unsigned i = 0; i < count; i++) {
        struct config_threshold threshold = { 0 };
        if (!parse(items[i]->text, &threshold))
            config_problem_error(reader->problems, items[i], "%s: '%s' is not %s", key,
                                 items[i]->text, form);
        else if (is_there(lun, &threshold))
            config_problem_error(reader->problems, items[i], "%s: %s is there twice", key,
                                 items[i]->text);
        else if (lun->threshold_count == CONFIG_THRESHOLDS_MAX)
            config_problem_error(reader->problems, items[i], "%s: more than %d thresholds", key,
                                 CONFIG_THRESHOLDS_MAX);
        else
            lun->thresholds[lun->threshold_count++] = threshold;
    }
}

static void read_used(const struct config_node *node, const struct config_field *field,
                      void *object, struct config_reader *reader)
{
    if (node)
        read_list(node, field->key, parse_used, "a share of the disk from 1% to 100%", object,
                  reader);
}

static void read_available(const struct config_node *node, const struct config_field *field,
                           void *object, struct config_reader *reader)
{
    if (node)
        read_list(node, field->key, parse_available, "a size from 1M to 4096T", object, reader);
}

static const struct config_field threshold_fields[] = {
    { "used", FIELD_CUSTOM, .read = read_used },
    { "available", FIELD_CUSTOM, .read = read_available },
    { NULL },
};
const struct config_schema config_thresholds_schema = { "thresholds", threshold_fields };

void config_read_thresholds(const struct config_node *node, const struct config_field *field,
                            void *object, struct config_reader *reader)
{
    if (node && !config_node_is_null(node))
        config_schema_read(&config_thresholds_schema, node, field->key, object, reader);
}
