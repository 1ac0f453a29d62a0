/* SPDX-License-Identifier: BSD-3-Clause */
/* Text -> tree: positions, what is refused, limits. */
#include <errno.h>
#include <string.h>

#include "config/yaml.h"
#include "expect.h"

static struct config_tree *parse(const char *text)
{
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    int r = config_tree_parse(text, strlen(text), "f", &tree, problems);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==, "");
    g_assert_cmpint(r, ==, 0);
    return tree;
}

static void expect_bytes(const char *text, size_t length, int result, const char *expected)
{
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    int r = config_tree_parse(text, length, "f", &tree, problems);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==, expected);
    g_assert_cmpint(r, ==, result);
    config_tree_free(tree);
}

static void expect(const char *text, int result, const char *expected)
{
    expect_bytes(text, strlen(text), result, expected);
}

static void expect_place(const struct config_node *node, unsigned line, unsigned column)
{
    g_assert_nonnull(node);
    g_assert_cmpstr(config_node_file(node), ==, "f");
    g_assert_cmpuint(config_node_line(node), ==, line);
    g_assert_cmpuint(node->column, ==, column);
}

static void every_node_knows_its_place(void)
{
    struct config_tree *tree = parse("a: 1\n"
                                     "list:\n"
                                     "  - x\n"
                                     "  - \"y z\"\n"
                                     "map: { \xc3\xa9t\xc3\xa9: { deep: [1, 2] } }\n");
    const struct config_node *root = config_tree_root(tree);
    g_assert_cmpint(root->type, ==, CONFIG_MAPPING);
    g_assert_cmpuint(root->count, ==, 3);
    expect_place(root->entries[1].key, 2, 1);
    expect_place(config_node_get(root, "a"), 1, 4);
    const struct config_node *list = config_node_get(root, "list");
    g_assert_cmpint(list->type, ==, CONFIG_SEQUENCE);
    g_assert_cmpuint(list->count, ==, 2);
    expect_place(list->items[1], 4, 5);
    g_assert_cmpstr(list->items[1]->text, ==, "y z");
    g_assert_true(list->items[1]->quoted);
    g_assert_false(list->items[0]->quoted);
    /* columns count characters, not bytes */
    const struct config_node *map = config_node_get(root, "map");
    const struct config_node *deep =
        config_node_get(config_node_get(map, "\xc3\xa9t\xc3\xa9"), "deep");
    expect_place(deep, 5, 21);
    expect_place(deep->items[1], 5, 25);
    g_assert_null(config_node_get(root, "absent"));
    g_assert_null(config_node_get(list, "a"));
    g_assert_null(config_node_get(NULL, "a"));
    config_tree_free(tree);
}

static void nothing_is_an_empty_mapping(void)
{
    static const char *const empty[] = { "", "\n", "# only a comment\n", "---\n", "~" };
    for (unsigned i = 0; i < G_N_ELEMENTS(empty); i++) {
        struct config_tree *tree = parse(empty[i]);
        g_assert_cmpint(config_tree_root(tree)->type, ==, CONFIG_MAPPING);
        g_assert_cmpuint(config_tree_root(tree)->count, ==, 0);
        config_tree_free(tree);
    }
}

static void null_is_plain_only(void)
{
    struct config_tree *tree = parse("a:\nb: ~\nc: null\nd: \"\"\ne: '~'\nf: []\n");
    const struct config_node *root = config_tree_root(tree);
    g_assert_true(config_node_is_null(config_node_get(root, "a")));
    g_assert_true(config_node_is_null(config_node_get(root, "b")));
    g_assert_true(config_node_is_null(config_node_get(root, "c")));
    g_assert_false(config_node_is_null(config_node_get(root, "d")));
    g_assert_false(config_node_is_null(config_node_get(root, "e")));
    g_assert_false(config_node_is_null(config_node_get(root, "f")));
    config_tree_free(tree);
}

