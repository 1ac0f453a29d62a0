/* SPDX-License-Identifier: BSD-3-Clause */
/* UNMAP, WRITE SAME and GET LBA STATUS: zeroes everywhere asked for, nowhere else. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512u

/* The parameter list of UNMAP: pairs of LBA and count. */
static uint8_t list[8 + 16 * 300];

static uint32_t make_list(const uint64_t (*ranges)[2], unsigned count)
{
    memset(list, 0, sizeof(list));
    put_be16(list, (uint16_t)(6 + count * 16));
    put_be16(list + 2, (uint16_t)(count * 16));
    for (unsigned i = 0; i < count; i++) {
        put_be64(list + 8 + i * 16, ranges[i][0]);
        put_be32(list + 16 + i * 16, (uint32_t)ranges[i][1]);
    }
    return 8 + count * 16;
}

static struct task *unmap_list(struct rig *rig, uint32_t bytes)
{
    uint8_t cdb[16] = { 0x42 };
    put_be16(cdb + 7, (uint16_t)bytes);
    return ask_out(rig, cdb, list, bytes);
}

static struct task *unmap(struct rig *rig, uint64_t lba, uint32_t blocks)
{
    const uint64_t range[1][2] = { { lba, blocks } };
    return unmap_list(rig, make_list(range, 1));
}

/* Zero on [from, to), not zero on all else (the disk was filled with odd bytes). */
static void expect_hole(const struct rig *rig, uint64_t from, uint64_t to)
{
    uint64_t bytes = rig->disk->backend.info.bytes;
    for (uint64_t i = 0; i < bytes; i++) {
        bool hole = i >= from * BLOCK && i < to * BLOCK;
        if ((rig->disk->data[i] == 0) != hole)
            g_error("byte %llu is %u", (unsigned long long)i, rig->disk->data[i]);
    }
}

static void unmap_zeroes_what_is_no_whole_granule(void)
{
    static const uint64_t cases[][2] = { { 0, 8 },  { 0, 1 },  { 7, 1 },  { 5, 20 },
                                         { 8, 16 }, { 3, 13 }, { 15, 2 }, { 0, 2048 },
                                         { 1, 7 },  { 9, 3 },  { 9, 7 },  { 2047, 1 } };
    static const uint32_t features[] = { THIN_FEATURES,
                                         BACKEND_FEATURE_UNMAP | BACKEND_FEATURE_ZEROES_UNMAPPED };
    struct rig rig = { 0 };

    for (unsigned f = 0; f < G_N_ELEMENTS(features); f++) {
        rig_setup(&rig, &(struct disk_options){ .granule = 4096, .features = features[f] }, NULL);
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            disk_fill(rig.disk, 1);
            expect_good(unmap(&rig, cases[i][0], (uint32_t)cases[i][1]));
            expect_hole(&rig, cases[i][0], cases[i][0] + cases[i][1]);
            for (uint64_t g = 0; g < 256; g++) {
                bool whole = g * 8 >= cases[i][0] && g * 8 + 8 <= cases[i][0] + cases[i][1];
                g_assert_cmpuint(rig.disk->mapped[g], ==, !whole);
            }
        }
        rig_teardown(&rig);
    }
}

