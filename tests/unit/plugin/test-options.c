/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of plugins: YAML into structs, and every mistake with its place. */
#include "plugin/options.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/clock.h"
#include "config/yaml.h"

struct user {
    const char *name;
    struct hf_secret secret;
};

struct config {
    const char *title;
    const char *path;
    struct hf_secret key;
    uint64_t count, bytes, wait_ns;
    uint32_t on, colour;
    struct hf_list words, users, colours;
    const struct user *mutual;
};

static const char *const colours[] = { "red", "green", "blue", NULL };

#define ROW      .size = sizeof(struct hf_option), .help = "help"
#define FIELD(f) .offset = offsetof(struct config, f)
#define USER(f)  .offset = offsetof(struct user, f)
#define END                                                                                        \
    {                                                                                              \
        .size = 0                                                                                  \
    }

static const struct hf_option user_rows[] = {
    { ROW, .type = HF_OPTION_STRING, .name = "name", .flags = HF_OPTION_REQUIRED, USER(name) },
    { ROW, .type = HF_OPTION_SECRET, .name = "secret", .flags = HF_OPTION_REQUIRED, .min = 4,
      .max = 64, USER(secret) },
    END,
};

static const struct hf_option rows[] = {
    { ROW, .type = HF_OPTION_STRING, .name = "title", .min = 1, .max = 8, FIELD(title) },
    { ROW, .type = HF_OPTION_PATH, .name = "path", .change = HF_CHANGE_IDENTITY, FIELD(path) },
    { ROW, .type = HF_OPTION_SECRET, .name = "key", FIELD(key) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "count", .default_value = "7", .max = 100,
      FIELD(count) },
    { ROW, .type = HF_OPTION_SIZE, .name = "size", .change = HF_CHANGE_REOPEN, FIELD(bytes) },
    { ROW, .type = HF_OPTION_DURATION, .name = "wait", .default_value = "5s", FIELD(wait_ns) },
    { ROW, .type = HF_OPTION_BOOL, .name = "on", .default_value = "yes", FIELD(on) },
    { ROW, .type = HF_OPTION_CHOICE, .name = "colour", .default_value = "green", .choices = colours,
      FIELD(colour) },
    { ROW, .type = HF_OPTION_LIST, .name = "words", .item_type = HF_OPTION_STRING, .max = 3,
      FIELD(words) },
    { ROW, .type = HF_OPTION_LIST, .name = "users", .item_type = HF_OPTION_TABLE,
      .table = user_rows, .table_bytes = sizeof(struct user), FIELD(users) },
    { ROW, .type = HF_OPTION_LIST, .name = "colours", .item_type = HF_OPTION_CHOICE,
      .choices = colours, FIELD(colours) },
    { ROW, .type = HF_OPTION_TABLE, .name = "mutual", .table = user_rows,
      .table_bytes = sizeof(struct user), FIELD(mutual) },
    END,
};

/* A plugin that was never a file. */
static struct plugin plugin;
static const char *validate_says;

static int32_t validate(const void *config, struct hf_error *error)
{
    return validate_says ? plugin_fail(error, EINVAL, "%s", validate_says) : 0;
}

static void make_plugin(void)
{
    struct hf_option *table;
    struct hf_error error = PLUGIN_ERROR_INIT;
    int r = plugin_options_copy(rows, sizeof(struct config), &table, &error);
    g_assert_cmpstr(error.text, ==, "");
    g_assert_cmpint(r, ==, 0);
    plugin.info.name = "sample";
    plugin.info.kind = HF_KIND_HANDLER;
    plugin.info.config_bytes = sizeof(struct config);
    plugin.info.options = table;
    plugin.handler.validate = validate;
}

/* The options of `yaml`; problems as text in *ret_problems (one line each), or none. */
static struct plugin_config *parse(const char *yaml, char **ret_problems)
{
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    struct plugin_config *config = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_assert_cmpint(config_tree_parse(yaml, strlen(yaml), "f", &tree, problems), ==, 0);
    int r = plugin_config_new(&plugin, config_tree_root(tree), NULL, &config, problems);
    for (unsigned i = 0; i < config_problems_count(problems); i++) {
        g_autofree char *line = config_problem_format(config_problems_get(problems, i));
        g_string_append_printf(text, "%s\n", line);
    }
    g_assert_cmpint(r<0, ==, text->len> 0);
    config_tree_free(tree); /* nothing of the tree is used any more */
    config_problems_free(problems);
    *ret_problems = g_strdup(text->str);
    return config;
}

static struct plugin_config *parse_good(const char *yaml)
{
    g_autofree char *problems = NULL;
    struct plugin_config *config = parse(yaml, &problems);
    g_assert_cmpstr(problems, ==, "");
    return config;
}

