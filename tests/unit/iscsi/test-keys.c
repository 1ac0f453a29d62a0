/* SPDX-License-Identifier: BSD-3-Clause */
/* The text codec: what is a pair, a number, a list; what is refused; what fits. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "iscsi/keys.h"

static struct keys keys;
static char text[1 << 20];

static int decode(const char *literal, size_t bytes)
{
    memcpy(text, literal, bytes);
    return keys_decode(text, (uint32_t)bytes, &keys);
}

#define DECODE(literal) decode(literal, sizeof(literal) - 1)

static void pairs_are_found(void)
{
    g_assert_cmpint(DECODE("A=1\0TargetName=iqn.x=y\0Empty=\0iSCSIProtocolLevel=2\0X#Y=z\0"), ==,
                    0);
    g_assert_cmpuint(keys.count, ==, 5);
    g_assert_cmpstr(keys_find(&keys, "A"), ==, "1");
    g_assert_cmpstr(keys_find(&keys, "TargetName"), ==, "iqn.x=y");
    g_assert_cmpstr(keys_find(&keys, "Empty"), ==, "");
    g_assert_cmpstr(keys_find(&keys, "iSCSIProtocolLevel"), ==, "2");
    g_assert_null(keys_find(&keys, "a"));
    g_assert_cmpuint(keys.pair[1].value_bytes, ==, 7);
    g_assert_null(keys_find_double(&keys));
}

static void nothing_and_padding_are_no_pairs(void)
{
    g_assert_cmpint(DECODE(""), ==, 0);
    g_assert_cmpuint(keys.count, ==, 0);
    g_assert_cmpint(DECODE("\0\0A=1\0\0\0B=2\0\0"), ==, 0);
    g_assert_cmpuint(keys.count, ==, 2);
}

static void a_key_that_comes_twice_is_found(void)
{
    g_assert_cmpint(DECODE("A=1\0B=2\0A=3\0"), ==, 0);
    g_assert_cmpstr(keys_find_double(&keys), ==, "A");
}

static void malformed_texts_are_refused(void)
{
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {
        { "A=1", 3 },       /* no NUL */
        { "A=1\0B=2", 7 },  /* the same for the last */
        { "Novalue\0", 8 }, /* no '=' */
        { "=value\0", 7 },  /* no key */
        { "9A=1\0", 5 },    /* begins with a digit */
        { "A b=1\0", 6 },   /* blank */
        { "A\xff=1\0", 5 }, /* beyond ASCII */
        { "A\n=1\0", 5 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(decode(rows[i].text, rows[i].bytes), ==, -EINVAL);
}

static void a_key_has_at_most_63_bytes(void)
{
    char pair[128];
    memset(pair, 'K', sizeof(pair));
    memcpy(pair + 63, "=1", 3);
    g_assert_cmpint(decode(pair, 66), ==, 0);
    memset(pair, 'K', 64);
    memcpy(pair + 64, "=1", 3);
    g_assert_cmpint(decode(pair, 67), ==, -EINVAL);
}

static void a_value_has_a_limit(void)
{
    static char pair[KEYS_LARGE_MAX + 8];
    memset(pair, 'v', sizeof(pair));
    memcpy(pair, "A=", 2);
    pair[2 + KEYS_LARGE_MAX] = '\0';
    g_assert_cmpint(decode(pair, 2 + KEYS_LARGE_MAX + 1), ==, 0);
    g_assert_cmpuint(keys.pair[0].value_bytes, ==, KEYS_LARGE_MAX);
    pair[2 + KEYS_LARGE_MAX] = 'v';
    pair[3 + KEYS_LARGE_MAX] = '\0';
    g_assert_cmpint(decode(pair, 2 + KEYS_LARGE_MAX + 2), ==, -E2BIG);
}

static void the_number_of_pairs_has_a_limit(void)
{
    static char many[(KEYS_MAX + 1) * 4];
    for (unsigned i = 0; i <= KEYS_MAX; i++)
        memcpy(many + i * 4, "A=1", 4);
    g_assert_cmpint(decode(many, KEYS_MAX * 4), ==, 0);
    g_assert_cmpuint(keys.count, ==, KEYS_MAX);
    g_assert_cmpint(decode(many, (KEYS_MAX + 1) * 4), ==, -E2BIG);
}

