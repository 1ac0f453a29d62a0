/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing: what is said of the disk makes sense, and data stays over it. */
#include "kit.h"

#include <glib.h>
#include <stdlib.h>

static void info_makes_sense(void)
{
    kit_open();
    const struct backend_info *info = &kit.backend->info;
    g_assert_true(info->block_bytes == 512 || info->block_bytes == 4096);
    g_assert_cmpuint(info->bytes % info->block_bytes, ==, 0);
    g_assert_cmpuint(info->physical_block_bytes, >=, info->block_bytes);
    if (kit.lun.block_bytes)
        g_assert_cmpuint(info->block_bytes, ==, kit.lun.block_bytes);
    g_assert_cmpstr(kit.backend->product, ==, kit.lun.plugin->info.name);
    g_test_message("%" G_GUINT64_FORMAT " bytes, blocks of %u/%u, features %#x", info->bytes,
                   info->block_bytes, info->physical_block_bytes, info->features);
    kit_close();
}

static void open_and_close_often(void)
{
    for (int i = 0; i < 20; i++) {
        kit_open();
        kit_close();
    }
}

static void data_stays_over_close(void)
{
    if (kit.forgets) {
        g_test_skip("the contents go when the LUN is closed");
        return;
    }
    kit_open();
    bool writable = kit_writable();
    if (writable)
        kit_write_pattern(5 * kit.block, 100 * kit.block, 9);
    kit_close();
    for (int i = 0; writable && i < 3; i++) {
        kit_open();
        kit_read_pattern(5 * kit.block, 100 * kit.block, 9);
        kit_close();
    }
}

/* Features that write are not offered when the configuration says read-only. */
static void read_only_is_kept(void)
{
    bool before = kit.lun.read_only;
    kit_open(); /* so that there is something to open read-only */
    kit_close();
    kit.lun.read_only = true;
    kit_open();
    g_assert_true(kit_has(BACKEND_FEATURE_READ_ONLY));
    void *data = kit_buffer(kit.block);
    g_assert_cmpint(rig_read(&kit.rig, kit.backend, 0, data, kit.block), ==, 0);
    free(data);
    kit_close();
    kit.lun.read_only = before;
}

static void every_reactor_has_a_queue(void)
{
    kit_open();
    void *data = kit_buffer(kit.block);
    const struct iovec iov = { data, kit.block };
    for (unsigned i = 0; i < RIG_REACTORS; i++) {
        struct backend_io io = {
            .op = BACKEND_READ, .iov = &iov, .iov_count = 1, .length = kit.block
        };
        g_assert_cmpint(rig_io(&kit.rig, i, kit.backend, &io), ==, 0);
    }
    free(data);
    kit_close();
}

void kit_add_life_cases(void)
{
    g_test_add_func("/life/what-is-said-of-the-disk-makes-sense", info_makes_sense);
    g_test_add_func("/life/open-and-close-often", open_and_close_often);
    g_test_add_func("/life/data-stays-over-close", data_stays_over_close);
    g_test_add_func("/life/read-only-is-kept", read_only_is_kept);
    g_test_add_func("/life/every-reactor-has-a-queue", every_reactor_has_a_queue);
}
