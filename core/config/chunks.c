/* SPDX-License-Identifier: BSD-3-Clause */
/* See chunks.h. What is large has a block of its own. */
#include "config/chunks.h"

#include <glib.h>
#include <stdalign.h>
#include <string.h>

/* The first block is small: most files are, and each target that is set by a verb has chunks of its own. */
#define BLOCK_MIN 1024u
#define BLOCK_MAX (128u << 10)

struct config_chunks {
    GPtrArray *blocks;
    char *at; /* zeroed, free */
    size_t left, next;
};

struct config_chunks *config_chunks_new(void)
{
    struct config_chunks *c = g_new0(struct config_chunks, 1);
    c->blocks = g_ptr_array_new_with_free_func(g_free);
    c->next = BLOCK_MIN;
    return c;
}

struct config_chunks *config_chunks_free(struct config_chunks *c)
{
    if (!c)
        return NULL;
    g_ptr_array_unref(c->blocks);
    g_free(c);
    return NULL;
}

static char *block_new(struct config_chunks *c, size_t bytes)
{
    char *block = g_malloc0(bytes);
    g_ptr_array_add(c->blocks, block);
    return block;
}

static char *cut(struct config_chunks *c, size_t bytes)
{
    if (bytes > BLOCK_MAX / 8)
        return block_new(c, bytes);
    if (bytes > c->left) {
        c->left = MAX(c->next, bytes);
        c->at = block_new(c, c->left);
        c->next = MIN(c->next * 2, BLOCK_MAX);
    }
    char *piece = c->at;
    c->at += bytes;
    c->left -= bytes;
    return piece;
}

void *config_chunks_alloc(struct config_chunks *c, size_t bytes)
{
    size_t align = alignof(max_align_t), over = c->left % align;
    bytes = MAX(bytes, 1);
    if (over && over < c->left) { /* a text stands before it */
        c->at += over;
        c->left -= over;
    } else if (over) {
        c->left = 0;
    }
    return cut(c, (bytes + align - 1) & ~(align - 1));
}

char *config_chunks_text(struct config_chunks *c, const char *text, size_t length)
{
    char *copy = cut(c, length + 1);
    memcpy(copy, text, length);
    return copy;
}
