/* SPDX-License-Identifier: BSD-3-Clause */
/* Hash table: what is in it is found, and nothing else, with chains of any length. */
#include <glib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"

#define MANY 1000

struct item {
    struct hash_link link;
    uint32_t key;
};

static bool has_key(const struct hash_link *link, const void *key)
{
    return container_of((void *)link, struct item, link)->key == *(const uint32_t *)key;
}

static struct item *find(const struct hash_table *table, uint64_t hash, uint32_t key)
{
    struct hash_link *link = hash_table_find(table, hash, has_key, &key);
    return link ? container_of(link, struct item, link) : NULL;
}

/* `same_hash`: all in one chain. */
static void fill_and_empty(uint32_t expected, bool same_hash)
{
    static struct item items[MANY];
    struct hash_table table;

    g_assert_cmpint(hash_table_init(&table, expected), ==, 0);
#define HASH(k) (same_hash ? 7 : hash_bytes(table.seed, &(uint32_t){ k }, sizeof(uint32_t)))
    for (uint32_t i = 0; i < MANY; i++) {
        items[i].key = i;
        hash_table_add(&table, &items[i].link, HASH(i));
    }
    g_assert_cmpuint(table.count, ==, MANY);
    for (uint32_t i = 0; i < MANY; i += 2)
        hash_table_remove(&table, &items[i].link);
    for (uint32_t i = 0; i < MANY + 10; i++) {
        struct item *expect = i < MANY && i % 2 ? &items[i] : NULL;
        g_assert_true(find(&table, HASH(i), i) == expect);
    }
    for (uint32_t i = 1; i < MANY; i += 2)
        hash_table_remove(&table, &items[i].link);
    g_assert_cmpuint(table.count, ==, 0);
    g_assert_null(find(&table, HASH(1), 1));
    hash_table_fini(&table);
    hash_table_fini(&table);
}

static void test_found(void)
{
    fill_and_empty(MANY, /* same_hash= */ false);
    fill_and_empty(1, /* same_hash= */ false);
    fill_and_empty(MANY, /* same_hash= */ true);
}

static void test_hashes_differ(void)
{
    char text[40] = "iqn.2026-11.org.example:host";
    size_t n = strlen(text);
    uint64_t h = hash_bytes(1, text, n);

    g_assert_cmpuint(hash_bytes(1, text, n), ==, h);
    g_assert_cmpuint(hash_bytes(2, text, n), !=, h);
    for (size_t i = 0; i < n; i++) { /* each byte counts, and so does the length */
        g_assert_cmpuint(hash_bytes(1, text, i), !=, h);
        text[i] ^= 1;
        g_assert_cmpuint(hash_bytes(1, text, n), !=, h);
        text[i] ^= 1;
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/hash/what-is-in-it-is-found", test_found);
    g_test_add_func("/base/hash/each-byte-of-a-key-counts", test_hashes_differ);
    return g_test_run();
}
