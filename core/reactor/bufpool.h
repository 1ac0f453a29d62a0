/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data buffers of one reactor, in its arena (number ARENA_POOL_FIRST + reactor). The arena is cut
 * into superblocks of 1 MiB, a superblock in use is cut into pieces of one class (4K, 16K, 64K,
 * 256K, 1M), and goes back to the common stock when its last piece is free. All bookkeeping is in
 * private memory and made at creation: a wild peer cannot make it grow, and a successor rebuilds it
 * instead of trusting it. The arena's size is the limit of all data in flight on this reactor.
 *
 * Memory is touched by use only. Superblocks busy with file I/O get registered with the ring
 * (ring_memory_set()); superblocks that stay unused give their pages back to the system.
 *
 * Buffers are counted by reference. When memory is exhausted callers queue: the queue is strictly
 * first in, first out, and while anybody waits bufpool_take() answers NULL to everyone else. Never
 * wait for a buffer while holding one that only the awaited one would set free.
 * Thread: the reactor's own, except bufpool_create() and bufpool_destroy().
 */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "reactor/reactor.h"

#include <stddef.h>
#include <stdint.h>

#define BUFPOOL_SUPERBLOCK_SHIFT 20
#define BUFPOOL_SUPERBLOCK       (1u << BUFPOOL_SUPERBLOCK_SHIFT)
#define BUFPOOL_MAX_BYTES        BUFPOOL_SUPERBLOCK /* the largest buffer */
#define BUFPOOL_PAGE             4096u              /* the smallest, and every alignment */

struct bufpool;

struct buf {
    uint8_t *data;        /* aligned to BUFPOOL_PAGE; contents undefined when taken */
    struct bufpool *pool; /* private */
    uint32_t bytes;       /* capacity: the class, at least what was asked for */
    uint32_t refs;        /* private */
};

struct bufpool_waiter {
    struct list link;                                              /* private */
    void (*ready)(struct bufpool_waiter *waiter, struct buf *buf); /* buf with one reference */
    uint32_t bytes;                                                /* private */
};

/* For arena `arena`, which is mapped and whose size is a multiple of 1 MiB (the rest is unused).
 * Sets reactor->pool. Before reactor_start(). */
int bufpool_create(struct reactor *reactor, unsigned arena, struct bufpool **ret_pool);
/* After reactor_stop(). NULL is fine; returns NULL. Does not unmap the arena. */
struct bufpool *bufpool_destroy(struct bufpool *pool);

/* A buffer of at least `bytes` (1 .. BUFPOOL_MAX_BYTES) with one reference, or NULL: exhausted. */
struct buf *bufpool_take(struct bufpool *pool, size_t bytes);
/* Queues for a buffer: ready() comes exactly once, from a deferred task, never from inside here. */
void bufpool_wait(struct bufpool *pool, struct bufpool_waiter *waiter, size_t bytes);
/* Leaves the queue; ready() does not come. Nothing happens when it is not queued. */
void bufpool_wait_cancel(struct bufpool *pool, struct bufpool_waiter *waiter);

static inline void bufpool_waiter_init(struct bufpool_waiter *waiter,
                                       void (*ready)(struct bufpool_waiter *, struct buf *))
{
    list_init(&waiter->link);
    waiter->ready = ready;
}

static inline struct buf *buf_ref(struct buf *buf)
{
    buf->refs++;
    return buf;
}
/* NULL is fine; returns NULL. The last reference gives the memory back. */
struct buf *buf_unref(struct buf *buf);
/* Somebody else has a reference, too. */
static inline bool buf_is_shared(const struct buf *buf)
{
    return buf->refs > 1;
}
arena_ref buf_arena_ref(const struct buf *buf);
/* The buffer that holds this address, or NULL when it is in none in use. */
struct buf *bufpool_find(struct bufpool *pool, const void *address);

/*
 * Takes one particular buffer, as its record says it was handed out by an earlier process: before the
 * reactor starts, for all live ones before the first bufpool_take(). NULL: that cannot have been one
 * (outside the arena, not a class, overlaps another).
 */
struct buf *bufpool_adopt(struct bufpool *pool, arena_ref ref, uint32_t bytes);
/* Bytes of the classes handed out now, and the limit. */
uint64_t bufpool_used(const struct bufpool *pool);
uint64_t bufpool_capacity(const struct bufpool *pool);
/* Gives the pages of all unused superblocks back to the system now (also done by a timer). */
void bufpool_trim(struct bufpool *pool);
