/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "base/address.h"

static struct address parse(const char *text)
{
    struct address a;
    g_assert_cmpint(address_parse(text, &a), ==, 0);
    return a;
}

static void addresses_are_printed_as_they_are_written(void)
{
    static const char *const pairs[][2] = {
        { "192.0.2.1:860", "192.0.2.1:860" },
        { "192.0.2.1", "192.0.2.1:3260" },
        { "0.0.0.0:65535", "0.0.0.0:65535" },
        { "[::]:3260", "[::]:3260" },
        { "[::1]", "[::1]:3260" },
        { "[2001:0DB8:0:0::1]:1", "[2001:db8::1]:1" },
        { "[::ffff:192.0.2.7]:3260", "192.0.2.7:3260" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(pairs); i++) {
        char text[ADDRESS_TEXT_MAX];
        struct address a = parse(pairs[i][0]);
        g_assert_cmpstr(address_format(&a, text), ==, pairs[i][1]);
    }
}

static void what_is_no_address_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "localhost",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:x",
        "1.2.3.4:+1",
        "1.2.3.4: 1",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[::1]:0",
        "[1.2.3.4]:80",
        "[::g]",
        "[]",
        "[fe80::1%nosuchif]:1",
        "1.2.3.4:1 ",
        "1.2.3.4:99999999999999999999999",
        " 1.2.3.4",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct address a = { .length = 77 };
        g_test_message("%s", bad[i]);
        g_assert_cmpint(address_parse(bad[i], &a), ==, -EINVAL);
        g_assert_cmpuint(a.length, ==, 77);
    }
}

static void equal_means_family_host_port_and_scope(void)
{
    struct address a = parse("192.0.2.1:1"), b = parse("192.0.2.1:2"), c = parse("192.0.2.2:1");
    struct address d = parse("[::1]:1"), e = parse("[::1%lo]:1"), f = parse("[0::1]:1");
    g_assert_true(address_equal(&a, &a));
    g_assert_false(address_equal(&a, &b));
    g_assert_false(address_equal(&a, &c));
    g_assert_false(address_equal(&a, &d));
    g_assert_false(address_equal(&d, &e));
    g_assert_true(address_equal(&d, &f));
}

static void wildcards_are_known_in_both_families(void)
{
    struct address a = parse("0.0.0.0:1"), b = parse("[::]:1"), c = parse("127.0.0.1"),
                   d = parse("[::1]");
    g_assert_true(address_is_wildcard(&a));
    g_assert_true(address_is_wildcard(&b));
    g_assert_false(address_is_wildcard(&c));
    g_assert_false(address_is_wildcard(&d));
    struct address e = parse("127.255.0.9:1"), f = parse("128.0.0.1:1"), g = parse("[fe80::1]:1");
    g_assert_true(address_is_loopback(&c));
    g_assert_true(address_is_loopback(&d));
    g_assert_true(address_is_loopback(&e));
    g_assert_false(address_is_loopback(&a));
    g_assert_false(address_is_loopback(&b));
    g_assert_false(address_is_loopback(&f));
    g_assert_false(address_is_loopback(&g));
}

static void a_connection_knows_both_its_ends(void)
{
    struct address any = parse("127.0.0.1:1"), local, peer;
    any.v4.sin_port = 0;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(listening, &any.any, any.length), ==, 0);
    g_assert_cmpint(listen(listening, 1), ==, 0);
    g_assert_cmpint(address_local(listening, &local), ==, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, &local.any, local.length), ==, 0);
    int accepted = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(accepted, >=, 0);

    struct address here, there;
    g_assert_cmpint(address_peer(fd, &peer), ==, 0);
    g_assert_true(address_equal(&peer, &local));
    g_assert_cmpint(address_local(fd, &here), ==, 0);
    g_assert_cmpint(address_peer(accepted, &there), ==, 0);
    g_assert_true(address_equal(&here, &there));
    g_assert_cmpint(address_peer(listening, &peer), ==, -ENOTCONN);
    close(accepted);
    close(fd);
    close(listening);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/address/printed-as-written", addresses_are_printed_as_they_are_written);
    g_test_add_func("/base/address/what-is-no-address-is-refused", what_is_no_address_is_refused);
    g_test_add_func("/base/address/equal-means-family-host-port-and-scope",
                    equal_means_family_host_port_and_scope);
    g_test_add_func("/base/address/wildcards-are-known-in-both-families",
                    wildcards_are_known_in_both_families);
    g_test_add_func("/base/address/a-connection-knows-both-its-ends",
                    a_connection_knows_both_its_ends);
    return g_test_run();
}
