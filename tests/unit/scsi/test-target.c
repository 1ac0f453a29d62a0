/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets: LUN addresses, LUN maps that change under a nexus, and who sees what. */
#include "rig.h"

#include <errno.h>
#include <string.h>

static void lun_addresses(void)
{
    static const struct {
        uint64_t wire;
        int lun;
    } cases[] = {
        { 0, 0 },
        { 0x0001000000000000ull, 1 },
        { 0x00ff000000000000ull, 255 },
        { 0x0100000000000000ull, -1 }, /* bus 1 */
        { 0x4000000000000000ull, 0 },
        { 0x4005000000000000ull, 5 },
        { 0x4100000000000000ull, 256 },
        { 0x7fff000000000000ull, 16383 },
        { 0x8001000000000000ull, -1 }, /* logical unit addressing */
        { 0xc101000000000000ull, -1 }, /* a well known one */
        { 0x0001000100000000ull, -1 }, /* a second level */
        { 0x0000000000000001ull, -1 },
        { UINT64_MAX, -1 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(scsi_lun_decode(cases[i].wire), ==, cases[i].lun);
    for (unsigned lun = 0; lun < SCSI_LUN_LIMIT; lun++)
        g_assert_cmpint(scsi_lun_decode(scsi_lun_encode((uint16_t)lun)), ==, (int)lun);
    g_assert_cmphex(scsi_lun_encode(255), ==, 0x00ff000000000000ull);
    g_assert_cmphex(scsi_lun_encode(256), ==, 0x4100000000000000ull);
}

static void expect_luns(struct rig *rig, struct scsi_nexus *nexus, const uint64_t *luns,
                        unsigned count)
{
    struct task *t = ask_as(rig, nexus, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 2, 0), 512);
    expect_good(t);
    g_assert_cmpuint(get_be32(t->in), ==, count * 8);
    g_assert_cmpuint(t->in_bytes, ==, 8 + count * 8);
    for (unsigned i = 0; i < count; i++)
        g_assert_cmphex(get_be64(t->in + 8 + i * 8), ==, luns[i]);
}

static void report_luns_lists_what_a_nexus_sees(void)
{
    static const char *const only_b[] = { "*host3", "*:HOST2", NULL };
    struct rig rig = { 0 };
    const uint64_t all[] = { 0, 0x0007000000000000ull, 0x4300000000000000ull };
    const uint64_t some[] = { 0, 0x4300000000000000ull };

    rig_setup(&rig, NULL, NULL);
    struct scsi_unit *seven = rig_unit(rig.disk, 7, only_b), *large = rig_unit(rig.disk, 768, NULL);
    struct scsi_unit *units[] = { large, rig.unit, seven };
    rig_publish(&rig, units, 3);
    struct scsi_nexus *a = rig_nexus(&rig, INITIATOR_NAME, false);
    struct scsi_nexus *b = rig_nexus(&rig, INITIATOR_NAME "2", false);
    expect_luns(&rig, a, some, 2);
    expect_luns(&rig, b, all, 3);
    g_assert_null(scsi_nexus_unit_at(a, 0x0007000000000000ull));
    g_assert_true(scsi_nexus_unit_at(b, 0x4007000000000000ull) == seven);
    g_assert_true(scsi_nexus_unit_at(a, 0x4300000000000000ull) == large);

    /* The hidden unit is not there for commands either. */
    struct ask ask = { .nexus = a, .cdb = CDB(0x00), .lun = scsi_lun_encode(7) };
    struct task *t = task_run(&rig, &ask);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
    task_free(t);

    struct task *report = ask_in(&rig, CDB(0xa0, 0, 1, 0, 0, 0, 0, 0, 2, 0), 512);
    expect_good(report);
    g_assert_cmpuint(get_be32(report->in), ==, 0);
    expect_check(ask_in(&rig, CDB(0xa0, 0, 0x10, 0, 0, 0, 0, 0, 2, 0), 512), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    /* It answers at LUNs that do not exist; truncated, the length stays whole. */
    ask = (struct ask){ .nexus = b,
                        .cdb = CDB(0xa0, 0, 2, 0, 0, 0, 0, 0, 0, 16),
                        .lun = 0xc101000000000000ull,
                        .in = true,
                        .expected = 16 };
    t = task_run(&rig, &ask);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, 16);
    g_assert_cmpuint(get_be32(t->in), ==, 24);
    task_free(t);

    rig_publish(&rig, &rig.unit, 1);
    scsi_nexus_free(a);
    scsi_nexus_free(b);
    scsi_unit_free(seven);
    scsi_unit_free(large);
    rig_teardown(&rig);
}

static void a_new_map_is_noticed_by_those_whose_luns_change(void)
{
    static const char *const only_b[] = { INITIATOR_NAME "2", NULL };
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct scsi_unit *one = rig_unit(rig.disk, 1, only_b);
    struct scsi_unit *units[] = { rig.unit, one };
    rig_publish(&rig, units, 2);
    expect_good(ask_as(&rig, rig.a, CDB(0x00), 0)); /* sees the same as before */
    expect_unit_attention(ask_as(&rig, rig.b, CDB(0x00), 0), ASC_LUNS_CHANGED);
    expect_good(ask_as(&rig, rig.b, CDB(0x00), 0));
    /* The new unit has one too, until REPORT LUNS is answered anywhere. */
    expect_luns(&rig, rig.b, ((uint64_t[]){ 0, 0x0001000000000000ull }), 2);
    struct ask ask = { .nexus = rig.b, .cdb = CDB(0x00), .lun = scsi_lun_encode(1) };
    struct task *t = task_run(&rig, &ask);
    expect_good(t);
    task_free(t);

    /* Events that a nexus had not yet read survive a new map. */
    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    rig_publish(&rig, &rig.unit, 1);
    expect_unit_attention(ask_as(&rig, rig.b, CDB(0x00), 0), ASC_CAPACITY_CHANGED);
    expect_unit_attention(ask_as(&rig, rig.b, CDB(0x00), 0), ASC_LUNS_CHANGED);
    expect_unit_attention(ask_as(&rig, rig.a, CDB(0x00), 0), ASC_CAPACITY_CHANGED);
    expect_good(ask_as(&rig, rig.a, CDB(0x00), 0));
    t = task_run(&rig, &ask);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
    task_free(t);
    scsi_unit_free(one);
    rig_teardown(&rig);
}

static void another_unit_at_the_same_lun_is_a_change(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct scsi_unit *other = rig_unit(rig.disk, 0, NULL);
    rig_publish(&rig, &other, 1);
    expect_unit_attention(ask_as(&rig, rig.a, CDB(0x00), 0), ASC_LUNS_CHANGED);
    rig_publish(&rig, &rig.unit, 1);
    scsi_unit_free(other);
    rig_teardown(&rig);
}

static void impossible_units_and_maps_are_refused(void)
{
    struct rig rig = { 0 };
    struct scsi_unit *unit = NULL;
    struct scsi_lun_map *map = NULL;
    struct scsi_target *target = NULL;
    uint16_t tags[SCSI_PORTS_MAX + 1] = { 0 };
    struct scsi_unit *twice[2];
    struct scsi_unit_config config = { .target_name = TARGET_NAME, .lanes = 1 };

    rig_setup(&rig, NULL, NULL);
    struct backend backend = rig.disk->backend;
    backend.info.block_bytes = 1024;
    g_assert_cmpint(scsi_unit_create(&config, &backend, &unit), ==, -EINVAL);
    backend.info.block_bytes = 512;
    backend.info.bytes = 0;
    g_assert_cmpint(scsi_unit_create(&config, &backend, &unit), ==, -EINVAL);
    backend.info.bytes = 1025;
    g_assert_cmpint(scsi_unit_create(&config, &backend, &unit), ==, -EINVAL);
    config.lun = SCSI_LUN_LIMIT;
    g_assert_cmpint(scsi_unit_create(&config, &rig.disk->backend, &unit), ==, -EINVAL);
    config.lun = 0;
    config.naa_bytes = 7;
    g_assert_cmpint(scsi_unit_create(&config, &rig.disk->backend, &unit), ==, -EINVAL);
    g_assert_null(unit);
    twice[0] = twice[1] = rig.unit;
    g_assert_cmpint(scsi_lun_map_create(twice, NULL, 2, &map), ==, -EINVAL);
    g_assert_cmpint(scsi_target_create("x", NULL, tags, SCSI_PORTS_MAX + 1, &target), ==, -EINVAL);
    g_assert_cmpuint(scsi_target_port(rig.target, 7), ==, 2);
    g_assert_cmpuint(scsi_target_port(rig.target, 8), ==, 0);
    rig_teardown(&rig);
}

/* As many units as a target may have, with gaps in the LUNs. */
static void a_full_map(void)
{
    struct rig rig = { 0 };
    struct scsi_unit *units[SCSI_LUNS_MAX];

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < SCSI_LUNS_MAX; i++)
        units[i] = rig_unit(rig.disk, (uint16_t)((SCSI_LUNS_MAX - i) * 3), NULL);
    rig_publish(&rig, units, SCSI_LUNS_MAX);
    for (unsigned i = 0; i < SCSI_LUNS_MAX; i++) {
        uint16_t lun = (uint16_t)((SCSI_LUNS_MAX - i) * 3);
        g_assert_true(scsi_target_unit(rig.target, lun) == units[i]);
        g_assert_null(scsi_target_unit(rig.target, (uint16_t)(lun + 1)));
    }
    struct task *t = ask_in(&rig, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0), 4096);
    expect_good(t);
    g_assert_cmpuint(t->in_bytes, ==, 8 + 8 * SCSI_LUNS_MAX);
    rig_publish(&rig, &rig.unit, 1);
    for (unsigned i = 0; i < SCSI_LUNS_MAX; i++)
        scsi_unit_free(units[i]);
    rig_teardown(&rig);
}

