/* SPDX-License-Identifier: BSD-3-Clause */
/* Written forms of values, near words, patterns, and the messages of config_read_*(). */
#include <errno.h>
#include <string.h>

#include "config/scalar.h"
#include "expect.h"

struct row {
    const char *text;
    int result;
    uint64_t value;
};

static void check(int (*parse)(const char *, uint64_t *), const struct row *rows)
{
    for (; rows->text; rows++) {
        uint64_t value = 4711;
        g_test_message("'%s'", rows->text);
        g_assert_cmpint(parse(rows->text, &value), ==, rows->result);
        g_assert_cmpuint(value, ==, rows->result < 0 ? 4711 : rows->value);
    }
}

static void sizes_have_units_of_1024(void)
{
    static const struct row rows[] = {
        { "0", 0, 0 },
        { "4096", 0, 4096 },
        { "64K", 0, 65536 },
        { "512M", 0, 512ull << 20 },
        { "20G", 0, 20ull << 30 },
        { "3T", 0, 3ull << 40 },
        { "8P", 0, 8ull << 50 },
        { "18446744073709551615", 0, UINT64_MAX },
        { "18446744073709551616", -ERANGE, 0 },
        { "99999999999999999999999999", -ERANGE, 0 },
        { "16383P", 0, 16383ull << 50 },
        { "16384P", -ERANGE, 0 },
        { "", -EINVAL, 0 },
        { "K", -EINVAL, 0 },
        { "-1", -EINVAL, 0 },
        { "+1", -EINVAL, 0 },
        { " 1", -EINVAL, 0 },
        { "1 K", -EINVAL, 0 },
        { "1.5G", -EINVAL, 0 },
        { "1KB", -EINVAL, 0 },
        { "1KiB", -EINVAL, 0 },
        { "0x10", -EINVAL, 0 },
        { NULL },
    };
    check(config_text_size, rows);
}

static void durations_need_a_unit(void)
{
    static const struct row rows[] = {
        { "0", 0, 0 },
        { "0s", 0, 0 },
        { "50us", 0, 50000 },
        { "20ms", 0, 20000000 },
        { "15s", 0, 15000000000ull },
        { "5m", 0, 300000000000ull },
        { "1h", 0, 3600000000000ull },
        { "5124095h", 0, 5124095 * 3600000000000ull },
        { "5124096h", -ERANGE, 0 },
        { "15", -EINVAL, 0 },
        { "s", -EINVAL, 0 },
        { "1d", -EINVAL, 0 },
        { "1S", -EINVAL, 0 },
        { "1s ", -EINVAL, 0 },
        { "1h30m", -EINVAL, 0 },
        { "-1s", -EINVAL, 0 },
        { NULL },
    };
    check(config_text_duration, rows);
}

static void whole_numbers_are_decimal(void)
{
    static const struct row rows[] = {
        { "0", 0, 0 },
        { "007", 0, 7 },
        { "18446744073709551615", 0, UINT64_MAX },
        { "18446744073709551616", -ERANGE, 0 },
        { "1x", -EINVAL, 0 },
        { "0x1", -EINVAL, 0 },
        { "", -EINVAL, 0 },
        { "-0", -EINVAL, 0 },
        { "1_000", -EINVAL, 0 },
        { NULL },
    };
    check(config_text_unsigned, rows);
}

static void switches_have_six_words(void)
{
    static const char *const yes[] = { "yes", "Yes", "true", "TRUE", "on" };
    static const char *const no[] = { "no", "No", "false", "off", "OFF" };
    static const char *const neither[] = { "", "y", "1", "0", "yess", " yes", "none" };
    bool value;
    for (unsigned i = 0; i < G_N_ELEMENTS(yes); i++) {
        value = false;
        g_assert_cmpint(config_text_bool(yes[i], &value), ==, 0);
        g_assert_true(value);
        g_assert_cmpint(config_text_bool(no[i], &value), ==, 0);
        g_assert_false(value);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(neither); i++)
        g_assert_cmpint(config_text_bool(neither[i], &value), ==, -EINVAL);
}

