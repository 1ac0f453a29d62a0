/* SPDX-License-Identifier: BSD-3-Clause */
/* Sense data, byte for byte, in both formats. */
#include "rig.h"

#include <string.h>

static void fixed_format(void)
{
    uint8_t sense[SCSI_SENSE_MAX];
    struct scsi_cause cause = { .key = SENSE_MEDIUM_ERROR, .asc = ASC_UNRECOVERED_READ_ERROR };

    const uint8_t plain[18] = { 0x70, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0x00 };
    unsigned n = sense_format(&cause, false, sense);
    g_assert_cmpmem(sense, n, plain, sizeof(plain));

    cause.has_information = true;
    cause.information = 0x01020304;
    const uint8_t informed[18] = { 0xf0, 0, 0x03, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x11, 0x00 };
    n = sense_format(&cause, false, sense);
    g_assert_cmpmem(sense, n, informed, sizeof(informed));

    /* Does not fit in 32 bits: not valid (SPC-4 4.5.3). */
    cause.information = 1ull << 32;
    n = sense_format(&cause, false, sense);
    g_assert_cmpmem(sense, n, plain, sizeof(plain));
}

static void descriptor_format(void)
{
    uint8_t sense[SCSI_SENSE_MAX];
    struct scsi_cause cause = { .key = SENSE_ILLEGAL_REQUEST, .asc = ASC_INVALID_FIELD_IN_CDB };

    const uint8_t plain[8] = { 0x72, 0x05, 0x24, 0x00 };
    unsigned n = sense_format(&cause, true, sense);
    g_assert_cmpmem(sense, n, plain, sizeof(plain));

    sense_field(&cause, true, 0x0102, 5);
    cause.has_information = true;
    cause.information = 0x0102030405060708;
    const uint8_t full[28] = { 0x72, 0x05, 0x24, 0x00, 0,    0,    0,    20, 0x00, 0x0a,
                               0x80, 0,    1,    2,    3,    4,    5,    6,  7,    8,
                               0x02, 0x06, 0,    0,    0xcd, 0x01, 0x02, 0 };
    n = sense_format(&cause, true, sense);
    g_assert_cmpmem(sense, n, full, sizeof(full));
}

static void field_pointers(void)
{
    uint8_t sense[SCSI_SENSE_MAX];
    struct scsi_cause cause = { .key = SENSE_ILLEGAL_REQUEST, .asc = ASC_INVALID_FIELD_IN_LIST };

    sense_field(&cause, false, 7, -1);
    sense_format(&cause, false, sense);
    g_assert_cmpmem(sense + 15, 3, ((uint8_t[]){ 0x80, 0, 7 }), 3);
    sense_field(&cause, true, 2, 0);
    sense_format(&cause, false, sense);
    g_assert_cmpmem(sense + 15, 3, ((uint8_t[]){ 0xc8, 0, 2 }), 3);
}

static void the_format_follows_d_sense(void)
{
    struct rig rig = { 0 };
    struct task *t;

    rig_setup(&rig, NULL, NULL);
    t = ask_in(&rig, CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1), 512);
    g_assert_cmphex(t->cmd.sense[0], ==, 0x70);
    atomic_fetch_or(&rig.unit->mode, SCSI_MODE_D_SENSE);
    t = ask_in(&rig, CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1), 512);
    const uint8_t want[16] = { 0x72, 0x05, 0x24, 0, 0, 0, 0, 8, 0x02, 0x06, 0, 0, 0xcf, 0, 1, 0 };
    g_assert_cmpmem(t->cmd.sense, t->cmd.sense_bytes, want, sizeof(want));
    rig_teardown(&rig);
}

static void request_sense_tells_what_is_pending(void)
{
    struct rig rig = { 0 };
    struct task *t;

    rig_setup(&rig, NULL, NULL);
    expect_good(t = ask_in(&rig, CDB(0x03, 0, 0, 0, 252), 252));
    g_assert_cmpuint(t->in_bytes, ==, 18);
    g_assert_cmphex(t->in[0], ==, 0x70);
    g_assert_cmphex(t->in[2], ==, 0);

    scsi_unit_changed(rig.unit, SCSI_UNIT_CAPACITY);
    expect_good(t = ask_in(&rig, CDB(0x03, 1, 0, 0, 252), 252));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0x72, 6, 0x2a, 9, 0, 0, 0, 0 }), 8);
    /* It has been told. */
    expect_good(ask_none(&rig, CDB(0x00)));

    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0)));
    expect_good(t = ask_in(&rig, CDB(0x03, 0, 0, 0, 252), 252));
    g_assert_cmphex(t->in[2], ==, SENSE_NOT_READY);
    g_assert_cmphex(get_be16(t->in + 12), ==, 0x0402);

    /* No unit: GOOD all the same. */
    struct ask ask = {
        .cdb = CDB(0x03, 0, 0, 0, 18), .lun = scsi_lun_encode(9), .in = true, .expected = 18
    };
    t = task_run(&rig, &ask);
    expect_good(t);
    g_assert_cmphex(t->in[2], ==, SENSE_ILLEGAL_REQUEST);
    g_assert_cmphex(get_be16(t->in + 12), ==, 0x2500);
    task_free(t);
    rig_teardown(&rig);
}

static void a_transport_may_fail_a_command(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct ask ask = { .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1),
                       .out = true,
                       .expected = 512,
                       .data = (uint8_t[512]){ 1 } };
    struct task *t = task_start(&rig, &ask);
    g_assert_cmpuint(scsi_unit_active(rig.unit), ==, 1);
    scsi_fail(&t->cmd, SENSE_ABORTED_COMMAND, 0x0c, 0x0d);
    g_assert_false(t->ended);
    g_assert_cmphex(t->cmd.status, ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(t->cmd.sense[2], ==, 0x0b);
    g_assert_cmphex(get_be16(t->cmd.sense + 12), ==, 0x0c0d);
    g_assert_cmpuint(scsi_unit_active(rig.unit), ==, 0);
    t->ended = true;
    task_free(t);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/sense/fixed", fixed_format);
    g_test_add_func("/scsi/sense/descriptor", descriptor_format);
    g_test_add_func("/scsi/sense/field-pointer", field_pointers);
    g_test_add_func("/scsi/sense/d-sense", the_format_follows_d_sense);
    g_test_add_func("/scsi/sense/request-sense", request_sense_tells_what_is_pending);
    g_test_add_func("/scsi/sense/transport", a_transport_may_fail_a_command);
    return g_test_run();
}
