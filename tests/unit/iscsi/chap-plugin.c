/* SPDX-License-Identifier: BSD-3-Clause */
/* See chap-plugin.h. */
#include "chap-plugin.h"

#include <dlfcn.h>
#include <glib.h>
#include <stdarg.h>
#include <string.h>

char chap_failure[256];
unsigned chap_warnings;

static const struct hf_plugin *plugin;
static uint8_t *config, *users, *mutual;
static uint32_t *algorithms;

static void host_log(const struct hf_host *host, uint32_t level, const char *format, ...)
{
    chap_warnings += level == HF_LOG_WARNING;
}

static int32_t host_fail(struct hf_error *error, int32_t code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_vsnprintf(chap_failure, sizeof(chap_failure), format, arguments);
    va_end(arguments);
    return -code;
}

static const struct hf_host host = { .size = sizeof(host),
                                     .api_major = HF_API_MAJOR,
                                     .api_minor = HF_API_MINOR,
                                     .log = host_log,
                                     .fail = host_fail };

const struct hf_plugin *chap_plugin(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        g_error("%s", dlerror());
    const struct hf_plugin *(*entry)(void);
    *(void **)&entry = dlsym(object, "hf_plugin_v1");
    g_assert_nonnull(entry);
    plugin = entry();
    g_assert_cmpint(plugin->load(&host, NULL), ==, 0);
    return plugin;
}

const struct hf_auth_ops *chap_ops(void)
{
    return plugin->ops;
}

static const struct hf_option *find(const struct hf_option *rows, const char *name)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0)
            return rows;
    g_error("the plugin has no option %s", name);
}

static void fill_user(uint8_t *at, const struct hf_option *rows,
                      const struct chap_user_option *user)
{
    struct hf_secret secret = { .data = (const uint8_t *)user->secret,
                                .bytes = (uint32_t)strlen(user->secret) };
    memcpy(at + find(rows, "name")->offset, &user->name, sizeof(user->name));
    memcpy(at + find(rows, "secret")->offset, &secret, sizeof(secret));
}

static void fill_algorithms(const struct hf_option *row, const char *word)
{
    for (uint32_t i = 0; row->choices[i]; i++) {
        if (strcmp(row->choices[i], word) == 0) {
            struct hf_list list = { .items = algorithms, .count = 1 };
            algorithms[0] = i;
            memcpy(config + row->offset, &list, sizeof(list));
            return;
        }
    }
    g_error("the plugin has no algorithm %s", word);
}

const void *chap_config(const struct chap_setup *setup)
{
    const struct hf_option *user_rows = find(plugin->options, "users");
    const struct hf_option *mutual_row = find(plugin->options, "mutual");
    struct hf_list list = { 0 };
    chap_config_free();
    config = g_malloc0(plugin->config_bytes);
    users = g_malloc0(user_rows->table_bytes * G_N_ELEMENTS(setup->users));
    mutual = g_malloc0(mutual_row->table_bytes);
    algorithms = g_new0(uint32_t, 1);
    for (; list.count < G_N_ELEMENTS(setup->users) && setup->users[list.count].name; list.count++)
        fill_user(users + list.count * user_rows->table_bytes, user_rows->table,
                  &setup->users[list.count]);
    list.items = users;
    memcpy(config + user_rows->offset, &list, sizeof(list));
    if (setup->mutual.name) {
        fill_user(mutual, mutual_row->table, &setup->mutual);
        memcpy(config + mutual_row->offset, &mutual, sizeof(mutual));
    }
    if (setup->algorithms)
        fill_algorithms(find(plugin->options, "algorithms"), setup->algorithms);
    return config;
}

void chap_config_free(void)
{
    g_clear_pointer(&config, g_free);
    g_clear_pointer(&users, g_free);
    g_clear_pointer(&mutual, g_free);
    g_clear_pointer(&algorithms, g_free);
}
