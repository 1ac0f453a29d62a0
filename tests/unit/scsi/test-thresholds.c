/* SPDX-License-Identifier: BSD-3-Clause */
/* Thresholds: where they are reached and left, who is told, and what is not known. */
#include "rig.h"

#include "scsi/space.h"

#define MIB (1ull << 20)

static struct rig rig;

static void setup(unsigned used_percent, uint64_t available)
{
    const struct disk_options thin = { .blocks = 100 * MIB / 512, .features = THIN_FEATURES };
    const struct scsi_threshold thresholds[] = { { .used_percent = used_percent },
                                                 { .available_bytes = available } };
    rig_setup(&rig, &thin, NULL);
    scsi_unit_set_thresholds(rig.unit, thresholds, G_N_ELEMENTS(thresholds));
}

static struct task *ready(struct scsi_nexus *nexus)
{
    return ask_as(&rig, nexus, CDB(0x00), 0);
}

static struct scsi_space_news told(uint64_t used, uint64_t available)
{
    const struct scsi_space space = { used, available, true };
    return scsi_unit_set_space(rig.unit, &space);
}

static void expect_news(struct scsi_space_news news, uint32_t reached, uint32_t left)
{
    g_assert_cmphex(news.reached, ==, reached);
    g_assert_cmphex(news.left, ==, left);
    for (int i = 0; i < 2; i++) {
        if (reached)
            expect_unit_attention(ready(i ? rig.b : rig.a), ASC_SOFT_THRESHOLD_REACHED);
        expect_good(ready(i ? rig.b : rig.a));
    }
}

static void reached_once_and_armed_by_a_twentieth(void)
{
    setup(40, 1000 * MIB);
    expect_news(told(0, 2000 * MIB), 0, 0);
    expect_news(told(39 * MIB, 2000 * MIB), 0, 0);
    expect_news(told(39 * MIB + 1, 2000 * MIB), 1, 0); /* a set that is begun counts */
    expect_news(told(60 * MIB, 2000 * MIB), 0, 0);
    expect_news(told(39 * MIB, 2000 * MIB), 0, 0);
    expect_news(told(38 * MIB, 2000 * MIB), 0, 1); /* 2 of 40 */
    expect_news(told(40 * MIB, 2000 * MIB), 1, 0);
    expect_news(told(40 * MIB, 1001 * MIB), 0, 0);
    expect_news(told(40 * MIB, 1001 * MIB - 1), 2,
                0); /* a set that is begun is not available as a whole */
    expect_news(told(40 * MIB, 1049 * MIB), 0, 0);
    expect_news(told(40 * MIB, 1050 * MIB), 0, 2);
    g_assert_cmphex(scsi_unit_thresholds_reached(rig.unit), ==, 1);
    expect_news(told(0, 0), 2, 1);
    rig_teardown(&rig);
}

static void unknown_reaches_nothing(void)
{
    setup(1, 1000 * MIB);
    expect_news(told(SCSI_SPACE_UNKNOWN, SCSI_SPACE_UNKNOWN), 0, 0);
    expect_news(told(SCSI_SPACE_UNKNOWN, 0), 2, 0);
    expect_news(told(100 * MIB, SCSI_SPACE_UNKNOWN), 1, 0);
    rig_teardown(&rig);
}

static void other_thresholds_are_not_reached_yet(void)
{
    const struct scsi_threshold same[] = { { .used_percent = 40 }, { .available_bytes = MIB } };
    const struct scsi_threshold other[] = { { .available_bytes = MIB }, { .used_percent = 40 } };
    setup(40, MIB);
    expect_news(told(50 * MIB, 2 * MIB), 1, 0);
    scsi_unit_set_thresholds(rig.unit, same, 2);
    g_assert_cmphex(scsi_unit_thresholds_reached(rig.unit), ==, 1);
    expect_news(told(50 * MIB, 2 * MIB), 0, 0);
    scsi_unit_set_thresholds(rig.unit, other, 2);
    g_assert_cmphex(scsi_unit_thresholds_reached(rig.unit), ==, 0);
    expect_news(told(50 * MIB, 2 * MIB), 2, 0);
    scsi_unit_set_thresholds(rig.unit, NULL, 0);
    expect_news(told(100 * MIB, 0), 0, 0);
    rig_teardown(&rig);
}

static void the_share_is_that_of_the_size_now(void)
{
    struct scsi_threshold_sets threshold;
    setup(50, MIB);
    g_assert_true(scsi_threshold_at(rig.unit, 0, &threshold));
    g_assert_true(threshold.used);
    g_assert_cmpuint(threshold.count, ==, 50);
    expect_news(told(60 * MIB, 2 * MIB), 1, 0);
    atomic_store(&rig.unit->blocks, 200 * MIB / 512);
    g_assert_true(scsi_threshold_at(rig.unit, 0, &threshold));
    g_assert_cmpuint(threshold.count, ==, 100);
    expect_news(told(60 * MIB, 2 * MIB), 0, 1);
    g_assert_false(scsi_threshold_at(rig.unit, 2, &threshold));
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/thresholds/once", reached_once_and_armed_by_a_twentieth);
    g_test_add_func("/scsi/thresholds/unknown", unknown_reaches_nothing);
    g_test_add_func("/scsi/thresholds/other", other_thresholds_are_not_reached_yet);
    g_test_add_func("/scsi/thresholds/share", the_share_is_that_of_the_size_now);
    return g_test_run();
}
