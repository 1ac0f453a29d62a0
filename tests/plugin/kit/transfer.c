/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes: every block at its place, whatever the sizes and shapes of the buffers. */
#include "kit.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

static void first_and_last_block(void)
{
    kit_open();
    uint64_t last = kit.backend->info.bytes - kit.block;
    if (kit_writable()) {
        kit_write_pattern(0, kit.block, 1);
        kit_write_pattern(last, kit.block, 2);
        kit_read_pattern(0, kit.block, 1);
        kit_read_pattern(last, kit.block, 2);
    } else {
        void *data = kit_buffer(kit.block);
        kit_expect_done(rig_read(&kit.rig, kit.backend, last, data, kit.block),
                        "a read of the last block");
        free(data);
    }
    kit_close();
}

static void all_sizes(void)
{
    kit_open();
    uint64_t most = kit.backend->info.max_io_bytes ? kit.backend->info.max_io_bytes : 1u << 20;
    most = MIN(most, 1u << 20);
    if (kit_writable())
        for (uint64_t bytes = kit.block, seed = 1; bytes <= most; bytes *= 2, seed++)
            for (uint64_t offset = 0; offset <= 3 * kit.block; offset += kit.block) {
                kit_write_pattern(offset, bytes, seed + offset);
                kit_read_pattern(offset, bytes, seed + offset);
            }
    kit_close();
}

static void neighbours_stay(void)
{
    kit_open();
    if (kit_writable()) {
        kit_write_pattern(0, 64 * kit.block, 1);
        kit_write_pattern(20 * kit.block, 5 * kit.block, 2);
        kit_read_pattern(0, 20 * kit.block, 1);
        kit_read_pattern(20 * kit.block, 5 * kit.block, 2);
        kit_read_pattern(25 * kit.block, 39 * kit.block, 1);
    }
    kit_close();
}

/* Cuts `data` into elements of odd numbers of 512 bytes. */
static unsigned cut(struct iovec *iov, unsigned max, char *data, size_t bytes)
{
    unsigned count = 0;
    for (size_t at = 0; at < bytes; count++) {
        size_t piece = MIN((size_t)512 * (1 + 2 * (count % 4)), bytes - at);
        if (count == max - 1)
            piece = bytes - at;
        iov[count] = (struct iovec){ data + at, piece };
        at += piece;
    }
    return count;
}

static int move_scattered(enum backend_op op, uint64_t offset, char *data, size_t bytes)
{
    struct iovec iov[64];
    struct backend_io io = { .op = (uint8_t)op, .iov = iov, .offset = offset, .length = bytes };
    io.iov_count = cut(iov, G_N_ELEMENTS(iov), data, bytes);
    return rig_io(&kit.rig, 1, kit.backend, &io);
}

/* `shift`: bytes by which the memory is not aligned. */
static void scattered_by(size_t shift)
{
    kit_open();
    size_t bytes = 16 * kit.block;
    char *memory = kit_buffer(bytes + 512), *data = memory + shift;
    if (kit_writable()) {
        kit_pattern(data, 0, bytes, 7);
        kit_expect_done(move_scattered(BACKEND_WRITE, 0, data, bytes),
                        "a write of scattered buffers");
        kit_read_pattern(0, bytes, 7);
        memset(data, 0, bytes);
        kit_expect_done(move_scattered(BACKEND_READ, 0, data, bytes),
                        "a read into scattered buffers");
        kit_expect_pattern(data, 0, bytes, 7);
    }
    free(memory);
    kit_close();
}

static void scattered(void)
{
    scattered_by(0);
}

static void scattered_unaligned(void)
{
    scattered_by(24);
}

static void flush(void)
{
    kit_open();
    if (kit_writable() && !kit_has(BACKEND_FEATURE_VOLATILE_CACHE))
        kit_skip("no volatile cache: there are no flushes");
    else if (kit_writable()) {
        kit_write_pattern(0, 8 * kit.block, 1);
        kit_expect_done(rig_do(&kit.rig, kit.backend, BACKEND_FLUSH, 0, 0, 0), "a flush");
        kit_read_pattern(0, 8 * kit.block, 1);
    }
    kit_close();
}

static void fua(void)
{
    kit_open();
    size_t bytes = 8 * kit.block;
    void *data = kit_buffer(bytes);
    if (kit_writable() && !kit_has(BACKEND_FEATURE_FUA))
        kit_skip("no FUA: the daemon flushes");
    else if (kit_writable()) {
        kit_pattern(data, kit.block, bytes, 3);
        kit_expect_done(rig_write(&kit.rig, kit.backend, kit.block, data, bytes, BACKEND_IO_FUA),
                        "a write with FUA");
        kit_read_pattern(kit.block, bytes, 3);
    }
    free(data);
    kit_close();
}

/* The daemon may send reads from the store of a RAM disk. */
static void store_is_the_disk(void)
{
    kit_open();
    uint32_t store = kit.backend->info.store_arena;
    if (!store)
        kit_skip("no store");
    else if (kit_writable()) {
        kit_write_pattern(4 * kit.block, 8 * kit.block, 5);
        kit_expect_pattern(arena_ptr(arena_ref_make(store, 4 * kit.block)), 4 * kit.block,
                           8 * kit.block, 5);
    }
    kit_close();
}

static unsigned at_once;

static void count_at_once(struct backend_io *io)
{
    at_once += io->result == 0;
}

static void expect_at_once(unsigned count)
{
    if (at_once != count)
        kit_finding("not-immediate", "an I/O was not completed within submit()");
}

static void move_at_once(void *buffer)
{
    const struct iovec iov = { buffer, kit.block };
    struct backend_io io = {
        .iov = &iov, .iov_count = 1, .length = kit.block, .done = count_at_once
    };
    at_once = 0;
    io.op = BACKEND_READ;
    kit.backend->ops->submit(kit.backend, &io);
    expect_at_once(1);
    io.op = BACKEND_WRITE;
    if (!kit_has(BACKEND_FEATURE_READ_ONLY))
        kit.backend->ops->submit(kit.backend, &io);
    expect_at_once(kit_has(BACKEND_FEATURE_READ_ONLY) ? 1 : 2);
}

static void immediate_is_within_submit(void)
{
    kit_open();
    void *buffer = kit_buffer(kit.block);
    if (kit_has(BACKEND_FEATURE_IMMEDIATE))
        rig_run(&kit.rig, 0, move_at_once, buffer);
    else
        kit_skip("not declared");
    free(buffer);
    kit_close();
}

static const struct kit_case cases[] = {
    { "/transfer/immediate-is-within-submit", immediate_is_within_submit },
    { "/transfer/first-and-last-block", first_and_last_block },
    { "/transfer/all-sizes-come-back", all_sizes },
    { "/transfer/neighbours-stay-as-they-were", neighbours_stay },
    { "/transfer/scattered-buffers", scattered },
    { "/transfer/scattered-unaligned-buffers", scattered_unaligned },
    { "/transfer/flush", flush },
    { "/transfer/fua-write", fua },
    { "/transfer/the-store-is-the-disk", store_is_the_disk },
};

void kit_add_transfer_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
