/* SPDX-License-Identifier: BSD-3-Clause */
/* VERIFY and WRITE AND VERIFY: what BYTCHK compares. */
#include "rig.h"
#include "scsi/turns.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512u

static uint8_t buffer[512 * BLOCK];

static struct task *verify(struct rig *rig, uint8_t check, uint32_t lba, uint16_t blocks,
                           uint32_t bytes)
{
    uint8_t cdb[16] = { 0x2f, (uint8_t)(check << 1) };
    put_be32(cdb + 2, lba);
    put_be16(cdb + 7, blocks);
    return bytes ? ask_out(rig, cdb, buffer, bytes) : ask_none(rig, cdb);
}

static void bytchk_1_compares_the_range(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .max_io = 8192 }, NULL);
    disk_fill(rig.disk, 5);
    memcpy(buffer, rig.disk->data + 10 * BLOCK, 300 * BLOCK);
    expect_good(verify(&rig, 1, 10, 300, 300 * BLOCK));
    buffer[299 * BLOCK + 511] ^= 1;
    expect_check(verify(&rig, 1, 10, 300, 300 * BLOCK), SENSE_MISCOMPARE, ASC_MISCOMPARE);
    buffer[299 * BLOCK + 511] ^= 1;
    buffer[0] ^= 0x80;
    expect_check(verify(&rig, 1, 10, 1, BLOCK), SENSE_MISCOMPARE, ASC_MISCOMPARE);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, 0);
    rig_teardown(&rig);
}

static void bytchk_0_reads_the_medium_and_ignores_data(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    disk_fill(rig.disk, 5);
    memset(buffer, 0, BLOCK);
    struct task *t = verify(&rig, 0, 0, 1, BLOCK);
    expect_good(t);
    g_assert_cmpuint(t->cmd.data_out_bytes, ==, 0);
    expect_good(verify(&rig, 0, 0, 2048, 0)); /* longer than any transfer may be */
    rig.disk->fail_op = BACKEND_READ;
    rig.disk->fail_result = -EIO;
    rig.disk->fail_after = 1;
    t = verify(&rig, 0, 0, 2048, 0);
    expect_check(t, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
    g_assert_cmpuint(get_be32(t->cmd.sense + 3), ==, 128);
    rig_teardown(&rig);
}

/* 2048 blocks are 16 steps of the scratch buffer. */
static struct task *begin_long(struct rig *rig)
{
    const uint8_t cdb[16] = { 0x2f, 0, 0, 0, 0, 0, 0, 8 };

    return task_run(rig, &(struct ask){ .cdb = cdb });
}

static void it_gives_way_on_a_disk_that_answers_at_once(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = begin_long(&rig);
    g_assert_false(t->ended);
    unsigned reads = disk_count(rig.disk, BACKEND_READ);
    g_assert_cmpuint(reads, >, 0);
    g_assert_cmpuint(reads, <, 16);
    struct task *other = task_run(&rig, &(struct ask){ .cdb = CDB(0x00) });
    expect_good(other); /* while the first is on its way */
    g_assert_false(t->ended);
    rig_turn(&rig);
    expect_good(t);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, 16);
    task_free(other);
    task_free(t);
    rig_teardown(&rig);
}

static void it_is_aborted_between_its_steps(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = begin_long(&rig);
    unsigned reads = disk_count(rig.disk, BACKEND_READ);
    scsi_abort(&t->cmd);
    g_assert_true(t->ended);
    rig_turn(&rig);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, reads);
    task_free(t);
    rig_teardown(&rig);
}

static void it_stands_still_for_a_hand_over(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *undone = begin_long(&rig), *aborted = begin_long(&rig);
    scsi_stand_still(true);
    rig_turn(&rig);
    g_assert_cmpuint(scsi_standing_count(), ==, 2);
    unsigned reads = disk_count(rig.disk, BACKEND_READ);
    scsi_abort(&aborted->cmd);
    g_assert_true(aborted->ended);
    g_assert_cmpuint(scsi_standing_count(), ==, 1);
    scsi_stand_still(false);
    rig_turn(&rig);
    expect_good(undone);
    g_assert_cmpuint(scsi_standing_count(), ==, 0);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, reads + 16); /* from the beginning */
    task_free(undone);
    task_free(aborted);
    rig_teardown(&rig);
}

static void bytchk_3_compares_every_block_with_one(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    memset(buffer, 0x5a, BLOCK);
    for (unsigned i = 0; i < 200; i++)
        memset(rig.disk->data + (8 + i) * BLOCK, 0x5a, BLOCK);
    expect_good(verify(&rig, 3, 8, 200, BLOCK));
    rig.disk->data[(8 + 199) * BLOCK + 3] = 0;
    expect_check(verify(&rig, 3, 8, 200, BLOCK), SENSE_MISCOMPARE, ASC_MISCOMPARE);
    expect_check(verify(&rig, 3, 8, 200, 2 * BLOCK - 1 - BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
    rig_teardown(&rig);
}

static void bad_requests_are_refused(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = verify(&rig, 2, 0, 1, BLOCK);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_field(t, true, 1);
    expect_check(verify(&rig, 1, 2048, 0, 0), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    expect_check(verify(&rig, 0, 2000, 49, 0), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    expect_good(verify(&rig, 1, 2047, 0, 0));
    t = ask_out(&rig, CDB(0x2e, 0x04, 0, 0, 0, 0, 0, 0, 1), buffer, BLOCK);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

static void write_and_verify_reads_back_from_stable_storage(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    memset(buffer, 0x77, 4 * BLOCK);
    expect_good(ask_out(&rig, CDB(0x2e, 0x02, 0, 0, 0, 1, 0, 0, 4), buffer, 4 * BLOCK));
    g_assert_cmpmem(rig.disk->data + BLOCK, 4 * BLOCK, buffer, 4 * BLOCK);
    g_assert_cmpuint(rig.disk->log_count, ==, 3);
    g_assert_cmphex(rig.disk->log[0].op, ==, BACKEND_WRITE);
    g_assert_cmphex(rig.disk->log[1].op, ==, BACKEND_FLUSH);
    g_assert_cmphex(rig.disk->log[2].op, ==, BACKEND_READ);
    rig.disk->fail_op = BACKEND_READ;
    rig.disk->fail_result = -EIO;
    expect_check(ask_out(&rig, CDB(0x2e, 0x02, 0, 0, 0, 1, 0, 0, 4), buffer, 4 * BLOCK),
                 SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/verify/bytchk-1", bytchk_1_compares_the_range);
    g_test_add_func("/scsi/verify/bytchk-0", bytchk_0_reads_the_medium_and_ignores_data);
    g_test_add_func("/scsi/verify/bytchk-3", bytchk_3_compares_every_block_with_one);
    g_test_add_func("/scsi/verify/gives-way", it_gives_way_on_a_disk_that_answers_at_once);
    g_test_add_func("/scsi/verify/aborted", it_is_aborted_between_its_steps);
    g_test_add_func("/scsi/verify/stands-still", it_stands_still_for_a_hand_over);
    g_test_add_func("/scsi/verify/refused", bad_requests_are_refused);
    g_test_add_func("/scsi/verify/write", write_and_verify_reads_back_from_stable_storage);
    return g_test_run();
}
