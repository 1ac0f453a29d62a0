/* SPDX-License-Identifier: BSD-3-Clause */
/* See hash.h. */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int hash_table_init(struct hash_table *table, uint32_t expected)
{
    uint64_t buckets = 16;
    while (buckets < expected)
        buckets *= 2;
    *table = (struct hash_table){ .mask = buckets - 1 };
    table->buckets = calloc(buckets, sizeof(struct hash_link *));
    if (!table->buckets)
        return -ENOMEM;
    if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) < 0)
        table->seed = (uintptr_t)table; /* early in a boot: still not known outside */
    return 0;
}

void hash_table_fini(struct hash_table *table)
{
    free(table->buckets);
    table->buckets = NULL;
}

/* Both halves of a full product: each bit of the input changes half of the output. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t count)
{
    const uint8_t *p = bytes;
    uint64_t h = mix(seed ^ count ^ 0xa0761d6478bd642f, 0xe7037ed1a0b428db);
    for (uint64_t word; count > 0; p += sizeof(word)) {
        size_t n = count < sizeof(word) ? count : sizeof(word);
        word = 0;
        memcpy(&word, p, n);
        h = mix(h ^ word, 0x8ebc6af09c88c6e3 ^ seed);
        count -= n;
    }
    return mix(h ^ seed, 0x589965cc75374cc3);
}

void hash_table_add(struct hash_table *table, struct hash_link *link, uint64_t hash)
{
    struct hash_link **at = &table->buckets[hash & table->mask];
    link->hash = hash;
    link->next = *at;
    *at = link;
    table->count++;
}

void hash_table_remove(struct hash_table *table, struct hash_link *link)
{
    struct hash_link **at = &table->buckets[link->hash & table->mask];
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    link->next = NULL;
    table->count--;
}

struct hash_link *hash_table_find(const struct hash_table *table, uint64_t hash,
                                  bool (*matches)(const struct hash_link *link, const void *key),
                                  const void *key)
{
    struct hash_link *link = table->buckets[hash & table->mask];
    while (link && !(link->hash == hash && matches(link, key)))
        link = link->next;
    return link;
}
