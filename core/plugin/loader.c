/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding and loading: see loader.h. A shared object is looked at in this order, and the first thing
 * wrong is the line that people see: it can be linked; it has hf_plugin_v1; its major version is
 * ours; name, kind, option table and operations hold the rules of the headers; its load() succeeds.
 */
#include "plugin/loader.h"

#include "plugin/describe.h"

#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "plugin/host.h"
#include "plugin/ops_check.h"
#include "plugin/options.h"
#include "plugin/trial.h"

static struct plugin *plugins; /* control thread, as the rest */
static char **search_paths;    /* NULL: only the built-in directory */

const char *plugin_kind_name(uint32_t kind)
{
    static const char *const names[] = { "unknown", "handler", "auth", "fence" };
    return kind < G_N_ELEMENTS(names) ? names[kind] : names[0];
}

char **plugin_builtin_directories(void)
{
    const char *directories = getenv("HOLDFAST_PLUGIN_DIR");
    if (!directories || !directories[0])
        directories = HOLDFAST_PLUGIN_DIRECTORY;
    return g_strsplit(directories, ":", -1);
}

/* The reader copies the smaller size into a zeroed struct of its own. */
static void copy_sized(void *to, size_t to_bytes, const void *from)
{
    uint32_t size;
    memcpy(&size, from, sizeof(size));
    memset(to, 0, to_bytes);
    memcpy(to, from, MIN(size, to_bytes));
}

static int take_ops(struct plugin *plugin, const void *ops, struct hf_error *error)
{
    if (!ops)
        return plugin_fail(error, EINVAL, "its table of operations is missing");
    switch (plugin->info.kind) {
    case HF_KIND_HANDLER:
        copy_sized(&plugin->handler, sizeof(plugin->handler), ops);
        return plugin_check_handler(&plugin->handler, error);
    case HF_KIND_AUTH:
        copy_sized(&plugin->auth, sizeof(plugin->auth), ops);
        return plugin_check_auth(&plugin->auth, error);
    default:
        copy_sized(&plugin->fence, sizeof(plugin->fence), ops);
        return plugin_check_fence(&plugin->fence, error);
    }
}

/* The fields that every version has: size, api_major, api_minor. */
static int check_version(const struct hf_plugin *theirs, struct hf_error *error)
{
    if (!theirs)
        return plugin_fail(error, EINVAL, "hf_plugin_v1() returned nothing");
    if (theirs->api_major != HF_API_MAJOR)
        return plugin_fail(error, EINVAL, "built for plugin API %u.%u, this daemon has %u.%u",
                           theirs->api_major, theirs->api_minor, HF_API_MAJOR, HF_API_MINOR);
    if (theirs->size < offsetof(struct hf_plugin, load))
        return plugin_fail(error, EINVAL, "struct hf_plugin has %u bytes, API 1.0 needs %zu",
                           theirs->size, sizeof(struct hf_plugin));
    return 0;
}

static int take_info(struct plugin *plugin, const struct hf_plugin *theirs, struct hf_error *error)
{
    struct hf_plugin *info = &plugin->info;
    struct hf_option *options = NULL;
    int r = check_version(theirs, error);
    if (r < 0)
        return r;
    copy_sized(info, sizeof(*info), theirs);
    info->options = NULL;
    if (info->kind < HF_KIND_HANDLER || info->kind > HF_KIND_FENCE)
        return plugin_fail(error, EINVAL, "unknown kind %u", info->kind);
    if (!info->name || !plugin_name_is_good(info->name))
        return plugin_fail(error, EINVAL, "its name is missing or not made of a-z, 0-9 and '-'");
    if (!info->version || !info->summary)
        return plugin_fail(error, EINVAL, "its version or summary is missing");
    r = plugin_options_copy(theirs->options, info->config_bytes, &options, error);
    if (r < 0)
        return r;
    info->options = options;
    return take_ops(plugin, theirs->ops, error);
}

/* dlerror() usually starts with the file, which the caller says too. */
static int fail_dl(const char *path, struct hf_error *error)
{
    const char *text = dlerror();
    size_t length = strlen(path);
    if (!text)
        text = "cannot be loaded";
    if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    return plugin_fail(error, EINVAL, "%s", text);
}

static int open_plugin(struct plugin *plugin, struct hf_error *error)
{
    const struct hf_plugin *(*entry)(void);
    plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin->handle)
        return fail_dl(plugin->path, error);
    *(void **)&entry = dlsym(plugin->handle, "hf_plugin_v1");
    if (!entry)
        return plugin_fail(error, EINVAL, "not a Holdfast plugin: it has no symbol hf_plugin_v1");
    int r = take_info(plugin, entry(), error);
    if (r < 0)
        return r;
    plugin_host_init(&plugin->host);
    if (plugin->info.load) {
        struct hf_error why = PLUGIN_ERROR_INIT;
        r = plugin->info.load(&plugin->host, &why);
        if (r != 0) {
            r = r < 0 && r > -4096 ? r : -EINVAL;
            return plugin_fail(error, -r, "its load() failed: %s",
                               why.text[0] ? why.text : strerror(-r));
        }
    }
    plugin->ready = true;
    return 0;
}

static struct plugin *find_path(const char *path)
{
    for (struct plugin *p = plugins; p; p = p->next)
        if (strcmp(p->path, path) == 0)
            return p;
    return NULL;
}

