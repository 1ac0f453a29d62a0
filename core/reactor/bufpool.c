/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The buffer pool of bufpool.h.
 *
 * A superblock is on exactly one list: clean (spare, its pages given back or never touched), dirty
 * (spare, still holding pages), partial[class] (in use, with free pieces) or none (all pieces
 * taken). Free pieces are bits; handles are a flat table with one place for each page of the
 * arena, so that an address leads to its buffer by arithmetic. The table is anonymous memory that
 * is touched only where buffers are taken.
 *
 * Both spare lists are used last in, first out: a light load stays on the same few megabytes.
 */
#include "reactor/bufpool.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASSES       5
#define NO_CLASS      0xff
#define PAGES         (BUFPOOL_SUPERBLOCK / BUFPOOL_PAGE) /* 256, handles a superblock */
#define TRIM_IDLE_NS  (10 * NS_PER_S)
#define TRIM_AT_ONCE  16 /* superblocks a turn: each costs tens of microseconds */
#define TRIM_PAUSE_NS (20 * NS_PER_MS)

struct superblock {
    struct list link;
    uint64_t free[PAGES / 64];
    uint64_t idle_since;
    uint16_t free_pieces;
    uint8_t class; /* NO_CLASS: spare */
};

struct bufpool {
    struct reactor *reactor;
    uint8_t *base;
    unsigned arena;
    unsigned count; /* superblocks */
    struct superblock *superblocks;
    struct buf *handles;
    size_t handles_bytes;
    struct list clean, dirty, partial[CLASSES];
    struct list waiters;
    struct reactor_task serve;
    struct timer trim;
    uint64_t used;
};

static uint32_t class_bytes(unsigned class)
{
    return BUFPOOL_PAGE << (2 * class);
}

static unsigned class_pieces(unsigned class)
{
    return PAGES >> (2 * class);
}

static unsigned class_for(size_t bytes)
{
    unsigned class = 0;
    while (class_bytes(class) < bytes)
        class ++;
    return class;
}

static void serve_waiters(struct reactor_task *task);
static void trim_idle(struct timer *timer);

int bufpool_create(struct reactor *reactor, unsigned arena, struct bufpool **ret_pool)
{
    uint64_t count = arena_table[arena].bytes >> BUFPOOL_SUPERBLOCK_SHIFT;
    if (!arena_table[arena].base || !count || count > UINT32_MAX / PAGES)
        return -EINVAL;
    struct bufpool *pool = calloc(1, sizeof(*pool));
    struct superblock *superblocks = calloc(count, sizeof(*superblocks));
    size_t handles_bytes = count * PAGES * sizeof(struct buf);
    void *handles = mmap(NULL, handles_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!pool || !superblocks || handles == MAP_FAILED) {
        if (handles != MAP_FAILED)
            munmap(handles, handles_bytes);
        free(superblocks);
        free(pool);
        return -ENOMEM;
    }
    *pool = (struct bufpool){ .reactor = reactor,
                              .base = arena_table[arena].base,
                              .arena = arena,
                              .count = (unsigned)count,
                              .superblocks = superblocks,
                              .handles = handles,
                              .handles_bytes = handles_bytes };
    list_init(&pool->clean);
    list_init(&pool->dirty);
    list_init(&pool->waiters);
    for (unsigned class = 0; class < CLASSES; class ++)
        list_init(&pool->partial[class]);
    for (unsigned i = 0; i < pool->count; i++) {
        superblocks[i].class = NO_CLASS;
        list_append(&pool->clean, &superblocks[i].link);
    }
    reactor_task_init(&pool->serve, serve_waiters);
    timer_init(&pool->trim, trim_idle);
    /* Registered memory is an advantage, not a need. */
    (void)ring_memory_set(reactor->ring, pool->base, count << BUFPOOL_SUPERBLOCK_SHIFT,
                          BUFPOOL_SUPERBLOCK_SHIFT);
    reactor->pool = pool;
    *ret_pool = pool;
    return 0;
}

struct bufpool *bufpool_destroy(struct bufpool *pool)
{
    if (!pool)
        return NULL;
    timer_stop(&pool->reactor->timers, &pool->trim);
    reactor_task_cancel(&pool->serve);
    pool->reactor->pool = NULL;
    munmap(pool->handles, pool->handles_bytes);
    free(pool->superblocks);
    free(pool);
    return NULL;
}

/* ---- taking and giving back ---- */

static void count_used(struct bufpool *pool, int64_t bytes)
{
    pool->used += (uint64_t)bytes;
    __atomic_store_n(&pool->reactor->counters.buffer_bytes, pool->used, __ATOMIC_RELAXED);
}

