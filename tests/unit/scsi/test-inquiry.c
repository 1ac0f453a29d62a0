/* SPDX-License-Identifier: BSD-3-Clause */
/* INQUIRY and the VPD pages, byte for byte. */
#include "rig.h"

#include <string.h>

static const uint8_t naa[8] = { 0x60, 1, 2, 3, 4, 5, 6, 7 };
static const uint8_t eui[8] = { 0x00, 0x1b, 0x21, 0xff, 0xfe, 1, 2, 3 };
static const struct scsi_unit_config named = { .vendor = "ACME",
                                               .product = "Disk \x01?",
                                               .revision = "7.12x",
                                               .serial = "a1b2c3d4",
                                               .naa = naa,
                                               .naa_bytes = 8,
                                               .eui = eui,
                                               .eui_bytes = 8 };

static struct task *vpd(struct rig *rig, uint8_t page)
{
    return ask_in(rig, CDB(0x12, 1, page, 4, 0), 1024);
}

static void standard_data(void)
{
    struct rig rig = { 0 };
    uint8_t want[96] = { 0x00, 0x00, 0x06, 0x12, 91, 0x38, 0, 0x02 };

    memcpy(want + 8, "ACME    Disk  ?         7.12", 28);
    memcpy(want + 58, ((uint8_t[]){ 0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0, 0x09, 0x61 }), 8);
    rig_setup(&rig, NULL, &named);
    struct task *t = ask_in(&rig, CDB(0x12, 0, 0, 0, 255), 255);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, want, sizeof(want));
    for (unsigned n = 5; n < 256; n++) {
        t = ask_in(&rig, CDB(0x12, 0, 0, 0, (uint8_t)n), n);
        expect_good(t);
        g_assert_cmpmem(t->in, t->in_bytes, want, n < 96 ? n : 96);
    }
    expect_good(t = ask_in(&rig, CDB(0x12, 0, 0, 2, 0), 512));
    g_assert_cmpmem(t->in, t->in_bytes, want, sizeof(want));
    rig_teardown(&rig);
}

static void wrong_forms_are_refused(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_in(&rig, CDB(0x12, 0, 0x83, 0, 255), 255);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_field(t, true, 2);
    expect_check(ask_in(&rig, CDB(0x12, 2, 0, 0, 255), 255), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    expect_check(vpd(&rig, 0x01), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

static void a_missing_unit_answers_inquiry(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct ask ask = {
        .cdb = CDB(0x12, 0, 0, 0, 96), .lun = scsi_lun_encode(3), .in = true, .expected = 96
    };
    struct task *t = task_run(&rig, &ask);
    expect_good(t);
    g_assert_cmphex(t->in[0], ==, 0x7f);
    g_assert_cmpuint(t->in_bytes, ==, 96);
    task_free(t);
    ask.cdb = CDB(0x12, 1, 0, 0, 96);
    t = task_run(&rig, &ask);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
    task_free(t);
    ask.cdb = CDB(0x00);
    t = task_run(&rig, &ask);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
    task_free(t);
    rig_teardown(&rig);
}

static void every_listed_page_is_there(void)
{
    struct rig rig = { 0 };
    uint8_t pages[32];

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES }, NULL);
    struct task *t = vpd(&rig, 0x00);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes,
                    ((uint8_t[]){ 0, 0, 0, 11, 0x00, 0x80, 0x83, 0x85, 0x86, 0x87, 0x88, 0x8f, 0xb0,
                                  0xb1, 0xb2 }),
                    15);
    memcpy(pages, t->in + 4, 11);
    for (unsigned i = 0; i < 11; i++) {
        t = ask_in(&rig, CDB(0x12, 1, pages[i], 0, 255), 255);
        expect_good(t);
        g_assert_cmphex(t->in[0], ==, 0);
        g_assert_cmphex(t->in[1], ==, pages[i]);
        g_assert_cmpuint(t->in_bytes, ==, MIN(255u, get_be16(t->in + 2) + 4u));
    }
    rig_teardown(&rig);
}

