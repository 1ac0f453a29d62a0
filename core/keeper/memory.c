/* SPDX-License-Identifier: BSD-3-Clause */
/* See memory.h. */
#include "keeper/memory.h"

#include "base/arena.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REMOVED_PREFIX "removed:" /* the rest of the name is the number */

struct entry {
    struct list node;
    unsigned generation; /* of a persistent one: who asked last */
    unsigned by_number;  /* ... by its number, while it has its name */
    bool persistent;
    bool numbered;
    uint32_t number;
    int fd;
    uint32_t slot; /* of a persistent one, in the store */
    struct store_item *stored;
    char name[LINK_NAME_MAX];
};

static void entry_free(struct memory *memory, struct entry *e)
{
    list_remove(&e->node);
    memory->count--;
    if (e->numbered)
        memory->numbers[e->number] = 0;
    memory->changed |= e->persistent;
    store_let_go(memory->store, e->stored);
    close(e->fd);
    g_free(e);
}

void memory_init(struct memory *memory, struct store *store)
{
    *memory = (struct memory){ .store = store };
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

static bool has_number(const char *name)
{
    return g_str_has_prefix(name, MEMORY_PERSIST_PREFIX) || g_str_has_prefix(name, REMOVED_PREFIX);
}

/* There are as many numbers as entries, so one is free. */
static void give_number(struct memory *memory, struct entry *e)
{
    if (!has_number(e->name))
        return;
    while (memory->numbers[e->number])
        e->number++;
    memory->numbers[e->number] = 1;
    e->numbered = true;
}

static struct entry *entry_add(struct memory *memory, const char *name, bool persistent, int fd)
{
    struct entry *e = g_new0(struct entry, 1);
    e->persistent = persistent;
    e->fd = fd;
    g_strlcpy(e->name, name, sizeof(e->name));
    list_append(&memory->entries, &e->node);
    memory->count++;
    return e;
}

static int entry_new(struct memory *memory, const struct link_memfd_get *get, bool persistent,
                     struct entry **ret_entry)
{
    if (memory->count >= MEMORY_ENTRIES_MAX)
        return -ENOSPC;
    int fd = arena_create_fd(get->name, get->bytes);
    if (fd < 0)
        return fd;
    struct entry *e = entry_add(memory, get->name, persistent, fd);
    if (persistent) {
        give_number(memory, e);
        e->slot = memory->next_slot++;
        e->stored =
            store_keep(memory->store, STORE_MEMORY, e->slot, 0, fd, /* inherited= */ false);
        memory->changed = true;
    }
    *ret_entry = e;
    return 0;
}

void memory_restore(struct memory *memory, uint32_t slot, uint32_t number, const char *name, int fd)
{
    struct entry *e = entry_add(memory, name, /* persistent= */ true, fd);
    e->slot = slot;
    e->numbered = has_number(name) && number < MEMORY_ENTRIES_MAX && !memory->numbers[number];
    if (e->numbered) {
        e->number = number;
        memory->numbers[number] = 1;
    }
    e->stored = store_keep(memory->store, STORE_MEMORY, slot, 0, fd, /* inherited= */ true);
    memory->next_slot = MAX(memory->next_slot, slot + 1);
}

void memory_each(const struct memory *memory,
                 void (*visit)(void *user, uint32_t slot, uint32_t number, const char *name,
                               int fd),
                 void *user)
{
    list_for_each(n, &memory->entries)
    {
        const struct entry *e = list_entry(n, struct entry, node);
        if (e->persistent)
            visit(user, e->slot, e->number, e->name, e->fd);
    }
}

static void make_removed(struct memory *memory, struct entry *e)
{
    g_snprintf(e->name, sizeof(e->name), REMOVED_PREFIX "%u", e->number);
    memory->changed = true;
}

static struct entry *find_number(struct memory *memory, const char *digits)
{
    char *end;
    unsigned long number = strtoul(digits, &end, 10);
    if (end == digits || *end)
        return NULL;
    list_for_each(n, &memory->entries) {
        struct entry *e = list_entry(n, struct entry, node);
        if (e->numbered && e->number == number)
            return e;
    }
    return NULL;
}

/*
 * One that it has not asked for by name was removed, when the worker before had no time to say so, or is of a LUN that
 * cannot be opened yet: that is known when it has named all others.
 */
static int get_removed(struct memory *memory, unsigned generation, const char *digits, int *ret_fd,
                       bool *ret_existed, uint32_t *ret_number)
{
    struct entry *e = find_number(memory, digits);
    bool is_removed = e && g_str_has_prefix(e->name, REMOVED_PREFIX);
    if (!e || (!is_removed && e->generation == generation))
        return -ENOENT;
    if (is_removed)
        e->generation = generation;
    else
        e->by_number = generation;
    *ret_fd = e->fd;
    *ret_existed = true;
    *ret_number = e->number;
    return 0;
}

int memory_get(struct memory *memory, unsigned generation, const struct link_memfd_get *get,
               int *ret_fd, bool *ret_existed, uint32_t *ret_number)
{
    bool persistent = g_str_has_prefix(get->name, MEMORY_PERSIST_PREFIX) ||
                      g_str_has_prefix(get->name, MEMORY_KEEP_PREFIX);

    if (get->name[0] == 0 || get->bytes == 0 || get->bytes > MEMORY_BYTES_MAX)
        return -EINVAL;
    if (g_str_has_prefix(get->name, LINK_NUMBER_PREFIX))
        return get_removed(memory, generation, get->name + strlen(LINK_NUMBER_PREFIX), ret_fd,
                           ret_existed, ret_number);
    struct entry *e = entry_find(memory, generation, get->name, persistent);
    if (e != NULL && !persistent)
        return -EEXIST;
    bool existed = e != NULL;
    int r = existed ? entry_resize(e, get->bytes) : entry_new(memory, get, persistent, &e);
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
    bool by_number = g_str_has_prefix(name, LINK_NUMBER_PREFIX);
    struct entry *e = by_number ? find_number(memory, name + strlen(LINK_NUMBER_PREFIX))
                                : entry_find(memory, 0, name, /* persistent= */ true);
    if (e != NULL && by_number)
        e->by_number = 0;
    if (e != NULL && e->persistent && (!by_number || g_str_has_prefix(e->name, REMOVED_PREFIX)))
        entry_free(memory, e);
}

void memory_remove(struct memory *memory, const char *name)
{
    struct entry *e = entry_find(memory, 0, name, /* persistent= */ true);
    if (e != NULL && e->numbered)
        make_removed(memory, e);
}

void memory_hold(struct memory *memory, unsigned generation, const char *name)
{
    struct entry *e = entry_find(memory, 0, name, /* persistent= */ true);
    if (e != NULL && e->numbered)
        e->generation = generation;
}

void memory_adopt(struct memory *memory, unsigned generation)
{
    list_for_each(n, &memory->entries)
        list_entry(n, struct entry, node)->generation = generation;
}

void memory_settle(struct memory *memory, unsigned generation)
{
    list_for_each_safe(n, &memory->entries)
    {
        struct entry *e = list_entry(n, struct entry, node);
        if (!has_number(e->name) || e->generation >= generation)
            continue;
        if (e->by_number == generation) {
            e->generation = generation;
            make_removed(memory, e);
        } else {
            entry_free(memory, e);
        }
    }
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