static int try_file(void *path, struct hf_error *error)
{
    struct plugin *plugin = g_new0(struct plugin, 1);
    plugin->path = path;
    return open_plugin(plugin, error);
}

/* What was linked stays linked, also when it is of no use: its threads may run already. */
static int load_new(char *path, struct plugin **ret_plugin, struct hf_error *error)
{
    struct plugin *plugin = g_new0(struct plugin, 1);
    plugin->path = path;
    int r = trial_is_on() ? trial_run(try_file, path, "its constructor", &plugin->failure) : 0;
    if (r == 0)
        r = open_plugin(plugin, &plugin->failure);
    if (r < 0 && !plugin->handle) {
        *error = plugin->failure;
        g_free(plugin->path);
        g_free(plugin);
        return r;
    }
    plugin->next = plugins;
    plugins = plugin;
    *ret_plugin = plugin;
    return 0;
}

int plugin_load_file(const char *path, const struct plugin **ret_plugin, struct hf_error *error)
{
    struct hf_error why = PLUGIN_ERROR_INIT;
    /* dlopen() searches the system for a name without a slash */
    char *full = strchr(path, '/') ? g_strdup(path) : g_strdup_printf("./%s", path);
    struct plugin *plugin = find_path(full);
    int r = 0;
    if (plugin)
        g_free(full);
    else
        r = load_new(full, &plugin, &why);
    if (r == 0 && plugin->ready) {
        *ret_plugin = plugin;
        return 0;
    }
    if (r == 0)
        why = plugin->failure;
    r = plugin_fail(error, why.code, "%s: %s", path, why.text);
    trial_note(error);
    return r;
}

/* Without ".so": "file", "auth-chap". */
static char *file_stem(uint32_t kind, const char *name)
{
    return kind == HF_KIND_HANDLER ? g_strdup(name)
                                   : g_strdup_printf("%s-%s", plugin_kind_name(kind), name);
}

/* One file, or NULL and one more place in `tried`. */
static char *try_place(char *path, GString *tried)
{
    if (access(path, F_OK) == 0)
        return path;
    g_string_append_printf(tried, "%s%s", tried->len ? ", " : "", path);
    g_free(path);
    return NULL;
}

/* In one directory there is one of a name; else *ret_second is the other. */
static char *search_directories(const char *const *directories, const char *stem, GString *tried,
                                char **ret_second)
{
    for (; directories && *directories; directories++) {
        char *path = try_place(g_strdup_printf("%s/%s.so", *directories, stem), tried);
        char *folder = try_place(g_strdup_printf("%s/%s/%s.so", *directories, stem, stem), tried);
        if (path && folder) {
            *ret_second = folder;
            return path;
        }
        if (path || folder)
            return path ? path : folder;
    }
    return NULL;
}

static char *search(const char *const *paths, const char *stem, GString *tried, char **ret_second)
{
    g_auto(GStrv) builtin = plugin_builtin_directories();
    char *path = search_directories(paths, stem, tried, ret_second);
    return path ? path : search_directories((const char *const *)builtin, stem, tried, ret_second);
}

static int check_wanted(const struct plugin *plugin, uint32_t kind, const char *name,
                        struct hf_error *error)
{
    if (plugin->info.kind != kind)
        return plugin_fail(error, EINVAL, "%s: is a plugin of kind %s, not %s", plugin->path,
                           plugin_kind_name(plugin->info.kind), plugin_kind_name(kind));
    if (strcmp(plugin->info.name, name) != 0)
        return plugin_fail(error, EINVAL, "%s: calls itself '%s', not '%s'", plugin->path,
                           plugin->info.name, name);
    return 0;
}

const char *const *plugin_search_paths(void)
{
    return (const char *const *)search_paths;
}

static void remember_paths(const char *const *paths)
{
    if (!paths || paths == plugin_search_paths())
        return;
    g_strfreev(search_paths);
    search_paths = g_strdupv((char **)paths);
}

int plugin_load(const char *const *paths, uint32_t kind, const char *name,
                const struct plugin **ret_plugin, struct hf_error *error)
{
    const struct plugin *plugin;
    remember_paths(paths);
    for (plugin = plugins; plugin; plugin = plugin->next) {
        if (plugin->ready && plugin->info.kind == kind && strcmp(plugin->info.name, name) == 0) {
            *ret_plugin = plugin;
            return 0;
        }
    }
    if (!plugin_name_is_good(name))
        return plugin_fail(error, EINVAL, "'%s' cannot be the name of a plugin", name);
    g_autofree char *stem = file_stem(kind, name);
    g_autoptr(GString) tried = g_string_new(NULL);
    g_autofree char *second = NULL;
    g_autofree char *path = search(paths, stem, tried, &second);
    if (!path) {
        g_autofree char *near = plugin_nearest(paths, kind, name);
        return plugin_fail(error, ENOENT, "no %s plugin '%s'%s%s%s: looked for %s",
                           plugin_kind_name(kind), name, near ? " (did you mean '" : "",
                           near ? near : "", near ? "'?)" : "", tried->str);
    }
    if (second)
        return plugin_fail(error, EEXIST, "two plugins of one name: %s and %s", path, second);
    int r = plugin_load_file(path, &plugin, error);
    if (r == 0)
        r = check_wanted(plugin, kind, name, error);
    if (r == 0)
        *ret_plugin = plugin;
    return r;
}
