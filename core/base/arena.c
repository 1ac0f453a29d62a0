/* SPDX-License-Identifier: BSD-3-Clause */
/* The process-wide table of mapped arenas; see arena.h for the rules. */
#include "base/arena.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

struct arena arena_table[ARENA_MAX];

/* LUNs are opened on several threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int map(unsigned arena, int fd, uint64_t bytes, int protection)
{
    if (arena == 0 || arena >= ARENA_MAX || bytes == 0 || bytes > ARENA_OFFSET_MASK)
        return -EINVAL;
    if (arena_table[arena].base)
        return -EBUSY;
    void *base = mmap(NULL, bytes, protection, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    arena_table[arena].fd = fd;
    arena_table[arena].bytes = bytes;
    arena_table[arena].base = base;
    return 0;
}

static int map_locked(unsigned arena, int fd, uint64_t bytes, int protection)
{
    pthread_mutex_lock(&lock);
    int r = map(arena, fd, bytes, protection);
    pthread_mutex_unlock(&lock);
    return r;
}

int arena_map(unsigned arena, int fd, uint64_t bytes)
{
    return map_locked(arena, fd, bytes, PROT_READ | PROT_WRITE);
}

int arena_map_read_only(unsigned arena, int fd, uint64_t bytes)
{
    return map_locked(arena, fd, bytes, PROT_READ);
}

int arena_map_any(int fd, uint64_t bytes)
{
    unsigned i = ARENA_MAX - 1;
    pthread_mutex_lock(&lock);
    while (i >= ARENA_STORE_FIRST && arena_table[i].base)
        i--;
    int r = i >= ARENA_STORE_FIRST ? map(i, fd, bytes, PROT_READ | PROT_WRITE) : -ENOSPC;
    pthread_mutex_unlock(&lock);
    return r < 0 ? r : (int)i;
}

void arena_unmap(unsigned arena)
{
    struct arena *a = &arena_table[arena];
    pthread_mutex_lock(&lock);
    if (a->base) {
        munmap(a->base, a->bytes);
        close(a->fd);
        *a = (struct arena){ .fd = -1 };
    }
    pthread_mutex_unlock(&lock);
}

int arena_create_fd(const char *name, uint64_t bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}
