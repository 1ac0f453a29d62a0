/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arenas: memfds that the keeper owns and the worker maps. Everything that must outlive a worker
 * (state records, data buffers, RAM LUNs) lies in one, and is named by a 64-bit reference, arena
 * number and byte offset, never by a pointer: a reference means the same in every process.
 *
 * The table is filled before the reactors start, or on the control thread with the new entry
 * published by its reference; entries never move while in use.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#define ARENA_MAX         4096
#define ARENA_STATE       1          /* session, connection and task records */
#define ARENA_POOL_FIRST  2          /* + reactor index: data buffers */
#define ARENA_POOL_LAST   127
#define ARENA_STORE_FIRST 128        /* memory of LUNs */

#define ARENA_OFFSET_BITS 48
#define ARENA_OFFSET_MASK ((1ull << ARENA_OFFSET_BITS) - 1)

typedef uint64_t arena_ref;          /* 0: nothing */

struct arena {
    uint8_t *base;                   /* NULL: not in use */
    uint64_t bytes;
    int fd;                          /* owned; -1: not in use */
};

extern struct arena arena_table[ARENA_MAX];

static inline void *arena_ptr(arena_ref ref)
{
    return arena_table[ref >> ARENA_OFFSET_BITS].base + (ref & ARENA_OFFSET_MASK);
}

static inline arena_ref arena_ref_make(unsigned arena, uint64_t offset)
{
    return (uint64_t)arena << ARENA_OFFSET_BITS | offset;
}

/* The reference of a pointer into a known arena. */
static inline arena_ref arena_ref_of(unsigned arena, const void *p)
{
    return arena_ref_make(arena, (uint64_t)((const uint8_t *)p - arena_table[arena].base));
}

/* The memory that the reference names is there, all of it. */
static inline bool arena_is_mapped(arena_ref ref, uint64_t bytes)
{
    uint64_t arena = ref >> ARENA_OFFSET_BITS, offset = ref & ARENA_OFFSET_MASK;
    return arena < ARENA_MAX && arena_table[arena].base && offset <= arena_table[arena].bytes &&
           bytes <= arena_table[arena].bytes - offset;
}

/* Maps `fd` (taken over on success) as arena number `arena`; 0 or negative errno. These three: any thread. */
int arena_map(unsigned arena, int fd, uint64_t bytes);
/* The same; nobody writes to it. */
int arena_map_read_only(unsigned arena, int fd, uint64_t bytes);
/* The last free number down to ARENA_STORE_FIRST (those that must be the same in every worker are given from
   the other end), mapped; or negative errno. */
int arena_map_any(int fd, uint64_t bytes);
/* Unmaps and closes; nothing may refer to it any more. */
void arena_unmap(unsigned arena);
/* A new memfd of that size, not yet touched (no memory used); fd or negative errno. */
int arena_create_fd(const char *name, uint64_t bytes);
