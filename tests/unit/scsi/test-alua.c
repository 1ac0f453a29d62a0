/* SPDX-License-Identifier: BSD-3-Clause */
/* Target port groups: what is reported, what a state denies, how it is changed. */
#include "rig.h"

#include <string.h>

#include "scsi/alua.h"

static struct rig rig;
static struct scsi_nexus *other; /* through the second port, tag 7 */

static void setup(const uint8_t *states)
{
    struct scsi_nexus_config config = { .initiator_name = INITIATOR_NAME,
                                        .initiator_port = INITIATOR_NAME ",i,0x400001370001",
                                        .tag = 7 };

    memset(&rig, 0, sizeof(rig));
    rig_setup(&rig, NULL, &(struct scsi_unit_config){ .access_states = states });
    config.target = rig.target;
    g_assert_cmpint(scsi_nexus_create(&config, &other), ==, 0);
}

static void teardown(void)
{
    scsi_nexus_free(other);
    rig_teardown(&rig);
}

static struct task *groups(uint8_t format, uint32_t allocation)
{
    uint8_t cdb[16] = { 0xa3, (uint8_t)(format << 5 | 0x0a) };
    put_be32(cdb + 6, allocation);
    return ask_in(&rig, cdb, allocation);
}

static struct task *set_groups(struct scsi_nexus *nexus, const uint8_t *list, uint32_t bytes)
{
    static struct task *last;
    uint8_t cdb[16] = { 0xa4, 0x0a };
    struct ask ask = { .nexus = nexus, .cdb = cdb, .out = true, .expected = bytes, .data = list };

    put_be32(cdb + 6, bytes);
    task_free(last);
    return last = task_run(&rig, &ask);
}

static void reported_as_configured(void)
{
    static const uint8_t states[SCSI_PORTS_MAX] = { ACCESS_OPTIMIZED, ACCESS_NON_OPTIMIZED };
    static const uint8_t expected[] = { 0, 0, 0, 24,   0, 0x0f, 0, 1, 0, 0, 0, 1, 0, 0,
                                        0, 1, 1, 0x0f, 0, 7,    0, 0, 0, 1, 0, 0, 0, 2 };
    static const uint32_t cuts[] = { 4, 8, 12, 16, 20 };

    setup(states);
    struct task *t = groups(0, 512);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, expected, sizeof(expected));
    for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++) {
        expect_good(t = groups(0, cuts[i]));
        g_assert_cmpmem(t->in, t->in_bytes, expected, cuts[i]); /* only cut, not counted anew */
    }
    expect_good(t = groups(1, 512));
    g_assert_cmpuint(t->in_bytes, ==, sizeof(expected) + 4);
    g_assert_cmpuint(get_be32(t->in), ==, 28);
    g_assert_cmphex(t->in[4], ==, 0x10);
    g_assert_cmpmem(t->in + 8, t->in_bytes - 8, expected + 4, sizeof(expected) - 4);
    expect_check(groups(2, 512), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    t = ask_in(&rig, CDB(0x12, 0, 0, 0, 36), 36);
    g_assert_cmphex(t->in[5] & 0x30, ==, 0x30);
    expect_good(ask_as(&rig, other, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    teardown();
}

static void what_states_deny(void)
{
    static const uint8_t states[SCSI_PORTS_MAX] = { ACCESS_OPTIMIZED, ACCESS_STANDBY };

    setup(states);
    expect_good(ask_as(&rig, rig.a, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    expect_check(ask_as(&rig, other, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512), SENSE_NOT_READY,
                 ASC_PORT_STANDBY);
    expect_check(ask_as(&rig, other, CDB(0x00), 0), SENSE_NOT_READY, ASC_PORT_STANDBY);
    expect_check(ask_as(&rig, other, CDB(0x25), 8), SENSE_NOT_READY, ASC_PORT_STANDBY);
    expect_good(ask_as(&rig, other, CDB(0x12, 0, 0, 0, 36), 36));
    expect_good(ask_as(&rig, other, CDB(0x1a, 0, 0x3f, 0, 255), 255));
    expect_good(ask_as(&rig, other, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 8), 8));
    expect_good(ask_as(&rig, other, CDB(0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 64), 64));

    scsi_unit_set_access_state(rig.unit, 1, ACCESS_UNAVAILABLE);
    expect_unit_attention(ask_as(&rig, other, CDB(0x00), 0), ASC_ACCESS_STATE_CHANGED);
    expect_unit_attention(ask_as(&rig, rig.a, CDB(0x00), 0), ASC_ACCESS_STATE_CHANGED);
    expect_check(ask_as(&rig, other, CDB(0x00), 0), SENSE_NOT_READY, ASC_PORT_UNAVAILABLE);
    expect_check(ask_as(&rig, other, CDB(0x1a, 0, 0x3f, 0, 255), 255), SENSE_NOT_READY,
                 ASC_PORT_UNAVAILABLE);
    expect_good(ask_as(&rig, other, CDB(0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 64), 64));
    scsi_unit_set_access_state(rig.unit, 1, ACCESS_OPTIMIZED);
    expect_unit_attention(ask_as(&rig, other, CDB(0x00), 0), ASC_ACCESS_STATE_CHANGED);
    expect_good(ask_as(&rig, other, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    g_assert_cmphex(groups(0, 64)->key, ==, SENSE_UNIT_ATTENTION);
    g_assert_cmphex(groups(0, 64)->in[4 + 12 + 5], ==, 2); /* implicitly */
    teardown();
}

static void set_by_an_initiator(void)
{
    uint8_t list[12] = { 0, 0, 0, 0, ACCESS_NON_OPTIMIZED, 0, 0, 1, ACCESS_STANDBY, 0, 0, 7 };
    uint8_t same[12] = { 0, 0, 0, 0, ACCESS_OPTIMIZED, 0, 0, 1, ACCESS_OPTIMIZED, 0, 0, 7 };

    setup(NULL);
    expect_good(set_groups(rig.a, same, 12)); /* as it is: no news */
    expect_good(ask_as(&rig, other, CDB(0x00), 0));
    list[4] = 4; /* nothing of a list that is wrong somewhere */
    expect_check(set_groups(rig.a, list, 12), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    list[4] = ACCESS_NON_OPTIMIZED;
    list[11] = 9;
    expect_check(set_groups(rig.a, list, 12), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    expect_check(set_groups(rig.a, list, 11), SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    expect_good(set_groups(rig.a, list, 0));
    expect_good(ask_as(&rig, other, CDB(0x00), 0));
    list[11] = 7;
    expect_good(set_groups(rig.a, list, 12));
    expect_good(ask_as(&rig, rig.a, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    expect_unit_attention(ask_as(&rig, other, CDB(0x00), 0), ASC_ACCESS_STATE_CHANGED);
    expect_check(ask_as(&rig, other, CDB(0x00), 0), SENSE_NOT_READY, ASC_PORT_STANDBY);
    struct task *t = groups(0, 64);
    g_assert_cmphex(t->in[4], ==, ACCESS_NON_OPTIMIZED);
    g_assert_cmphex(t->in[9], ==, 1); /* by SET TARGET PORT GROUPS */
    g_assert_cmphex(t->in[16], ==, ACCESS_STANDBY);
    list[8] = ACCESS_OPTIMIZED;
    expect_good(set_groups(other, list, 12)); /* also from there */
    expect_good(ask_as(&rig, other, CDB(0x00), 0));
    teardown();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/alua/reported", reported_as_configured);
    g_test_add_func("/scsi/alua/denied", what_states_deny);
    g_test_add_func("/scsi/alua/set", set_by_an_initiator);
    return g_test_run();
}