static struct scsi_nexus *nexus_from(struct rig *rig, const char *initiator, const char *peer)
{
    struct scsi_nexus_config config = { .target = rig->target,
                                        .initiator_name = initiator,
                                        .initiator_port = initiator,
                                        .peer = peer,
                                        .tag = 1 };
    struct scsi_nexus *nexus = NULL;
    g_assert_cmpint(scsi_nexus_create(&config, &nexus), ==, 0);
    return nexus;
}

/* LUN 0 and what stands at it for that nexus; the number of LUNs it sees. */
static unsigned luns_of(struct rig *rig, struct scsi_nexus *nexus, uint64_t *ret_luns)
{
    const struct task *t = ask_as(rig, nexus, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0), 256);

    expect_good(t);
    unsigned count = get_be32(t->in) / 8;
    for (unsigned i = 0; i < count; i++)
        ret_luns[i] = get_be64(t->in + 8 + 8 * i) >> 48;
    return count;
}

static void publish_views(struct rig *rig, struct scsi_unit *const *units, uint16_t number)
{
    static const char *const by_name[] = { "*:node7", NULL };
    static const char *const by_network[] = { "192.0.2.0/24", NULL };
    struct scsi_lun_map *map = NULL, *one = NULL, *other = NULL;
    struct scsi_unit *turned[2] = { units[1], units[0] };
    const uint16_t numbers[2] = { number, 300 };

    g_assert_cmpint(scsi_lun_map_create(units, NULL, 2, &map), ==, 0);
    g_assert_cmpint(scsi_lun_map_create(turned, numbers, 2, &one), ==, 0);
    g_assert_cmpint(scsi_lun_map_create(turned, &number, 1, &other), ==, 0);
    g_assert_cmpint(scsi_lun_map_add_view(map, by_name, one), ==, 0);
    g_assert_cmpint(scsi_lun_map_add_view(map, by_network, other), ==, 0);
    scsi_lun_map_free(scsi_target_publish(rig->target, map));
}

