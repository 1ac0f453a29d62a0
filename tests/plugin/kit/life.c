/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing: what is said of the disk makes sense, and data stays over it. */
#include "kit.h"

#include <glib.h>
#include <stdlib.h>

/* The bridge has refused what makes no sense; this opens, and says what there is. */
static void info_makes_sense(void)
{
    kit_open();
    const struct backend_info *info = &kit.backend->info;
    kit_note("%" G_GUINT64_FORMAT " bytes, blocks of %u/%u, features %#x", info->bytes,
             info->block_bytes, info->physical_block_bytes, info->features);
    kit_close();
}

static void open_and_close_often(void)
{
    kit_open(); /* what is made once a process is made now */
    kit_close();
    unsigned files = kit_count("/proc/self/fd"), threads = kit_count("/proc/self/task");
    for (int i = 0; i < 20; i++) {
        kit_open();
        kit_close();
    }
    unsigned more_files = kit_count("/proc/self/fd"), more_threads = kit_count("/proc/self/task");
    if (more_files >= files + 20)
        kit_finding("leaked-descriptor", "20 times open and close left %u descriptors open",
                    more_files - files);
    if (more_threads >= threads + 20)
        kit_finding("leaked-thread", "20 times open and close left %u threads",
                    more_threads - threads);
}

static void data_stays_over_close(void)
{
    if (kit.forgets) {
        kit_skip("the contents go when the LUN is closed");
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
    void *data = kit_buffer(kit.block);
    kit_expect_done(rig_read(&kit.rig, kit.backend, 0, data, kit.block),
                    "a read of a read-only LUN");
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
        kit_expect_done(rig_io(&kit.rig, i, kit.backend, &io), "a read");
    }
    free(data);
    kit_close();
}

static const struct kit_case cases[] = {
    { "/life/what-is-said-of-the-disk-makes-sense", info_makes_sense },
    { "/life/open-and-close-often", open_and_close_often },
    { "/life/data-stays-over-close", data_stays_over_close },
    { "/life/read-only-is-kept", read_only_is_kept },
    { "/life/every-reactor-has-a-queue", every_reactor_has_a_queue },
};

void kit_add_life_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
