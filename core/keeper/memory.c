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
    bool numbered;
    uint32_t number;
    int fd;
    char name[LINK_NAME_MAX];
};

static void entry_free(struct memory *memory, struct entry *e)
{
    list_remove(&e->node);
    memory->count--;
    if (e->numbered)
        memory->numbers[e->number] = 0;
    close(e->fd);
    g_free(e);
}

void memory_init(struct memory *memory)
{
    *memory = (struct memory){ .count = 0 };
    list_init(&memory->entries);
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

/* There are as many numbers as entries, so one is free. */
static void give_number(struct memory *memory, struct entry *e)
{
    if (!g_str_has_prefix(e->name, MEMORY_PERSIST_PREFIX))
        return;
    while (memory->numbers[e->number])
        e->number++;
    memory->numbers[e->number] = 1;
    e->numbered = true;
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
    give_number(memory, e);
    list_append(&memory->entries, &e->node);
    memory->count++;
    *ret_entry = e;
    return 0;
}

int memory_get(struct memory *memory, unsigned generation, const struct link_memfd_get *get,
               int *ret_fd, bool *ret_existed, uint32_t *ret_number)
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
    *ret_number = e->number;
    return 0;
}

void memory_drop(struct memory *memory, const char *name)
{
    struct entry *e = entry_find(memory, 0, name, /* persistent= */ true);
    if (e != NULL && e->persistent)
        entry_free(memory, e);
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