static void expect_problems(const char *yaml, const char *expected)
{
    g_autofree char *problems = NULL;
    g_assert_null(parse(yaml, &problems));
    g_assert_cmpstr(problems, ==, expected);
}

static void defaults(void)
{
    struct plugin_config *config = parse_good("");
    const struct config *c = plugin_config_data(config);
    g_assert_null(c->title);
    g_assert_null(c->key.data);
    g_assert_null(c->mutual);
    g_assert_cmpuint(c->count, ==, 7);
    g_assert_cmpuint(c->bytes, ==, 0);
    g_assert_cmpuint(c->wait_ns, ==, 5 * NS_PER_S);
    g_assert_cmpuint(c->on, ==, 1);
    g_assert_cmpuint(c->colour, ==, 1);
    g_assert_cmpuint(c->users.count, ==, 0);
    plugin_config_free(config);
}

static void all_values(void)
{
    struct plugin_config *config = parse_good(
        "title: words\npath: /dev/zero\nkey: geheim\ncount: 100\nsize: 20G\nwait: 50us\n"
        "on: off\ncolour: blue\nwords: [a, b b]\ncolours: [blue, red]\n"
        "users:\n  - { name: host1, secret: 1234 }\n  - { name: host2, secret: abcdef }\n"
        "mutual: { name: target, secret: zyxw }\n");
    const struct config *c = plugin_config_data(config);
    const struct user *users = c->users.items;
    g_assert_cmpstr(c->title, ==, "words");
    g_assert_cmpstr(c->path, ==, "/dev/zero");
    g_assert_cmpstr((const char *)c->key.data, ==, "geheim");
    g_assert_cmpuint(c->key.bytes, ==, 6);
    g_assert_cmpuint(c->count, ==, 100);
    g_assert_cmpuint(c->bytes, ==, 20ull << 30);
    g_assert_cmpuint(c->wait_ns, ==, 50000);
    g_assert_cmpuint(c->on, ==, 0);
    g_assert_cmpuint(c->colour, ==, 2);
    g_assert_cmpuint(c->words.count, ==, 2);
    g_assert_cmpstr(((const char *const *)c->words.items)[1], ==, "b b");
    g_assert_cmpuint(((const uint32_t *)c->colours.items)[0], ==, 2);
    g_assert_cmpuint(((const uint32_t *)c->colours.items)[1], ==, 0);
    g_assert_cmpuint(c->users.count, ==, 2);
    g_assert_cmpstr(users[1].name, ==, "host2");
    g_assert_cmpuint(users[1].secret.bytes, ==, 6);
    g_assert_cmpstr(c->mutual->name, ==, "target");
    plugin_config_free(config);
}

static void every_mistake_is_reported(void)
{
    expect_problems("titel: x\n"
                    "path: relative\n"
                    "count: 101\n"
                    "size: much\n"
                    "on: perhaps\n"
                    "colour: bleu\n"
                    "words: [a, b, c, d]\n"
                    "users: [ { nam: x, secret: abc } ]\n"
                    "mutual: none\n",
                    "f:1:1: unknown key 'titel' (did you mean 'title'?)\n"
                    "f:2:7: path: 'relative' is not an absolute path (it must begin with /)\n"
                    "f:3:8: count: '101' is out of range (0 to 100)\n"
                    "f:4:7: size: 'much' is not a size (such as 4096, 64K, 512M or 20G)\n"
                    "f:5:5: on: 'perhaps' is neither yes nor no\n"
                    "f:6:9: colour: 'bleu' is not one of red, green, blue (did you mean 'blue'?)\n"
                    "f:7:8: words: has 4 items, must have 0 to 3\n"
                    "f:8:10: name is missing\n"
                    "f:8:12: unknown key 'nam' (did you mean 'name'?)\n"
                    "f:8:28: secret: has 3 bytes, must have 4 to 64\n"
                    "f:9:9: mutual: must be a mapping, not a value\n");
    expect_problems("[ a ]", "f:1:1: options: must be a mapping, not a list\n");
}

static void validate_has_the_last_word(void)
{
    validate_says = "the two do not go together";
    expect_problems("count: 1", "f:1:1: sample: the two do not go together\n");
    expect_problems("count: 1000", "f:1:8: count: '1000' is out of range (0 to 100)\n");
    validate_says = NULL;
}

/* ------------------------------------------------------------------------------------- secrets */

static char *write_secret(const char *directory, const char *text, size_t bytes, int mode)
{
    char *path = g_build_filename(directory, "secret", NULL);
    g_assert_true(g_file_set_contents(path, text, (gssize)bytes, NULL));
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
    return path;
}

