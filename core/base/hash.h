/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table with chains through the callers' own objects: adding, finding and removing never
 * allocate. It is made once for an expected number of objects and takes more, only slower.
 *
 * Keys come from the network, so hashes begin with a random number of the table's own: nobody outside can
 * choose names that all fall into one chain.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash_link {
    struct hash_link *next;
    uint64_t hash;
};

struct hash_table {
    struct hash_link **buckets;
    uint64_t mask, seed;
    uint32_t count;
};

/* 0 or -ENOMEM. Memory is touched only as buckets get used. */
int hash_table_init(struct hash_table *table, uint32_t expected);
/* The objects are the callers'. May be called twice, or on zeroes. */
void hash_table_fini(struct hash_table *table);

/* Of a key of several parts: begin with table->seed, go on with the result. */
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t count);

void hash_table_add(struct hash_table *table, struct hash_link *link, uint64_t hash);
/* It is in the table. */
void hash_table_remove(struct hash_table *table, struct hash_link *link);
/* The first with this hash that `matches`, or NULL. */
struct hash_link *hash_table_find(const struct hash_table *table, uint64_t hash,
                                  bool (*matches)(const struct hash_link *link, const void *key),
                                  const void *key);
