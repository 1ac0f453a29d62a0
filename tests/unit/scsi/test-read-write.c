/* SPDX-License-Identifier: BSD-3-Clause */
/* READ and WRITE of all sizes: what reaches the backend, in how many pieces, and what is refused. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512u

static uint8_t pattern[SCSI_TRANSFER_MAX];

static void make_pattern(void)
{
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (uint8_t)(i * 13 + i / 512 * 5 + 1);
}

/* The CDB of each form; b1 is byte 1. */
static void cdb_6(uint8_t *cdb, uint8_t op, uint32_t lba, uint8_t blocks)
{
    memset(cdb, 0, 16);
    put_be32(cdb, lba);
    cdb[0] = op;
    cdb[4] = blocks;
}

static void cdb_10(uint8_t *cdb, uint8_t op, uint8_t b1, uint32_t lba, uint16_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = op;
    cdb[1] = b1;
    put_be32(cdb + 2, lba);
    put_be16(cdb + 7, blocks);
}

static void cdb_12(uint8_t *cdb, uint8_t op, uint8_t b1, uint32_t lba, uint32_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = op;
    cdb[1] = b1;
    put_be32(cdb + 2, lba);
    put_be32(cdb + 6, blocks);
}

static void cdb_16(uint8_t *cdb, uint8_t op, uint8_t b1, uint64_t lba, uint32_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = op;
    cdb[1] = b1;
    put_be64(cdb + 2, lba);
    put_be32(cdb + 10, blocks);
}

static void every_form_reads_and_writes_its_range(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, &(struct disk_options){ .blocks = 0x2000 }, NULL);
    cdb_6(cdb, 0x0a, 0x1234, 3);
    expect_good(ask_out(&rig, cdb, pattern, 3 * BLOCK));
    g_assert_cmpmem(rig.disk->data + 0x1234 * BLOCK, 3 * BLOCK, pattern, 3 * BLOCK);
    cdb_10(cdb, 0x2a, 0, 10, 4);
    expect_good(ask_out(&rig, cdb, pattern, 4 * BLOCK));
    g_assert_cmpmem(rig.disk->data + 10 * BLOCK, 4 * BLOCK, pattern, 4 * BLOCK);
    cdb_12(cdb, 0xaa, 0, 20, 5);
    expect_good(ask_out(&rig, cdb, pattern, 5 * BLOCK));
    g_assert_cmpmem(rig.disk->data + 20 * BLOCK, 5 * BLOCK, pattern, 5 * BLOCK);
    cdb_16(cdb, 0x8a, 0, 30, 6);
    expect_good(ask_out(&rig, cdb, pattern, 6 * BLOCK));
    g_assert_cmpmem(rig.disk->data + 30 * BLOCK, 6 * BLOCK, pattern, 6 * BLOCK);

    struct task *t;
    disk_fill(rig.disk, 3);
    cdb_6(cdb, 0x08, 7, 2);
    expect_good(t = ask_in(&rig, cdb, 2 * BLOCK));
    g_assert_cmpmem(t->in, t->in_bytes, rig.disk->data + 7 * BLOCK, 2 * BLOCK);
    cdb_10(cdb, 0x28, 0, 0x1fff, 1);
    expect_good(t = ask_in(&rig, cdb, BLOCK));
    g_assert_cmpmem(t->in, t->in_bytes, rig.disk->data + 0x1fff * BLOCK, BLOCK);
    cdb_12(cdb, 0xa8, 0, 100, 16);
    expect_good(t = ask_in(&rig, cdb, 16 * BLOCK));
    g_assert_cmpmem(t->in, t->in_bytes, rig.disk->data + 100 * BLOCK, 16 * BLOCK);
    cdb_16(cdb, 0x88, 0, 99, 17);
    expect_good(t = ask_in(&rig, cdb, 17 * BLOCK));
    g_assert_cmpmem(t->in, t->in_bytes, rig.disk->data + 99 * BLOCK, 17 * BLOCK);
    g_assert_cmpuint(t->cmd.transfer_length, ==, 17 * BLOCK);
    rig_teardown(&rig);
}

static void length_zero_of_read_6_is_256_blocks(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, NULL, NULL);
    cdb_6(cdb, 0x08, 0, 0);
    struct task *t = ask_in(&rig, cdb, 256 * BLOCK);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, 256 * BLOCK);
    cdb_6(cdb, 0x08, 2048 - 255, 0);
    expect_check(ask_in(&rig, cdb, 256 * BLOCK), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    rig_teardown(&rig);
}

