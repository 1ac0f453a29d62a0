/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What administrators' tools ask of a disk: log pages, buffers, diagnostics, identifying information,
 * the time.
 */
#include "rig.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "scsi/home.h"
#include "scsi/ident.h"

#define BLOCK 512u

/* ---- log pages ---- */

static struct task *log_page(struct rig *rig, uint8_t page, uint8_t subpage, uint16_t from)
{
    return ask_in(rig,
                  CDB(0x4d, 0, 0x40 | page, subpage, 0, (uint8_t)(from >> 8), (uint8_t)from, 4, 0),
                  1024);
}

/* Every page that is listed is there, its parameters ascend and end where it does. */
static void every_listed_page_is_whole(void)
{
    struct rig rig = { 0 };

    for (unsigned thin = 0; thin < 2; thin++) {
        rig_setup(&rig, &(struct disk_options){ .features = thin ? THIN_FEATURES : 0 }, NULL);
        struct task *t = log_page(&rig, 0, 0, 0);
        expect_good(t);
        uint8_t codes[64];
        unsigned count = get_be16(t->in + 2);
        memcpy(codes, t->in + 4, count);
        g_assert_cmpuint(count, ==, thin ? 6 : 5);
        for (unsigned i = 0; i < count; i++) {
            expect_good(t = log_page(&rig, codes[i], 0, 0));
            g_assert_cmphex(t->in[0], ==, 0x80 | codes[i]);
            g_assert_cmpuint(t->in_bytes, ==, 4u + get_be16(t->in + 2));
            int before = -1;
            for (unsigned at = 4; codes[i] && at < t->in_bytes; at += 4u + t->in[at + 3]) {
                g_assert_cmpint(get_be16(t->in + at), >, before);
                before = get_be16(t->in + at);
                g_assert_cmpuint(at + 4 + t->in[at + 3], <=, t->in_bytes);
            }
            if (i)
                g_assert_cmpuint(codes[i], >, codes[i - 1]);
        }
        expect_good(t = log_page(&rig, 0, 0xff, 0));
        g_assert_cmphex(t->in[0], ==, 0xc0);
        g_assert_cmpuint(get_be16(t->in + 2), ==, 2 * count + 2);
        rig_teardown(&rig);
    }
}

static void log_sense_refuses_what_is_not_there(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    expect_field(log_page(&rig, 0x0c, 0, 0), true, 2); /* not thin */
    expect_field(log_page(&rig, 0x3e, 0, 0), true, 2);
    expect_field(log_page(&rig, 0x0d, 1, 0), true, 3);
    expect_field(log_page(&rig, 0x0d, 0, 2), true, 5); /* beyond the last parameter */
    expect_field(ask_in(&rig, CDB(0x4d, 1, 0x40, 0, 0, 0, 0, 0, 64), 64), true, 1);
    struct task *t = log_page(&rig, 0x0d, 0, 1);
    expect_good(t);
    g_assert_cmpuint(get_be16(t->in + 4), ==, 1);
    g_assert_cmpuint(get_be16(t->in + 2), ==, 6);
    expect_good(ask_none(&rig, CDB(0x4c, 0x02, 0xc0))); /* reset: nothing happens */
    expect_field(ask_none(&rig, CDB(0x4c, 0x01, 0)), true, 1);
    expect_field(ask_none(&rig, CDB(0x4c, 0x02, 0xcd)), true, 2);
    expect_field(ask_none(&rig, CDB(0x4c, 0x02, 0xc0, 1)), true, 2);
    expect_field(log_page(&rig, 0x00, 0, 1), true, 5);
    expect_field(ask_out(&rig, CDB(0x4c, 0, 0, 0, 0, 0, 0, 0, 4), "1234", 4), true, 7);
    rig_teardown(&rig);
}

