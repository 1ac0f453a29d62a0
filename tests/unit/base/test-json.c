/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON writer, and the look at texts before a parser gets them. */
#include "base/json.h"

#include <math.h>
#include <string.h>

static void test_values_of_every_kind(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer w = { .out = out };
    json_put_open(&w, NULL, '{');
    json_put_u64(&w, "n", UINT64_MAX);
    json_put_double(&w, "half", 0.5);
    json_put_double(&w, "whole", 3);
    json_put_double(&w, "nan", NAN);
    json_put_double(&w, "endless", INFINITY);
    json_put_bool(&w, "yes", true);
    json_put_string(&w, "none", NULL);
    json_put_raw(&w, "raw", "[1]");
    json_put_open(&w, "empty", '[');
    json_put_close(&w, ']');
    json_put_open(&w, "list", '[');
    json_put_string(&w, NULL, "a");
    json_put_open(&w, NULL, '{');
    json_put_close(&w, '}');
    json_put_bool(&w, NULL, false);
    json_put_close(&w, ']');
    json_put_u64(&w, "last", 0);
    json_put_close(&w, '}');
    g_assert_cmpstr(out->str, ==,
                    "{\"n\":18446744073709551615,\"half\":0.5,\"whole\":3,\"nan\":null,"
                    "\"endless\":null,\"yes\":true,\"none\":null,\"raw\":[1],\"empty\":[],"
                    "\"list\":[\"a\",{},false],\"last\":0}");
}

static void expect_string(const char *text, const char *json)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer w = { .out = out };
    json_put_string(&w, NULL, text);
    g_assert_cmpstr(out->str, ==, json);
}

static void test_strings_are_escaped(void)
{
    expect_string("", "\"\"");
    expect_string("plain", "\"plain\"");
    expect_string("a\"b\\c", "\"a\\\"b\\\\c\"");
    expect_string("line\nnext\ttab\x01\x7f", "\"line\\nnext\\u0009tab\\u0001\\u007f\"");
    expect_string("\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80",
                  "\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

static void test_what_is_not_utf8_is_replaced(void)
{
    expect_string("a\xff"
                  "b",
                  "\"a\xef\xbf\xbd"
                  "b\"");
    expect_string("\xc3", "\"\xef\xbf\xbd\"");
    expect_string("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* a surrogate */
}

static void test_sane_texts(void)
{
    static const char *const sane[] = {
        "{}",
        "[]",
        " {\"a\":[1,2,{\"b\":\"}\"}]} ",
        "{\"a\":\"\\\"]\"}",
        "[[[]]]",
        "{\"a\":\"\\\\\"}",
        "{x}",
    };
    static const char *const insane[] = {
        "",     " ",          "1",    "null",     "\"{}\"", "{",         "}",
        "{}{}", "{} x",       "x {}", "[[[[]]]]", "{\"a",   "{\"a\\\"}", "{\"\xff\":1}",
        "[]]",  "{\"a\":\"}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(sane); i++) {
        g_test_message("%s", sane[i]);
        g_assert_true(json_text_is_sane(sane[i], strlen(sane[i]), 3));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(insane); i++) {
        g_test_message("insane %u", i);
        g_assert_false(json_text_is_sane(insane[i], strlen(insane[i]), 3));
    }
}

static void test_the_length_counts_and_nul_is_no_text(void)
{
    g_assert_true(json_text_is_sane("{}}", 2, 3));
    g_assert_false(json_text_is_sane("{}", 1, 3));
    g_assert_false(json_text_is_sane("{\0}", 3, 3));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/json/values-of-every-kind", test_values_of_every_kind);
    g_test_add_func("/base/json/strings-are-escaped", test_strings_are_escaped);
    g_test_add_func("/base/json/what-is-not-utf8-is-replaced", test_what_is_not_utf8_is_replaced);
    g_test_add_func("/base/json/sane-texts", test_sane_texts);
    g_test_add_func("/base/json/the-length-counts-and-nul-is-no-text",
                    test_the_length_counts_and_nul_is_no_text);
    return g_test_run();
}
