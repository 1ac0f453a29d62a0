/* SPDX-License-Identifier: BSD-3-Clause */
/* COMPARE AND WRITE, ORWRITE, WRITE ATOMIC: their rules, and who waits for whom on one reactor. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512u

static uint8_t data[2 * 255 * BLOCK + 4096];

/* Data-Out of a COMPARE AND WRITE: what the disk holds at `lba`, then bytes of `fill`. */
static void compare_data(const struct rig *rig, uint32_t lba, uint32_t blocks, uint8_t fill)
{
    memcpy(data, rig->disk->data + lba * BLOCK, blocks * BLOCK);
    memset(data + blocks * BLOCK, fill, blocks * BLOCK);
}

static struct task *caw(struct rig *rig, uint32_t lba, uint8_t blocks, uint32_t bytes)
{
    uint8_t cdb[16] = { 0x89 };
    put_be64(cdb + 2, lba);
    cdb[13] = blocks;
    return ask_out(rig, cdb, data, bytes);
}

static void compare_and_write_writes_when_equal(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .max_io = 16384 }, NULL);
    disk_fill(rig.disk, 3);
    static const uint8_t counts[] = { 1, 2, 31, 32, 33, 129, 255 };
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        uint32_t n = counts[i], lba = 100 + i;
        compare_data(&rig, lba, n, 0x5a);
        uint8_t before = rig.disk->data[(lba + n) * BLOCK];
        expect_good(caw(&rig, lba, counts[i], 2 * n * BLOCK));
        for (uint32_t at = lba * BLOCK; at < (lba + n) * BLOCK; at++)
            g_assert_cmphex(rig.disk->data[at], ==, 0x5a);
        g_assert_cmphex(rig.disk->data[(lba + n) * BLOCK], ==, before);
        disk_fill(rig.disk, (uint8_t)i);
    }
    rig_teardown(&rig);
}

static void a_miscompare_writes_nothing_and_says_where(void)
{
    struct rig rig = { 0 };
    static const uint32_t places[] = { 0, 511, 512, 16384, 64 * BLOCK - 1 };

    rig_setup(&rig, &(struct disk_options){ .max_io = 16384 }, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        disk_fill(rig.disk, (uint8_t)i);
        compare_data(&rig, 7, 64, 0xa5);
        data[places[i]] ^= 1;
        if (places[i] + 100 < 64 * BLOCK)
            data[places[i] + 100] ^= 1; /* the first is what counts */
        struct task *t = caw(&rig, 7, 64, 128 * BLOCK);
        expect_check(t, SENSE_MISCOMPARE, ASC_MISCOMPARE);
        g_assert_cmphex(t->cmd.sense[0], ==, 0xf0); /* VALID */
        g_assert_cmpuint(get_be32(t->cmd.sense + 3), ==, places[i]);
        data[places[i]] ^= 1;
    }
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, 0);
    rig_teardown(&rig);
}

/* What another worker sends again, with what the first has kept. */
static struct task *caw_again(struct rig *rig, uint8_t blocks, struct scsi_kept *kept)
{
    uint8_t cdb[16] = { 0x89, [9] = 7, [13] = blocks };
    struct ask ask = { .cdb = cdb, .out = true, .expected = 2u * blocks * BLOCK, .data = data };
    struct task *t = task_start(rig, &ask);

    t->cmd.kept = kept;
    task_execute(t);
    rig_turn(rig);
    return t;
}