static void hexadecimal_has_an_exact_length(void)
{
    uint8_t bytes[4] = { 9, 9, 9, 9 };
    static const uint8_t expected[4] = { 0xde, 0xad, 0xBE, 0xef };
    g_assert_cmpint(config_text_hex("deadBEe", bytes, 4), ==, -EINVAL);
    g_assert_cmpint(config_text_hex("deadBEefa", bytes, 4), ==, -EINVAL);
    g_assert_cmpint(config_text_hex("deadBEeg", bytes, 4), ==, -EINVAL);
    g_assert_cmpint(config_text_hex("", bytes, 4), ==, -EINVAL);
    g_assert_cmpint(bytes[0], ==, 9);
    g_assert_cmpint(config_text_hex("deadBEef", bytes, 4), ==, 0);
    g_assert_cmpmem(bytes, 4, expected, 4);
    g_assert_cmpint(config_text_hex("0xDEADBEEF", bytes, 4), ==, 0);
    g_assert_cmpmem(bytes, 4, expected, 4);
}

static void sizes_and_durations_are_shown_shortest(void)
{
    static const struct {
        uint64_t value;
        const char *size, *duration;
    } rows[] = {
        { 0, "0", "0" },
        { 1000, "1000", "1us" },
        { 1024, "1K", "1024ns" },
        { 1536, "1536", "1536ns" },
        { 1ull << 20, "1M", "1048576ns" },
        { 3600000000000ull, "3515625000K", "1h" },
        { 90000000000ull, "87890625K", "90s" },
        { 16ull << 50, "16P", "18014398509481984ns" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *size = config_format_size(rows[i].value);
        g_autofree char *duration = config_format_duration(rows[i].value);
        g_assert_cmpstr(size, ==, rows[i].size);
        g_assert_cmpstr(duration, ==, rows[i].duration);
    }
}

static void the_nearest_word_is_one_that_may_be_meant(void)
{
    static const char *const words[] = { "read-only", "rotational", "serial", "naa",
                                         "eui",       "portals",    NULL };
    static const char *const pairs[][2] = {
        { "redonly", "read-only" },
        { "readonly", "read-only" },
        { "read_only", "read-only" },
        { "Serial", "serial" },
        { "seiral", "serial" },
        { "portal", "portals" },
        { "nna", "naa" },
        { "rotation", "rotational" },
        { "aan", "naa" },
        { "xyz", NULL },
        { "", NULL },
        { "q", NULL },
        { "completely-different", NULL },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_test_message("%s", pairs[i][0]);
        g_assert_cmpstr(config_nearest(pairs[i][0], words), ==, pairs[i][1]);
    }
    g_autofree char *endless = g_strnfill(10000, 'a');
    g_assert_null(config_nearest(endless, words));
    g_autofree char *hint = config_did_you_mean("seriall", words);
    g_assert_cmpstr(hint, ==, " (did you mean 'serial'?)");
}

static void patterns_match_names(void)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        { "*", "", true },
        { "*", "iqn.x", true },
        { "", "", true },
        { "", "a", false },
        { "iqn.*:node?", "iqn.a:b:node7", true },
        { "iqn.*:node?", "iqn.a:b:node77", false },
        { "*:node7", "iqn.x:node7", true },
        { "*:node7", "iqn.x:node70", false },
        { "a*b*c", "axxbxxbxc", true },
        { "a*b*c", "axxbxxbx", false },
        { "?", "", false },
        { "[ab]", "a", false },
        { "[ab]", "[ab]", true },
        { "**a**", "bab", true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s ~ %s", rows[i].pattern, rows[i].text);
        g_assert_cmpint(config_glob_match(rows[i].pattern, rows[i].text), ==, rows[i].match);
    }
    static const char *const list[] = { "a", "b*", NULL }, *const none[] = { NULL };
    g_assert_true(config_glob_any(list, "bcd"));
    g_assert_false(config_glob_any(list, "cd"));
    g_assert_true(config_glob_any(NULL, "x"));
    g_assert_false(config_glob_any(none, "x"));
}

static const struct config_source source = { .file = "f" };