static void unmap_lists_are_checked_as_a_whole(void)
{
    struct rig rig = { 0 };
    struct task *t;
    uint64_t ranges[257][2];

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES, .blocks = 1u << 16 }, NULL);
    disk_fill(rig.disk, 1);
    expect_good(ask_none(&rig, CDB(0x42)));
    expect_good(unmap_list(&rig, make_list(NULL, 0)));
    expect_good(unmap(&rig, 1u << 16, 0));
    expect_good(unmap(&rig, UINT64_MAX, 0));
    expect_check(unmap(&rig, 1u << 16, 1), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    expect_check(unmap(&rig, UINT64_MAX, 2), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    /* One bad descriptor: none is done. */
    const uint64_t pair[2][2] = { { 0, 4 }, { (1u << 16) - 1, 2 } };
    expect_check(unmap_list(&rig, make_list(pair, 2)), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    /* 256 descriptors, overlapping; one more is too many. */
    for (unsigned i = 0; i < 257; i++) {
        ranges[i][0] = i;
        ranges[i][1] = 2;
    }
    expect_good(unmap_list(&rig, make_list(ranges, 256)));
    g_assert_cmpuint(rig.disk->data[256 * BLOCK + BLOCK - 1], ==, 0);
    g_assert_cmpuint(rig.disk->data[257 * BLOCK], !=, 0);
    t = unmap_list(&rig, make_list(ranges, 257));
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    expect_field(t, false, 2);
    /* More blocks than MAXIMUM UNMAP LBA COUNT, by many descriptors. */
    for (unsigned i = 0; i < 17; i++) {
        ranges[i][0] = 0;
        ranges[i][1] = 1u << 16;
    }
    expect_good(unmap_list(&rig, make_list(ranges, 16)));
    expect_check(unmap_list(&rig, make_list(ranges, 17)), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    /* ANCHOR, and lists that are cut. */
    uint32_t bytes = make_list(pair, 2);
    expect_check(ask_out(&rig, CDB(0x42, 1, 0, 0, 0, 0, 0, 0, 40), list, bytes),
                 SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(unmap_list(&rig, 7), SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    expect_check(unmap_list(&rig, bytes - 1), SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    expect_check(ask_out(&rig, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 40), list, 24), SENSE_ILLEGAL_REQUEST,
                 ASC_PARAMETER_LIST_LENGTH);
    rig_teardown(&rig);
}

static void a_thick_unit_has_no_unmap(void)
{
    struct rig rig = { 0 };
    uint8_t block[BLOCK] = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_UNMAP }, NULL);
    expect_check(unmap(&rig, 0, 1), SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    expect_check(ask_out(&rig, CDB(0x41, 0x08, 0, 0, 0, 0, 0, 0, 1), block, BLOCK),
                 SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

static struct task *write_same(struct rig *rig, uint8_t flags, uint64_t lba, uint32_t blocks,
                               const void *data, uint32_t bytes)
{
    uint8_t cdb[16] = { 0x93, flags };
    put_be64(cdb + 2, lba);
    put_be32(cdb + 10, blocks);
    return bytes ? ask_out(rig, cdb, data, bytes) : ask_none(rig, cdb);
}

static void write_same_writes_the_block_everywhere(void)
{
    struct rig rig = { 0 };
    uint8_t block[2 * BLOCK];

    for (unsigned i = 0; i < sizeof(block); i++)
        block[i] = (uint8_t)(i * 3 + 1);
    rig_setup(
        &rig,
        &(struct disk_options){ .blocks = 1u << 16, .max_io = 24576, .features = THIN_FEATURES },
        NULL);
    expect_good(write_same(&rig, 0, 3, 1000, block, BLOCK));
    for (unsigned i = 0; i < 1000; i++)
        g_assert_cmpmem(rig.disk->data + (3 + i) * BLOCK, BLOCK, block, BLOCK);
    g_assert_cmpuint(rig.disk->data[2 * BLOCK], ==, 0);
    g_assert_cmpuint(rig.disk->data[1003 * BLOCK], ==, 0);
    /* UNMAP=1 deallocates, whatever the block holds. */
    expect_good(write_same(&rig, 0x08, 4, 2, block, BLOCK));
    g_assert_cmpuint(rig.disk->data[4 * BLOCK], ==, 0);
    g_assert_cmpuint(rig.disk->data[6 * BLOCK - 1], ==, 0);
    g_assert_cmpuint(rig.disk->data[6 * BLOCK], ==, block[0]);
    /* The 10 byte form. */
    expect_good(ask_out(&rig, CDB(0x41, 0, 0, 0, 0x10, 0, 0, 0, 2), block, BLOCK));
    g_assert_cmpmem(rig.disk->data + 0x1001 * BLOCK, BLOCK, block, BLOCK);
    rig_teardown(&rig);
}

static void write_same_of_zeroes_uses_what_the_backend_has(void)
{
    static const struct {
        uint32_t features;
        uint8_t flags;
        bool with_data;
        enum backend_op op;
        uint8_t io_flags;
    } cases[] = {
        { THIN_FEATURES, 0, true, BACKEND_WRITE_ZEROES, 0 },
        { THIN_FEATURES, 0x01, false, BACKEND_WRITE_ZEROES, 0 },
        { THIN_FEATURES, 0x08, true, BACKEND_UNMAP, 0 },
        { THIN_FEATURES, 0x09, false, BACKEND_UNMAP, 0 },
        { 0, 0, true, BACKEND_WRITE, 0 },
        { 0, 0x01, false, BACKEND_WRITE, 0 },
    };
    struct rig rig = { 0 };
    const uint8_t zeroes[BLOCK] = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        rig_setup(&rig, &(struct disk_options){ .features = cases[i].features }, NULL);
        disk_fill(rig.disk, 1);
        expect_good(
            write_same(&rig, cases[i].flags, 100, 50, zeroes, cases[i].with_data ? BLOCK : 0));
        expect_hole(&rig, 100, 150);
        g_assert_cmpuint(rig.disk->log_count, ==, 1);
        g_assert_cmphex(rig.disk->log[0].op, ==, cases[i].op);
        g_assert_cmphex(rig.disk->log[0].flags, ==, cases[i].io_flags);
        rig_teardown(&rig);
    }
}

static void an_unaligned_write_same_unmap_reads_zero(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES, .granule = 4096 }, NULL);
    disk_fill(rig.disk, 1);
    expect_good(write_same(&rig, 0x09, 3, 20, NULL, 0));
    expect_hole(&rig, 3, 23);
    g_assert_cmpuint(rig.disk->log_count, ==, 3);
    g_assert_cmphex(rig.disk->log[0].op, ==, BACKEND_WRITE_ZEROES);
    g_assert_cmphex(rig.disk->log[0].flags, ==, BACKEND_IO_UNMAP);
    g_assert_cmphex(rig.disk->log[1].op, ==, BACKEND_UNMAP);
    rig_teardown(&rig);
}

static void a_backend_that_refuses_gets_plain_writes(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES }, NULL);
    disk_fill(rig.disk, 1);
    rig.disk->fail_op = BACKEND_WRITE_ZEROES;
    rig.disk->fail_result = -EOPNOTSUPP;
    expect_good(write_same(&rig, 0x01, 100, 300, NULL, 0));
    expect_hole(&rig, 100, 400);
    rig.disk->fail_op = BACKEND_UNMAP;
    disk_fill(rig.disk, 1);
    expect_good(unmap(&rig, 7, 2));
    g_assert_cmphex(rig.disk->log[rig.disk->log_count - 1].op, ==, BACKEND_WRITE_ZEROES);
    rig.disk->fail_result = -ENOSPC;
    expect_check(unmap(&rig, 7, 2), SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED);
    rig_teardown(&rig);
}

/* The buffer that zeroes are written from held something else before. */
static void zeroes_after_a_pattern(void)
{
    struct rig rig = { 0 };
    uint8_t block[BLOCK];

    rig_setup(&rig, NULL, NULL);
    disk_fill(rig.disk, 1);
    memset(block, 0x5a, sizeof(block));
    for (unsigned i = 0; i < 8; i++)
        expect_good(write_same(&rig, 0, 0, 100, block, BLOCK));
    expect_good(write_same(&rig, 0x01, 100, 50, NULL, 0));
    expect_hole(&rig, 100, 150);
    rig_teardown(&rig);
}

static void errors_of_the_backend_end_write_same(void)
{
    static const struct {
        uint32_t features;
        enum backend_op op;
        int error;
        uint8_t flags, fill, key;
        uint16_t asc;
    } cases[] = {
        { 0, BACKEND_WRITE, -EIO, 0, 1, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR },
        { 0, BACKEND_WRITE, -ENOSPC, 0, 0, SENSE_DATA_PROTECT, ASC_SPACE_ALLOCATION_FAILED },
        { THIN_FEATURES, BACKEND_WRITE_ZEROES, -EIO, 0, 0, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR },
        { THIN_FEATURES, BACKEND_UNMAP, -EIO, 0x08, 0, SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR },
        { BACKEND_FEATURE_VOLATILE_CACHE, BACKEND_FLUSH, -EIO, 0, 1, SENSE_MEDIUM_ERROR,
          ASC_WRITE_ERROR },
    };
    struct rig rig = { 0 };
    uint8_t block[BLOCK];

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        rig_setup(&rig, &(struct disk_options){ .features = cases[i].features }, NULL);
        atomic_fetch_and(&rig.unit->mode, ~(uint32_t)SCSI_MODE_WCE);
        memset(block, cases[i].fill, sizeof(block));
        expect_good(write_same(&rig, cases[i].flags, 0, 20, block, BLOCK));
        rig.disk->fail_op = cases[i].op;
        rig.disk->fail_result = cases[i].error;
        expect_check(write_same(&rig, cases[i].flags, 0, 20, block, BLOCK), cases[i].key,
                     cases[i].asc);
        rig_teardown(&rig);
    }
}