static void serial_and_device_identification(void)
{
    struct rig rig = { 0 };
    static const char want[] = "\x00\x83\x00\xc4"
                               "\x01\x03\x00\x08\x60\x01\x02\x03\x04\x05\x06\x07"
                               "\x01\x02\x00\x08\x00\x1b\x21\xff\xfe\x01\x02\x03"
                               "\x02\x01\x00\x10"
                               "ACME    a1b2c3d4"
                               "\x03\x08\x00\x34"
                               "iqn.2026-11.org.example:disk1,L,0x0000000000000000\0\0"
                               "\x51\x94\x00\x04\x00\x00\x00\x01"
                               "\x51\x95\x00\x04\x00\x00\x00\x01"
                               "\x53\x98\x00\x28"
                               "iqn.2026-11.org.example:disk1,t,0x0001\0\0"
                               "\x53\xa8\x00\x20"
                               "iqn.2026-11.org.example:disk1\0\0";

    rig_setup(&rig, NULL, &named);
    struct task *t = vpd(&rig, 0x80);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes,
                    "\x00\x80\x00\x08"
                    "a1b2c3d4",
                    12);
    expect_good(t = vpd(&rig, 0x83));
    g_assert_cmpmem(t->in, t->in_bytes, want, sizeof(want)); /* its NUL is the last pad byte */
    rig_teardown(&rig);
}

/* These values must never change: hosts know their disks by them. */
static void derived_identity_is_stable(void)
{
    struct rig rig = { 0 };
    struct scsi_unit_config config = { .target_name = TARGET_NAME, .lanes = 1 };
    struct scsi_unit *unit = NULL;

    rig_setup(&rig, NULL, NULL);
    g_assert_cmpstr(rig.unit->serial, ==, "25160b56b556802e");
    g_assert_cmphex(get_be64(rig.unit->naa), ==, 0x381548f4c1ee4abeull);
    g_assert_cmpuint(rig.unit->naa_bytes, ==, 8);
    g_assert_cmpstr(rig.unit->vendor, ==, "HOLDFAST");
    g_assert_cmpstr(rig.unit->product, ==, "ram             ");
    /* Another LUN, or another target, is another disk. */
    config.lun = 1;
    g_assert_cmpint(scsi_unit_create(&config, &rig.disk->backend, &unit), ==, 0);
    g_assert_cmpstr(unit->serial, ==, "7cb29ce948e644c5");
    g_assert_cmphex(get_be64(unit->naa), ==, 0x377c17bb32733a30ull);
    scsi_unit_free(unit);
    config.target_name = "iqn.2026-11.org.example:disk2";
    g_assert_cmpint(scsi_unit_create(&config, &rig.disk->backend, &unit), ==, 0);
    g_assert_cmpstr(unit->serial, ==, "ab02405d3985966f");
    scsi_unit_free(unit);
    rig_teardown(&rig);
}

static void extended_policy_and_ports(void)
{
    struct rig rig = { 0 };
    uint8_t want[64] = { 0, 0x86, 0, 60, 0, 0x07, 0x01, 0x01 };
    static const char ports[] = "\x00\x88\x00\x70"
                                "\0\0\0\x01\0\0\0\0\0\0\0\x2c\x53\x98\0\x28"
                                "iqn.2026-11.org.example:disk1,t,0x0001\0\0"
                                "\0\0\0\x02\0\0\0\0\0\0\0\x2c\x53\x98\0\x28"
                                "iqn.2026-11.org.example:disk1,t,0x0007\0";

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    struct task *t = vpd(&rig, 0x86);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, want, sizeof(want));
    expect_good(t = vpd(&rig, 0x87));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0x87, 0, 4, 0x3f, 0xff, 0, 0 }), 8);
    expect_good(t = vpd(&rig, 0x88));
    g_assert_cmpmem(t->in, t->in_bytes, ports, sizeof(ports));
    rig_teardown(&rig);
}

