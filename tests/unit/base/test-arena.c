/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"

#define BYTES 65536

static int new_fd(void)
{
    int fd = arena_create_fd("test", BYTES);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void a_reference_names_arena_and_offset(void)
{
    arena_ref ref = arena_ref_make(ARENA_MAX - 1, ARENA_OFFSET_MASK);
    g_assert_cmpuint(ref >> ARENA_OFFSET_BITS, ==, ARENA_MAX - 1);
    g_assert_cmpuint(ref & ARENA_OFFSET_MASK, ==, ARENA_OFFSET_MASK);

    g_assert_cmpint(arena_map(7, new_fd(), BYTES), ==, 0);
    uint8_t *p = arena_ptr(arena_ref_make(7, 4097));
    g_assert_true(p == arena_table[7].base + 4097);
    g_assert_cmpuint(arena_ref_of(7, p), ==, arena_ref_make(7, 4097));
    arena_unmap(7);
    g_assert_null(arena_table[7].base);
}

static void two_mappings_of_one_memory_see_the_same(void)
{
    int fd = new_fd(), other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    g_assert_cmpint(arena_map(8, fd, BYTES), ==, 0);
    g_assert_cmpint(arena_map(9, other, BYTES), ==, 0);
    memcpy(arena_ptr(arena_ref_make(8, 100)), "hello", 6);
    g_assert_cmpstr(arena_ptr(arena_ref_make(9, 100)), ==, "hello");
    arena_unmap(8);
    g_assert_cmpstr(arena_ptr(arena_ref_make(9, 100)), ==, "hello");
    arena_unmap(9);
}

static void numbers_out_of_range_or_in_use_are_refused(void)
{
    int fd = new_fd();
    g_assert_cmpint(arena_map(0, fd, BYTES), ==, -EINVAL);
    g_assert_cmpint(arena_map(ARENA_MAX, fd, BYTES), ==, -EINVAL);
    g_assert_cmpint(arena_map(5, fd, 0), ==, -EINVAL);
    g_assert_cmpint(arena_map(5, fd, ARENA_OFFSET_MASK + 1), ==, -EINVAL);
    g_assert_cmpint(arena_map(5, -1, BYTES), ==, -EBADF);
    g_assert_cmpint(arena_map(5, fd, BYTES), ==, 0);
    g_assert_cmpint(arena_map(5, fd, BYTES), ==, -EBUSY);
    arena_unmap(5);
    arena_unmap(5);                              /* nothing there: nothing happens */
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1); /* it was taken over */
}

static void stores_get_the_last_free_number(void)
{
    int a = arena_map_any(new_fd(), BYTES), b = arena_map_any(new_fd(), BYTES);
    g_assert_cmpint(a, ==, ARENA_MAX - 1);
    g_assert_cmpint(b, ==, ARENA_MAX - 2);
    arena_unmap((unsigned)a);
    g_assert_cmpint(arena_map_any(new_fd(), BYTES), ==, a);
    arena_unmap((unsigned)a);
    arena_unmap((unsigned)b);
}

static void new_memory_is_sparse_zero_and_closed_on_exec(void)
{
    int fd = arena_create_fd("big", 1ull << 40);
    struct stat st;
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1ll << 40);
    g_assert_cmpint(st.st_blocks, ==, 0);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    char byte = 1;
    g_assert_cmpint(pread(fd, &byte, 1, (1ll << 40) - 1), ==, 1);
    g_assert_cmpint(byte, ==, 0);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/arena/a-reference-names-arena-and-offset",
                    a_reference_names_arena_and_offset);
    g_test_add_func("/base/arena/two-mappings-of-one-memory-see-the-same",
                    two_mappings_of_one_memory_see_the_same);
    g_test_add_func("/base/arena/numbers-out-of-range-or-in-use-are-refused",
                    numbers_out_of_range_or_in_use_are_refused);
    g_test_add_func("/base/arena/stores-get-the-last-free-number",
                    stores_get_the_last_free_number);
    g_test_add_func("/base/arena/new-memory-is-sparse-zero-and-closed-on-exec",
                    new_memory_is_sparse_zero_and_closed_on_exec);
    return g_test_run();
}