static struct config_node node_of(const char *text, bool secret)
{
    return (struct config_node){ .type = CONFIG_SCALAR,
                                 .private = secret,
                                 .source = &source,
                                 .line_read = 1,
                                 .column = 2,
                                 .text = text };
}

static void messages_show_values_but_never_private_ones(void)
{
    static const char *const words[] = { "buffered", "direct", NULL };
    for (int secret = 0; secret < 2; secret++) {
        struct config_problems *problems = config_problems_new();
        struct config_node node = node_of("hunter2", secret);
        uint64_t value;
        bool on;
        unsigned index;
        const char *text;
        g_assert_cmpint(config_read_size(&node, "a", 0, 1, &value, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_duration(&node, "b", 0, 1, &value, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_unsigned(&node, "c", 0, 1, &value, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_bool(&node, "d", &on, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_choice(&node, "e", words, &index, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_path(&node, "f", &text, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_type(&node, "g", CONFIG_MAPPING, problems), ==, -EINVAL);
        g_assert_cmpint(config_read_string(&node, "h", &text, problems), ==, 0);
        g_autofree char *found = problems_text(problems);
        if (secret)
            g_assert_null(strstr(found, "hunter2"));
        else
            g_assert_cmpstr(
                found, ==,
                "f:1:2: a: 'hunter2' is not a size (such as 4096, 64K, 512M or 20G)\n"
                "f:1:2: b: 'hunter2' is not a duration (such as 50us, 20ms, 15s, 5m or 1h)\n"
                "f:1:2: c: 'hunter2' is not a whole number\n"
                "f:1:2: d: 'hunter2' is neither yes nor no\n"
                "f:1:2: e: 'hunter2' is not one of buffered, direct\n"
                "f:1:2: f: 'hunter2' is not an absolute path (it must begin with /)\n"
                "f:1:2: g: must be a mapping, not a value\n");
    }
}

static void ranges_are_checked_and_named(void)
{
    struct config_problems *problems = config_problems_new();
    struct config_node low = node_of("511", false), high = node_of("16M", false),
                       beyond = node_of("99999999999999999999", true), ok = node_of("512", false);
    uint64_t value = 1;
    g_assert_cmpint(config_read_size(&low, "a", 512, (1 << 24) - 1, &value, problems), ==, -EINVAL);
    g_assert_cmpint(config_read_size(&high, "b", 512, (1 << 24) - 1, &value, problems), ==,
                    -EINVAL);
    g_assert_cmpint(config_read_size(&beyond, "c", 512, 1 << 20, &value, problems), ==, -EINVAL);
    g_assert_cmpuint(value, ==, 1);
    g_assert_cmpint(config_read_size(&ok, "d", 512, 1 << 20, &value, problems), ==, 0);
    g_assert_cmpuint(value, ==, 512);
    g_autofree char *found = problems_text(problems);
    g_assert_cmpstr(found, ==,
                    "f:1:2: a: '511' is out of range (512 to 16777215)\n"
                    "f:1:2: b: '16M' is out of range (512 to 16777215)\n"
                    "f:1:2: c: out of range (512 to 1M)\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/values/sizes-have-units-of-1024", sizes_have_units_of_1024);
    g_test_add_func("/config/values/durations-need-a-unit", durations_need_a_unit);
    g_test_add_func("/config/values/whole-numbers-are-decimal", whole_numbers_are_decimal);
    g_test_add_func("/config/values/switches-have-six-words", switches_have_six_words);
    g_test_add_func("/config/values/hexadecimal-has-an-exact-length",
                    hexadecimal_has_an_exact_length);
    g_test_add_func("/config/values/sizes-and-durations-are-shown-shortest",
                    sizes_and_durations_are_shown_shortest);
    g_test_add_func("/config/words/the-nearest-word-is-one-that-may-be-meant",
                    the_nearest_word_is_one_that_may_be_meant);
    g_test_add_func("/config/words/patterns-match-names", patterns_match_names);
    g_test_add_func("/config/values/messages-show-values-but-never-private-ones",
                    messages_show_values_but_never_private_ones);
    g_test_add_func("/config/values/ranges-are-checked-and-named", ranges_are_checked_and_named);
    return g_test_run();
}
