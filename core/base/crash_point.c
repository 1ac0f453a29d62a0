/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/crash_point.h"

#ifdef HOLDFAST_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file. It is written as a whole by the test, `left` at last. */
struct orders {
    char place[32];
    _Atomic int32_t left; /* passes until the end; 0: nothing is wanted */
    _Atomic int32_t died; /* how often it came to that */
};

static struct orders *orders;

void crash_points_open(void)
{
    const char *path = getenv("HOLDFAST_CRASH_POINTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED
                       : mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        orders = map;
    if (fd >= 0)
        close(fd);
}

void crash_point(const char *place)
{
    if (!orders || atomic_load(&orders->left) <= 0 ||
        strncmp(orders->place, place, sizeof(orders->place)) != 0)
        return;
    if (atomic_fetch_sub(&orders->left, 1) != 1)
        return;
    atomic_fetch_add(&orders->died, 1);
    raise(SIGKILL);
}

#endif