static void numbers(void)
{
    static const struct {
        const char *text;
        int result;
        uint32_t number;
    } rows[] = {
        { "0", 0, 0 },
        { "8192", 0, 8192 },
        { "0x2000", 0, 8192 },
        { "0XfF", 0, 255 },
        { "007", 0, 7 },
        { "4294967295", 0, 4294967295u },
        { "0xffffffff", 0, 4294967295u },
        { "4294967296", -EINVAL, 0 },
        { "0x100000000", -EINVAL, 0 },
        { "99999999999999999999999999", -EINVAL, 0 },
        { "", -EINVAL, 0 },
        { "0x", -EINVAL, 0 },
        { "-1", -EINVAL, 0 },
        { "+1", -EINVAL, 0 },
        { " 1", -EINVAL, 0 },
        { "1 ", -EINVAL, 0 },
        { "12a", -EINVAL, 0 },
        { "1~2", -EINVAL, 0 },
        { "0xg", -EINVAL, 0 },
        { "Reject", -EINVAL, 0 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint32_t number = 0;
        g_test_message("'%s'", rows[i].text);
        g_assert_cmpint(keys_number(rows[i].text, &number), ==, rows[i].result);
        g_assert_cmpuint(number, ==, rows[i].number);
    }
}

static void booleans(void)
{
    bool yes = false;
    g_assert_cmpint(keys_bool("Yes", &yes), ==, 0);
    g_assert_true(yes);
    g_assert_cmpint(keys_bool("No", &yes), ==, 0);
    g_assert_false(yes);
    static const char *const bad[] = { "yes", "YES", "no", "", "1", "Yes ", "true" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_cmpint(keys_bool(bad[i], &yes), ==, -EINVAL);
}

static void lists(void)
{
    const char *cursor = "CRC32C,,None", *item;
    uint32_t bytes;
    g_assert_true(keys_list_next(&cursor, &item, &bytes));
    g_assert_true(keys_item_is(item, bytes, "CRC32C"));
    g_assert_false(keys_item_is(item, bytes, "CRC32"));
    g_assert_false(keys_item_is(item, bytes, "CRC32CC"));
    g_assert_true(keys_list_next(&cursor, &item, &bytes));
    g_assert_cmpuint(bytes, ==, 0);
    g_assert_true(keys_list_next(&cursor, &item, &bytes));
    g_assert_true(keys_item_is(item, bytes, "None"));
    g_assert_false(keys_list_next(&cursor, &item, &bytes));
}

static void writing(void)
{
    char buffer[24];
    struct keys_writer w = { .text = buffer, .size = sizeof(buffer) };
    keys_put(&w, "A", "b");
    keys_put_number(&w, "N", 4294967295u);
    keys_put_bool(&w, "Y", true);
    g_assert_false(w.overflow);
    g_assert_cmpmem(buffer, w.used, "A=b\0N=4294967295\0Y=Yes\0", 23);
}

static void what_does_not_fit_is_left_out_whole(void)
{
    char buffer[8] = "#######";
    struct keys_writer w = { .text = buffer, .size = 7 };
    keys_put(&w, "A", "12");
    keys_put(&w, "B", "1");
    g_assert_true(w.overflow);
    g_assert_cmpuint(w.used, ==, 5);
    g_assert_cmpint(buffer[5], ==, '#');
    keys_put(&w, "C", "");
    g_assert_cmpuint(w.used, ==, 5);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iscsi/keys/pairs-are-found", pairs_are_found);
    g_test_add_func("/iscsi/keys/nothing-and-padding-are-no-pairs",
                    nothing_and_padding_are_no_pairs);
    g_test_add_func("/iscsi/keys/a-key-that-comes-twice-is-found", a_key_that_comes_twice_is_found);
    g_test_add_func("/iscsi/keys/malformed-texts-are-refused", malformed_texts_are_refused);
    g_test_add_func("/iscsi/keys/a-key-has-at-most-63-bytes", a_key_has_at_most_63_bytes);
    g_test_add_func("/iscsi/keys/a-value-has-a-limit", a_value_has_a_limit);
    g_test_add_func("/iscsi/keys/the-number-of-pairs-has-a-limit", the_number_of_pairs_has_a_limit);
    g_test_add_func("/iscsi/keys/numbers", numbers);
    g_test_add_func("/iscsi/keys/booleans", booleans);
    g_test_add_func("/iscsi/keys/lists", lists);
    g_test_add_func("/iscsi/keys/writing", writing);
    g_test_add_func("/iscsi/keys/what-does-not-fit-is-left-out-whole",
                    what_does_not_fit_is_left_out_whole);
    return g_test_run();
}
