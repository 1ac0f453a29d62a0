/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and tables for people. */
#include <glib.h>

#include "ctl/table.h"
#include "ctl/units.h"

static void expect(char *text, const char *expected)
{
    g_assert_cmpstr(text, ==, expected);
    g_free(text);
}

static void test_bytes_are_powers_of_1024(void)
{
    expect(units_bytes(0), "0");
    expect(units_bytes(512), "512");
    expect(units_bytes(1023), "1023");
    expect(units_bytes(1024), "1K");
    expect(units_bytes(1536), "1.5K");
    expect(units_bytes(64 << 20), "64M");
    expect(units_bytes(1048575), "1M"); /* not 1024K */
    expect(units_bytes(123.0 * 1024 * 1024 * 1024), "123G");
    expect(units_bytes(5.5 * 1024 * 1024 * 1024 * 1024), "5.5T");
    expect(units_bytes(0.5), "0.5");
    expect(units_bytes(-1), "0");
}

static void test_counts_latencies_and_durations(void)
{
    expect(units_count(999999), "999999");
    expect(units_count(1234567), "1.2M");
    expect(units_count(12.34), "12.3");
    expect(units_latency(0), "0");
    expect(units_latency(850), "850ns");
    expect(units_latency(85000), "85us");
    expect(units_latency(1.25e6), "1.3ms");
    expect(units_latency(3.4e9), "3.4s");
    expect(units_latency(5e12), "5000s");
    expect(units_duration(0.9), "0 s");
    expect(units_duration(200), "3 min 20 s");
    expect(units_duration(7500), "2 h 5 min");
    expect(units_duration(4 * 86400 + 3600 * 5 + 1), "4 d 5 h");
}

static void expect_table(struct table *t, unsigned rows, unsigned columns, const char *expected)
{
    g_autoptr(GString) out = g_string_new(NULL);
    table_write(t, out, rows, columns);
    g_assert_cmpstr(out->str, ==, expected);
}

static struct table *sample(void)
{
    static const char *const headings[] = { "NAME", ">NUMBER", "REST", NULL };
    struct table *t = table_new(headings);
    table_text(t, "a");
    table_print(t, "%d", 5);
    table_text(t, "x");
    table_text(t, "much longer");
    table_take(t, g_strdup("12345678"));
    table_text(t, "");
    return t;
}

static void test_columns_are_as_wide_as_they_must(void)
{
    struct table *t = sample();
    g_assert_cmpuint(table_rows(t), ==, 2);
    expect_table(t, 0, 0,
                 "NAME           NUMBER  REST\n"
                 "a                   5  x\n"
                 "much longer  12345678\n");
    table_free(t);
}

static void test_rows_and_columns_are_cut(void)
{
    struct table *t = sample();
    expect_table(t, 1, 0, "NAME  NUMBER  REST\na          5  x\n");
    expect_table(t, 0, 13, "NAME         \na            \nmuch longer  \n");
    table_free(t);
}

static void test_nothing_in_a_cell_moves_the_cursor(void)
{
    static const char *const headings[] = { "A", "B", NULL };
    struct table *t = table_new(headings);
    table_text(t, "\033[2J\n\t\x7f");
    table_text(t, "\xc3\xbc\xff\xc2\x9b"); /* ü, no UTF-8, the C1 control CSI */
    expect_table(t, 0, 0, "A        B\n?[2J???  \xc3\xbc\xef\xbf\xbd?\n");
    table_free(t);
}

static void test_width_counts_characters(void)
{
    static const char *const headings[] = { "A", "B", NULL };
    struct table *t = table_new(headings);
    table_text(t, "\xc3\xbc\xc3\xbc");
    table_text(t, "1");
    table_text(t, "abc");
    table_text(t, "2");
    expect_table(t, 0, 0, "A    B\n\xc3\xbc\xc3\xbc   1\nabc  2\n");
    expect_table(t, 0, 1, "A\n\xc3\xbc\na\n");
    table_free(t);
}

static void test_long_names_lose_their_beginning_before_numbers_go(void)
{
    static const char *const headings[] = { "NAME", "OTHER", ">NUMBER", NULL };
    struct table *t = table_new(headings);
    table_text(t, "iqn.2026-11.org.example:disk1");
    table_text(t, "a name of its own");
    table_text(t, "123456");
    expect_table(t, 0, 40,
                 "NAME             OTHER            NUMBER\n"
                 "\xe2\x80\xa6.example:disk1  \xe2\x80\xa6"
                 "ame of its own  123456\n");
    table_free(t);
}

static void test_wide_characters_take_two_columns(void)
{
    static const char *const headings[] = { "A", "B", NULL };
    struct table *t = table_new(headings);
    table_text(t, "\xe7\xa3\x81\xe7\x9b\xa4"); /* two of them */
    table_text(t, "1");
    table_text(t, "e\xcc\x81"); /* one, with an accent that takes none */
    table_text(t, "2");
    expect_table(t, 0, 0, "A     B\n\xe7\xa3\x81\xe7\x9b\xa4  1\ne\xcc\x81     2\n");
    expect_table(t, 0, 3, "A  \n\xe7\xa3\x81\ne\xcc\x81  \n");
    table_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ctl/units/bytes-are-powers-of-1024", test_bytes_are_powers_of_1024);
    g_test_add_func("/ctl/units/counts-latencies-and-durations",
                    test_counts_latencies_and_durations);
    g_test_add_func("/ctl/table/columns-are-as-wide-as-they-must",
                    test_columns_are_as_wide_as_they_must);
    g_test_add_func("/ctl/table/rows-and-columns-are-cut", test_rows_and_columns_are_cut);
    g_test_add_func("/ctl/table/nothing-in-a-cell-moves-the-cursor",
                    test_nothing_in_a_cell_moves_the_cursor);
    g_test_add_func("/ctl/table/width-counts-characters", test_width_counts_characters);
    g_test_add_func("/ctl/table/long-names-lose-their-beginning-before-numbers-go",
                    test_long_names_lose_their_beginning_before_numbers_go);
    g_test_add_func("/ctl/table/wide-characters-take-two-columns",
                    test_wide_characters_take_two_columns);
    return g_test_run();
}