static void what_stands_under_options_is_private(void)
{
    struct config_tree *tree =
        parse("a: { options: { k: [ { deep: v } ] }, other: 1 }\noptions: x\n");
    const struct config_node *a = config_node_get(config_tree_root(tree), "a");
    const struct config_node *options = config_node_get(a, "options");
    g_assert_false(a->private);
    g_assert_true(options->private);
    g_assert_true(config_node_get(options, "k")->items[0]->private);
    g_assert_true(config_node_get(config_node_get(options, "k")->items[0], "deep")->private);
    g_assert_false(config_node_get(a, "other")->private);
    g_assert_true(config_node_get(config_tree_root(tree), "options")->private);
    config_tree_free(tree);
}

static void doubles_name_both_places_and_the_first_is_kept(void)
{
    expect("a: 1\nb: 2\na: 3\nc: { x: 1, x: 2 }\n", 0,
           "f:3:1: 'a' stands here twice, first at line 1 column 1\n"
           "f:4:12: 'x' stands here twice, first at line 4 column 6\n");
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    g_assert_cmpint(config_tree_parse("a: 1\na: 2\n", 10, "f", &tree, problems), ==, 0);
    g_assert_cmpuint(config_tree_root(tree)->count, ==, 1);
    g_assert_cmpstr(config_node_get(config_tree_root(tree), "a")->text, ==, "1");
    config_tree_free(tree);
    config_problems_free(problems);
}

static void keys_are_words(void)
{
    expect("[a, b]: 1\n{x: 1}: 2\nc: 3\n", 0,
           "f:1:1: a key must be a word, not a list\n"
           "f:2:1: a key must be a word, not a mapping\n");
}

static void aliases_tags_and_second_documents_are_refused(void)
{
    expect("a: &x 1\nb: *x\n", -EINVAL,
           "f:1:4: anchors (&) and aliases (*) are not supported\n"
           "f:2:4: anchors (&) and aliases (*) are not supported\n");
    expect("a: !!int 1\n", 0, "f:1:4: tags (!) are not supported\n");
    expect("a: 1\n---\nb: 2\n", -EINVAL,
           "f:2:1: a second document begins here; only one is allowed\n");
}

static void broken_syntax_has_a_place(void)
{
    expect("a: [1, 2\nb: 3\n", -EINVAL,
           "f:2:2: did not find expected ',' or ']' while parsing a flow sequence\n");
    expect("a: 1\n  b: 2\n", -EINVAL, "f:2:4: mapping values are not allowed in this context\n");
    expect(
        "a:\n\t- b\n", -EINVAL,
        "f:2:1: found character that cannot start any token while scanning for the next token\n");
    expect("a: \"never closed\n", -EINVAL,
           "f:2:1: found unexpected end of stream while scanning a quoted scalar\n");
}

static void only_utf8_text_is_read(void)
{
    expect("ok: 1\nbad: \xc3\x28\n", -EINVAL, "f:2:6: not UTF-8 text\n");
    expect("\xff\xfe"
           "a",
           -EINVAL, "f:1:1: not UTF-8 text\n");
    expect("\xef\xbb\xbf"
           "a: 1\n",
           -EINVAL, "f:1:1: begins with a byte order mark: save it as UTF-8 without one\n");
    expect("ok: \xc3\xa9 \x01\n", -EINVAL, "f:1:7: control characters are not allowed\n");
    expect_bytes("ok: 1\na: \0 b\n", 13, -EINVAL, "f:2:4: a NUL character\n");
    expect("a: \"x\\0y\"\n", 0, "f:1:4: a value must not contain a NUL character\n");
}

static void depth_is_limited(void)
{
    g_autoptr(GString) text = g_string_new("a: ");
    for (unsigned i = 1; i < CONFIG_DEPTH_MAX; i++)
        g_string_append_c(text, '[');
    for (unsigned i = 1; i < CONFIG_DEPTH_MAX; i++)
        g_string_append_c(text, ']');
    expect(text->str, 0, "");
    g_string_insert_c(text, 3, '[');
    g_string_append_c(text, ']');
    g_autofree char *expected =
        g_strdup_printf("f:1:%u: lists and mappings are nested too deeply\n", 3 + CONFIG_DEPTH_MAX);
    expect(text->str, -EINVAL, expected);

    g_autofree char *deep = g_strnfill(100000, '[');
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    g_assert_cmpint(config_tree_parse(deep, 100000, "f", &tree, problems), ==, -EINVAL);
    g_assert_cmpuint(config_problems_errors(problems), ==, 1);
    config_problems_free(problems);
}

