/* SPDX-License-Identifier: BSD-3-Clause */
/* Edits of a text: what changes, and that nothing else does. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "config/edit.h"

#define BLOCK                                                                                      \
    "version: 1 # the first\n"                                                                     \
    "targets:\n"                                                                                   \
    "  # build machines\n"                                                                         \
    "  iqn.2026-11.org.example:a: # one\n"                                                         \
    "    alias: 'it''s'   # shown\n"                                                               \
    "    luns:\n"                                                                                  \
    "      # the system\n"                                                                         \
    "      0: { handler: ram, options: { size: 16M } } # fast\n"                                   \
    "      07:\n"                                                                                  \
    "        handler: file\n"                                                                      \
    "        options:\n"                                                                           \
    "          path: /srv/a.img # here\n"                                                          \
    "          size: 20G\n"                                                                        \
    "  \"iqn.2026-11.org.example:B\": { luns: { 1: { handler: \"null\" }, 2: { handler: ram } } "  \
    "}\n"                                                                                          \
    "  iqn.2026-11.org.example:empty:\n"                                                           \
    "# the end\n"

#define A "targets", "iqn.2026-11.org.example:a"
#define B "targets", "iqn.2026-11.org.example:b"

struct edit {
    const char *name;
    const char *path[CONFIG_EDIT_DEPTH];
    const char *value;
    const char *was, *is; /* a piece of BLOCK, and what stands there afterwards; NULL: an error */
    int error;
};

static const struct edit edits[] = {
    { "a-scalar", { A, "luns", "7", "options", "size" }, "40G", "size: 20G", "size: 40G", 0 },
    { "a-scalar-in-flow",
      { A, "luns", "0", "options", "size" },
      "32M",
      "size: 16M",
      "size: 32M",
      0 },
    { "a-quoted-scalar", { A, "alias" }, "\"x\"", "'it''s'", "\"x\"", 0 },
    { "a-flow-value",
      { A, "luns", "0" },
      "{ handler: x }",
      "{ handler: ram, options: { size: 16M } }",
      "{ handler: x }",
      0 },
    { "a-new-key-in-block",
      { A, "luns", "7", "read-only" },
      "yes",
      "          size: 20G\n",
      "          size: 20G\n        read-only: yes\n",
      0 },
    { "a-new-key-in-flow",
      { A, "luns", "0", "read-only" },
      "yes",
      "{ size: 16M } }",
      "{ size: 16M }, read-only: yes }",
      0 },
    { "a-new-LUN-in-block",
      { A, "luns", "9" },
      "{ handler: ram }",
      "          size: 20G\n",
      "          size: 20G\n      9: { handler: ram }\n",
      0 },
    { "a-new-LUN-in-flow",
      { B, "luns", "9" },
      "{ handler: ram }",
      "2: { handler: ram } }",
      "2: { handler: ram }, 9: { handler: ram } }",
      0 },
    { "a-LUN-of-a-target-without-any",
      { "targets", "iqn.2026-11.org.example:empty", "luns", "0" },
      "{ handler: ram }",
      "iqn.2026-11.org.example:empty:\n",
      "iqn.2026-11.org.example:empty: { luns: { 0: { handler: ram } } }\n",
      0 },
    { "a-new-target",
      { "targets", "iqn.2026-11.org.example:c", "alias" },
      "c",
      "iqn.2026-11.org.example:empty:\n",
      "iqn.2026-11.org.example:empty:\n  iqn.2026-11.org.example:c: { alias: c }\n",
      0 },
    { "a-new-section",
      { "fence", "plugin" },
      "none",
      "iqn.2026-11.org.example:empty:\n",
      "iqn.2026-11.org.example:empty:\nfence: { plugin: none }\n",
      0 },
    { "removing-in-block",
      { A, "luns", "0" },
      NULL,
      "      0: { handler: ram, options: { size: 16M } } # fast\n",
      "",
      0 },
    { "removing-the-last-lines",
      { A, "luns", "7" },
      NULL,
      "      07:\n        handler: file\n        options:\n          path: /srv/a.img # here\n"
      "          size: 20G\n",
      "",
      0 },
    { "removing-the-first-in-flow", { B, "luns", "1" }, NULL, "1: { handler: \"null\" }, ", "", 0 },
    { "removing-the-last-in-flow", { B, "luns", "2" }, NULL, ", 2: { handler: ram }", "", 0 },
    { "removing-a-target",
      { B },
      NULL,
      "  \"iqn.2026-11.org.example:B\": { luns: { 1: { handler: \"null\" }, 2: { handler: ram } } "
      "}\n",
      "",
      0 },
    { "removing-what-is-not-there", { A, "luns", "8" }, NULL, NULL, NULL, -ENOENT },
    { "a-key-below-a-scalar", { A, "alias", "x" }, "1", NULL, NULL, -EINVAL },
};

static void test_edit(gconstpointer data)
{
    const struct edit *e = data;
    char *text = NULL;
    size_t length = 0;
    int r = config_edit(BLOCK, strlen(BLOCK), e->path, e->value, &text, &length);
    g_assert_cmpint(r, ==, e->error);
    if (r < 0)
        return;
    const char *at = strstr(BLOCK, e->was);
    g_assert_nonnull(at);
    g_autofree char *expected =
        g_strdup_printf("%.*s%s%s", (int)(at - BLOCK), BLOCK, e->is, at + strlen(e->was));
    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpuint(length, ==, strlen(expected));
    g_free(text);
}

static void test_what_is_not_understood_is_refused(void)
{
    static const char *const texts[] = {
        "a: |\n  several\n  lines\n", "a: several\n  lines\n", "- a\n", "", "a: [\n",
    };
    static const char *const path[] = { "a", NULL };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        char *text = NULL;
        size_t length;
        g_assert_cmpint(config_edit(texts[i], strlen(texts[i]), path, "1", &text, &length), ==,
                        -EINVAL);
        g_assert_null(text);
    }
}

static void test_the_only_entry_leaves_an_empty_mapping(void)
{
    static const char block[] = "targets:\n  x: # c\n    a: 1\nversion: 1\n";
    static const char *const path[] = { "targets", "iqn.2026-11.org.example:a", NULL };
    static const char one[] = "targets:\n  iqn.2026-11.org.example:a:\n    luns: {}\nversion: 1\n";
    char *text = NULL;
    size_t length;
    g_assert_cmpint(config_edit(one, strlen(one), path, NULL, &text, &length), ==, 0);
    g_assert_cmpstr(text, ==, "targets:\n  {}\nversion: 1\n");
    g_free(text);
    g_assert_cmpint(config_edit(block, strlen(block), path, NULL, &text, &length), ==, -ENOENT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(edits); i++) {
        g_autofree char *name = g_strdup_printf("/config/edit/%s", edits[i].name);
        g_test_add_data_func(name, &edits[i], test_edit);
    }
    g_test_add_func("/config/edit/what-is-not-understood-is-refused",
                    test_what_is_not_understood_is_refused);
    g_test_add_func("/config/edit/the-only-entry-leaves-an-empty-mapping",
                    test_the_only_entry_leaves_an_empty_mapping);
    return g_test_run();
}
