/* SPDX-License-Identifier: BSD-3-Clause */
/* --list-plugins and --describe: see describe.h. */
#include "plugin/describe.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "config/scalar.h"
#include "plugin/options.h"

/* ------------------------------------------------------------------------------ which files there are */

struct found {
    uint32_t kind;
    char *name;
    char *path;
};

static void found_free(gpointer data)
{
    struct found *found = data;
    g_free(found->name);
    g_free(found->path);
    g_free(found);
}

/* "auth-chap.so" is the auth plugin "chap"; false: no file of ours by its name. */
static bool split_name(const char *file, uint32_t *ret_kind, char **ret_name)
{
    const char *start = file;
    *ret_kind = HF_KIND_HANDLER;
    if (!g_str_has_suffix(file, ".so"))
        return false;
    if (g_str_has_prefix(file, "auth-"))
        *ret_kind = HF_KIND_AUTH;
    if (g_str_has_prefix(file, "fence-"))
        *ret_kind = HF_KIND_FENCE;
    if (*ret_kind != HF_KIND_HANDLER)
        start += strlen(plugin_kind_name(*ret_kind)) + 1;
    *ret_name = g_strndup(start, strlen(start) - strlen(".so"));
    return true;
}

static bool is_known(const GPtrArray *all, uint32_t kind, const char *name)
{
    for (guint i = 0; i < all->len; i++) {
        const struct found *found = all->pdata[i];
        if (found->kind == kind && strcmp(found->name, name) == 0)
            return true;
    }
    return false;
}

static bool is_in_its_folder(const char *file, const char *folder)
{
    size_t length = folder ? strlen(folder) : 0;
    return !folder || (strncmp(file, folder, length) == 0 && strcmp(file + length, ".so") == 0);
}

/* `folder`: NULL, or the name without ".so" that a file must have to be found in here. */
static void find_in(GPtrArray *all, const char *directory, const char *folder)
{
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *file;
    while (dir && (file = g_dir_read_name(dir))) {
        uint32_t kind;
        g_autofree char *name = NULL;
        if (!split_name(file, &kind, &name) || !is_in_its_folder(file, folder) ||
            is_known(all, kind, name))
            continue;
        struct found *found = g_new0(struct found, 1);
        found->kind = kind;
        found->name = g_steal_pointer(&name);
        found->path = g_build_filename(directory, file, NULL);
        g_ptr_array_add(all, found);
    }
    if (dir)
        g_dir_close(dir);
}

/* A directory, then the folders in it: the loader's order. */
static void find_below(GPtrArray *all, const char *directory)
{
    find_in(all, directory, NULL);
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *folder;
    while (dir && (folder = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, folder, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            find_in(all, path, folder);
    }
    if (dir)
        g_dir_close(dir);
}

static int compare_found(gconstpointer a, gconstpointer b)
{
    const struct found *x = *(const struct found *const *)a, *y = *(const struct found *const *)b;
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

static void print_looked_in(const char *const *paths, FILE *errors)
{
    g_auto(GStrv) builtin = plugin_builtin_directories();
    const char *separator = "looked in ";
    for (; paths && *paths; paths++, separator = ", ")
        fprintf(errors, "%s%s", separator, *paths);
    for (char **directory = builtin; *directory; directory++, separator = ", ")
        fprintf(errors, "%s%s", separator, *directory);
    fputc('\n', errors);
}

static GPtrArray *find_all(const char *const *paths)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(found_free);
    g_auto(GStrv) builtin = plugin_builtin_directories();
    for (; paths && *paths; paths++)
        find_below(all, *paths);
    for (char **directory = builtin; *directory; directory++)
        find_below(all, *directory);
    g_ptr_array_sort(all, compare_found);
    return all;
}

char *plugin_nearest(const char *const *paths, uint32_t kind, const char *name)
{
    g_autoptr(GPtrArray) all = find_all(paths);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < all->len; i++) {
        const struct found *found = g_ptr_array_index(all, i);
        if (found->kind == kind)
            g_ptr_array_add(names, found->name);
    }
    g_ptr_array_add(names, NULL);
    return g_strdup(config_nearest(name, (const char *const *)names->pdata));
}

int plugin_list(const char *const *paths, FILE *to, FILE *errors)
{
    g_autoptr(GPtrArray) all = find_all(paths);
    int r = 0;
    if (all->len == 0) {
        fputs("there are no plugins: ", errors);
        print_looked_in(paths, errors);
        return -ENOENT;
    }
    for (guint i = 0; i < all->len; i++) {
        const struct found *found = all->pdata[i];
        const struct plugin *plugin;
        struct hf_error error = PLUGIN_ERROR_INIT;
        if (plugin_load(paths, found->kind, found->name, &plugin, &error) == 0) {
            fprintf(to, "%-8s %-12s %-10s %s (%s)\n", plugin_kind_name(found->kind), found->name,
                    plugin->info.version, plugin->info.summary, found->path);
        } else {
            fprintf(to, "%-8s %-12s unusable: %s\n", plugin_kind_name(found->kind), found->name,
                    error.text);
            r = -EINVAL;
        }
    }
    return r;
}

