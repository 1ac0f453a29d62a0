/* SPDX-License-Identifier: BSD-3-Clause */
/* See image_move.h. */
#include "handover/image_move.h"

#include <stdlib.h>
#include <string.h>

struct moved {
    arena_ref from, to;
    uint32_t bytes;
};

void image_move_begin(struct image_move *m)
{
    m->moved = g_array_new(FALSE, FALSE, sizeof(struct moved));
    m->sorted = true;
    m->taken = g_ptr_array_new();
}

void image_move_end(struct image_move *m)
{
    for (guint i = 0; i < m->taken->len; i++)
        buf_unref(m->taken->pdata[i]);
    g_ptr_array_unref(m->taken);
    g_array_unref(m->moved);
}

static const uint8_t *old_data(const struct image_move *m, arena_ref ref, uint32_t bytes)
{
    uint64_t arena = ref >> ARENA_OFFSET_BITS, offset = ref & ARENA_OFFSET_MASK, size = 0;

    if (arena < ARENA_POOL_FIRST || arena > ARENA_POOL_FIRST + m->old_reactors)
        return NULL;
    const uint8_t *base = m->old_pool(m->user, (unsigned)(arena - ARENA_POOL_FIRST), &size);
    return base && offset <= size && bytes <= size - offset ? base + offset : NULL;
}

const char *image_move_buffer(struct image_move *m, unsigned pool, arena_ref ref, uint32_t bytes,
                              arena_ref *ret_ref)
{
    const uint8_t *data = old_data(m, ref, bytes);

    if (!data || pool > m->reactors)
        return "a buffer lies where it cannot";
    struct buf *buf = bufpool_take(m->pools[pool], bytes);
    if (!buf)
        return "the data under way is more than buffer-memory has room for";
    g_ptr_array_add(m->taken, buf);
    /* Where a byte of a command lies follows from the sizes of its buffers. */
    if (buf->bytes != bytes)
        return "the data under way does not fit into what buffer-memory has left";
    memcpy(buf->data, data, bytes);
    struct moved moved = { .from = ref, .to = buf_arena_ref(buf), .bytes = bytes };
    g_array_append_val(m->moved, moved);
    m->sorted = false;
    *ret_ref = moved.to;
    return NULL;
}

static int by_place(gconstpointer a, gconstpointer b)
{
    const struct moved *x = a, *y = b;

    return x->from < y->from ? -1 : x->from > y->from;
}

/* The key is a place, not where a buffer begins. */
static int by_holding(const void *key, const void *item)
{
    arena_ref ref = *(const arena_ref *)key;
    const struct moved *moved = item;

    return ref < moved->from ? -1 : ref - moved->from >= moved->bytes;
}

arena_ref image_move_ref(struct image_move *m, arena_ref ref)
{
    if (ref >> ARENA_OFFSET_BITS > ARENA_POOL_LAST)
        return ref;
    if (!m->sorted)
        g_array_sort(m->moved, by_place);
    m->sorted = true;
    const struct moved *moved =
        m->moved->len
            ? bsearch(&ref, m->moved->data, m->moved->len, sizeof(struct moved), by_holding)
            : NULL;
    return moved ? moved->to + (ref - moved->from) : 0;
}