/* Without a write cache, UNMAP is on the medium before it is answered. */
static void unmap_is_flushed_where_there_is_no_cache(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig,
              &(struct disk_options){ .features = THIN_FEATURES | BACKEND_FEATURE_VOLATILE_CACHE },
              NULL);
    expect_good(unmap(&rig, 0, 8));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 0);
    atomic_fetch_and(&rig.unit->mode, ~(uint32_t)SCSI_MODE_WCE);
    expect_good(unmap(&rig, 0, 8));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 1);
    rig.disk->fail_op = BACKEND_FLUSH;
    rig.disk->fail_result = -EIO;
    expect_check(unmap(&rig, 0, 8), SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR);
    rig_teardown(&rig);
}

static void write_same_has_its_own_limits(void)
{
    struct rig rig = { 0 };
    uint8_t block[2 * BLOCK] = { 1 };
    struct task *t;

    rig_setup(&rig, &(struct disk_options){ .blocks = 70000, .features = THIN_FEATURES }, NULL);
    expect_good(write_same(&rig, 0x08, 0, 65535, block, BLOCK));
    t = write_same(&rig, 0x08, 0, 65536, block, BLOCK);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_field(t, true, 10);
    /* 0 blocks: to the end, unless that is too far. */
    expect_good(write_same(&rig, 0, 69990, 0, block, BLOCK));
    g_assert_cmpuint(rig.disk->data[69999 * BLOCK], ==, 1);
    expect_check(write_same(&rig, 0, 0, 0, block, BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    expect_check(write_same(&rig, 0, 70001, 0, block, BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_LBA_OUT_OF_RANGE);
    expect_check(write_same(&rig, 0, 69999, 2, block, BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_LBA_OUT_OF_RANGE);
    expect_check(write_same(&rig, 0x10, 0, 1, block, BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    expect_check(write_same(&rig, 0x18, 0, 1, block, BLOCK), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    /* Bits that are obsolete, or belong to the long form alone. */
    expect_field(write_same(&rig, 0x02, 0, 1, block, BLOCK), true, 1);
    expect_field(write_same(&rig, 0x04, 0, 1, block, BLOCK), true, 1);
    expect_field(ask_none(&rig, CDB(0x41, 0x01, 0, 0, 0, 0, 0, 0, 1)), true, 1);
    /* Not one block of data. */
    static const uint32_t lengths[] = { 0, BLOCK / 2, 2 * BLOCK };
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        t = write_same(&rig, 0, 0, 1, block, lengths[i]);
        g_assert_cmphex(t->key, ==, SENSE_ILLEGAL_REQUEST);
        g_assert_false(t->executed);
    }
    rig_teardown(&rig);
}

struct extent {
    uint64_t lba;
    uint32_t blocks;
    uint8_t status;
};

static void expect_status(struct rig *rig, uint64_t lba, const struct extent *want, unsigned count)
{
    uint8_t cdb[16] = { 0x9e, 0x12 };
    put_be64(cdb + 2, lba);
    put_be32(cdb + 10, 8 + count * 16);
    struct task *t = ask_in(rig, cdb, 8 + count * 16);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, 8 + count * 16);
    g_assert_cmpuint(get_be32(t->in), >=, 4 + count * 16);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *d = t->in + 8 + i * 16;
        g_assert_cmpuint(get_be64(d), ==, want[i].lba);
        g_assert_cmpuint(get_be32(d + 8), ==, want[i].blocks);
        g_assert_cmpuint(d[12] & 0x0f, ==, want[i].status);
    }
}

static void lba_status_follows_writes_and_unmaps(void)
{
    static const uint32_t granules[] = { 512, 4096 };
    struct rig rig = { 0 };
    uint8_t data[16 * BLOCK];

    memset(data, 'A', sizeof(data));
    for (unsigned g = 0; g < G_N_ELEMENTS(granules); g++) {
        rig_setup(&rig, &(struct disk_options){ .granule = granules[g], .features = THIN_FEATURES },
                  NULL);
        expect_status(&rig, 0, &(struct extent){ 0, 2048, 1 }, 1);
        expect_good(ask_out(&rig, CDB(0x2a, 0, 0, 0, 0, 8, 0, 0, 16), data, sizeof(data)));
        const struct extent written[] = { { 0, 8, 1 }, { 8, 16, 0 }, { 24, 2024, 1 } };
        expect_status(&rig, 0, written, 3);
        expect_status(&rig, 10, &(struct extent){ 10, 14, 0 }, 1);
        /* A single block, smaller than the granule. */
        expect_good(unmap(&rig, 11, 1));
        const struct extent holed[] = { { 8, 3, 0 }, { 11, 1, 1 }, { 12, 12, 0 }, { 24, 2024, 1 } };
        expect_status(&rig, 8, holed, 4);
        expect_status(&rig, 11, holed + 1, 1);
        rig_teardown(&rig);
    }
}

static void lba_status_without_help_or_provisioning(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL); /* thick: all mapped */
    expect_status(&rig, 5, &(struct extent){ 5, 2043, 0 }, 1);
    expect_check(ask_in(&rig, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0, 24), 24),
                 SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    expect_check(ask_in(&rig, CDB(0x9e, 0x12, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24), 24),
                 SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    rig_teardown(&rig);

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES }, NULL);
    rig.disk->fail_op = BACKEND_BLOCK_STATUS;
    rig.disk->fail_result = -EIO;
    expect_check(ask_in(&rig, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24), 24),
                 SENSE_MEDIUM_ERROR, ASC_UNRECOVERED_READ_ERROR);
    rig_teardown(&rig);

    rig_setup(&rig,
              &(struct disk_options){ .features = THIN_FEATURES & ~BACKEND_FEATURE_BLOCK_STATUS },
              NULL);
    disk_fill(rig.disk, 1);
    expect_good(unmap(&rig, 4, 4));
    const struct extent holed[] = { { 0, 4, 0 }, { 4, 4, 1 }, { 8, 2040, 0 } };
    expect_status(&rig, 0, holed, 3);
    rig_teardown(&rig);
}

/* More extents than fit: the list ends in order, without a gap. */
static void lba_status_of_a_fragmented_unit_is_cut(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES }, NULL);
    disk_fill(rig.disk, 1);
    for (unsigned i = 0; i < 2048; i += 2)
        rig.disk->mapped[i] = 0;
    struct task *t = ask_in(&rig, CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 65535);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, get_be32(t->in) + 4);
    unsigned count = (t->in_bytes - 8) / 16;
    g_assert_cmpuint(count, ==, 128);
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(get_be64(t->in + 8 + i * 16), ==, i);
        g_assert_cmpuint(get_be32(t->in + 16 + i * 16), ==, 1);
        g_assert_cmpuint(t->in[8 + i * 16 + 12], ==, i % 2 ? 0 : 1);
    }
    rig_teardown(&rig);
}

