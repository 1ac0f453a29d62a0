/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered memory: same bytes with it and without it, and never across a block's border. */
#include "ring-helper.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SHIFT = 20, BLOCK = 1 << SHIFT, BLOCKS = 4 };

struct fixture {
    struct ring *ring;
    int memory_fd, file;
    uint8_t *memory;
};

static void setup(struct fixture *f, gconstpointer data)
{
    f->ring = ring_for_test(16);
    f->memory_fd = memfd_create("memory", MFD_CLOEXEC);
    f->file = memfd_create("file", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(f->memory_fd, BLOCKS * BLOCK), ==, 0);
    f->memory = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory_fd, 0);
    g_assert_true(f->memory != MAP_FAILED);
    g_assert_cmpint(ring_memory_set(f->ring, f->memory, BLOCKS * BLOCK, SHIFT), ==, 0);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    ring_destroy(f->ring);
    munmap(f->memory, BLOCKS * BLOCK);
    close(f->memory_fd);
    close(f->file);
}

static uint64_t fixed(const struct fixture *f)
{
    return ring_counters(f->ring)->fixed;
}

/* Writes bytes from `at`, reads them back to `to` and compares. */
static void round_trip(struct fixture *f, uint8_t *at, uint8_t *to, unsigned bytes, uint8_t seed)
{
    struct iovec from = { at, bytes }, into = { to, bytes };
    struct test_op t;
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(seed + i * 7);
    ring_writev(f->ring, &test_op_init(&t)->op, f->file, &from, 1, 4096, RWF_DSYNC);
    g_assert_cmpint(finish(f->ring, &t), ==, bytes);
    memset(to, 0, bytes);
    ring_readv(f->ring, &test_op_init(&t)->op, f->file, &into, 1, 4096, 0);
    g_assert_cmpint(finish(f->ring, &t), ==, bytes);
    for (unsigned i = 0; i < bytes; i++)
        g_assert_cmpuint(to[i], ==, (uint8_t)(seed + i * 7));
}

static void test_used_inside_a_block_only(struct fixture *f, gconstpointer data)
{
    uint8_t outside[512];
    g_assert_cmpint(ring_memory_register(f->ring, 1), ==, 0);
    g_assert_cmpint(ring_memory_register(f->ring, 2), ==, 0);
    round_trip(f, f->memory, f->memory + 8192, 4096, 1); /* not registered */
    g_assert_cmpuint(fixed(f), ==, 0);
    round_trip(f, f->memory + BLOCK, f->memory + 2 * BLOCK - 4096, 4096, 2); /* first, last page */
    g_assert_cmpuint(fixed(f), ==, 2);
    round_trip(f, f->memory + BLOCK, f->memory + 2 * BLOCK, BLOCK, 3); /* whole blocks */
    g_assert_cmpuint(fixed(f), ==, 4);
    round_trip(f, f->memory + 2 * BLOCK - 512, f->memory + 2 * BLOCK - 2048, 1024, 4);
    g_assert_cmpuint(fixed(f), ==, 5); /* the write crosses, the read does not */
    round_trip(f, outside, outside, sizeof(outside), 5);
    g_assert_cmpuint(fixed(f), ==, 5);
    g_assert_cmpint(ring_memory_register(f->ring, BLOCKS), ==, -ERANGE);
}

static void test_short_read_at_end_of_file(struct fixture *f, gconstpointer data)
{
    struct test_op t;
    g_assert_cmpint(ring_memory_register(f->ring, 0), ==, 0);
    g_assert_cmpint(pwrite(f->file, "abc", 3, 0), ==, 3);
    ring_read(f->ring, &test_op_init(&t)->op, f->file, f->memory, 4096, 0, 0);
    g_assert_cmpint(finish(f->ring, &t), ==, 3);
    g_assert_cmpint(memcmp(f->memory, "abc", 3), ==, 0);
    g_assert_cmpuint(fixed(f), ==, 1);
}

static void test_unregister_then_punch_then_register(struct fixture *f, gconstpointer data)
{
    g_assert_cmpint(ring_memory_register(f->ring, 1), ==, 0);
    round_trip(f, f->memory + BLOCK, f->memory + BLOCK + 65536, 4096, 6);
    ring_memory_unregister(f->ring, 1);
    ring_memory_unregister(f->ring, 1);
    uint64_t before = fixed(f);
    round_trip(f, f->memory + BLOCK, f->memory + BLOCK + 65536, 4096, 7);
    g_assert_cmpuint(fixed(f), ==, before);
    g_assert_cmpint(madvise(f->memory + BLOCK, BLOCK, MADV_REMOVE), ==, 0);
    g_assert_cmpuint(f->memory[BLOCK], ==, 0);
    g_assert_cmpint(ring_memory_register(f->ring, 1), ==, 0);
    round_trip(f, f->memory + BLOCK, f->memory + BLOCK + 65536, 4096, 8);
    g_assert_cmpuint(fixed(f), ==, before + 2);
}

static void test_busy_block_is_registered_by_itself(struct fixture *f, gconstpointer data)
{
    for (unsigned i = 0; i < 200; i++)
        round_trip(f, f->memory + 3 * BLOCK, f->memory + 3 * BLOCK + 4096, 512, (uint8_t)i);
    g_assert_cmpuint(fixed(f), >, 0);
    g_assert_cmpuint(fixed(f), <, 400);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test)                                                                            \
    g_test_add("/reactor/memory/" name, struct fixture, NULL, setup, test, teardown)
    ADD("used-inside-a-block-only", test_used_inside_a_block_only);
    ADD("short-read-at-end-of-file", test_short_read_at_end_of_file);
    ADD("unregister-then-punch-then-register", test_unregister_then_punch_then_register);
    ADD("busy-block-is-registered-by-itself", test_busy_block_is_registered_by_itself);
    return g_test_run();
}