static void expect_secret_problem(const char *text, size_t bytes, int mode, const char *problem)
{
    g_autofree char *directory = g_dir_make_tmp("holdfast-XXXXXX", NULL);
    g_autofree char *path = write_secret(directory, text, bytes, mode);
    g_autofree char *yaml = g_strdup_printf("key-file: %s\n", path);
    g_autofree char *expected = g_strdup_printf("f:1:11: key-file: %s: %s\n", path, problem);
    expect_problems(yaml, expected);
    g_unlink(path);
    g_rmdir(directory);
}

static void secret_from_a_file(void)
{
    g_autofree char *directory = g_dir_make_tmp("holdfast-XXXXXX", NULL);
    g_autofree char *path = write_secret(directory, "two\nlines\n", 10, 0640);
    g_autofree char *yaml = g_strdup_printf("key-file: %s\n", path);
    struct plugin_config *config = parse_good(yaml);
    const struct config *c = plugin_config_data(config);
    g_assert_cmpmem(c->key.data, c->key.bytes, "two\nlines", 9);
    plugin_config_free(config);
    g_unlink(path);
    g_rmdir(directory);
}

static void bad_secret_files(void)
{
    char large[5000];
    memset(large, 'x', sizeof(large));
    expect_secret_problem("secret\n", 7, 0644, "everybody may read or change it (chmod o= it)");
    expect_secret_problem("secret\n", 7, 0602, "everybody may read or change it (chmod o= it)");
    expect_secret_problem("\n", 1, 0600, "is empty");
    expect_secret_problem(large, sizeof(large), 0600, "is longer than 4096 bytes");
    expect_problems("key-file: /nowhere/x\n",
                    "f:1:11: key-file: /nowhere/x: No such file or directory\n");
    expect_problems("key-file: /dev/null\n",
                    "f:1:11: key-file: /dev/null: is not a regular file\n");
    expect_problems("key: a\nkey-file: /x\n", "f:2:11: key and key-file exclude each other\n");
    expect_problems("mutual: { name: x }\n", "f:1:9: secret (or better secret-file) is missing\n");
}

/* ------------------------------------------------------------------------------------- compare */

static void expect_change(const char *a, const char *b, int change)
{
    struct plugin_config *x = parse_good(a), *y = parse_good(b);
    g_assert_cmpint(plugin_config_compare(x, y), ==, change);
    g_assert_cmpint(plugin_config_compare(y, x), ==, change);
    plugin_config_free(x);
    plugin_config_free(y);
}

static void compare(void)
{
    const char *users = "users: [ { name: a, secret: aaaa } ]\n";
    expect_change("", "", -1);
    expect_change("count: 7\n", "", -1);
    expect_change(users, users, -1);
    expect_change("count: 8\n", "", HF_CHANGE_LIVE);
    expect_change("size: 1M\n", "count: 3\n", HF_CHANGE_REOPEN);
    expect_change("path: /a\n", "path: /b\nsize: 1M\n", HF_CHANGE_IDENTITY);
    expect_change(users, "", HF_CHANGE_LIVE);
    expect_change(users, "users: [ { name: a, secret: aaab } ]\n", HF_CHANGE_LIVE);
    expect_change("mutual: { name: a, secret: aaaa }\n", "", HF_CHANGE_LIVE);
    expect_change("words: [a]\n", "words: [b]\n", HF_CHANGE_LIVE);
}

/* A table of an older plugin: its rows are shorter than ours. */
static void shorter_rows(void)
{
    struct old_row {
        uint32_t size, type;
        const char *name, *help, *default_value;
        uint32_t change, flags;
        uint64_t min, max, offset;
    };
    const struct old_row old[] = {
        { sizeof(struct old_row), HF_OPTION_SIZE, "one", "help", "4K", 0, 0, 0, 0, 0 },
        { sizeof(struct old_row), HF_OPTION_SIZE, "two", "help", NULL, 0, 0, 0, 0, 8 },
        { .size = 0 },
    };
    struct hf_option *table = NULL;
    struct hf_error error = PLUGIN_ERROR_INIT;
    g_assert_cmpint(plugin_options_copy((const struct hf_option *)old, 16, &table, &error), ==, 0);
    g_assert_cmpstr(table[1].name, ==, "two");
    g_assert_null(table[1].choices);
    g_assert_null(table[2].name);
    plugin_options_free(table);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_plugin();
    g_test_add_func("/options/defaults", defaults);
    g_test_add_func("/options/all-values", all_values);
    g_test_add_func("/options/every-mistake-is-reported", every_mistake_is_reported);
    g_test_add_func("/options/validate-has-the-last-word", validate_has_the_last_word);
    g_test_add_func("/options/secret-from-a-file", secret_from_a_file);
    g_test_add_func("/options/bad-secret-files", bad_secret_files);
    g_test_add_func("/options/compare", compare);
    g_test_add_func("/options/shorter-rows", shorter_rows);
    int r = g_test_run();
    plugin_options_free((struct hf_option *)plugin.info.options);
    return r;
}
