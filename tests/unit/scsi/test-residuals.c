/* SPDX-License-Identifier: BSD-3-Clause */
/* The CDB's length against the transport's expected length: what moves, what is told. */
#include "rig.h"

#include <string.h>

#define BLOCK 512u

static uint8_t pattern[16384];
static uint8_t before[4 * BLOCK];

struct want {
    uint32_t blocks, expected;
    uint32_t moved;
    int residual; /* > 0 overflow, < 0 underflow */
};

static int residual(const struct task *t)
{
    return (int)((int64_t)t->cmd.transfer_length - (int64_t)t->cmd.expected_bytes);
}

static void reads_send_the_smaller_length(void)
{
    static const struct want cases[] = {
        { 1, 0, 0, BLOCK },
        { 4, 0, 0, 4 * BLOCK },
        { 1, 10000, BLOCK, -(10000 - (int)BLOCK) },
        { 1, 200, 200, BLOCK - 200 },
        { 2, BLOCK, BLOCK, BLOCK },
        { 3, 2 * BLOCK + 7, 2 * BLOCK + 7, BLOCK - 7 },
        { 1, BLOCK, BLOCK, 0 },
    };
    struct rig rig = { 0 };

    for (unsigned store = 0; store < 2; store++) {
        rig_setup(&rig, &(struct disk_options){ .store = store }, NULL);
        disk_fill(rig.disk, 1);
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            struct task *t = ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 5, 0, 0, (uint8_t)cases[i].blocks),
                                    cases[i].expected);
            expect_good(t);
            g_assert_cmpint(residual(t), ==, cases[i].residual);
            g_assert_cmpmem(t->in, t->in_bytes, rig.disk->data + 5 * BLOCK, cases[i].moved);
        }
        rig_teardown(&rig);
    }
}

static void a_read_announced_as_a_write_moves_nothing(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_out(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), pattern, BLOCK);
    expect_good(t);
    g_assert_cmpuint(t->cmd.data_out_bytes, ==, 0);
    g_assert_cmpuint(t->in_bytes, ==, 0);
    g_assert_cmpint(residual(t), ==, -(int)BLOCK);
    rig_teardown(&rig);
}

/* Every writing form: op, where the length byte is. */
static const struct {
    uint8_t op, length_at;
} writers[] = { { 0x2a, 8 }, { 0xaa, 9 }, { 0x8a, 13 }, { 0x2e, 8 }, { 0xae, 9 }, { 0x8e, 13 } };

static void writes_take_the_smaller_length(void)
{
    static const struct want cases[] = {
        { 1, 0, 0, BLOCK },
        { 1, 2 * BLOCK, BLOCK, -(int)BLOCK },
        { 2, BLOCK, BLOCK, BLOCK },
        { 1, 10000, BLOCK, -(10000 - (int)BLOCK) },
        { 1, 200, 200, BLOCK - 200 },
        { 3, BLOCK + 200, BLOCK + 200, 2 * BLOCK - 200 },
        { 1, BLOCK - 1, BLOCK - 1, 1 },
    };
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    for (unsigned w = 0; w < G_N_ELEMENTS(writers); w++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            uint8_t cdb[16] = { writers[w].op };
            cdb[writers[w].length_at] = (uint8_t)cases[i].blocks;
            if (w >= 3)
                cdb[1] = i & 1 ? 0x02 : 0; /* BYTCHK */
            disk_fill(rig.disk, 7);
            memcpy(before, rig.disk->data, sizeof(before));
            struct task *t = ask_out(&rig, cdb, pattern, cases[i].expected);
            expect_good(t);
            g_assert_cmpint(residual(t), ==, cases[i].residual);
            g_assert_cmpuint(t->cmd.data_out_bytes, ==, cases[i].moved);
            g_assert_cmpmem(rig.disk->data, cases[i].moved, pattern, cases[i].moved);
            g_assert_cmpmem(rig.disk->data + cases[i].moved, sizeof(before) - cases[i].moved,
                            before + cases[i].moved, sizeof(before) - cases[i].moved);
        }
    }
    rig_teardown(&rig);
}

static void a_write_announced_as_a_read_is_refused(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_in(&rig, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), BLOCK);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
    g_assert_cmpint(residual(t), ==, -(int)BLOCK);
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    rig_teardown(&rig);
}

static void the_allocation_length_is_never_an_overflow(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    /* MODE SENSE(6), allocation 4: four bytes, nothing left over. */
    struct task *t = ask_in(&rig, CDB(0x1a, 0, 0x3f, 0, 4), 4);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, 4);
    g_assert_cmpint(residual(t), ==, 0);
    /* Allocation 255, less there: underflow. */
    t = ask_in(&rig, CDB(0x1a, 0, 0x3f, 0, 255), 255);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, t->in[0] + 1u);
    g_assert_cmpint(residual(t), ==, (int)t->in_bytes - 255);
    /* The transport expects less than the CDB allows: overflow. */
    t = ask_in(&rig, CDB(0x12, 0, 0, 0, 96), 36);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, 36);
    g_assert_cmpint(residual(t), ==, 60);
    t = ask_in(&rig, CDB(0x12, 0, 0, 0, 0), 0);
    expect_good(t);
    g_assert_cmpint(residual(t), ==, 0);
    rig_teardown(&rig);
}

static void a_failed_command_leaves_all_of_it(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_in(&rig, CDB(0x28, 0, 0, 0, 0x10, 0, 0, 0, 2), 2 * BLOCK);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    g_assert_cmpint(residual(t), ==, -2 * (int)BLOCK);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 29 + i / 256);
    g_test_add_func("/scsi/residuals/read", reads_send_the_smaller_length);
    g_test_add_func("/scsi/residuals/read-as-write", a_read_announced_as_a_write_moves_nothing);
    g_test_add_func("/scsi/residuals/write", writes_take_the_smaller_length);
    g_test_add_func("/scsi/residuals/write-as-read", a_write_announced_as_a_read_is_refused);
    g_test_add_func("/scsi/residuals/allocation", the_allocation_length_is_never_an_overflow);
    g_test_add_func("/scsi/residuals/failed", a_failed_command_leaves_all_of_it);
    return g_test_run();
}
