/* SPDX-License-Identifier: BSD-3-Clause */
/* What people read when a plugin cannot be used: one line each, naming the file and the cause. */
#include "plugin/describe.h"
#include "plugin/loader.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

static const char *bad_directory;     /* of bad-*.so */
static const char *handler_directory; /* of NAME/NAME.so */

static void expect_line(const char *name, const char *line)
{
    g_autofree char *path = g_strdup_printf("%s/bad-%s.so", bad_directory, name);
    g_autofree char *expected = g_strdup_printf("%s: %s", path, line);
    const struct plugin *plugin = NULL;
    for (int i = 0; i < 2; i++) { /* the second try says the same */
        struct hf_error error = PLUGIN_ERROR_INIT;
        g_assert_cmpint(plugin_load_file(path, &plugin, &error), <, 0);
        g_assert_cmpstr(error.text, ==, expected);
        g_assert_null(plugin);
    }
}

static const struct {
    const char *name, *line;
} bad[] = {
    { "version", "built for plugin API 2.3, this daemon has 1.2" },
    { "symbol", "not a Holdfast plugin: it has no symbol hf_plugin_v1" },
    { "link", "undefined symbol: nobody_has_this" },
    { "name", "its name is missing or not made of a-z, 0-9 and '-'" },
    { "shape", "unknown shape 7 of a handler" },
    { "operation", "the operation pwrite is missing" },
    { "load", "its load() failed: the moon is not full" },
    { "type", "bad option table: 'more': unknown type 99" },
    { "offset", "bad option table: 'more': its field (offset 12, 8 bytes) is outside the struct of "
                "16 bytes" },
    { "offset-huge",
      "bad option table: 'more': its field (offset 18446744073709551612, 8 bytes) is "
      "outside the struct of 16 bytes" },
    { "align", "bad option table: 'more': its field is not aligned" },
    { "double", "bad option table: 'size': the name stands twice" },
    { "overlap", "bad option table: 'size' and 'more' fill the same bytes" },
    { "default",
      "bad option table: 'more': its default 'twelve' is no value: more: 'twelve' is not "
      "a size (such as 4096, 64K, 512M or 20G)" },
    { "range", "bad option table: 'more': its default '4K' is no value: more: '4K' is out of range "
               "(0 to 1K)" },
    { "choices", "bad option table: 'more': its choices are missing or more than 64" },
    { "nested",
      "bad option table: 'in': its field (offset 8, 8 bytes) is outside the struct of 8 bytes" },
};

static void bad_plugin(gconstpointer index)
{
    expect_line(bad[GPOINTER_TO_UINT(index)].name, bad[GPOINTER_TO_UINT(index)].line);
}

static void not_found_names_every_place(void)
{
    const char *const paths[] = { "/nowhere/a", "/nowhere/b", NULL };
    const struct plugin *plugin;
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_setenv("HOLDFAST_PLUGIN_DIR", "/nowhere/c", TRUE);
    g_assert_cmpint(plugin_load(paths, HF_KIND_AUTH, "krb", &plugin, &error), ==, -ENOENT);
    g_assert_cmpstr(error.text, ==,
                    "no auth plugin 'krb': looked for /nowhere/a/auth-krb.so, "
                    "/nowhere/a/auth-krb/auth-krb.so, /nowhere/b/auth-krb.so, "
                    "/nowhere/b/auth-krb/auth-krb.so, /nowhere/c/auth-krb.so, "
                    "/nowhere/c/auth-krb/auth-krb.so");
    g_assert_cmpint(plugin_load(paths, HF_KIND_HANDLER, "../x", &plugin, &error), ==, -EINVAL);
    g_assert_cmpstr(error.text, ==, "'../x' cannot be the name of a plugin");
}