static void ranges_are_checked_at_the_end_of_the_unit(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];
    static const struct {
        uint64_t lba;
        uint32_t blocks;
        bool good;
    } cases[] = {
        { 0, 0, true },
        { 2047, 0, true },
        { 2048, 0, false },
        { 2049, 0, false },
        { 1ull << 63, 0, false },
        { UINT64_MAX, 0, false },
        { 2047, 1, true },
        { 2047, 2, false },
        { 2048, 1, false },
        { UINT64_MAX, 2, false },
        { UINT64_MAX - 1, 2, false },
        { 1, 2047, true },
        { 1, 2048, false },
        { 0, UINT32_MAX, false },
    };
    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t bytes = cases[i].good ? cases[i].blocks * BLOCK : BLOCK;
        for (unsigned write = 0; write < 2; write++) {
            cdb_16(cdb, write ? 0x8a : 0x88, 0, cases[i].lba, cases[i].blocks);
            struct task *t = write ? ask_out(&rig, cdb, pattern, bytes) : ask_in(&rig, cdb, bytes);
            if (cases[i].good)
                expect_good(t);
            else
                expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
            g_assert_cmpint(t->executed, ==, cases[i].good);
        }
    }
    cdb_10(cdb, 0x28, 0, 0x80000000u, 0);
    expect_check(ask_none(&rig, cdb), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    cdb_12(cdb, 0xaa, 0, UINT32_MAX, 0);
    expect_check(ask_none(&rig, cdb), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    rig_teardown(&rig);
}

static void more_than_the_maximum_transfer_length_is_refused(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, &(struct disk_options){ .blocks = 0x4000 }, NULL);
    cdb_16(cdb, 0x8a, 0, 0, SCSI_TRANSFER_MAX / BLOCK);
    expect_good(ask_out(&rig, cdb, pattern, SCSI_TRANSFER_MAX));
    cdb_16(cdb, 0x8a, 0, 0, SCSI_TRANSFER_MAX / BLOCK + 1);
    struct task *t = ask_out(&rig, cdb, pattern, SCSI_TRANSFER_MAX);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_field(t, true, 10);
    rig_teardown(&rig);
}

static void protection_information_is_refused(void)
{
    static const uint8_t ops_10[] = { 0x28, 0x2a, 0x2e, 0x2f, 0x41 };
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < sizeof(ops_10); i++) {
        for (uint8_t protect = 1; protect < 8; protect++) {
            cdb_10(cdb, ops_10[i], (uint8_t)(protect << 5), 0, 1);
            struct task *t = ask_out(&rig, cdb, pattern, BLOCK);
            expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
            expect_field(t, true, 1);
        }
    }
    cdb_10(cdb, 0x28, 0, 0, 1);
    cdb[9] = 0x04; /* NACA */
    expect_check(ask_in(&rig, cdb, BLOCK), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

static void large_transfers_go_in_the_backends_pieces(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];
    static const uint32_t elements[] = { 0, 65536, 16384, 24576, 20480 };

    rig_setup(&rig, &(struct disk_options){ .blocks = 4096, .block = 4096, .max_io = 65536 }, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(elements); i++) {
        cdb_16(cdb, 0x8a, 0, 5, 100);
        struct ask write = {
            .cdb = cdb, .out = true, .expected = 409600, .data = pattern, .element = elements[i]
        };
        struct task *t = task_run(&rig, &write);
        expect_good(t);
        task_free(t);
        g_assert_cmpmem(rig.disk->data + 5 * 4096, 409600, pattern, 409600);
        g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), >=, 7);

        cdb_16(cdb, 0x88, 0, 5, 100);
        struct ask read = { .cdb = cdb, .in = true, .expected = 409600, .element = elements[i] };
        t = task_run(&rig, &read);
        expect_good(t);
        g_assert_cmpmem(t->in, t->in_bytes, pattern, 409600);
        task_free(t);
        rig.disk->log_count = 0;
        memset(rig.disk->data, 0, 200 * 4096);
    }
    rig_teardown(&rig);
}

/* Elements of 512 bytes under blocks of 4096: a piece never ends within a block. */
static void small_elements_make_whole_blocks(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, &(struct disk_options){ .block = 4096, .max_io = 8192 }, NULL);
    cdb_10(cdb, 0x2a, 0, 1, 7);
    struct ask write = {
        .cdb = cdb, .out = true, .expected = 28672, .data = pattern, .element = 512
    };
    struct task *t = task_run(&rig, &write);
    expect_good(t);
    task_free(t);
    g_assert_cmpmem(rig.disk->data + 4096, 28672, pattern, 28672);
    rig_teardown(&rig);
}

