/* SPDX-License-Identifier: BSD-3-Clause */
/* Mode pages: what MODE SENSE shows, what MODE SELECT may change, and who is told. */
#include "rig.h"

#include <errno.h>
#include <string.h>

static struct task *sense_6(struct rig *rig, uint8_t dbd, uint8_t page, uint8_t subpage)
{
    return ask_in(rig, CDB(0x1a, dbd, page, subpage, 255), 255);
}

static void all_pages_are_there_in_order(void)
{
    struct rig rig = { 0 };
    struct task *t;
    static const uint8_t codes[] = { 0x01, 0x02, 0x08, 0x0a, 0x1c };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(t = sense_6(&rig, 0x08, 0x3f, 0));
    g_assert_cmpuint(t->in[0] + 1u, ==, t->in_bytes);
    g_assert_cmphex(t->in[2], ==, 0x10); /* DPOFUA, not WP */
    g_assert_cmphex(t->in[3], ==, 0);
    uint32_t at = 4;
    for (unsigned i = 0; i < sizeof(codes); i++) {
        g_assert_cmphex(t->in[at], ==, codes[i]); /* PS and SPF are 0 */
        at += 2u + t->in[at + 1];
    }
    g_assert_cmpuint(at, ==, t->in_bytes);
    /* With subpages there is one more; subpage FFh of one page has both. */
    expect_good(t = sense_6(&rig, 0x08, 0x3f, 0xff));
    g_assert_cmpuint(t->in_bytes, ==, at + 32);
    expect_good(t = sense_6(&rig, 0x08, 0x0a, 0xff));
    g_assert_cmpuint(t->in_bytes, ==, 4 + 12 + 32);
    g_assert_cmphex(t->in[4 + 12], ==, 0x4a);
    g_assert_cmphex(get_be16(t->in + 4 + 12 + 2), ==, 28);
    rig_teardown(&rig);
}

static void control_and_caching_byte_for_byte(void)
{
    struct rig rig = { 0 };
    struct task *t;
    const uint8_t control[12] = { 0x0a, 0x0a, 0x22, 0x10, 0, 0, 0, 0, 0xff, 0xff, 0, 0 };
    const uint8_t control_mask[12] = { 0x0a, 0x0a, 0x04, 0, 0x08 };
    const uint8_t caching[20] = { 0x08, 0x12, 0x04 };
    const uint8_t no_caching[20] = { 0x08, 0x12, 0x00 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(t = sense_6(&rig, 0x08, 0x0a, 0));
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, control, sizeof(control));
    expect_good(t = sense_6(&rig, 0x08, 0x80 | 0x0a, 0)); /* default */
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, control, sizeof(control));
    expect_good(t = sense_6(&rig, 0x08, 0x40 | 0x0a, 0)); /* changeable */
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, control_mask, sizeof(control_mask));
    expect_good(t = sense_6(&rig, 0x08, 0x08, 0));
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, caching, sizeof(caching));
    expect_good(t = sense_6(&rig, 0x08, 0x48, 0));
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, caching, sizeof(caching));
    rig_teardown(&rig);

    rig_setup(&rig, NULL, NULL); /* no volatile cache: nothing to switch */
    expect_good(t = sense_6(&rig, 0x08, 0x08, 0));
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, no_caching, sizeof(no_caching));
    expect_good(t = sense_6(&rig, 0x08, 0x48, 0));
    g_assert_cmpmem(t->in + 4, t->in_bytes - 4, no_caching, sizeof(no_caching));
    rig_teardown(&rig);
}

