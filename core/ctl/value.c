/* SPDX-License-Identifier: BSD-3-Clause */
/* See value.h. */
#include "ctl/value.h"

static JsonNode *member(JsonObject *object, const char *key)
{
    return object ? json_object_get_member(object, key) : NULL;
}

JsonObject *value_object(JsonObject *object, const char *key)
{
    JsonNode *node = member(object, key);
    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *value_array(JsonObject *object, const char *key)
{
    JsonNode *node = member(object, key);
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

unsigned value_count(JsonArray *array)
{
    return array ? json_array_get_length(array) : 0;
}

JsonObject *value_item(JsonArray *array, unsigned i)
{
    JsonNode *node = json_array_get_element(array, i);
    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

bool value_has(JsonObject *object, const char *key)
{
    JsonNode *node = member(object, key);
    return node && !JSON_NODE_HOLDS_NULL(node);
}

uint64_t value_number(JsonObject *object, const char *key)
{
    JsonNode *node = member(object, key);
    gint64 number = node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_int(node) : 0;
    return number > 0 ? (uint64_t)number : 0;
}

double value_real(JsonObject *object, const char *key)
{
    JsonNode *node = member(object, key);
    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_double(node) : 0;
}

bool value_bool(JsonObject *object, const char *key)
{
    JsonNode *node = member(object, key);
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_boolean(node);
}

static const char *text_of(JsonNode *node)
{
    bool text =
        node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
    return text ? json_node_get_string(node) : NULL;
}

const char *value_text(JsonObject *object, const char *key)
{
    const char *text = text_of(member(object, key));
    return text ? text : "-";
}

char *value_join(JsonObject *object, const char *key, const char *between)
{
    JsonArray *array = value_array(object, key);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < value_count(array); i++) {
        const char *text = text_of(json_array_get_element(array, i));
        if (text)
            g_string_append_printf(out, "%s%s", out->len ? between : "", text);
    }
    if (!out->len)
        g_string_append_c(out, '-');
    return g_string_free(out, FALSE);
}