static void reads_are_sent_from_the_store_when_there_is_one(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, &(struct disk_options){ .store = true }, NULL);
    disk_fill(rig.disk, 9);
    cdb_10(cdb, 0x28, 0, 12, 8);
    struct task *t = ask_in(&rig, cdb, 8 * BLOCK);
    expect_good(t);
    g_assert_cmpuint(t->cmd.buffer_bytes, ==, 0);
    g_assert_true(t->in == rig.disk->data + 12 * BLOCK);
    g_assert_cmpuint(t->in_bytes, ==, 8 * BLOCK);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, 0);
    rig_teardown(&rig);
}

static void fua_reaches_stable_storage(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16];

    /* The backend can: a flag, in one request. */
    rig_setup(
        &rig,
        &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE | BACKEND_FEATURE_FUA },
        NULL);
    cdb_10(cdb, 0x2a, 0x18, 0, 1);
    expect_good(ask_out(&rig, cdb, pattern, BLOCK));
    g_assert_cmpuint(rig.disk->log_count, ==, 1);
    g_assert_cmphex(rig.disk->log[0].flags, ==, BACKEND_IO_FUA);
    rig_teardown(&rig);

    /* It cannot: a flush after the write; and none without FUA. */
    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(ask_out(&rig, cdb, pattern, BLOCK));
    g_assert_cmpuint(rig.disk->log_count, ==, 2);
    g_assert_cmphex(rig.disk->log[0].op, ==, BACKEND_WRITE);
    g_assert_cmphex(rig.disk->log[1].op, ==, BACKEND_FLUSH);
    cdb_10(cdb, 0x2a, 0x10, 0, 1);
    expect_good(ask_out(&rig, cdb, pattern, BLOCK));
    g_assert_cmpuint(rig.disk->log_count, ==, 3);
    /* A READ with FUA reads what is on the medium. */
    cdb_10(cdb, 0x28, 0x08, 0, 1);
    expect_good(ask_in(&rig, cdb, BLOCK));
    g_assert_cmphex(rig.disk->log[3].op, ==, BACKEND_FLUSH);
    g_assert_cmphex(rig.disk->log[4].op, ==, BACKEND_READ);
    rig_teardown(&rig);

    /* Nothing volatile: nothing to do. READ(6)'s LBA bits are no FUA. */
    rig_setup(&rig, NULL, NULL);
    cdb_10(cdb, 0x2a, 0x08, 0, 1);
    expect_good(ask_out(&rig, cdb, pattern, BLOCK));
    g_assert_cmpuint(rig.disk->log_count, ==, 1);
    rig_teardown(&rig);
}

static void synchronize_cache_flushes_what_is_volatile(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(ask_none(&rig, CDB(0x35)));
    expect_good(ask_none(&rig, CDB(0x91, 0x02)));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 2);
    expect_check(ask_none(&rig, CDB(0x35, 0, 0, 0, 0x10)), SENSE_ILLEGAL_REQUEST,
                 ASC_LBA_OUT_OF_RANGE);
    rig.disk->fail_op = BACKEND_FLUSH;
    rig.disk->fail_result = -EIO;
    expect_check(ask_none(&rig, CDB(0x35)), SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR);
    rig_teardown(&rig);

    rig_setup(&rig, NULL, NULL);
    expect_good(ask_none(&rig, CDB(0x35)));
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    expect_good(ask_none(&rig, CDB(0x34, 0x02, 0, 0, 0, 0, 0x03, 0, 1)));
    expect_check(ask_none(&rig, CDB(0x34, 0, 0, 0, 0x08, 1)), SENSE_ILLEGAL_REQUEST,
                 ASC_LBA_OUT_OF_RANGE);
    rig_teardown(&rig);
}