static void log_pages_count(void)
{
    struct rig rig = { 0 };
    uint8_t data[4 * BLOCK] = { 0 };

    rig_setup(&rig, &(struct disk_options){ .blocks = 8192, .features = THIN_FEATURES }, NULL);
    expect_good(ask_out(&rig, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 4), data, sizeof(data)));
    expect_good(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 3), 3 * BLOCK));
    struct task *t = log_page(&rig, 0x19, 0, 0);
    g_assert_cmpuint(get_be64(t->in + 8), ==, 1);
    g_assert_cmpuint(get_be64(t->in + 16), ==, 1);
    g_assert_cmpuint(get_be64(t->in + 24), ==, 4);
    g_assert_cmpuint(get_be64(t->in + 32), ==, 3);
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0)));
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 1)));
    t = log_page(&rig, 0x0e, 0, 4);
    g_assert_cmpuint(get_be32(t->in + 8), ==, 1);
    rig_teardown(&rig);
}

/* In threshold sets of 1 MiB, as page B2h says. */
static void the_provisioning_page_says_what_is_used(void)
{
    struct rig rig = { 0 };
    uint8_t data[BLOCK] = { 1 };

    rig_setup(&rig, &(struct disk_options){ .blocks = 16384, .features = THIN_FEATURES }, NULL);
    g_assert_cmpuint(ask_in(&rig, CDB(0x12, 1, 0xb2, 0, 255), 255)->in[4], ==, 11);
    struct task *t = log_page(&rig, 0x0c, 0, 0);
    g_assert_cmpuint(get_be16(t->in + 4), ==, 2);
    g_assert_cmpuint(get_be32(t->in + 8), ==, 0);
    for (unsigned i = 0; i < 8; i += 2)
        expect_good(ask_out(&rig, CDB(0x2a, 0, 0, 0, (uint8_t)(i * 8), 0, 0, 0, 1), data, BLOCK));
    t = log_page(&rig, 0x0c, 0, 0);
    g_assert_cmpuint(get_be32(t->in + 8), ==, 1);
    memset(rig.disk->mapped, 1, 16384);
    t = log_page(&rig, 0x0c, 0, 0);
    g_assert_cmpuint(get_be32(t->in + 8), ==, 8);
    rig.disk->fail_op = BACKEND_BLOCK_STATUS;
    rig.disk->fail_result = -EOPNOTSUPP;
    memset(rig.disk->mapped, 0, 16384);
    t = log_page(&rig, 0x0c, 0, 0); /* not known: all of it may be */
    g_assert_cmpuint(get_be32(t->in + 8), ==, 8);
    rig_teardown(&rig);
}

/* ---- buffers and diagnostics ---- */

static void buffers_give_back_what_was_written(void)
{
    struct rig rig = { 0 };
    uint8_t data[4096];

    rig_setup(&rig, NULL, NULL);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    struct task *t = ask_in(&rig, CDB(0x3c, 0x03, 0, 0, 0, 0, 0, 0, 4), 4);
    g_assert_cmpuint(get_be32(t->in), ==, 4096);
    expect_good(ask_out(&rig, CDB(0x3b, 0x02, 0, 0, 0, 0, 0, 0x10, 0), data, 4096));
    expect_good(ask_out(&rig, CDB(0x3b, 0x02, 0, 0, 0x0f, 0xff, 0, 0, 1), "x", 1));
    data[4095] = 'x';
    t = ask_in(&rig, CDB(0x3c, 0x02, 0, 0, 0, 0, 0, 0x10, 0), 4096);
    g_assert_cmpmem(t->in, t->in_bytes, data, 4096);
    t = ask_in(&rig, CDB(0x3c, 0x02, 0, 0, 1, 0, 0, 0, 16), 16);
    g_assert_cmpmem(t->in, t->in_bytes, data + 256, 16);
    expect_field(ask_out(&rig, CDB(0x3b, 0x02, 0, 0, 0x0f, 0xff, 0, 0, 2), "xy", 2), true, 6);
    expect_field(ask_out(&rig, CDB(0x3b, 0x02, 1, 0, 0, 0, 0, 0, 2), "xy", 2), true, 2);
    expect_field(ask_out(&rig, CDB(0x3b, 0x02, 0, 0, 0x10, 1, 0, 0, 2), "xy", 2), true, 3);
    expect_field(ask_out(&rig, CDB(0x3b, 0x02, 0, 0xff, 0xff, 0xff, 0, 0, 2), "xy", 2), true, 3);
    expect_field(ask_out(&rig, CDB(0x3b, 0x05, 0, 0, 0, 0, 0, 0, 2), "xy", 2), true, 1);
    expect_field(ask_in(&rig, CDB(0x3c, 0x02, 0, 0, 0x10, 0, 0, 0, 2), 2), true, 3);
    expect_field(ask_in(&rig, CDB(0x3c, 0x01, 0, 0, 0, 0, 0, 0, 2), 2), true, 1);
    rig_teardown(&rig);
}

