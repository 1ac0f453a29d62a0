/* SPDX-License-Identifier: BSD-3-Clause */
/* See memory.h. */
#include "keeper/memory.h"

#include "base/arena.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    struct list node;
    unsigned generation; /* of a persistent one: who asked last */
    bool persistent;
    int fd;
    char name[LINK_NAME_MAX];
};

static void entry_free(struct memory *memory, struct entry *e)
{
    list_remove(&e->node);
    memory->count--;
    close(e->fd);
    g_free(e);
}

void memory_init(struct memory *memory)
{
    list_init(&memory->entries);
    memory->count = 0;
}

void memory_deinit(struct memory *memory)
{
    list_for_each_safe(n, &memory->entries) entry_free(memory, list_entry(n, struct entry, node));
}

static struct entry *entry_find(struct memory *memory, unsigned generation, const char *name,
                                bool persistent)
{
    list_for_each(n, &memory->entries)
    {
        struct entry *e = list_entry(n, struct entry, node);
        if (strcmp(e->name, name) == 0 && (persistent || e->generation == generation))
            return e;
    }
    return NULL;
}

/* A LUN may have another size than the last worker gave it. */
static int entry_resize(const struct entry *e, uint64_t bytes)
{
    struct stat st;
    if (fstat(e->fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size == bytes)
        return 0;
    return ftruncate(e->fd, (off_t)bytes) < 0 ? -errno : 0;
}

static int entry_new(struct memory *memory, unsigned generation, const struct link_memfd_get *get,
                     bool persistent, struct entry **ret_entry)
{
    if (memory->count >= MEMORY_ENTRIES_MAX)
        return -ENOSPC;
    int fd = arena_create_fd(get->name, get->bytes);
    if (fd < 0)
        return fd;
    struct entry *e = g_new0(struct entry, 1);
    e->generation = generation;
    e->persistent = persistent;
    e->fd = fd;
    g_strlcpy(e->name, get->name, sizeof(e->name));
    list_append(&memory->entries, &e->node);
    memory->count++;
    *ret_entry = e;
    return 0;
}

int memory_get(struct memory *memory, unsigned generation, const struct link_memfd_get *get,
               int *ret_fd, bool *ret_existed)
{
    bool persistent = g_str_has_prefix(get->name, MEMORY_PERSIST_PREFIX) ||
                      g_str_has_prefix(get->name, MEMORY_KEEP_PREFIX);

    if (get->name[0] == 0 || get->bytes == 0 || get->bytes > MEMORY_BYTES_MAX)
        return -EINVAL;
    struct entry *e = entry_find(memory, generation, get->name, persistent);
    if (e != NULL && !persistent)
        return -EEXIST;
    bool existed = e != NULL;
    int r =
        existed ? entry_resize(e, get->bytes) : entry_new(memory, generation, get, persistent, &e);
    if (r < 0)
        return r;
    e->generation = generation;
    *ret_fd = e->fd;
    *ret_existed = existed;
    return 0;
}

void memory_drop_before(struct memory *memory, unsigned generation)
{
    list_for_each_safe(n, &memory->entries)
    {
        struct entry *e = list_entry(n, struct entry, node);
        if (!e->persistent && e->generation < generation)
            entry_free(memory, e);
    }
}