/* By name, by network, or as they are; the unit is the same whatever its number is. */
static void initiators_have_numbers_of_their_own(void)
{
    struct rig rig = { 0 };
    uint64_t luns[4];

    rig_setup(&rig, NULL, NULL);
    struct scsi_unit *units[2] = { rig.unit, rig_unit(rig.disk, 5, NULL) };
    publish_views(&rig, units, 0);
    struct scsi_nexus *node7 = nexus_from(&rig, "iqn.x:node7", "192.0.2.9:1");
    struct scsi_nexus *near = nexus_from(&rig, "iqn.x:node8", "192.0.2.9:1");
    struct scsi_nexus *far = nexus_from(&rig, "iqn.x:node8", "192.0.3.9:1");
    g_assert_cmpuint(luns_of(&rig, node7, luns), ==, 2);
    g_assert_cmpuint(luns[0], ==, 0);
    g_assert_cmpuint(luns[1], ==, 0x4000 | 300);
    g_assert_true(scsi_nexus_unit_at(node7, 0) == units[1]);
    g_assert_true(scsi_nexus_unit_at(node7, scsi_lun_encode(300)) == units[0]);
    g_assert_null(scsi_nexus_unit_at(node7, scsi_lun_encode(5)));
    g_assert_cmpuint(luns_of(&rig, near, luns), ==, 1);
    g_assert_true(scsi_nexus_unit_at(near, 0) == units[1]);
    g_assert_cmpuint(luns_of(&rig, far, luns), ==, 2);
    g_assert_true(scsi_nexus_unit_at(far, 0) == units[0]);
    g_assert_true(scsi_nexus_unit_at(far, scsi_lun_encode(5)) == units[1]);
    struct task *t = ask_as(&rig, near, CDB(0x12, 1, 0x80, 0, 255), 255);
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, units[1]->serial, strlen(units[1]->serial));

    publish_views(&rig, units, 1); /* only who sees a number change is told */
    expect_good(ask_as(&rig, far, CDB(0x00), 0));
    task_free(
        task_run(&rig, &(struct ask){ .nexus = near, .lun = scsi_lun_encode(1), .cdb = CDB(0) }));
    g_assert_null(scsi_nexus_unit_at(near, 0));
    t = task_run(&rig, &(struct ask){ .nexus = node7, .lun = scsi_lun_encode(1), .cdb = CDB(0) });
    expect_unit_attention(t, ASC_LUNS_CHANGED);
    task_free(t);
    scsi_nexus_free(node7);
    scsi_nexus_free(near);
    scsi_nexus_free(far);
    rig_publish(&rig, &rig.unit, 1);
    scsi_unit_free(units[1]);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/target/lun-addresses", lun_addresses);
    g_test_add_func("/scsi/target/report-luns", report_luns_lists_what_a_nexus_sees);
    g_test_add_func("/scsi/target/new-map", a_new_map_is_noticed_by_those_whose_luns_change);
    g_test_add_func("/scsi/target/replaced", another_unit_at_the_same_lun_is_a_change);
    g_test_add_func("/scsi/target/refused", impossible_units_and_maps_are_refused);
    g_test_add_func("/scsi/target/full", a_full_map);
    g_test_add_func("/scsi/target/views", initiators_have_numbers_of_their_own);
    return g_test_run();
}