static void block_descriptors(void)
{
    struct rig rig = { 0 };
    struct task *t;
    const uint8_t small[8] = { 0, 0, 8, 0, 0, 0, 0x10, 0 };
    const uint8_t large[16] = { 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0x10, 0 };

    rig_setup(&rig, &(struct disk_options){ .block = 4096 }, NULL);
    expect_good(t = sense_6(&rig, 0, 0x0a, 0));
    g_assert_cmpuint(t->in[3], ==, 8);
    g_assert_cmpmem(t->in + 4, 8, small, 8);
    expect_good(t = ask_in(&rig, CDB(0x5a, 0x00, 0x0a, 0, 0, 0, 0, 1, 0), 256));
    g_assert_cmpuint(get_be16(t->in), ==, t->in_bytes - 2);
    g_assert_cmpuint(get_be16(t->in + 6), ==, 8);
    g_assert_cmpmem(t->in + 8, 8, small, 8);
    expect_good(t = ask_in(&rig, CDB(0x5a, 0x10, 0x0a, 0, 0, 0, 0, 1, 0), 256));
    g_assert_cmphex(t->in[4], ==, 1);
    g_assert_cmpuint(get_be16(t->in + 6), ==, 16);
    g_assert_cmpmem(t->in + 8, 16, large, 16);
    rig_teardown(&rig);
}

