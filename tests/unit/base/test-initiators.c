/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is in a list of initiators. */
#include <errno.h>
#include <glib.h>

#include "base/initiators.h"

#define NAME "iqn.1993-08.org.debian:01:node7"

static bool in(const char *pattern, const char *peer)
{
    return initiators_match((const char *const[]){ pattern, NULL }, NAME, peer);
}

static void names_match_as_globs(void)
{
    g_assert_true(in("*", NULL));
    g_assert_true(in("*:node7", "192.0.2.7:1"));
    g_assert_true(in("iqn.1993-08.org.debian:01:node?", NULL));
    g_assert_false(in("*:node8", NULL));
    g_assert_false(in("node7", NULL));
    g_assert_false(initiators_match((const char *const[]){ NULL }, NAME, NULL));
    g_assert_true(initiators_match((const char *const[]){ "*:x", "*:node7", NULL }, NAME, NULL));
}

static void addresses_and_networks_match_the_peer(void)
{
    static const struct {
        const char *pattern, *peer;
        bool in;
    } cases[] = {
        { "192.0.2.7", "192.0.2.7:4711", true },
        { "192.0.2.7", "192.0.2.8:4711", false },
        { "192.0.2.7", NULL, false },
        { "192.0.2.7", "unknown", false },
        { "192.0.2.0/24", "192.0.2.255:1", true },
        { "192.0.2.99/24", "192.0.2.1:1", true },
        { "192.0.2.0/24", "192.0.3.0:1", false },
        { "192.0.2.0/25", "192.0.2.128:1", false },
        { "192.0.2.128/25", "192.0.2.129:1", true },
        { "0.0.0.0/0", "203.0.113.1:1", true },
        { "0.0.0.0/0", "[2001:db8::1]:1", false },
        { "2001:db8::/32", "[2001:db8:ffff::1]:3260", true },
        { "2001:db8::/32", "[2001:db9::1]:3260", false },
        { "2001:db8::7", "[2001:db8::7]:1", true },
        { "::/0", "192.0.2.1:1", false },
        { "192.0.2.0/24", "[::ffff:192.0.2.5]:1", true },
        { "::ffff:192.0.2.0/120", "192.0.2.5:1", true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s %s", cases[i].pattern, cases[i].peer);
        g_assert_cmpint(in(cases[i].pattern, cases[i].peer), ==, cases[i].in);
    }
}

static void what_looks_like_a_network_has_to_be_one(void)
{
    static const char *const good[] = { "*:node7",         "192.0.2.0/24", "::/0",
                                        "2001:db8::7/128", "192.0.2.7",    "*",
                                        "192.0.2.0/32" };
    static const char *const bad[] = {
        "192.0.2.0/33",   "192.0.2.0/",   "192.0.2/24",   "/24",
        "2001:db8::/129", "192.0.2.0/2x", "192.0.2.0/-1", "node7/8"
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_cmpint(initiators_check(good[i]), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_cmpint(initiators_check(bad[i]), ==, -EINVAL);
}

static void hosts_are_told_by_their_addresses(void)
{
    g_assert_true(initiators_same_host("192.0.2.7:1", "192.0.2.7:2"));
    g_assert_true(initiators_same_host("192.0.2.7:1", "[::ffff:192.0.2.7]:2"));
    g_assert_true(initiators_same_host("[2001:db8::1]:1", "[2001:db8::1]:9"));
    g_assert_false(initiators_same_host("192.0.2.7:1", "192.0.2.8:1"));
    g_assert_false(initiators_same_host("192.0.2.7:1", "[2001:db8::1]:1"));
    g_assert_false(initiators_same_host(NULL, "192.0.2.7:1"));
    g_assert_false(initiators_same_host(NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/initiators/names", names_match_as_globs);
    g_test_add_func("/base/initiators/networks", addresses_and_networks_match_the_peer);
    g_test_add_func("/base/initiators/wrong", what_looks_like_a_network_has_to_be_one);
    g_test_add_func("/base/initiators/same-host", hosts_are_told_by_their_addresses);
    return g_test_run();
}