static void errors_of_the_backend_become_sense(void)
{
    static const struct {
        int error;
        bool write;
        uint8_t key;
        uint16_t asc;
    } cases[] = {
        { -EIO, false, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR },
        { -EIO, true, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR },
        { -ENOSPC, true, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED },
        { -EDQUOT, true, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED },
        { -EROFS, true, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED },
        { -ETIMEDOUT, false, SENSE_ABORTED_COMMAND, ASC_COMMAND_TIMEOUT },
        { -EREMOTEIO, false, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE },
        { -EINVAL, true, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE },
    };
    struct rig rig = { 0 };
    uint8_t cdb[16];

    rig_setup(&rig, &(struct disk_options){ .max_io = 1024 }, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        rig.disk->fail_op = cases[i].write ? BACKEND_WRITE : BACKEND_READ;
        rig.disk->fail_result = cases[i].error;
        rig.disk->fail_after = 0;
        cdb_10(cdb, cases[i].write ? 0x2a : 0x28, 0, 0x102, 1);
        struct task *t =
            cases[i].write ? ask_out(&rig, cdb, pattern, BLOCK) : ask_in(&rig, cdb, BLOCK);
        expect_check(t, cases[i].key, cases[i].asc);
        if (cases[i].error == -EIO) { /* VALID, and where */
            g_assert_cmphex(t->cmd.sense[0], ==, 0xf0);
            g_assert_cmphex(get_be32(t->cmd.sense + 3), ==, 0x102);
        }
        g_assert_cmpuint(t->cmd.transfer_length, ==, cases[i].write ? BLOCK : 0);
    }
    /* In the third piece of a larger one: its LBA is told. */
    rig.disk->fail_op = BACKEND_READ;
    rig.disk->fail_result = -EIO;
    rig.disk->fail_after = 2;
    cdb_10(cdb, 0x28, 0, 0x100, 8);
    struct task *t = ask_in(&rig, cdb, 8 * BLOCK);
    expect_check(t, SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
    g_assert_cmphex(get_be32(t->cmd.sense + 3), ==, 0x104);
    rig.disk->fail_op = BACKEND_WRITE;
    rig.disk->fail_after = 2;
    cdb_10(cdb, 0x2a, 0, 0x100, 8);
    t = ask_out(&rig, cdb, pattern, 8 * BLOCK);
    expect_check(t, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR);
    g_assert_cmphex(get_be32(t->cmd.sense + 3), ==, 0x104);
    /* A block that is written in part is read before. */
    rig.disk->fail_op = BACKEND_READ;
    rig.disk->fail_after = 0;
    cdb_10(cdb, 0x2a, 0, 0x100, 1);
    expect_check(ask_out(&rig, cdb, pattern, 200), SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
    cdb_10(cdb, 0x28, 0, 0x100, 8);
    /* For a while: BUSY, no sense. */
    rig.disk->fail_after = 0;
    rig.disk->fail_result = -EAGAIN;
    t = ask_in(&rig, cdb, 8 * BLOCK);
    g_assert_cmphex(t->status, ==, SCSI_BUSY);
    rig_teardown(&rig);
}

static void a_read_only_unit_takes_no_data(void)
{
    struct rig rig = { 0 };
    static const uint8_t block[512];
    uint8_t cdb[16];

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES, .store = true },
              &(struct scsi_unit_config){ .read_only = true });
    static const uint8_t writers[] = { 0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e,
                                       0x41, 0x93, 0x42, 0x89, 0x8b, 0x9c };
    for (unsigned i = 0; i < sizeof(writers); i++) {
        memset(cdb, 0, sizeof(cdb));
        cdb[0] = writers[i];
        struct task *t = ask_out(&rig, cdb, block, sizeof(block));
        expect_check(t, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
        g_assert_false(t->executed);
    }
    for (uint8_t action = 1; action <= 3; action++)
        expect_check(ask_none(&rig, CDB(0x48, action)), SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED);
    expect_good(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), BLOCK));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, 0);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_pattern();
    g_test_add_func("/scsi/read-write/every-form", every_form_reads_and_writes_its_range);
    g_test_add_func("/scsi/read-write/read-6-of-0", length_zero_of_read_6_is_256_blocks);
    g_test_add_func("/scsi/read-write/ranges", ranges_are_checked_at_the_end_of_the_unit);
    g_test_add_func("/scsi/read-write/maximum", more_than_the_maximum_transfer_length_is_refused);
    g_test_add_func("/scsi/read-write/protect", protection_information_is_refused);
    g_test_add_func("/scsi/read-write/pieces", large_transfers_go_in_the_backends_pieces);
    g_test_add_func("/scsi/read-write/small-elements", small_elements_make_whole_blocks);
    g_test_add_func("/scsi/read-write/store", reads_are_sent_from_the_store_when_there_is_one);
    g_test_add_func("/scsi/read-write/fua", fua_reaches_stable_storage);
    g_test_add_func("/scsi/read-write/synchronize", synchronize_cache_flushes_what_is_volatile);
    g_test_add_func("/scsi/read-write/errors", errors_of_the_backend_become_sense);
    g_test_add_func("/scsi/read-write/read-only", a_read_only_unit_takes_no_data);
    return g_test_run();
}
