/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory the keeper owns for workers: memfds by name. The keeper never maps them; it only keeps
 * them alive, and the service manager's store keeps the persistent ones alive without it. Names that start with "lun:" (contents of RAM LUNs) and "keep:" (session state, data
 * buffers) persist as long as the keeper; all others belong to the generation that asked. One of a LUN that was
 * removed while initiators are still sent what they have read of it has its number alone. The rings of
 * a dead worker may write into its memory for a while after its death: a worker uses what it finds only
 * after GO.
 */
#pragma once

#include "keeper/link.h"
#include "keeper/store.h"

#define MEMORY_PERSIST_PREFIX "lun:"
#define MEMORY_KEEP_PREFIX    "keep:"
#define MEMORY_ENTRIES_MAX    8192
#define MEMORY_BYTES_MAX      (1ull << 48)

struct memory {
    struct list entries;
    unsigned count;
    uint8_t numbers[MEMORY_ENTRIES_MAX]; /* 1: given to a "lun:" entry */
    uint32_t next_slot; /* of a persistent one, in the store */
    struct store *store;
    bool changed; /* there is another persistent one */
};

void memory_init(struct memory *memory, struct store *store);
void memory_deinit(struct memory *memory);
/*
 * Finds or makes what `get` asks for. 0, *ret_fd (stays the keeper's), *ret_existed and *ret_number (of
 * "lun:" ones: from 0 on, no two have the same at a time, always the same for one); or negative
 * errno: -EINVAL for an impossible size or name, -EEXIST for a name that this generation has
 * already, -ENOSPC for too many. A persistent memfd is brought to the size asked for.
 */
int memory_get(struct memory *memory, unsigned generation, const struct link_memfd_get *get,
               int *ret_fd, bool *ret_existed, uint32_t *ret_number);
/* Lets go of a persistent one; nothing when there is none of that name. */
void memory_drop(struct memory *memory, const char *name);
/* It is a removed LUN's: from now on it is found by LINK_NUMBER_PREFIX and its number alone, which
   nobody else gets until it is dropped. */
void memory_remove(struct memory *memory, const char *name);
/* One of a LUN's that this generation has not asked for, and may ask for still; nothing when there is none of that
   name. */
void memory_hold(struct memory *memory, unsigned generation, const char *name);
/* A worker of that generation has named all its LUNs: memory of LUNs that it has neither asked for by name nor held is
   of none; if it has by number, it is a removed LUN's. */
void memory_settle(struct memory *memory, unsigned generation);
/* A persistent one that an earlier keeper has left in the store; takes over fd. */
void memory_restore(struct memory *memory, uint32_t slot, uint32_t number, const char *name, int fd);
/* All that is there is the worker's of that generation, which has asked an earlier keeper. */
void memory_adopt(struct memory *memory, unsigned generation);
/* Persistent ones: their numbers in the store and as told to workers, and their names. */
void memory_each(const struct memory *memory,
                 void (*visit)(void *user, uint32_t slot, uint32_t number, const char *name,
                               int fd),
                 void *user);
/* Lets go of all that is not persistent and belongs to generations before this one. */
void memory_drop_before(struct memory *memory, unsigned generation);
