/* SPDX-License-Identifier: BSD-3-Clause */
/* Removable units: eject, load, PREVENT ALLOW MEDIUM REMOVAL; READ DEFECT DATA. */
#include "rig.h"

#include <string.h>

static struct rig rig;

static void setup(bool removable)
{
    memset(&rig, 0, sizeof(rig));
    rig_setup(
        &rig, &(struct disk_options){ .features = THIN_FEATURES | BACKEND_FEATURE_VOLATILE_CACHE },
        &(struct scsi_unit_config){ .removable = removable });
}

static struct task *start_stop(struct scsi_nexus *nexus, uint8_t byte4)
{
    return ask_as(&rig, nexus, CDB(0x1b, 0, 0, 0, byte4), 0);
}

#define eject(nexus) start_stop(nexus, 0x02)
#define load(nexus)  start_stop(nexus, 0x03)

static struct task *prevent(struct scsi_nexus *nexus, uint8_t how)
{
    return ask_as(&rig, nexus, CDB(0x1e, 0, 0, 0, how), 0);
}

static struct task *tur(struct scsi_nexus *nexus)
{
    return ask_as(&rig, nexus, CDB(0x00), 0);
}

static void a_fixed_unit_has_nothing_to_eject(void)
{
    setup(false);
    expect_check(eject(rig.a), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(prevent(rig.a, 1), SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    struct task *t = ask_in(&rig, CDB(0x12, 0, 0, 0, 36), 36);
    g_assert_cmphex(t->in[1], ==, 0);
    rig_teardown(&rig);
}

static void every_command_of_the_medium_misses_it(void)
{
    static const uint8_t data[1024];
    static const uint8_t medium[][16] = {
        { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 },
        { 0x2a, 0, 0, 0, 0, 0, 0, 0, 1 },
        { 0x2e, 0, 0, 0, 0, 0, 0, 0, 1 },
        { 0x2f, 0, 0, 0, 0, 0, 0, 0, 1 },
        { 0x35 },
        { 0x25 },
        { 0x9e, 0x10 },
        { 0x9e, 0x12 },
        { 0x34 },
        { 0x42 },
        { 0x37 },
        { 0xb7 },
        { 0x41, 0, 0, 0, 0, 0, 0, 0, 1 },
        { [0] = 0x89, [13] = 1 },
        { [0] = 0x8b, [13] = 1 },
        { 0x48, 0x02 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(medium); i++)
        expect_check(ask_out(&rig, medium[i], data, 1024), SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    expect_good(ask_in(&rig, CDB(0x1a, 0, 0x3f, 0, 255), 255));
    struct task *t = ask_in(&rig, CDB(0x03, 0, 0, 0, 18), 18);
    g_assert_cmphex(t->in[2], ==, SENSE_NOT_READY);
    g_assert_cmphex(get_be16(t->in + 12), ==, ASC_MEDIUM_NOT_PRESENT);
}

static void ejected_and_loaded(void)
{
    setup(true);
    struct task *t = ask_in(&rig, CDB(0x12, 0, 0, 0, 36), 36);
    g_assert_cmphex(t->in[1], ==, 0x80);
    /* Start and stop, and power conditions, leave it where it is. */
    expect_good(start_stop(rig.a, 0x00));
    expect_good(tur(rig.a));
    for (unsigned condition = 1; condition < 16; condition++)
        expect_good(start_stop(rig.a, (uint8_t)(condition << 4 | 2)));
    expect_good(tur(rig.a));

    expect_good(eject(rig.a));
    expect_good(eject(rig.a));
    expect_check(tur(rig.b), SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    every_command_of_the_medium_misses_it();
    scsi_unit_reset(rig.unit, false); /* brings it not back */
    expect_unit_attention(tur(rig.a), ASC_DEVICE_RESET);
    expect_check(tur(rig.a), SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    expect_unit_attention(tur(rig.b), ASC_DEVICE_RESET);

    expect_good(load(rig.a));
    expect_good(tur(rig.a));
    expect_unit_attention(tur(rig.b), ASC_MEDIUM_MAY_HAVE_CHANGED);
    expect_good(tur(rig.b));
    expect_good(load(rig.a)); /* it is there: no news */
    expect_good(tur(rig.b));
    rig_teardown(&rig);
}

static void a_cache_is_flushed_before_it_goes(void)
{
    setup(true);
    expect_good(eject(rig.a));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 1);
    expect_good(load(rig.a));
    expect_good(start_stop(rig.a, 0x06)); /* NO_FLUSH */
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 1);
    expect_check(tur(rig.a), SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    rig_teardown(&rig);
}

static void preventing(void)
{
    setup(true);
    expect_good(prevent(rig.a, 1));
    expect_good(prevent(rig.a, 1)); /* once is enough */
    expect_check(eject(rig.a), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
    expect_check(eject(rig.b), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
    expect_good(prevent(rig.b, 0)); /* not its own */
    expect_check(eject(rig.b), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
    expect_good(prevent(rig.b, 1));
    expect_good(prevent(rig.a, 0));
    expect_check(eject(rig.a), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
    expect_good(prevent(rig.b, 0));
    expect_good(eject(rig.a));
    expect_good(prevent(rig.a, 1)); /* without a medium, too; then none comes */
    expect_check(load(rig.a), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
    expect_good(eject(rig.a));
    expect_good(prevent(rig.a, 0));
    expect_good(load(rig.a));
    expect_check(prevent(rig.a, 2), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

static void what_ends_it(void)
{
    setup(true);
    expect_good(prevent(rig.a, 1));
    scsi_nexus_gone(rig.a);
    expect_good(eject(rig.b));
    expect_good(load(rig.b));

    expect_unit_attention(tur(rig.a), ASC_MEDIUM_MAY_HAVE_CHANGED);
    expect_good(prevent(rig.a, 1));
    expect_good(prevent(rig.b, 1));
    scsi_unit_reset(rig.unit, true);
    expect_unit_attention(tur(rig.a), ASC_BUS_RESET);
    expect_good(eject(rig.a));
    expect_good(load(rig.a));
    expect_good(prevent(rig.a, 0)); /* of before the reset: counted no more */
    expect_good(prevent(rig.a, 1));
    expect_check(eject(rig.a), SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
    expect_good(prevent(rig.a, 0));
    expect_good(eject(rig.a));
    rig_teardown(&rig);
}

static void no_defects(void)
{
    setup(false);
    struct task *t = ask_in(&rig, CDB(0x37, 0, 0x1d, 0, 0, 0, 0, 0, 32), 32);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0x1d, 0, 0 }), 4);
    t = ask_in(&rig, CDB(0xb7, 0x15, 0, 0, 0, 0, 0, 0, 0, 32), 32);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0x15, 0, 0, 0, 0, 0, 0 }), 8);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/medium/fixed", a_fixed_unit_has_nothing_to_eject);
    g_test_add_func("/scsi/medium/eject", ejected_and_loaded);
    g_test_add_func("/scsi/medium/flush", a_cache_is_flushed_before_it_goes);
    g_test_add_func("/scsi/medium/prevent", preventing);
    g_test_add_func("/scsi/medium/ends", what_ends_it);
    g_test_add_func("/scsi/medium/defects", no_defects);
    return g_test_run();
}
