/* SPDX-License-Identifier: BSD-3-Clause */
/* What a change of the configuration does, for people. */
#include <inttypes.h>
#include <string.h>

#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/value.h"

static JsonObject *object_of(JsonNode *result)
{
    return JSON_NODE_HOLDS_OBJECT(result) ? json_node_get_object(result) : NULL;
}

unsigned plan_steps(JsonNode *result)
{
    return value_count(value_array(object_of(result), "steps"));
}

uint64_t plan_upgrade(JsonNode *result)
{
    return value_number(object_of(result), "upgrade");
}

static void put_step(struct table *t, JsonObject *s)
{
    JsonObject *at = value_object(s, "at");
    table_text(t, value_text(s, "kind"));
    table_text(t, value_text(s, "object"));
    table_text(t, value_text(s, "name"));
    table_text(t, value_text(s, "class"));
    table_print(t, "%" PRIu64, value_number(s, "session-count"));
    table_text(t, value_text(s, "notice"));
    table_text(t, value_text(s, "keys"));
    if (at)
        table_print(t, "%s:%" PRIu64 ":%" PRIu64, value_text(at, "file"), value_number(at, "line"),
                    value_number(at, "column"));
    else
        table_text(t, "-");
}

void show_plan(JsonNode *result, GString *out)
{
    static const char *const headings[] = { "STEP",   "OF",   "NAME", "CLASS", ">SESSIONS",
                                            "NOTICE", "KEYS", "AT",   NULL };
    JsonArray *steps = value_array(object_of(result), "steps");
    struct table *t = table_new(headings);
    for (unsigned i = 0; i < value_count(steps); i++)
        put_step(t, value_item(steps, i));
    if (table_rows(t))
        table_write(t, out, 0, 0);
    else
        g_string_append(out, "nothing to do\n");
    table_free(t);
}