static void unknown_and_saved_pages_are_refused(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    expect_check(sense_6(&rig, 0, 0x05, 0), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(sense_6(&rig, 0, 0x0a, 2), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(sense_6(&rig, 0, 0x3f, 1), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(sense_6(&rig, 0, 0xc0 | 0x3f, 0), SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
    rig_teardown(&rig);
}

/* The current page as MODE SELECT(6) wants it, changed by xor at one byte. */
static struct task *select_page(struct rig *rig, uint8_t page, uint8_t at, uint8_t flip)
{
    uint8_t parameters[64] = { 0 };
    struct task *t = sense_6(rig, 0x08, page, 0);
    expect_good(t);
    uint32_t bytes = t->in_bytes;
    memcpy(parameters, t->in, bytes);
    parameters[0] = parameters[2] = 0;
    parameters[4 + at] ^= flip;
    return ask_out(rig, CDB(0x15, 0x10, 0, 0, (uint8_t)bytes), parameters, bytes);
}

static void software_write_protect_is_for_everybody(void)
{
    struct rig rig = { 0 };
    uint8_t block[512] = { 1 };
    const uint8_t *write = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1);

    rig_setup(&rig, NULL, NULL);
    expect_good(select_page(&rig, 0x0a, 4, 0x08));
    expect_check(ask_out(&rig, write, block, 512), SENSE_DATA_PROTECT,
                 ASC_SOFTWARE_WRITE_PROTECTED);
    g_assert_cmphex(sense_6(&rig, 0, 0x3f, 0)->in[2], ==, 0x90);
    /* The other nexus is told, once, and then protected too; the one that did it is not told. */
    struct ask other = {
        .nexus = rig.b, .cdb = write, .out = true, .expected = 512, .data = block
    };
    struct task *t = task_run(&rig, &other);
    expect_unit_attention(t, ASC_MODE_PARAMETERS_CHANGED);
    task_free(t);
    t = task_run(&rig, &other);
    expect_check(t, SENSE_DATA_PROTECT, ASC_SOFTWARE_WRITE_PROTECTED);
    task_free(t);
    expect_good(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    expect_good(select_page(&rig, 0x0a, 4, 0x08));
    expect_good(ask_out(&rig, write, block, 512));
    /* Setting what is set already is no change. */
    expect_unit_attention(ask_as(&rig, rig.b, CDB(0), 0), ASC_MODE_PARAMETERS_CHANGED);
    expect_good(select_page(&rig, 0x0a, 4, 0));
    expect_good(ask_as(&rig, rig.b, CDB(0), 0));
    rig_teardown(&rig);
}

static void descriptor_sense_is_switched(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    expect_good(select_page(&rig, 0x0a, 2, 0x04));
    struct task *t = ask_none(&rig, CDB(0x28, 0, 0xff));
    g_assert_cmphex(t->cmd.sense[0], ==, 0x72);
    expect_good(select_page(&rig, 0x0a, 2, 0x04));
    t = ask_none(&rig, CDB(0x28, 0, 0xff));
    g_assert_cmphex(t->cmd.sense[0], ==, 0x70);
    rig_teardown(&rig);
}

static void the_write_cache_is_switched_off(void)
{
    struct rig rig = { 0 };
    uint8_t block[512] = { 1 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(select_page(&rig, 0x08, 2, 0x04));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 1); /* what was answered before */
    expect_good(ask_out(&rig, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), block, 512));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 2);
    expect_good(select_page(&rig, 0x08, 2, 0x04));
    expect_good(ask_out(&rig, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), block, 512));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 2);
    rig_teardown(&rig);

    rig_setup(&rig, NULL, NULL);
    expect_check(select_page(&rig, 0x08, 2, 0x04), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    rig_teardown(&rig);
}

static void a_reset_brings_the_defaults_back(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(select_page(&rig, 0x08, 2, 0x04));
    expect_good(select_page(&rig, 0x0a, 4, 0x08));
    scsi_unit_reset(rig.unit, /* target_reset= */ false);
    g_assert_cmphex(atomic_load(&rig.unit->mode), ==, SCSI_MODE_WCE);
    rig_teardown(&rig);
}

/* One byte wrong at each place: refused, and the field pointer is there. */
static void nothing_else_may_be_changed(void)
{
    struct rig rig = { 0 };
    static const uint8_t codes[] = { 0x01, 0x02, 0x08, 0x0a, 0x1c };

    rig_setup(&rig, NULL, NULL);
    for (unsigned p = 0; p < sizeof(codes); p++) {
        uint8_t bytes = sense_6(&rig, 0x08, codes[p], 0)->in[5];
        for (uint8_t at = 2; at < 2 + bytes; at++) {
            struct task *t = select_page(&rig, codes[p], at, 0x80);
            expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
            expect_field(t, false, (uint16_t)(4 + at));
        }
        struct task *t = select_page(&rig, codes[p], 0, 0x80); /* PS */
        expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
        expect_check(select_page(&rig, codes[p], 1, 0x01), SENSE_ILLEGAL_REQUEST,
                     ASC_INVALID_FIELD_IN_LIST);
    }
    rig_teardown(&rig);
}

static void lists_are_checked(void)
{
    struct rig rig = { 0 };
    const uint8_t good[12 + 12] = { 0, 0,    0,    8,    0,    0, 0x08, 0, 0, 0,    2,
                                    0, 0x0a, 0x0a, 0x22, 0x10, 0, 0,    0, 0, 0xff, 0xff };
    uint8_t list[sizeof(good)];

    rig_setup(&rig, NULL, NULL);
    expect_good(ask_none(&rig, CDB(0x15, 0x10)));
    expect_good(ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), good, 24));
    expect_check(ask_out(&rig, CDB(0x15, 0x11, 0, 0, 24), good, 24), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    expect_check(ask_out(&rig, CDB(0x15, 0x00, 0, 0, 24), good, 24), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    for (uint8_t bytes = 1; bytes < 24; bytes++) {
        struct task *t = ask_out(&rig, CDB(0x15, 0x10, 0, 0, bytes), good, bytes);
        if (bytes == 4 || bytes == 12) {
            if (bytes == 12)
                expect_good(t);
            else
                expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        } else {
            expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        }
    }
    /* Less than the CDB announces. */
    expect_check(ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), good, 23), SENSE_ILLEGAL_REQUEST,
                 ASC_PARAMETER_LIST_LENGTH);
    /* More than any list has. */
    static uint8_t long_list[65535];
    expect_check(ask_out(&rig, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff), long_list, 65535),
                 SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    memcpy(list, good, sizeof(list));
    list[1] = 1; /* another medium */
    struct task *t = ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    expect_field(t, false, 1);
    memcpy(list, good, sizeof(list));
    list[3] = 4; /* half a block descriptor */
    t = ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    expect_field(t, false, 3);
    memcpy(list, good, sizeof(list));
    list[10] = 4; /* another block length */
    expect_check(ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    memcpy(list, good, sizeof(list));
    list[7] = 1; /* another number of blocks */
    expect_check(ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    memcpy(list, good, sizeof(list));
    list[12] = 0x05; /* no such page */
    expect_check(ask_out(&rig, CDB(0x15, 0x10, 0, 0, 24), list, 24), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    rig_teardown(&rig);
}

/* Two pages, the second one bad: the first has no effect. */
static void all_or_nothing(void)
{
    struct rig rig = { 0 };
    const uint8_t list[8 + 12 + 12] = { 0,    0, 0, 0, 0,    0,    0, 0, 0x0a, 0x0a, 0x22, 0x10,
                                        0x08, 0, 0, 0, 0xff, 0xff, 0, 0, 0x1c, 0x0a, 0x00 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_out(&rig, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 32), list, 32);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
    expect_field(t, false, 22);
    g_assert_cmphex(atomic_load(&rig.unit->mode), ==, 0);
    expect_good(ask_out(&rig, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 20), list, 20));
    g_assert_cmphex(atomic_load(&rig.unit->mode), ==, SCSI_MODE_SWP);
    rig_teardown(&rig);
}

static void start_and_stop(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE }, NULL);
    expect_good(ask_none(&rig, CDB(0x1b, 1, 0, 0, 0x00)));
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 1);
    expect_check(ask_none(&rig, CDB(0x00)), SENSE_NOT_READY, ASC_INITIALIZING_COMMAND_REQUIRED);
    expect_check(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512), SENSE_NOT_READY,
                 ASC_INITIALIZING_COMMAND_REQUIRED);
    expect_good(ask_in(&rig, CDB(0x12, 0, 0, 0, 96), 96));
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0x10))); /* a power condition: no effect */
    expect_check(ask_none(&rig, CDB(0x00)), SENSE_NOT_READY, ASC_INITIALIZING_COMMAND_REQUIRED);
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0x01)));
    expect_good(ask_none(&rig, CDB(0x00)));
    expect_check(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0x02)), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0x04))); /* NO_FLUSH */
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_FLUSH), ==, 1);
    scsi_unit_reset(rig.unit, false);
    expect_unit_attention(ask_none(&rig, CDB(0x00)), ASC_DEVICE_RESET);
    expect_good(ask_none(&rig, CDB(0x00)));
    /* A failed flush does not stop it. */
    rig.disk->fail_op = BACKEND_FLUSH;
    rig.disk->fail_result = -EIO;
    expect_check(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0x00)), SENSE_MEDIUM_ERROR, ASC_WRITE_ERROR);
    expect_good(ask_none(&rig, CDB(0x00)));
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/mode/all-pages", all_pages_are_there_in_order);
    g_test_add_func("/scsi/mode/bytes", control_and_caching_byte_for_byte);
    g_test_add_func("/scsi/mode/block-descriptors", block_descriptors);
    g_test_add_func("/scsi/mode/unknown", unknown_and_saved_pages_are_refused);
    g_test_add_func("/scsi/mode/swp", software_write_protect_is_for_everybody);
    g_test_add_func("/scsi/mode/d-sense", descriptor_sense_is_switched);
    g_test_add_func("/scsi/mode/wce", the_write_cache_is_switched_off);
    g_test_add_func("/scsi/mode/reset", a_reset_brings_the_defaults_back);
    g_test_add_func("/scsi/mode/not-changeable", nothing_else_may_be_changed);
    g_test_add_func("/scsi/mode/lists", lists_are_checked);
    g_test_add_func("/scsi/mode/all-or-nothing", all_or_nothing);
    g_test_add_func("/scsi/mode/start-stop", start_and_stop);
    return g_test_run();
}
