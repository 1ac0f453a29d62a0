/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of nodes: RFC 7143 4.2.7, RFC 3722. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/iscsi_name.h"

static void names_get_one_normal_form(void)
{
    static const char *const pairs[][2] = {
        { "iqn.2026-11.org.example", "iqn.2026-11.org.example" },
        { "IQN.2026-11.Org.Example:Disk-1", "iqn.2026-11.org.example:disk-1" },
        { "iqn.1991-05.com.microsoft:host_1", "iqn.1991-05.com.microsoft:host_1" },
        { "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
          "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309" },
        { "iqn.2001-04.com.example:", "iqn.2001-04.com.example:" },
        { "eui.02004567A425678D", "eui.02004567a425678d" },
        { "naa.52004567BA64678D", "naa.52004567ba64678d" },
        { "naa.62004567BA64678D0123456789ABCDEF", "naa.62004567ba64678d0123456789abcdef" },
        { "iqn.2026-11.org.example:STRA\xc3\x9f"
          "E-\xc3\x84",
          "iqn.2026-11.org.example:stra\xc3\x9f"
          "e-\xc3\xa4" },
        /* "A" with a combining diaeresis is composed; a full-width letter becomes a plain one */
        { "iqn.2026-11.org.example:A\xcc\x88", "iqn.2026-11.org.example:\xc3\xa4" },
        { "iqn.2026-11.org.example:\xef\xbc\xa1", "iqn.2026-11.org.example:a" },
        { "iqn.2026-11.org.example:\xf0\x9d\x90\x80", "iqn.2026-11.org.example:a" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
        char out[ISCSI_NAME_MAX + 1];
        const char *problem = NULL;
        g_assert_cmpint(iscsi_name_normalise(pairs[i][0], out, &problem), ==, 0);
        g_assert_cmpstr(out, ==, pairs[i][1]);
        g_assert_cmpint(iscsi_name_normalise(out, out, &problem), ==, 0);
        g_assert_cmpstr(out, ==, pairs[i][1]);
    }
}

static void expect_refused(const char *name, const char *reason)
{
    char out[ISCSI_NAME_MAX + 1] = "untouched";
    const char *problem = NULL;
    g_autofree char *shown = g_strescape(name, NULL);
    g_test_message("%s", shown);
    g_assert_cmpint(iscsi_name_normalise(name, out, &problem), ==, -EINVAL);
    g_assert_nonnull(problem);
    g_assert_nonnull(strstr(problem, reason));
    g_assert_cmpstr(out, ==, "untouched");
}

static void bad_names_are_refused_with_a_reason(void)
{
    expect_refused("", "must begin with");
    expect_refused("disk1", "must begin with");
    expect_refused("iqn", "must begin with");
    expect_refused("iqn.", "a date");
    expect_refused("iqn.2026-11", "a date");
    expect_refused("iqn.2026-11.", "a date");
    expect_refused("iqn.26-11.org.example", "a date");
    expect_refused("iqn.2026.11.org.example", "a date");
    expect_refused("iqn.2026-13.org.example", "month");
    expect_refused("iqn.2026-00.org.example", "month");
    expect_refused("iqn.2026-11.:disk", "domain");
    expect_refused("iqn.2026-11.org..example", "domain");
    expect_refused("iqn.2026-11.org.example.", "domain");
    expect_refused("iqn.2026-11.-org.example", "domain");
    expect_refused("iqn.2026-11.org-.example:x", "domain");
    expect_refused("iqn.2026-11.org.ex*mple:x", "domain");
    expect_refused("eui.02004567A425678", "hexadecimal");
    expect_refused("eui.02004567A425678G", "hexadecimal");
    expect_refused("eui.02004567A425678D0", "hexadecimal");
    expect_refused("naa.", "hexadecimal");
    expect_refused("naa.52004567BA64678D52004567", "hexadecimal");
    expect_refused("iqn.2026-11.org.example:a b", "white space");
    expect_refused("iqn.2026-11.org.example:a\tb", "white space");
    expect_refused("iqn.2026-11.org.example:a\nb", "white space");
    expect_refused("iqn.2026-11.org.example:a\x7f", "control");
    expect_refused("iqn.2026-11.org.example:a\xc2\xa0"
                   "b",
                   "white space");
    expect_refused("iqn.2026-11.org.example:a\xe2\x80\xae", "control"); /* right to left */
    expect_refused("iqn.2026-11.org.example:a,1", "comma");
    expect_refused("iqn.2026-11.org.example:\xff", "UTF-8");
    expect_refused("iqn.2026-11.org.example:\xc3", "UTF-8");
    expect_refused("iqn.2026-11.org.example:\xed\xa0\x80", "UTF-8"); /* half a surrogate pair */
}

static void the_limit_is_223_bytes(void)
{
    char name[400], out[ISCSI_NAME_MAX + 1];
    const char *problem = NULL;
    memset(name, 'x', sizeof(name));
    memcpy(name, "iqn.2026-11.org.example:", 24);
    name[223] = '\0';
    g_assert_cmpint(iscsi_name_normalise(name, out, &problem), ==, 0);
    g_assert_cmpuint(strlen(out), ==, 223);
    name[223] = 'x';
    name[224] = '\0';
    expect_refused(name, "223");
    name[224] = 'x';
    name[399] = '\0';
    expect_refused(name, "223");
}

/* A character that grows when it is normalised must not overflow the result. */
static void growth_by_normalising_is_limited_too(void)
{
    g_autoptr(GString) name = g_string_new("iqn.2026-11.org.example:");
    while (name->len + 3 <= ISCSI_NAME_MAX)
        g_string_append(name, "\xef\xb7\xba"); /* one ligature, 18 words' worth of letters */
    expect_refused(name->str, "223");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/iscsi-name/names-get-one-normal-form", names_get_one_normal_form);
    g_test_add_func("/base/iscsi-name/bad-names-are-refused-with-a-reason",
                    bad_names_are_refused_with_a_reason);
    g_test_add_func("/base/iscsi-name/the-limit-is-223-bytes", the_limit_is_223_bytes);
    g_test_add_func("/base/iscsi-name/growth-by-normalising-is-limited-too",
                    growth_by_normalising_is_limited_too);
    return g_test_run();
}