static void an_echo_is_for_its_sender(void)
{
    struct rig rig = { 0 };
    const uint8_t *read = CDB(0x3c, 0x0a, 0, 0, 0, 0, 0, 1, 0);

    rig_setup(&rig, NULL, NULL);
    g_assert_cmpuint(get_be16(ask_in(&rig, CDB(0x3c, 0x0b, 0, 0, 0, 0, 0, 0, 4), 4)->in + 2), ==,
                     4096);
    expect_check(ask_in(&rig, read, 256), SENSE_ILLEGAL_REQUEST, ASC_COMMAND_SEQUENCE);
    expect_good(ask_out(&rig, CDB(0x3b, 0x0a, 0, 0, 0, 0, 0, 0, 5), "hello", 5));
    struct task *t = ask_in(&rig, read, 256);
    g_assert_cmpmem(t->in, t->in_bytes, "hello", 5);
    expect_check(ask_as(&rig, rig.b, read, 256), SENSE_ABORTED_COMMAND,
                 ASC_ECHO_BUFFER_OVERWRITTEN);
    rig_teardown(&rig);
}

static void self_tests_are_good(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    expect_good(ask_none(&rig, CDB(0x1d, 0x04)));
    expect_good(ask_none(&rig, CDB(0x1d, 0x20)));
    expect_field(ask_none(&rig, CDB(0x1d, 0x60)), true, 1);
    expect_good(ask_out(&rig, CDB(0x1d, 0x10, 0, 0, 4), "\0\0\0\0", 4));
    expect_field(ask_out(&rig, CDB(0x1d, 0x10, 0, 0, 4), "\x40\0\0\0", 4), false, 0);
    expect_field(ask_out(&rig, CDB(0x1d, 0x10, 0, 0, 4), "\0\0\0\1", 4), false, 2);
    expect_field(ask_out(&rig, CDB(0x1d, 0x10, 0, 0, 5), "12345", 5), true, 3);
    expect_field(ask_out(&rig, CDB(0x1d, 0x00, 0, 0, 4), "\0\0\0\0", 4), true, 3);
    struct task *t = ask_in(&rig, CDB(0x1c, 1, 0, 0, 255), 255);
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 0, 0, 1, 0 }), 5);
    expect_field(ask_in(&rig, CDB(0x1c, 1, 0x40, 0, 255), 255), true, 2);
    rig_teardown(&rig);
}

/* ---- identifying information ---- */

static struct task *set_ident(struct rig *rig, uint8_t type, const void *data, uint8_t bytes)
{
    return ask_out(rig, CDB(0xa4, 0x06, 0, 0, 0, 0, 0, 0, 0, bytes, (uint8_t)(type << 1)), data,
                   bytes);
}

static struct task *get_ident(struct rig *rig, uint8_t type)
{
    return ask_in(rig, CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 2, 0, (uint8_t)(type << 1)), 512);
}

static void expect_ident(struct rig *rig, uint8_t type, const void *want, uint16_t bytes)
{
    const struct task *t = get_ident(rig, type);

    expect_good(t);
    g_assert_cmpuint(get_be16(t->in + 2), ==, bytes);
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, want, bytes);
}