static void block_limits_and_provisioning(void)
{
    struct rig rig = { 0 };
    uint8_t limits[64] = { 0, 0xb0, 0, 60 };
    uint8_t characteristics[64] = { 0, 0xb1, 0, 60, 0, 1, 0, 0x50 };

    limits[5] = 255;                /* MAXIMUM COMPARE AND WRITE LENGTH */
    put_be16(limits + 6, 8);        /* optimal granularity: the physical block */
    put_be32(limits + 8, 8192);     /* 4 MiB */
    put_be32(limits + 20, 1048576); /* MAXIMUM UNMAP LBA COUNT */
    put_be32(limits + 24, 256);
    put_be32(limits + 28, 16);
    put_be32(limits + 32, 0x80000000);
    put_be64(limits + 36, 65535);
    rig_setup(
        &rig,
        &(struct disk_options){ .physical = 4096, .granule = 8192, .features = THIN_FEATURES },
        NULL);
    struct task *t = vpd(&rig, 0xb0);
    expect_good(t);
    g_assert_cmpmem(t->in, t->in_bytes, limits, sizeof(limits));
    expect_good(t = vpd(&rig, 0xb1));
    g_assert_cmpmem(t->in, t->in_bytes, characteristics, sizeof(characteristics));
    expect_good(t = vpd(&rig, 0xb2));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0xb2, 0, 4, 11, 0xe4, 2, 0 }), 8);
    rig_teardown(&rig);

    rig_setup(&rig, NULL, NULL);
    memset(limits + 20, 0, 16);
    put_be16(limits + 6, 1);
    expect_good(t = vpd(&rig, 0xb0));
    g_assert_cmpmem(t->in, t->in_bytes, limits, sizeof(limits));
    expect_good(t = vpd(&rig, 0xb2));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0xb2, 0, 4, 0, 0, 0, 0 }), 8);
    rig_teardown(&rig);
}

/* A list of descriptors by type, each a multiple of four, that ends where the page does. */
static void third_party_copy_names_the_commands(void)
{
    static const uint16_t types[] = { 0x0001, 0x0004, 0x0008, 0x000c, 0x8001 };
    struct rig rig = { 0 };
    unsigned at = 4;

    rig_setup(&rig, NULL, NULL);
    struct task *t = vpd(&rig, 0x8f);
    expect_good(t);
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpuint(get_be16(t->in + at), ==, types[i]);
        g_assert_cmpuint(get_be16(t->in + at + 2) % 4, ==, 0);
        at += 4u + get_be16(t->in + at + 2);
    }
    g_assert_cmpuint(at, ==, t->in_bytes);
    g_assert_cmpuint(get_be16(t->in + 2), ==, at - 4);
    const uint8_t commands[] = { 8, 0x83, 1, 0x00, 0x84, 3, 0x00, 0x03, 0x04 };
    g_assert_cmpmem(t->in + 8, sizeof(commands), commands, sizeof(commands));
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/inquiry/standard", standard_data);
    g_test_add_func("/scsi/inquiry/wrong", wrong_forms_are_refused);
    g_test_add_func("/scsi/inquiry/missing", a_missing_unit_answers_inquiry);
    g_test_add_func("/scsi/inquiry/pages", every_listed_page_is_there);
    g_test_add_func("/scsi/inquiry/identification", serial_and_device_identification);
    g_test_add_func("/scsi/inquiry/derived", derived_identity_is_stable);
    g_test_add_func("/scsi/inquiry/extended", extended_policy_and_ports);
    g_test_add_func("/scsi/inquiry/limits", block_limits_and_provisioning);
    g_test_add_func("/scsi/inquiry/third-party-copy", third_party_copy_names_the_commands);
    return g_test_run();
}
