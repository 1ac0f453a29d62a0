/* SPDX-License-Identifier: BSD-3-Clause */
/* See keys.h. */
#include "ctl/keys.h"

#include <string.h>

#include "config/schema.h"

static bool is_lun_key(const char *key)
{
    for (const struct config_schema *const *s = config_schemas; *s; s++) {
        if (strcmp((*s)->name, "lun") != 0)
            continue;
        for (const struct config_field *f = (*s)->fields; f->key; f++)
            if (!strcmp(f->key, key))
                return true;
    }
    return false;
}

static bool is_list(const char *key)
{
    static const char *const lists[] = { "initiators", "portals", "session.header-digest",
                                         "session.data-digest", NULL };
    return g_strv_contains(lists, key);
}

static void put_list(struct json_writer *w, const char *key, const char *value)
{
    g_auto(GStrv) items = g_strsplit(value, ",", 0);
    json_put_open(w, key, '[');
    for (unsigned i = 0; items[i]; i++)
        json_put_string(w, NULL, items[i]);
    json_put_close(w, ']');
}

char *keys_put(struct json_writer *w, bool lun, char **words, int count)
{
    json_put_open(w, "keys", '{');
    for (int i = 0; i < count; i++) {
        const char *value = strchr(words[i], '=');
        if (!value || value == words[i])
            return g_strdup_printf("'%s' is not KEY=VALUE", words[i]);
        g_autofree char *name = g_strndup(words[i], (gsize)(value - words[i]));
        bool option = lun && !is_lun_key(name) && !strchr(name, '.');
        g_autofree char *key = g_strdup_printf("%s%s", option ? "options." : "", name);
        value++;
        if (!*value)
            json_put_raw(w, key, "null");
        else if (is_list(key))
            put_list(w, key, value);
        else
            json_put_string(w, key, value);
    }
    json_put_close(w, '}');
    return NULL;
}
