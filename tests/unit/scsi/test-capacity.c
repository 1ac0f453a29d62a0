/* SPDX-License-Identifier: BSD-3-Clause */
/* READ CAPACITY, both forms, small and huge units. */
#include "rig.h"

#include <string.h>

static void small_units(void)
{
    struct rig rig = { 0 };
    struct task *t;
    uint8_t want[32] = { 0, 0, 0, 0, 0, 0, 0x07, 0xff, 0, 0, 2, 0, 0, 3, 0xc0 };

    rig_setup(&rig, &(struct disk_options){ .physical = 4096, .features = THIN_FEATURES }, NULL);
    expect_good(t = ask_in(&rig, CDB(0x25), 8));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0, 7, 0xff, 0, 0, 2, 0 }), 8);
    expect_good(t = ask_in(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 96), 96));
    g_assert_cmpmem(t->in, t->in_bytes, want, sizeof(want));
    for (uint8_t n = 0; n < 32; n++) {
        expect_good(t = ask_in(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n), 96));
        g_assert_cmpmem(t->in, t->in_bytes, want, n);
    }
    rig_teardown(&rig);

    rig_setup(&rig, &(struct disk_options){ .block = 4096 }, NULL);
    expect_good(t = ask_in(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), 32));
    g_assert_cmpuint(get_be32(t->in + 8), ==, 4096);
    g_assert_cmphex(t->in[13], ==, 0);
    g_assert_cmphex(t->in[14], ==, 0);
    rig_teardown(&rig);
}

static void an_lba_without_pmi_is_refused(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    expect_check(ask_in(&rig, CDB(0x25, 0, 0, 0, 0, 1), 8), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    expect_good(ask_in(&rig, CDB(0x25, 0, 0, 0, 0, 1, 0, 0, 1), 8));
    expect_check(ask_in(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 32), 32),
                 SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

/* The arithmetic up to 8 EiB; the backend of the bench is not asked for data. */
static void huge_units(void)
{
    static const struct {
        uint64_t blocks;
        uint32_t last_10;
    } cases[] = { { 0xffffffffull, 0xfffffffe },
                  { 0x100000000ull, 0xffffffff },
                  { 0x100000001ull, 0xffffffff },
                  { (1ull << 63) / 512, 0xffffffff } };
    struct rig rig = { 0 };
    struct task *t;
    uint8_t cdb[16];

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        atomic_store(&rig.unit->blocks, cases[i].blocks);
        expect_good(t = ask_in(&rig, CDB(0x25), 8));
        g_assert_cmphex(get_be32(t->in), ==, cases[i].last_10);
        expect_good(t = ask_in(&rig, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), 32));
        g_assert_cmphex(get_be64(t->in), ==, cases[i].blocks - 1);
        memset(cdb, 0, sizeof(cdb));
        cdb[0] = 0x90; /* PRE-FETCH(16) looks at the range only */
        put_be64(cdb + 2, cases[i].blocks - 1);
        put_be32(cdb + 10, 1);
        expect_good(ask_none(&rig, cdb));
        put_be32(cdb + 10, 2);
        expect_check(ask_none(&rig, cdb), SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    }
    rig_teardown(&rig);
}

static void a_new_size_is_told_and_used(void)
{
    struct rig rig = { 0 };
    struct task *t;

    rig_setup(&rig, NULL, NULL);
    rig.disk->backend.info.bytes = 1024 * 512;
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    expect_unit_attention(ask_in(&rig, CDB(0x25), 8), ASC_CAPACITY_CHANGED);
    expect_good(t = ask_in(&rig, CDB(0x25), 8));
    g_assert_cmpuint(get_be32(t->in), ==, 1023);
    expect_check(ask_in(&rig, CDB(0x28, 0, 0, 0, 4, 0, 0, 0, 1), 512), SENSE_ILLEGAL_REQUEST,
                 ASC_LBA_OUT_OF_RANGE);
    expect_unit_attention(ask_as(&rig, rig.b, CDB(0), 0), ASC_CAPACITY_CHANGED);
    rig.disk->backend.info.bytes = 2048 * 512;
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/capacity/small", small_units);
    g_test_add_func("/scsi/capacity/pmi", an_lba_without_pmi_is_refused);
    g_test_add_func("/scsi/capacity/huge", huge_units);
    g_test_add_func("/scsi/capacity/resized", a_new_size_is_told_and_used);
    return g_test_run();
}
