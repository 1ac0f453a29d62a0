/* SPDX-License-Identifier: BSD-3-Clause */
/* Unit attentions: who gets which, how often, and in which order. */
#include "rig.h"

#include <pthread.h>

static const uint8_t test_unit_ready[16];

static struct task *ready(struct rig *rig, struct scsi_nexus *nexus)
{
    return ask_as(rig, nexus, test_unit_ready, 0);
}

static void a_returning_nexus_is_told_nothing(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY); /* before it came: not for it */
    struct scsi_nexus *quiet = rig_nexus(&rig, INITIATOR_NAME "3", false);
    struct scsi_nexus *fresh = rig_nexus(&rig, INITIATOR_NAME "4", true);
    expect_good(ready(&rig, quiet));
    expect_unit_attention(ready(&rig, fresh), ASC_POWER_ON);
    expect_good(ready(&rig, fresh));
    scsi_nexus_free(quiet);
    scsi_nexus_free(fresh);
    rig_teardown(&rig);
}

static void an_event_is_told_once_to_all_but_its_cause(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    scsi_unit_attention(rig.unit, rig.a, 0x2a, 0x01);
    expect_good(ready(&rig, rig.a));
    expect_unit_attention(ready(&rig, rig.b), ASC_MODE_PARAMETERS_CHANGED);
    expect_good(ready(&rig, rig.b));
    rig_teardown(&rig);
}

static void events_come_in_order_and_equal_ones_once(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < 5; i++)
        scsi_unit_attention(rig.unit, NULL, 0x2a, 0x01);
    scsi_unit_attention(rig.unit, NULL, 0x2a, 0x09);
    expect_unit_attention(ready(&rig, rig.a), ASC_MODE_PARAMETERS_CHANGED);
    expect_unit_attention(ready(&rig, rig.a), ASC_CAPACITY_CHANGED);
    expect_good(ready(&rig, rig.a));
    rig_teardown(&rig);
}

static void a_reset_is_told_to_all_and_makes_older_events_pointless(void)
{
    struct rig rig = { 0 };
    struct scsi_nexus *fresh;

    rig_setup(&rig, NULL, NULL);
    fresh = rig_nexus(&rig, INITIATOR_NAME "3", true);
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    scsi_unit_reset(rig.unit, /* target_reset= */ false);
    scsi_unit_attention(rig.unit, NULL, 0x2a, 0x01);
    struct scsi_nexus *all[3] = { rig.a, rig.b, fresh };
    for (unsigned i = 0; i < 3; i++) {
        expect_unit_attention(ready(&rig, all[i]), ASC_DEVICE_RESET);
        expect_unit_attention(ready(&rig, all[i]), ASC_MODE_PARAMETERS_CHANGED);
        expect_good(ready(&rig, all[i]));
    }
    scsi_unit_reset(rig.unit, /* target_reset= */ true);
    expect_unit_attention(ready(&rig, rig.a), ASC_BUS_RESET);
    scsi_nexus_free(fresh);
    rig_teardown(&rig);
}

static void some_commands_do_not_disturb_them(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    expect_good(ask_in(&rig, CDB(0x12, 0, 0, 0, 96), 96));
    expect_good(ask_in(&rig, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0), 512));
    expect_unit_attention(ready(&rig, rig.a), ASC_CAPACITY_CHANGED);
    /* An unknown command is told of them too. */
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    expect_unit_attention(ask_none(&rig, CDB(0xff)), ASC_CAPACITY_CHANGED);
    expect_check(ask_none(&rig, CDB(0xff)), SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    rig_teardown(&rig);
}

static void a_sleeper_loses_the_oldest_only(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < 1000; i++)
        scsi_unit_attention(rig.unit, NULL, 0x2a, (uint8_t)(i & 1 ? 0x01 : 0x09));
    unsigned told = 0;
    while (ready(&rig, rig.a)->status == SCSI_CHECK_CONDITION)
        told++;
    g_assert_cmpuint(told, ==, SCSI_UA_SLOTS);
    /* 16 bits of the number are in a slot: beyond 65536 all the same. */
    for (unsigned i = 0; i < 65536 + 3; i++)
        scsi_unit_attention(rig.unit, rig.b, 0x2a, 0x09);
    expect_unit_attention(ready(&rig, rig.a), ASC_CAPACITY_CHANGED);
    expect_good(ready(&rig, rig.a));
    expect_good(ready(&rig, rig.b));
    rig_teardown(&rig);
}

static void a_lost_nexus_is_told_of_that_alone(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    scsi_nexus_lost(rig.a);
    expect_unit_attention(ready(&rig, rig.a), ASC_NEXUS_LOSS);
    expect_good(ready(&rig, rig.a));
    expect_unit_attention(ready(&rig, rig.b), ASC_CAPACITY_CHANGED);
    rig_teardown(&rig);
}

#define WRITERS 4
#define EVENTS  20000

static void *raise_events(void *data)
{
    struct scsi_unit *unit = data;
    for (unsigned i = 0; i < EVENTS; i++)
        scsi_unit_attention(unit, NULL, 0x2a, (uint8_t)(i & 1 ? 0x09 : 0x01));
    return NULL;
}

/* Many threads write while a nexus reads: only whole events, and the last one is not missed. */
static void writers_race_with_a_reader(void)
{
    struct rig rig = { 0 };
    pthread_t thread[WRITERS];
    uint8_t asc, ascq;

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < WRITERS; i++)
        g_assert_cmpint(pthread_create(&thread[i], NULL, raise_events, rig.unit), ==, 0);
    for (unsigned i = 0; i < 100000; i++) {
        if (!scsi_nexus_attention(rig.a, rig.unit, true, &asc, &ascq))
            continue;
        g_assert_cmphex(asc, ==, 0x2a);
        g_assert_true(ascq == 0x01 || ascq == 0x09);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(thread[i], NULL);
    scsi_unit_attention(rig.unit, NULL, 0x29, 0x03);
    g_assert_true(scsi_nexus_attention(rig.a, rig.unit, true, &asc, &ascq));
    g_assert_cmphex(asc, ==, 0x29);
    g_assert_false(scsi_nexus_attention(rig.a, rig.unit, true, &asc, &ascq));
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/attention/returning", a_returning_nexus_is_told_nothing);
    g_test_add_func("/scsi/attention/once", an_event_is_told_once_to_all_but_its_cause);
    g_test_add_func("/scsi/attention/order", events_come_in_order_and_equal_ones_once);
    g_test_add_func("/scsi/attention/reset",
                    a_reset_is_told_to_all_and_makes_older_events_pointless);
    g_test_add_func("/scsi/attention/undisturbed", some_commands_do_not_disturb_them);
    g_test_add_func("/scsi/attention/sleeper", a_sleeper_loses_the_oldest_only);
    g_test_add_func("/scsi/attention/lost", a_lost_nexus_is_told_of_that_alone);
    g_test_add_func("/scsi/attention/race", writers_race_with_a_reader);
    return g_test_run();
}
