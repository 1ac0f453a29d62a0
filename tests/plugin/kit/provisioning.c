/* SPDX-License-Identifier: BSD-3-Clause */
/* Unmap, write zeroes, block status: what was taken away is gone, and nothing beside it. */
#include "kit.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>

/* Where the case's hole is: neither start nor end is on a page. */
#define HOLE_BLOCKS 1003

static uint64_t hole_start(void)
{
    return 33 * kit.block;
}

static void expect_only_the_hole_is_zero(uint64_t bytes)
{
    kit_read_pattern(0, hole_start(), 1);
    kit_read_zeroes(hole_start(), bytes);
    kit_read_pattern(hole_start() + bytes, 64 * kit.block, 1);
}

static void make_hole(enum backend_op op, unsigned flags)
{
    uint64_t bytes = HOLE_BLOCKS * kit.block;
    kit_write_pattern(0, hole_start() + bytes + 64 * kit.block, 1);
    kit_expect_done(rig_do(&kit.rig, kit.backend, op, hole_start(), bytes, flags),
                    "an unmap or write zeroes");
    expect_only_the_hole_is_zero(bytes);
    kit_write_pattern(hole_start(), kit.block, 2);
    kit_read_pattern(hole_start(), kit.block, 2);
    kit_read_zeroes(hole_start() + kit.block, bytes - kit.block);
}

static void unmap(void)
{
    kit_open();
    if (kit_writable() && !kit_has(BACKEND_FEATURE_UNMAP | BACKEND_FEATURE_ZEROES_UNMAPPED))
        kit_skip("no unmap that leaves zeroes");
    else if (kit_writable())
        make_hole(BACKEND_UNMAP, 0);
    kit_close();
}

static void unmap_everything(void)
{
    kit_open();
    if (kit_writable() && !kit_has(BACKEND_FEATURE_UNMAP | BACKEND_FEATURE_ZEROES_UNMAPPED))
        kit_skip("no unmap that leaves zeroes");
    else if (kit_writable()) {
        uint64_t last = kit.backend->info.bytes - kit.block;
        kit_write_pattern(0, kit.block, 1);
        kit_write_pattern(last, kit.block, 1);
        kit_expect_done(rig_do(&kit.rig, kit.backend, BACKEND_UNMAP, 0, kit.backend->info.bytes, 0),
                        "an unmap of the whole LUN");
        kit_read_zeroes(0, kit.block);
        kit_read_zeroes(last, kit.block);
    }
    kit_close();
}

static void write_zeroes_flagged(unsigned flags)
{
    kit_open();
    if (kit_writable() && !kit_has(BACKEND_FEATURE_WRITE_ZEROES))
        kit_skip("no write zeroes: the daemon writes them");
    else if (kit_writable())
        make_hole(BACKEND_WRITE_ZEROES, flags);
    kit_close();
}

static void write_zeroes(void)
{
    write_zeroes_flagged(0);
}

static void write_zeroes_unmap(void)
{
    write_zeroes_flagged(BACKEND_IO_UNMAP);
}

static void write_zeroes_fua(void)
{
    write_zeroes_flagged(BACKEND_IO_FUA);
}

static struct backend_extent status_of(uint64_t offset, uint64_t length)
{
    struct backend_io io = { .op = BACKEND_BLOCK_STATUS, .offset = offset, .length = length };
    kit_expect_done(rig_io(&kit.rig, 0, kit.backend, &io), "a block status");
    return io.extent;
}

/* Extents follow each other without end before `end`; holes are zero. */
static void walk_extents(uint64_t end)
{
    for (uint64_t at = 0; at < end;) {
        struct backend_extent extent = status_of(at, end - at);
        uint64_t bytes = MIN(extent.length, end - at);
        if (!extent.mapped)
            kit_read_zeroes(at, MIN(bytes, 1u << 20));
        at += bytes;
    }
}

static void expect_mapped(uint64_t offset, uint64_t length)
{
    if (!status_of(offset, length).mapped)
        kit_finding("wrong-status",
                    "what was written at byte %" G_GUINT64_FORMAT " is called a hole", offset);
}

static void status_tells_data_from_holes(void)
{
    uint64_t mib = 1 << 20;
    kit_open();
    if (!kit_has(BACKEND_FEATURE_BLOCK_STATUS))
        kit_skip("no block status");
    else if (kit_writable() && !kit.keeps_nothing) {
        if (kit_has(BACKEND_FEATURE_UNMAP))
            rig_do(&kit.rig, kit.backend, BACKEND_UNMAP, 0, kit.area, 0);
        kit_write_pattern(mib, mib, 1);
        kit_write_pattern(3 * mib, kit.block, 1);
        expect_mapped(mib, mib);
        expect_mapped(2 * mib - kit.block, kit.block);
        expect_mapped(3 * mib, kit.block);
        walk_extents(kit.area);
    } else {
        walk_extents(kit.area);
    }
    kit_close();
}

static void unmapped_is_a_hole(void)
{
    uint64_t mib = 1 << 20;
    kit_open();
    if (!kit_has(BACKEND_FEATURE_BLOCK_STATUS | BACKEND_FEATURE_UNMAP))
        kit_skip("no block status, or no unmap");
    else if (kit_writable()) {
        kit_write_pattern(0, 3 * mib, 1);
        kit_expect_done(rig_do(&kit.rig, kit.backend, BACKEND_UNMAP, mib, mib, 0), "an unmap");
        struct backend_extent extent = status_of(mib, mib);
        if (extent.mapped || extent.length < mib)
            kit_finding("wrong-status", "what was unmapped is not called a hole");
    }
    kit_close();
}

/* While nothing happens, and while there is I/O. What is used may be less than what was written. */
static void space_is_told(void)
{
    struct storage_space space;
    kit_open();
    if (!storage_tells_space(kit.backend)) {
        kit_skip("no space");
        kit_close();
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (kit_writable())
            kit_write_pattern(i * kit.block, kit.block, 1);
        int r = rig_space(&kit.rig, kit.backend, &space);
        if (r == -ENOTSUP) { /* a handler that wraps one that cannot tell */
            kit_skip("what is below does not tell its space");
            break;
        }
        if (r < 0)
            kit_finding("space-fails", "space() answers %s", g_strerror(-r));
        else if (!space.used_known && !space.available_known)
            kit_finding("space-unknown", "space() answers 0 and says nothing");
    }
    kit_close();
}

static const struct kit_case cases[] = {
    { "/provisioning/unmap-leaves-zeroes", unmap },
    { "/provisioning/the-whole-disk-can-be-unmapped", unmap_everything },
    { "/provisioning/write-zeroes", write_zeroes },
    { "/provisioning/write-zeroes-may-unmap", write_zeroes_unmap },
    { "/provisioning/write-zeroes-fua", write_zeroes_fua },
    { "/provisioning/block-status-tells-data-from-holes", status_tells_data_from_holes },
    { "/provisioning/unmapped-is-a-hole", unmapped_is_a_hole },
    { "/provisioning/space-is-told", space_is_told },
};

void kit_add_provisioning_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
