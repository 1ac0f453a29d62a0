/* SPDX-License-Identifier: BSD-3-Clause */
/* The process-wide table of mapped arenas; see arena.h for the rules. */
#include "base/arena.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

struct arena arena_table[ARENA_MAX];

int arena_map(unsigned arena, int fd, uint64_t bytes)
{
    if (arena == 0 || arena >= ARENA_MAX || bytes == 0 || bytes > ARENA_OFFSET_MASK)
        return -EINVAL;
    if (arena_table[arena].base)
        return -EBUSY;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    arena_table[arena].fd = fd;
    arena_table[arena].bytes = bytes;
    arena_table[arena].base = base;
    return 0;
}

int arena_map_any(int fd, uint64_t bytes)
{
    for (unsigned i = ARENA_MAX - 1; i >= ARENA_STORE_FIRST; i--) {
        if (!arena_table[i].base) {
            int r = arena_map(i, fd, bytes);
            return r < 0 ? r : (int)i;
        }
    }
    return -ENOSPC;
}

void arena_unmap(unsigned arena)
{
    struct arena *a = &arena_table[arena];
    if (!a->base)
        return;
    munmap(a->base, a->bytes);
    close(a->fd);
    *a = (struct arena){ .fd = -1 };
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