/* ----------------------------------------------------------------------------------- one plugin */

static void print_range(const struct hf_option *row, FILE *to)
{
    g_autofree char *low = NULL, *high = NULL;
    if (!row->min && !row->max)
        return;
    switch (row->type) {
    case HF_OPTION_SIZE:
        low = config_format_size(row->min);
        high = config_format_size(row->max);
        break;
    case HF_OPTION_DURATION:
        low = config_format_duration(row->min);
        high = config_format_duration(row->max);
        break;
    default:
        low = g_strdup_printf("%" PRIu64, row->min);
        high = g_strdup_printf("%" PRIu64, row->max);
    }
    const char *of = row->type == HF_OPTION_LIST                                      ? " items"
                     : row->type == HF_OPTION_STRING || row->type == HF_OPTION_SECRET ? " bytes"
                                                                                      : "";
    fprintf(to, ", %s to %s%s", low, high, of);
}

static void print_choices(const struct hf_option *row, FILE *to)
{
    uint32_t type = row->type == HF_OPTION_LIST ? row->item_type : row->type;
    if (type != HF_OPTION_CHOICE)
        return;
    for (const char *const *word = row->choices; *word; word++)
        fprintf(to, "%s%s", word == row->choices ? ": " : " | ", *word);
}

static void print_options(const struct hf_option *row, unsigned indent, FILE *to)
{
    static const char *const changes[] = { "live", "reopens the LUN", "makes it another disk" };
    for (; row && row->name; row++) {
        fprintf(to, "%*s%s", indent, "", row->name);
        if (row->type == HF_OPTION_SECRET)
            fprintf(to, ", or better %s-file", row->name);
        fprintf(to, "  (%s", plugin_option_type_name(row->type));
        if (row->type == HF_OPTION_LIST)
            fprintf(to, " of %s", plugin_option_type_name(row->item_type));
        print_choices(row, to);
        print_range(row, to);
        if (row->flags & HF_OPTION_REQUIRED)
            fputs(", required", to);
        if (row->default_value)
            fprintf(to, ", default %s", row->default_value);
        fprintf(to, "; a change: %s)\n%*s%s\n", changes[row->change], indent + 4, "", row->help);
        print_options(row->table, indent + 4, to);
    }
}

static const char *shape_text(uint32_t shape)
{
    static const char *const texts[] = { "?", "queue", "blocking, serial", "blocking, parallel" };
    return shape < G_N_ELEMENTS(texts) ? texts[shape] : texts[0];
}

static void describe(const struct plugin *plugin, FILE *to)
{
    const struct hf_plugin *info = &plugin->info;
    fprintf(to, "%s plugin '%s', version %s, for plugin API %u.%u\n  %s\n  file: %s\n",
            plugin_kind_name(info->kind), info->name, info->version, info->api_major,
            info->api_minor, info->summary, plugin->path);
    if (info->kind == HF_KIND_HANDLER)
        fprintf(to, "  shape: %s\n", shape_text(plugin->handler.shape));
    if (info->kind == HF_KIND_AUTH)
        fprintf(to, "  method: %s\n", plugin->auth.method);
    fputs(info->options ? "  options:\n" : "  options: none\n", to);
    print_options(info->options, 4, to);
}

static int describe_file(const char *path, FILE *to, FILE *errors)
{
    const struct plugin *plugin;
    struct hf_error error = PLUGIN_ERROR_INIT;
    int r = plugin_load_file(path, &plugin, &error);
    if (r < 0)
        fprintf(errors, "%s\n", error.text);
    else
        describe(plugin, to);
    return r;
}

static bool is_meant(const struct found *found, const char *name)
{
    g_autofree char *full = g_strdup_printf("%s-%s", plugin_kind_name(found->kind), found->name);
    return strcmp(found->name, name) == 0 ||
           (found->kind != HF_KIND_HANDLER && strcmp(full, name) == 0);
}

static void print_unknown(const char *const *paths, const GPtrArray *all, const char *name,
                          FILE *errors)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    for (guint i = 0; i < all->len; i++)
        g_ptr_array_add(words, ((struct found *)all->pdata[i])->name);
    g_ptr_array_add(words, NULL);
    g_autofree char *meant = config_did_you_mean(name, (const char *const *)words->pdata);
    fprintf(errors, "no plugin '%s'%s: ", name, meant);
    print_looked_in(paths, errors);
}

int plugin_describe(const char *const *paths, const char *name, FILE *to, FILE *errors)
{
    g_autoptr(GPtrArray) all = NULL;
    int r = 0;
    unsigned count = 0;
    if (strchr(name, '/'))
        return describe_file(name, to, errors);
    all = find_all(paths);
    for (guint i = 0; i < all->len; i++) {
        const struct found *found = all->pdata[i];
        if (!is_meant(found, name))
            continue;
        if (count++)
            fputc('\n', to);
        int one = describe_file(found->path, to, errors);
        r = one < 0 ? one : r;
    }
    if (count == 0) {
        print_unknown(paths, all, name, errors);
        return -ENOENT;
    }
    return r;
}