static void no_elf_file_is_no_plugin(void)
{
    g_autofree char *directory = g_dir_make_tmp("holdfast-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "text.so", NULL);
    const char *const paths[] = { directory, NULL };
    const struct plugin *plugin;
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_true(g_file_set_contents(path, "no program", -1, NULL));
    g_assert_cmpint(plugin_load(paths, HF_KIND_HANDLER, "text", &plugin, &error), ==, -EINVAL);
    g_autofree char *start = g_strdup_printf("%s: ", path);
    g_assert_true(g_str_has_prefix(error.text, start));
    g_assert_null(strstr(error.text + strlen(start), path)); /* the file is named once */
    g_unlink(path);
    g_rmdir(directory);
}

static void wrong_kind_and_wrong_name(void)
{
    g_autofree char *directory = g_dir_make_tmp("holdfast-XXXXXX", NULL);
    g_autofree char *null_so = g_build_filename(handler_directory, "null", "null.so", NULL);
    g_autofree char *as_auth = g_build_filename(directory, "auth-null.so", NULL);
    g_autofree char *as_other = g_build_filename(directory, "other.so", NULL);
    const char *const paths[] = { directory, NULL };
    const struct plugin *plugin = NULL;
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(symlink(null_so, as_auth), ==, 0);
    g_assert_cmpint(symlink(null_so, as_other), ==, 0);

    g_assert_cmpint(plugin_load(paths, HF_KIND_AUTH, "null", &plugin, &error), ==, -EINVAL);
    g_autofree char *kind = g_strdup_printf("%s: is a plugin of kind handler, not auth", as_auth);
    g_assert_cmpstr(error.text, ==, kind);
    g_assert_cmpint(plugin_load(paths, HF_KIND_HANDLER, "other", &plugin, &error), ==, -EINVAL);
    g_autofree char *name = g_strdup_printf("%s: calls itself 'null', not 'other'", as_other);
    g_assert_cmpstr(error.text, ==, name);
    g_assert_null(plugin);
    g_unlink(as_auth);
    g_unlink(as_other);
    g_rmdir(directory);
}

static void a_folder_and_a_good_plugin(void)
{
    const char *const paths[] = { "/nowhere", handler_directory, NULL };
    const struct plugin *first = NULL, *again = NULL;
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(plugin_load(paths, HF_KIND_HANDLER, "file", &first, &error), ==, 0);
    g_assert_cmpstr(first->info.name, ==, "file");
    g_assert_cmpuint(first->handler.shape, ==, HF_SHAPE_QUEUE);
    g_assert_cmpint(plugin_load(NULL, HF_KIND_HANDLER, "file", &again, &error), ==, 0);
    g_assert_true(first == again);
}

/* ------------------------------------------------------------------------ list and describe */

static char *listed(int *ret_result)
{
    const char *const paths[] = { handler_directory, bad_directory, NULL };
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    g_setenv("HOLDFAST_PLUGIN_DIR", "/nowhere", TRUE);
    *ret_result = plugin_list(paths, to, stderr);
    fclose(to);
    return text;
}

static void list_has_good_and_bad_ones(void)
{
    int r;
    char *text = listed(&r);
    g_autofree char *line = g_strdup_printf(
        "handler  bad-version  unusable: %s/bad-version.so: built for plugin API 2.3, this daemon "
        "has 1.2\n",
        bad_directory);
    g_assert_cmpint(r, ==, -EINVAL);
    g_assert_nonnull(strstr(text, "handler  file "));
    g_assert_nonnull(strstr(text, "a disk in memory"));
    g_assert_nonnull(strstr(text, line));
    free(text);
}

static void describe_has_every_option(void)
{
    const char *const paths[] = { handler_directory, NULL };
    char *text = NULL, *errors = NULL;
    size_t bytes = 0, error_bytes = 0;
    FILE *to = open_memstream(&text, &bytes), *err = open_memstream(&errors, &error_bytes);
    g_assert_cmpint(plugin_describe(paths, "file", to, err), ==, 0);
    g_assert_cmpint(plugin_describe(paths, "fiel", to, err), ==, -ENOENT);
    fclose(to);
    fclose(err);
    g_assert_nonnull(strstr(text, "handler plugin 'file', version "));
    g_assert_nonnull(strstr(text, "    path  (path, required; a change: reopens the LUN)\n"));
    g_assert_nonnull(strstr(text, "    direct  (bool, default no; a change: reopens the LUN)\n"));
    g_autofree char *expected = g_strdup_printf(
        "no plugin 'fiel' (did you mean 'file'?): looked in %s, /nowhere\n", handler_directory);
    g_assert_cmpstr(errors, ==, expected);
    free(text);
    free(errors);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 3);
    bad_directory = argv[1];
    handler_directory = argv[2];
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = g_strdup_printf("/loader/bad/%s", bad[i].name);
        g_test_add_data_func(path, GUINT_TO_POINTER(i), bad_plugin);
    }
    g_test_add_func("/loader/not-found-names-every-place", not_found_names_every_place);
    g_test_add_func("/loader/no-elf-file-is-no-plugin", no_elf_file_is_no_plugin);
    g_test_add_func("/loader/wrong-kind-and-wrong-name", wrong_kind_and_wrong_name);
    g_test_add_func("/loader/a-folder-and-a-good-plugin", a_folder_and_a_good_plugin);
    g_test_add_func("/describe/list-has-good-and-bad-ones", list_has_good_and_bad_ones);
    g_test_add_func("/describe/describe-has-every-option", describe_has_every_option);
    return g_test_run();
}