static void identifying_information_is_kept(void)
{
    struct rig rig = { 0 };
    g_autofree char *directory = g_dir_make_tmp("scsi-ident-XXXXXX", NULL);
    struct reactor *reactors[1];
    struct scsi_services services = { .reactors = reactors, .state_directory = directory };
    struct scsi_unit_config config = { .services = &services };

    for (unsigned round = 0; round < 3; round++) {
        rig_setup(&rig, NULL, NULL); /* a reactor, for the services of the next */
        reactors[0] = rig.reactor;
        struct scsi_unit *unit = NULL;
        config.target_name = TARGET_NAME;
        config.lun = 9;
        config.lanes = 1;
        g_assert_cmpint(scsi_unit_create(&config, &rig.disk->backend, &unit), ==, 0);
        struct scsi_unit *old = rig.unit;
        unit->lun = 0;
        rig_publish(&rig, &unit, 1);
        ask_none(&rig, CDB(0));
        ask_as(&rig, rig.b, CDB(0), 0);
        if (round == 0) {
            expect_ident(&rig, 0, "", 0);
            expect_good(set_ident(&rig, 0, "rack 7", 6));
            expect_good(set_ident(&rig, 2, "mail-spool", 11));
            expect_unit_attention(ask_as(&rig, rig.b, CDB(0), 0), ASC_IDENTIFIER_CHANGED);
            expect_check(set_ident(&rig, 2, "no end", 6), SENSE_ILLEGAL_REQUEST,
                         ASC_INVALID_FIELD_IN_LIST);
            expect_check(set_ident(&rig, 2, "\xff\xfe", 3), SENSE_ILLEGAL_REQUEST,
                         ASC_INVALID_FIELD_IN_LIST);
            expect_field(set_ident(&rig, 0, "", 65), true, 6);
            expect_field(set_ident(&rig, 1, "", 0), true, 10);
            expect_field(get_ident(&rig, 1), true, 10);
            g_assert_cmpuint(get_be16(get_ident(&rig, 0x7f)->in + 10), ==, IDENT_TEXT_MAX);
        }
        if (round < 2) { /* also after a power loss */
            expect_ident(&rig, 0, "rack 7", 6);
            expect_ident(&rig, 2, "mail-spool", 11);
        }
        if (round == 1) {
            expect_good(set_ident(&rig, 0, "", 0));
            expect_good(set_ident(&rig, 2, "", 0));
        }
        if (round == 2)
            expect_ident(&rig, 0, "", 0);
        rig_publish(&rig, &old, 1);
        scsi_unit_free(unit);
        rig_teardown(&rig);
    }
    g_autofree char *path = g_build_filename(directory, "identity", NULL);
    g_rmdir(path);
    path = (g_free(path), g_build_filename(directory, "reservations", NULL));
    g_rmdir(path);
    path = (g_free(path), g_build_filename(directory, "sanitize", NULL));
    g_rmdir(path);
    g_assert_cmpint(g_rmdir(directory), ==, 0);
}

/* ---- time ---- */

static uint64_t time_of(const struct task *t)
{
    expect_good(t);
    return (uint64_t)get_be16(t->in + 4) << 32 | get_be32(t->in + 6);
}

static void the_time_is_the_machines_until_it_is_set(void)
{
    struct rig rig = { 0 };
    const uint8_t *report = CDB(0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12);
    uint8_t list[12] = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_in(&rig, report, 12);
    uint64_t before = time_of(t);
    g_assert_cmpuint(t->in[2], ==, 3);
    g_assert_cmpuint(before, >, 1600000000000ull);
    put_be16(list + 4, 1);
    put_be32(list + 6, 500);
    expect_good(ask_out(&rig, CDB(0xa4, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12), list, 12));
    t = ask_in(&rig, report, 12);
    g_assert_cmpuint(time_of(t), >=, (1ull << 32) + 500);
    g_assert_cmpuint(time_of(t), <, before);
    g_assert_cmpuint(t->in[2], ==, 2);
    expect_unit_attention(ask_as(&rig, rig.b, CDB(0), 0), ASC_TIMESTAMP_CHANGED);
    expect_check(ask_out(&rig, CDB(0xa4, 0x0f, 0, 0, 0, 0, 0, 0, 0, 11), list, 11),
                 SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/log/pages", every_listed_page_is_whole);
    g_test_add_func("/scsi/log/refused", log_sense_refuses_what_is_not_there);
    g_test_add_func("/scsi/log/counts", log_pages_count);
    g_test_add_func("/scsi/log/provisioning", the_provisioning_page_says_what_is_used);
    g_test_add_func("/scsi/buffer/data", buffers_give_back_what_was_written);
    g_test_add_func("/scsi/buffer/echo", an_echo_is_for_its_sender);
    g_test_add_func("/scsi/diagnostic", self_tests_are_good);
    g_test_add_func("/scsi/identifying-information", identifying_information_is_kept);
    g_test_add_func("/scsi/timestamp", the_time_is_the_machines_until_it_is_set);
    return g_test_run();
}