/* Memory that was only read: the backend has it, all of it are zeroes. */
static void lba_status_looks_through_zeroes(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .granule = 4096, .features = THIN_FEATURES }, NULL);
    memset(rig.disk->mapped + 8, 1, 96); /* blocks 64 to 831 */
    expect_status(&rig, 0, &(struct extent){ 0, 2048, 1 }, 1);
    rig.disk->data[500 * BLOCK + 7] = 1; /* behind the first look */
    const struct extent one[] = {
        { 0, 500, 1 }, { 500, 1, 0 }, { 501, 75, 1 }, { 576, 256, 0 }, { 832, 1216, 1 }
    };
    expect_status(&rig, 0, one, 5);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/provisioning/unmap/granules", unmap_zeroes_what_is_no_whole_granule);
    g_test_add_func("/scsi/provisioning/unmap/lists", unmap_lists_are_checked_as_a_whole);
    g_test_add_func("/scsi/provisioning/unmap/thick", a_thick_unit_has_no_unmap);
    g_test_add_func("/scsi/provisioning/write-same/pattern",
                    write_same_writes_the_block_everywhere);
    g_test_add_func("/scsi/provisioning/write-same/zeroes",
                    write_same_of_zeroes_uses_what_the_backend_has);
    g_test_add_func("/scsi/provisioning/write-same/unaligned",
                    an_unaligned_write_same_unmap_reads_zero);
    g_test_add_func("/scsi/provisioning/write-same/fallback",
                    a_backend_that_refuses_gets_plain_writes);
    g_test_add_func("/scsi/provisioning/unmap/flushed", unmap_is_flushed_where_there_is_no_cache);
    g_test_add_func("/scsi/provisioning/write-same/zeroes-after", zeroes_after_a_pattern);
    g_test_add_func("/scsi/provisioning/write-same/errors", errors_of_the_backend_end_write_same);
    g_test_add_func("/scsi/provisioning/write-same/limits", write_same_has_its_own_limits);
    g_test_add_func("/scsi/provisioning/status/follows", lba_status_follows_writes_and_unmaps);
    g_test_add_func("/scsi/provisioning/status/without", lba_status_without_help_or_provisioning);
    g_test_add_func("/scsi/provisioning/status/zeroes", lba_status_looks_through_zeroes);
    g_test_add_func("/scsi/provisioning/status/cut", lba_status_of_a_fragmented_unit_is_cut);
    return g_test_run();
}
