/* SPDX-License-Identifier: BSD-3-Clause */
/* One value of a file changes, every other byte stays. */
#include "config/amend.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define TARGET "iqn.2026-11.org.example:a"
#define HEAD                                                                                       \
    "version: 1\n# a comment \xc3\xbc\nportals: { p: { listen: [\"127.0.0.1:3260\"] } "            \
    "}\ntargets:\n"                                                                                \
    "  " TARGET ":\n    luns:\n"

static void expect(const char *before, unsigned lun, uint64_t bytes, const char *after)
{
    g_autofree char *text = NULL;
    size_t length;
    g_test_message("%s", before);
    int r = config_amend_size(before, strlen(before), TARGET, lun, bytes, &text, &length);
    g_assert_cmpint(r, ==, 0);
    g_assert_cmpuint(length, ==, strlen(after));
    g_assert_cmpmem(text, length, after, strlen(after));
}

static void refuse(const char *before, unsigned lun, int error)
{
    char *text = NULL;
    size_t length;
    int r = config_amend_size(before, strlen(before), TARGET, lun, 1 << 20, &text, &length);
    g_assert_cmpint(r, ==, error);
}

static void test_flow_and_block_style(void)
{
    expect(HEAD "      0: { handler: ram, options: { size: 1G } } # size: 1G\n", 0, 3ull << 30,
           HEAD "      0: { handler: ram, options: { size: 3G } } # size: 1G\n");
    expect(HEAD "      7:\n        handler: ram\n        options:\n          size:   512   # old\n",
           7, 1536,
           HEAD
           "      7:\n        handler: ram\n        options:\n          size:   1536   # old\n");
    expect(HEAD "      0: { handler: ram, options: { size: '64M' } }\n", 0, 1 << 30,
           HEAD "      0: { handler: ram, options: { size: '1G' } }\n");
    expect(HEAD "      0: { handler: ram, options: { \"size\": \"64M\" } }", 0, 1 << 20,
           HEAD "      0: { handler: ram, options: { \"size\": \"1M\" } }");
}

static void test_only_the_lun_that_is_meant(void)
{
    expect(HEAD "      0: { handler: ram, options: { size: 1M } }\n      1: { handler: ram, "
                "options: { size: 1M } }\n",
           1, 2 << 20,
           HEAD "      0: { handler: ram, options: { size: 1M } }\n      1: { handler: ram, "
                "options: { size: 2M } }\n");
    expect(HEAD "      { 0: { handler: ram, options: { size: 1M } }, 1: { handler: ram, options: { "
                "path: /\xc3\xbc, size: 1M } } }\n",
           0, 2 << 20,
           HEAD "      { 0: { handler: ram, options: { size: 2M } }, 1: { handler: ram, options: { "
                "path: /\xc3\xbc, size: 1M } } }\n");
}

static void test_characters_of_several_bytes_and_dos_lines(void)
{
    expect(HEAD "      0: { vendor: \"a\", handler: ram, options: { path: "
                "/\xe2\x82\xac\xf0\x9f\x98\x80, size: 1M } }\r\n",
           0, 2 << 20,
           HEAD "      0: { vendor: \"a\", handler: ram, options: { path: "
                "/\xe2\x82\xac\xf0\x9f\x98\x80, size: 2M } }\r\n");
}

static void test_what_is_not_there_is_not_changed(void)
{
    refuse(HEAD "      0: { handler: file, options: { path: /a } }\n", 0, -ENOENT);
    refuse(HEAD "      0: { handler: ram, options: { size: 1M } }\n", 1, -ENOENT);
    refuse(HEAD "      0: { handler: ram, options: { size: ~ } }\n", 0, -ENOENT);
    refuse(HEAD "      0: { handler: ram, options: { size: [1M] } }\n", 0, -ENOENT);
    refuse(HEAD "      0: { handler: ram }\n", 0, -ENOENT);
}

static void test_what_is_not_replaced_literally_is_refused(void)
{
    refuse(HEAD "      0: { handler: ram, options: { size: \"\\x31M\" } }\n", 0, -EINVAL);
    refuse(HEAD "      0: { handler: ram, options: { size: |-\n  1M\n } }\n", 0, -EINVAL);
    refuse("no configuration", 0, -EINVAL);
    refuse("", 0, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/amend/flow-and-block-style", test_flow_and_block_style);
    g_test_add_func("/config/amend/only-the-lun-that-is-meant", test_only_the_lun_that_is_meant);
    g_test_add_func("/config/amend/characters-of-several-bytes-and-dos-lines",
                    test_characters_of_several_bytes_and_dos_lines);
    g_test_add_func("/config/amend/what-is-not-there-is-not-changed",
                    test_what_is_not_there_is_not_changed);
    g_test_add_func("/config/amend/what-is-not-replaced-literally-is-refused",
                    test_what_is_not_replaced_literally_is_refused);
    return g_test_run();
}