/* It dies while it writes, or before the answer is out: the next worker completes it, once. */
static void another_worker_completes_a_compare_and_write(void)
{
    struct rig rig = { 0 };
    const uint8_t blocks = 200; /* several writes */

    for (unsigned done = 0; done <= 7; done++) {
        struct scsi_kept kept = { 0 }, seen;
        rig_setup(&rig, &(struct disk_options){ .max_io = 16384 }, NULL);
        disk_fill(rig.disk, 3);
        compare_data(&rig, 7, blocks, 0x5a);
        uint8_t *before = g_memdup2(rig.disk->data, 2048 * BLOCK);
        task_free(caw_again(&rig, blocks, &kept));
        g_assert_cmpuint(kept.begun, ==, 1);
        /* Of seven writes only so many have reached the disk. */
        seen = kept;
        uint32_t kept_bytes = MIN(done * 16384u, blocks * BLOCK);
        memcpy(rig.disk->data + 7 * BLOCK + kept_bytes, before + 7 * BLOCK + kept_bytes,
               blocks * BLOCK - kept_bytes);
        struct task *t = caw_again(&rig, blocks, &seen);
        expect_good(t);
        task_free(t);
        memset(before + 7 * BLOCK, 0x5a, blocks * BLOCK);
        g_assert_cmpmem(rig.disk->data, 2048 * BLOCK, before, 2048 * BLOCK);
        /* Somebody has changed it since: that stays. */
        rig.disk->data[20 * BLOCK] = 1;
        before[20 * BLOCK] = 1;
        seen = kept;
        expect_good(t = caw_again(&rig, blocks, &seen));
        task_free(t);
        g_assert_cmpmem(rig.disk->data, 2048 * BLOCK, before, 2048 * BLOCK);
        /* A new command is compared. */
        kept.begun = 0;
        expect_check(t = caw_again(&rig, blocks, &kept), SENSE_MISCOMPARE, ASC_MISCOMPARE);
        g_assert_cmpuint(kept.begun, ==, 0);
        task_free(t);
        g_free(before);
        rig_teardown(&rig);
    }
}

static void compare_and_write_is_refused_what_it_cannot_do(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, &(struct scsi_unit_config){ .compare_max = 4 });
    memset(data, 0, sizeof(data));
    expect_check(caw(&rig, 0, 5, 10 * BLOCK), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(caw(&rig, 0, 0, 2 * BLOCK), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_good(caw(&rig, 0, 0, 0));
    expect_check(caw(&rig, 2048, 0, 0), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    expect_check(caw(&rig, 2045, 4, 8 * BLOCK), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    expect_check(caw(&rig, 0, 2, 3 * BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
    expect_check(ask_out(&rig, CDB(0x89, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), data, 1024),
                 SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(caw(&rig, 0, 2, 6 * BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
    struct task *t = ask_in(&rig, CDB(0x12, 1, 0xb0, 0, 64), 64);
    g_assert_cmpuint(t->in[5], ==, 4); /* MAXIMUM COMPARE AND WRITE LENGTH */
    rig_teardown(&rig);
}

static void a_cache_is_flushed_for_fua(void)
{
    struct rig rig = { 0 };
    static const uint8_t opcodes[] = { 0x89, 0x8b };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t cdb[16] = { opcodes[i], 0x08 };
        cdb[13] = 1;
        memset(data, 0, sizeof(data));
        expect_good(ask_out(&rig, cdb, data, i ? BLOCK : 2 * BLOCK));
        g_assert_cmpuint(rig.disk->log[rig.disk->log_count - 1].op, ==, BACKEND_FLUSH);
        cdb[1] = 0;
        unsigned flushes = disk_count(rig.disk, BACKEND_FLUSH);
        expect_good(ask_out(&rig, cdb, data, i ? BLOCK : 2 * BLOCK));
        g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, flushes);
    }
    rig_teardown(&rig);
}

static void errors_of_the_backend_end_it(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    rig.disk->fail_result = -EIO;
    for (int writing = 0; writing < 2; writing++) {
        uint16_t asc = writing ? ASC_WRITE_ERROR : ASC_UNRECOVERED_READ_ERROR;
        rig.disk->fail_op = writing ? BACKEND_WRITE : BACKEND_READ;
        expect_check(caw(&rig, 0, 1, 2 * BLOCK), SENSE_MEDIUM_ERROR, asc);
        expect_check(ask_out(&rig, CDB([0] = 0x8b, [13] = 1), data, BLOCK), SENSE_MEDIUM_ERROR,
                     asc);
    }
    rig.disk->fail_op = -1;
    expect_good(caw(&rig, 0, 1, 2 * BLOCK)); /* nothing is left locked */
    rig_teardown(&rig);
}

static void a_backend_that_compares_is_asked_once(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_COMPARE_AND_WRITE }, NULL);
    disk_fill(rig.disk, 9);
    compare_data(&rig, 5, 3, 0x11);
    expect_good(caw(&rig, 5, 3, 6 * BLOCK));
    g_assert_cmphex(rig.disk->data[5 * BLOCK], ==, 0x11);
    struct task *t = caw(&rig, 5, 3, 6 * BLOCK);
    expect_check(t, SENSE_MISCOMPARE, ASC_MISCOMPARE);
    g_assert_cmphex(t->cmd.sense[0], ==, 0x70);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, 0);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_COMPARE_AND_WRITE), ==, 2);
    rig.disk->fail_op = BACKEND_COMPARE_AND_WRITE;
    rig.disk->fail_result = -EIO;
    expect_check(caw(&rig, 5, 3, 6 * BLOCK), SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR);
    rig_teardown(&rig);
}

static void orwrite_sets_bits(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .max_io = 8192 }, NULL);
    disk_fill(rig.disk, 1);
    g_autofree uint8_t *old = g_memdup2(rig.disk->data, 300 * BLOCK);
    for (unsigned i = 0; i < 200 * BLOCK; i++)
        data[i] = (uint8_t)(i * 37 >> 3);
    uint8_t cdb[16] = { 0x8b };
    cdb[9] = 20;
    cdb[13] = 200;
    expect_good(ask_out(&rig, cdb, data, 200 * BLOCK));
    for (unsigned i = 0; i < 300 * BLOCK; i++) {
        bool inside = i >= 20 * BLOCK && i < 220 * BLOCK;
        g_assert_cmphex(rig.disk->data[i], ==, inside ? old[i] | data[i - 20 * BLOCK] : old[i]);
    }
    expect_check(ask_out(&rig, cdb, data, 199 * BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_INFORMATION_UNIT);
    cdb[13] = 0;
    expect_good(ask_out(&rig, cdb, data, 0));
    rig_teardown(&rig);
}