/* Out of the spare ones, cut for `class`. */
static void cut(struct bufpool *pool, struct superblock *s, unsigned class)
{
    unsigned pieces = class_pieces(class);
    list_remove(&s->link);
    s->class = (uint8_t) class;
    s->free_pieces = (uint16_t)pieces;
    for (unsigned i = 0; i < PAGES / 64; i++) {
        unsigned here = pieces > i * 64 ? pieces - i * 64 : 0;
        s->free[i] = here >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << here) - 1;
    }
    list_prepend(&pool->partial[class], &s->link);
}

static struct buf *handle(struct bufpool *pool, unsigned index, unsigned page, unsigned class)
{
    struct buf *buf = &pool->handles[index * PAGES + page];
    buf->data =
        pool->base + ((uint64_t)index << BUFPOOL_SUPERBLOCK_SHIFT) + (uint64_t)page * BUFPOOL_PAGE;
    buf->pool = pool;
    buf->bytes = class_bytes(class);
    buf->refs = 1;
    count_used(pool, buf->bytes);
    return buf;
}

static struct superblock *carve(struct bufpool *pool, unsigned class)
{
    struct list *spare = list_take(&pool->dirty);
    if (!spare)
        spare = list_take(&pool->clean);
    if (!spare)
        return NULL;
    struct superblock *s = list_entry(spare, struct superblock, link);
    cut(pool, s, class);
    return s;
}

/* A superblock with a free piece of at least this class: the class itself, a fresh superblock, or
 * a larger piece than asked for rather than nothing. */
static struct superblock *find_room(struct bufpool *pool, unsigned class)
{
    if (!list_empty(&pool->partial[class]))
        return list_entry(pool->partial[class].next, struct superblock, link);
    struct superblock *s = carve(pool, class);
    while (!s && ++class < CLASSES)
        if (!list_empty(&pool->partial[class]))
            s = list_entry(pool->partial[class].next, struct superblock, link);
    return s;
}

static unsigned take_piece(struct superblock *s)
{
    unsigned word = 0;
    while (!s->free[word])
        word++;
    unsigned bit = (unsigned)__builtin_ctzll(s->free[word]);
    s->free[word] &= s->free[word] - 1;
    if (--s->free_pieces == 0)
        list_remove(&s->link);
    return word * 64 + bit;
}

static struct buf *take(struct bufpool *pool, size_t bytes)
{
    if (bytes == 0 || bytes > BUFPOOL_MAX_BYTES)
        return NULL;
    struct superblock *s = find_room(pool, class_for(bytes));
    if (!s)
        return NULL;
    unsigned index = (unsigned)(s - pool->superblocks), class = s->class;
    unsigned page = take_piece(s) << (2 * class);
    return handle(pool, index, page, class);
}

struct buf *bufpool_adopt(struct bufpool *pool, arena_ref ref, uint32_t bytes)
{
    uint64_t offset = ref & ARENA_OFFSET_MASK, index = offset >> BUFPOOL_SUPERBLOCK_SHIFT;
    if (ref >> ARENA_OFFSET_BITS != pool->arena || index >= pool->count || !bytes ||
        bytes > BUFPOOL_MAX_BYTES || offset % BUFPOOL_PAGE)
        return NULL;
    unsigned class = class_for(bytes);
    unsigned page = (offset & (BUFPOOL_SUPERBLOCK - 1)) / BUFPOOL_PAGE, piece = page >> (2 * class);
    struct superblock *s = &pool->superblocks[index];
    if (class_bytes(class) != bytes || piece << (2 * class) != page)
        return NULL;
    if (s->class == NO_CLASS)
        cut(pool, s, class);
    uint64_t bit = UINT64_C(1) << (piece % 64);
    if (s->class != class || !(s->free[piece / 64] & bit))
        return NULL;
    s->free[piece / 64] &= ~bit;
    if (--s->free_pieces == 0)
        list_remove(&s->link);
    return handle(pool, (unsigned)index, page, class);
}

struct buf *bufpool_take(struct bufpool *pool, size_t bytes)
{
    return list_empty(&pool->waiters) ? take(pool, bytes) : NULL;
}

static void retire(struct bufpool *pool, struct superblock *s)
{
    list_remove(&s->link);
    s->class = NO_CLASS;
    s->idle_since = pool->reactor->now_ns;
    list_prepend(&pool->dirty, &s->link);
    if (!timer_armed(&pool->trim))
        reactor_timer_start(pool->reactor, &pool->trim, TRIM_IDLE_NS);
}

