/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib.h>
#include <string.h>

#include "base/secret.h"

static void equal_looks_at_every_byte(void)
{
    uint8_t a[33], b[33];
    secret_random(a, sizeof(a));
    memcpy(b, a, sizeof(b));
    g_assert_true(secret_equal(a, b, sizeof(a)));
    g_assert_true(secret_equal(a, b, 0));
    for (unsigned i = 0; i < sizeof(a); i++) {
        b[i] ^= 0x80;
        g_assert_false(secret_equal(a, b, sizeof(a)));
        g_assert_true(secret_equal(a, b, i));
        b[i] ^= 0x80;
    }
}

static void wiped_memory_is_zero(void)
{
    uint8_t a[100], zero[100] = { 0 };
    memset(a, 0x5a, sizeof(a));
    secret_wipe(a + 1, sizeof(a) - 2);
    g_assert_cmpint(a[0], ==, 0x5a);
    g_assert_cmpint(a[99], ==, 0x5a);
    g_assert_cmpmem(a + 1, 98, zero, 98);
}

/* Two draws of 256 bits are never equal, and a long one has every byte value in it. */
static void random_fills_all_of_the_memory(void)
{
    uint8_t a[32], b[32];
    secret_random(a, sizeof(a));
    secret_random(b, sizeof(b));
    g_assert_false(secret_equal(a, b, sizeof(a)));

    g_autofree uint8_t *many = g_malloc0(1 << 16);
    bool seen[256] = { false };
    secret_random(many, 1 << 16);
    for (unsigned i = 0; i < 1 << 16; i++)
        seen[many[i]] = true;
    for (unsigned i = 0; i < 256; i++)
        g_assert_true(seen[i]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/secret/equal-looks-at-every-byte", equal_looks_at_every_byte);
    g_test_add_func("/base/secret/wiped-memory-is-zero", wiped_memory_is_zero);
    g_test_add_func("/base/secret/random-fills-all-of-the-memory", random_fills_all_of_the_memory);
    return g_test_run();
}