static void write_atomic_is_aligned_to_physical_blocks(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16] = { 0x9c };

    rig_setup(&rig, &(struct disk_options){ .physical = 4096, .store = true }, NULL);
    struct task *t = ask_in(&rig, CDB(0x12, 1, 0xb0, 0, 64), 64);
    g_assert_cmpuint(get_be32(t->in + 48), ==, 8);
    g_assert_cmpuint(get_be32(t->in + 52), ==, 8);
    memset(data, 1, sizeof(data));
    cdb[9] = 8, cdb[13] = 16;
    expect_good(ask_out(&rig, cdb, data, 16 * BLOCK));
    cdb[13] = 15;
    expect_check(ask_out(&rig, cdb, data, 16 * BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    cdb[9] = 9, cdb[13] = 16;
    expect_check(ask_out(&rig, cdb, data, 16 * BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

/* A READ that is sent from the store later would show parts of what is written meanwhile. */
static void what_is_written_atomically_is_read_so(void)
{
    struct rig rig = { 0 };
    struct ask read = { .cdb = CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 16),
                        .in = true,
                        .expected = 16 * BLOCK };

    rig_setup(&rig, &(struct disk_options){ .store = true }, NULL);
    struct task *t = task_run(&rig, &read);
    g_assert_cmpuint(t->cmd.mapped, !=, 0);
    task_free(t);
    memset(data, 1, sizeof(data));
    expect_good(ask_out(&rig, CDB(0x9c, [13] = 16), data, 16 * BLOCK));
    t = task_run(&rig, &read);
    g_assert_cmpuint(t->cmd.mapped, ==, 0);
    memset(data, 2, sizeof(data));
    expect_good(ask_out(&rig, CDB(0x9c, [13] = 16), data, 16 * BLOCK));
    memset(data, 1, sizeof(data));
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, data, 16 * BLOCK);
    task_free(t);
    rig_teardown(&rig);
}

static void write_atomic_is_only_where_it_can_be(void)
{
    struct rig rig = { 0 };
    uint8_t cdb[16] = { 0x9c };

    rig_setup(&rig, NULL, NULL);
    expect_check(ask_none(&rig, cdb), SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    rig_teardown(&rig);

    rig_setup(&rig, &(struct disk_options){ .blocks = 4096, .store = true }, NULL);
    struct task *t = ask_in(&rig, CDB(0x12, 1, 0xb0, 0, 64), 64);
    uint32_t most = get_be32(t->in + 44);
    g_assert_cmpuint(most, >=, 256);
    g_assert_cmpuint(most, <=, get_be32(t->in + 8)); /* MAXIMUM TRANSFER LENGTH */
    put_be16(cdb + 12, 255);
    memset(data, 0x77, sizeof(data));
    expect_good(ask_out(&rig, cdb, data, 255 * BLOCK));
    g_assert_cmphex(rig.disk->data[255 * BLOCK - 1], ==, 0x77);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, 1);
    put_be16(cdb + 12, (uint16_t)(most + 1));
    expect_check(ask_out(&rig, cdb, data, 512), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    put_be16(cdb + 12, 1);
    put_be16(cdb + 10, 1); /* a boundary */
    expect_check(ask_out(&rig, cdb, data, 512), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

/* ---- who waits ---- */

static struct task *begin(struct rig *rig, uint8_t opcode, uint8_t lba, uint8_t blocks)
{
    uint8_t cdb[16] = { opcode };
    bool caw_op = opcode == 0x89;
    struct ask ask = { .nexus = rig->b,
                       .cdb = cdb,
                       .out = opcode != 0x88,
                       .in = opcode == 0x88,
                       .data = data,
                       .expected = blocks * BLOCK * (caw_op ? 2 : 1) };
    cdb[9] = lba;
    cdb[13] = blocks;
    struct task *task = task_start(rig, &ask);
    task_execute(task);
    return task;
}

/* Lets go what the disk holds and what follows from it, one round. */
static void one_round(struct rig *rig)
{
    disk_release(rig->disk);
    rig_turn(rig);
}

static void finish_all(struct rig *rig, struct task **tasks, unsigned count)
{
    for (unsigned i = 0; i < 20; i++)
        one_round(rig);
    for (unsigned i = 0; i < count; i++) {
        g_assert_true(tasks[i]->ended);
        task_free(tasks[i]);
    }
    rig->disk->hold = false;
}

static void a_write_waits_for_a_compare_and_write(void)
{
    struct rig rig = { 0 };
    struct task *t[4];

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    rig.disk->hold = true;
    t[0] = begin(&rig, 0x89, 10, 4); /* its read is at the disk */
    t[1] = begin(&rig, 0x8a, 13, 1); /* overlaps */
    t[2] = begin(&rig, 0x8a, 14, 1); /* does not */
    t[3] = begin(&rig, 0x88, 9, 2);  /* a read that overlaps */
    g_assert_cmpuint(rig.disk->log_count, ==, 2);
    one_round(&rig); /* the read came, the write is at the disk; block 14 is written */
    g_assert_true(t[2]->ended);
    g_assert_false(t[0]->ended || t[1]->ended || t[3]->ended);
    g_assert_cmpuint(rig.disk->log_count, ==, 3);
    one_round(&rig);
    g_assert_true(t[0]->ended);
    g_assert_false(t[1]->ended);
    g_assert_cmpuint(rig.disk->log_count, ==, 5);
    g_assert_cmpuint(atomic_load(&rig.unit->ranges.exclusive), ==, 0);
    finish_all(&rig, t, 4);
    rig_teardown(&rig);
}

static void a_compare_and_write_waits_for_writes_before_it(void)
{
    struct rig rig = { 0 };
    struct task *t[3];

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    rig.disk->hold = true;
    t[0] = begin(&rig, 0x8a, 10, 4);
    t[1] = begin(&rig, 0x89, 13, 1);
    t[2] = begin(&rig, 0x8a, 12, 4); /* overlaps both: not before the second */
    g_assert_cmpuint(rig.disk->log_count, ==, 1);
    one_round(&rig);
    g_assert_true(t[0]->ended);
    g_assert_cmpuint(rig.disk->log_count, ==, 2);
    g_assert_cmpuint(rig.disk->log[1].op, ==, BACKEND_READ);
    finish_all(&rig, t, 3);
    g_assert_cmpuint(rig.disk->log[3].offset, ==, 12 * BLOCK);
    rig_teardown(&rig);
}

static void compare_and_writes_queue_in_order(void)
{
    struct rig rig = { 0 };
    struct task *t[6];

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    rig.disk->hold = true;
    for (unsigned i = 0; i < 5; i++)
        t[i] = begin(&rig, 0x89, 10, 1);
    t[5] = begin(&rig, 0x89, 50, 1); /* elsewhere */
    g_assert_cmpuint(rig.disk->log_count, ==, 2);
    for (unsigned i = 0; i < 5; i++) {
        one_round(&rig);
        one_round(&rig);
        g_assert_true(t[i]->ended);
        g_assert_true(i == 4 || !t[i + 1]->ended);
    }
    finish_all(&rig, t, 6);
    rig_teardown(&rig);
}

static void what_waits_can_be_aborted(void)
{
    struct rig rig = { 0 };
    struct task *t[5];

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    rig.disk->hold = true;
    t[0] = begin(&rig, 0x8a, 10, 1);
    t[1] = begin(&rig, 0x89, 10, 1); /* parked at the lane */
    t[2] = begin(&rig, 0x89, 10, 1); /* in the list */
    t[3] = begin(&rig, 0x8a, 10, 1);
    t[4] = begin(&rig, 0x89, 10, 1);
    for (unsigned i = 1; i < 4; i++)
        scsi_abort(&t[i]->cmd);
    g_assert_cmpuint(rig.disk->cancels, ==, 0);
    finish_all(&rig, t, 5);
    g_assert_cmpuint(rig.disk->log_count, ==, 3); /* the first write, and the last read and write */
    g_assert_cmpuint(atomic_load(&rig.unit->lanes[0].open), ==, 0);
    rig_teardown(&rig);
}

/* Whoever is at the list keeps others out for a moment: they come back in their turn. */
static void a_taken_list_is_tried_again(void)
{
    struct rig rig = { 0 };
    struct task *t[2];

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    atomic_store(&rig.unit->ranges.taken, true);
    t[0] = begin(&rig, 0x89, 10, 1);
    t[1] = begin(&rig, 0x89, 10, 1);
    scsi_abort(&t[1]->cmd);
    g_assert_false(t[0]->ended);
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    atomic_store(&rig.unit->ranges.taken, false);
    finish_all(&rig, t, 2);
    rig_teardown(&rig);
}

static void claiming(void)
{
    struct rig rig = { 0 };
    struct ask ask = {
        .cdb = CDB(0x2a, 0, 0, 0, 0, 10, 0, 0, 1), .out = true, .expected = 512, .data = data
    };

    rig_setup(&rig, NULL, NULL);
    memset(data, 0, sizeof(data));
    struct task *quick = task_start(&rig, &ask);
    g_assert_true(scsi_claim(&quick->cmd));
    task_execute(quick);
    g_assert_true(quick->ended);
    rig.disk->hold = true;
    struct task *t[2] = { begin(&rig, 0x89, 10, 1) };
    t[1] = task_start(&rig, &ask);
    g_assert_false(scsi_claim(&t[1]->cmd));
    task_execute(t[1]);
    g_assert_false(t[1]->ended);
    finish_all(&rig, t, 2);
    task_free(quick);
    g_assert_cmpuint(atomic_load(&rig.unit->lanes[0].open), ==, 0);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/atomic/compare-and-write/another-worker",
                    another_worker_completes_a_compare_and_write);
    g_test_add_func("/scsi/atomic/equal", compare_and_write_writes_when_equal);
    g_test_add_func("/scsi/atomic/miscompare", a_miscompare_writes_nothing_and_says_where);
    g_test_add_func("/scsi/atomic/refused", compare_and_write_is_refused_what_it_cannot_do);
    g_test_add_func("/scsi/atomic/fua", a_cache_is_flushed_for_fua);
    g_test_add_func("/scsi/atomic/errors", errors_of_the_backend_end_it);
    g_test_add_func("/scsi/atomic/backend", a_backend_that_compares_is_asked_once);
    g_test_add_func("/scsi/atomic/orwrite", orwrite_sets_bits);
    g_test_add_func("/scsi/atomic/write-atomic", write_atomic_is_only_where_it_can_be);
    g_test_add_func("/scsi/atomic/write-atomic-aligned",
                    write_atomic_is_aligned_to_physical_blocks);
    g_test_add_func("/scsi/atomic/write-atomic-is-read-so", what_is_written_atomically_is_read_so);
    g_test_add_func("/scsi/range/write-waits", a_write_waits_for_a_compare_and_write);
    g_test_add_func("/scsi/range/waits-for-writes", a_compare_and_write_waits_for_writes_before_it);
    g_test_add_func("/scsi/range/order", compare_and_writes_queue_in_order);
    g_test_add_func("/scsi/range/abort", what_waits_can_be_aborted);
    g_test_add_func("/scsi/range/taken", a_taken_list_is_tried_again);
    g_test_add_func("/scsi/range/claim", claiming);
    return g_test_run();
}