struct buf *buf_unref(struct buf *buf)
{
    if (!buf || --buf->refs)
        return NULL;
    struct bufpool *pool = buf->pool;
    unsigned handle = (unsigned)(buf - pool->handles);
    struct superblock *s = &pool->superblocks[handle / PAGES];
    unsigned piece = handle % PAGES >> (2 * s->class);
    s->free[piece / 64] |= UINT64_C(1) << piece % 64;
    count_used(pool, -(int64_t)buf->bytes);
    if (++s->free_pieces == 1)
        list_prepend(&pool->partial[s->class], &s->link);
    if (s->free_pieces == class_pieces(s->class))
        retire(pool, s);
    if (!list_empty(&pool->waiters))
        reactor_defer(pool->reactor, &pool->serve);
    return NULL;
}

/* ---- waiting ---- */

static void serve_waiters(struct reactor_task *task)
{
    struct bufpool *pool = container_of(task, struct bufpool, serve);
    while (!list_empty(&pool->waiters)) {
        struct bufpool_waiter *waiter = list_entry(pool->waiters.next, struct bufpool_waiter, link);
        struct buf *buf = take(pool, waiter->bytes);
        if (!buf)
            return;
        list_remove(&waiter->link);
        waiter->ready(waiter, buf);
    }
}

void bufpool_wait(struct bufpool *pool, struct bufpool_waiter *waiter, size_t bytes)
{
    counter_add(&pool->reactor->counters.buffer_waits, 1);
    waiter->bytes = bytes == 0                  ? 1
                    : bytes > BUFPOOL_MAX_BYTES ? BUFPOOL_MAX_BYTES
                                                : (uint32_t)bytes;
    list_append(&pool->waiters, &waiter->link);
    reactor_defer(pool->reactor, &pool->serve);
}

void bufpool_wait_cancel(struct bufpool *pool, struct bufpool_waiter *waiter)
{
    list_remove(&waiter->link);
    /* It may have been the one for which the others had to wait. */
    if (!list_empty(&pool->waiters))
        reactor_defer(pool->reactor, &pool->serve);
}

/* ---- looking ---- */

arena_ref buf_arena_ref(const struct buf *buf)
{
    return arena_ref_make(buf->pool->arena, (uint64_t)(buf->data - buf->pool->base));
}

struct buf *bufpool_find(struct bufpool *pool, const void *address)
{
    uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)pool->base);
    if (offset >= bufpool_capacity(pool))
        return NULL;
    unsigned index = (unsigned)(offset >> BUFPOOL_SUPERBLOCK_SHIFT);
    unsigned class = pool->superblocks[index].class;
    if (class == NO_CLASS)
        return NULL;
    unsigned page = (unsigned)(offset / BUFPOOL_PAGE % PAGES) >> (2 * class) << (2 * class);
    struct buf *buf = &pool->handles[index * PAGES + page];
    return buf->refs ? buf : NULL;
}

uint64_t bufpool_used(const struct bufpool *pool)
{
    return pool->used;
}

uint64_t bufpool_capacity(const struct bufpool *pool)
{
    return (uint64_t)pool->count << BUFPOOL_SUPERBLOCK_SHIFT;
}

/* ---- giving pages back ---- */

/* The superblock idle for the longest time, if that was before `before`. */
static struct superblock *oldest_dirty(struct bufpool *pool, uint64_t before)
{
    if (list_empty(&pool->dirty))
        return NULL;
    struct superblock *s = list_entry(pool->dirty.prev, struct superblock, link);
    return s->idle_since <= before ? s : NULL;
}

static void trim_one(struct bufpool *pool, struct superblock *s)
{
    unsigned index = (unsigned)(s - pool->superblocks);
    list_remove(&s->link);
    /* First out of the ring: registered pages would stay behind as strangers to the file. */
    ring_memory_unregister(pool->reactor->ring, index);
    (void)madvise(pool->base + ((uint64_t)index << BUFPOOL_SUPERBLOCK_SHIFT), BUFPOOL_SUPERBLOCK,
                  MADV_REMOVE);
    list_prepend(&pool->clean, &s->link);
    counter_add(&pool->reactor->counters.buffer_trims, 1);
}

static void trim_idle(struct timer *timer)
{
    struct bufpool *pool = container_of(timer, struct bufpool, trim);
    uint64_t now = pool->reactor->now_ns, before = now > TRIM_IDLE_NS ? now - TRIM_IDLE_NS : 0;
    struct superblock *s = NULL;
    for (unsigned n = 0; n < TRIM_AT_ONCE && (s = oldest_dirty(pool, before)); n++)
        trim_one(pool, s);
    if (!list_empty(&pool->dirty))
        reactor_timer_start(pool->reactor, timer, s ? TRIM_PAUSE_NS : TRIM_IDLE_NS);
}

void bufpool_trim(struct bufpool *pool)
{
    for (struct superblock *s; (s = oldest_dirty(pool, UINT64_MAX));)
        trim_one(pool, s);
    timer_stop(&pool->reactor->timers, &pool->trim);
}