static void size_and_number_of_values_are_limited(void)
{
    g_autofree char *large = g_strnfill(CONFIG_TEXT_MAX + 1, '#');
    expect(large, -EINVAL, "f: the file is larger than 8 MiB\n");

    g_autoptr(GString) many = g_string_new("a:\n");
    for (unsigned i = 0; i < CONFIG_NODES_MAX; i++)
        g_string_append(many, "- x\n");
    struct config_problems *problems = config_problems_new();
    struct config_tree *tree = NULL;
    g_assert_cmpint(config_tree_parse(many->str, many->len, "f", &tree, problems), ==, -EINVAL);
    g_autofree char *found = problems_text(problems);
    g_assert_nonnull(strstr(found, ": the file has too many values\n"));
}

static void problems_are_sorted_safe_and_bounded(void)
{
    struct config_problems *problems = config_problems_new();
    config_problem_add(problems, CONFIG_ERROR, "f", 9, 1, "last");
    config_problem_add(problems, CONFIG_WARNING, "f", 2, 7, "second\n\x1b[2J\xff");
    config_problem_add(problems, CONFIG_ERROR, "f", 2, 3, "first");
    config_problem_add(problems, CONFIG_ERROR, "f", 2, 7, "third");
    config_problem_error(problems, NULL, "nowhere");
    g_assert_cmpuint(config_problems_errors(problems), ==, 4);
    g_autofree char *text = problems_text(problems);
    g_assert_cmpstr(text, ==,
                    "nowhere\n"
                    "f:2:3: first\n"
                    "f:2:7: warning: second\\x0a\\x1b[2J\xef\xbf\xbd\n"
                    "f:2:7: third\n"
                    "f:9:1: last\n");

    problems = config_problems_new();
    g_autofree char *huge = g_strnfill(100000, 'x');
    for (unsigned i = 0; i < CONFIG_PROBLEMS_MAX + 50; i++)
        config_problem_add(problems, CONFIG_ERROR, "f", i, 1, "%s", huge);
    g_assert_cmpuint(config_problems_errors(problems), ==, CONFIG_PROBLEMS_MAX + 50);
    g_assert_cmpuint(config_problems_count(problems), ==, CONFIG_PROBLEMS_MAX);
    g_assert_cmpuint(strlen(config_problems_get(problems, 0)->text), <, 500);
    char *printed = NULL;
    size_t size;
    FILE *to = open_memstream(&printed, &size);
    config_problems_print(problems, to);
    fclose(to);
    g_assert_true(g_str_has_suffix(printed, "\nand 50 more\n"));
    free(printed);
    config_problems_free(problems);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/yaml/every-node-knows-its-place", every_node_knows_its_place);
    g_test_add_func("/config/yaml/nothing-is-an-empty-mapping", nothing_is_an_empty_mapping);
    g_test_add_func("/config/yaml/null-is-plain-only", null_is_plain_only);
    g_test_add_func("/config/yaml/what-stands-under-options-is-private",
                    what_stands_under_options_is_private);
    g_test_add_func("/config/yaml/doubles-name-both-places-and-the-first-is-kept",
                    doubles_name_both_places_and_the_first_is_kept);
    g_test_add_func("/config/yaml/keys-are-words", keys_are_words);
    g_test_add_func("/config/yaml/aliases-tags-and-second-documents-are-refused",
                    aliases_tags_and_second_documents_are_refused);
    g_test_add_func("/config/yaml/broken-syntax-has-a-place", broken_syntax_has_a_place);
    g_test_add_func("/config/yaml/only-utf8-text-is-read", only_utf8_text_is_read);
    g_test_add_func("/config/yaml/depth-is-limited", depth_is_limited);
    g_test_add_func("/config/yaml/size-and-number-of-values-are-limited",
                    size_and_number_of_values_are_limited);
    g_test_add_func("/config/problem/sorted-safe-and-bounded",
                    problems_are_sorted_safe_and_bounded);
    return g_test_run();
}
