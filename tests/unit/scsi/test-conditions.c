/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What keeps a command from being done, whoever sends it: command by command, whether it needs a unit, waits
 * for a unit attention to be told, needs the medium, may come to a write protected unit or one that is being
 * sanitized, takes no protection information; and which blocks it may ask for. A command that has no row here
 * fails the test.
 */
#include "rig.h"

#include <string.h>

#include "scsi/medium.h"
#include "scsi/opcode.h"

/* N: also where there is no unit; A: a unit attention does not end it; M: not without the medium; W: not when
   write protected; S: also while sanitized; P: xPROTECT must be 0. */
struct row {
    uint8_t cdb[16];
    const char *letters;
};

static const struct row rows[] = {
    { { 0x00 }, "M" },          { { 0x03 }, "NAS" },
    { { 0x08 }, "M" },          { { 0x0a }, "MW" },
    { { 0x12 }, "NAS" },        { { 0x15 }, "" },
    { { 0x16 }, "" },           { { 0x17 }, "" },
    { { 0x1a, 0, 0x3f }, "" },  { { 0x1b }, "" },
    { { 0x1c }, "" },           { { 0x1d }, "" },
    { { 0x1e }, "" },           { { 0x25 }, "M" },
    { { 0x28 }, "MP" },         { { 0x2a }, "MWP" },
    { { 0x2e }, "MWP" },        { { 0x2f }, "MP" },
    { { 0x34 }, "M" },          { { 0x35 }, "M" },
    { { 0x37 }, "M" },          { { 0x3b, 0x02 }, "" },
    { { 0x3c, 0x03 }, "" },     { { 0x41, 0, 0, 0, 0, 0, 0, 0, 1 }, "MWP" },
    { { 0x42 }, "MW" },         { { 0x48, 0x01 }, "W" },
    { { 0x48, 0x02 }, "W" },    { { 0x48, 0x03 }, "W" },
    { { 0x48, 0x1f }, "W" },    { { 0x4c }, "" },
    { { 0x4d, 0, 0x40 }, "S" }, { { 0x55 }, "" },
    { { 0x56 }, "" },           { { 0x57 }, "" },
    { { 0x5a, 0, 0x3f }, "" },  { { 0x5e, 0x00 }, "S" },
    { { 0x5e, 0x01 }, "S" },    { { 0x5e, 0x02 }, "S" },
    { { 0x5e, 0x03 }, "S" },    { { 0x5f, 0x00 }, "" },
    { { 0x5f, 0x01 }, "" },     { { 0x5f, 0x02 }, "" },
    { { 0x5f, 0x03 }, "" },     { { 0x5f, 0x04 }, "" },
    { { 0x5f, 0x05 }, "" },     { { 0x5f, 0x06 }, "" },
    { { 0x5f, 0x07 }, "" },     { { 0x5f, 0x08 }, "" },
    { { 0x83, 0x00 }, "" }, /* what its segments name is looked at one by one */
    { { 0x84, 0x00 }, "" },     { { 0x84, 0x03 }, "" },
    { { 0x84, 0x04 }, "" },     { { 0x88 }, "MP" },
    { { 0x89 }, "MWP" },        { { 0x8a }, "MWP" },
    { { 0x8b }, "MWP" },        { { 0x8e }, "MWP" },
    { { 0x8f }, "MP" },         { { 0x90 }, "M" },
    { { 0x91 }, "M" },          { { 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, "MWP" },
    { { 0x9c }, "MWP" },        { { 0x9e, 0x10 }, "M" },
    { { 0x9e, 0x12 }, "M" },    { { 0xa0 }, "NAS" },
    { { 0xa3, 0x05 }, "" },     { { 0xa3, 0x0a }, "S" },
    { { 0xa3, 0x0c }, "S" },    { { 0xa3, 0x0d }, "S" },
    { { 0xa3, 0x0f }, "" },     { { 0xa4, 0x06 }, "" },
    { { 0xa4, 0x0a }, "" },     { { 0xa4, 0x0f }, "" },
    { { 0xa8 }, "MP" },         { { 0xaa }, "MWP" },
    { { 0xae }, "MWP" },        { { 0xaf }, "MP" },
    { { 0xb7 }, "M" },
};

static struct rig rig;

static void setup(bool read_only)
{
    memset(&rig, 0, sizeof(rig));
    rig_setup(&rig,
              &(struct disk_options){ .features = THIN_FEATURES | BACKEND_FEATURE_VOLATILE_CACHE,
                                      .store = true },
              &(struct scsi_unit_config){ .removable = true, .read_only = read_only });
}

static bool has(const struct row *row, char letter)
{
    return strchr(row->letters, letter) != NULL;
}

static void expect_it(const struct row *row, const char *what, bool found, bool expected)
{
    if (found != expected)
        g_error("%02xh/%02xh: %s%s", row->cdb[0], row->cdb[1], expected ? "not " : "", what);
}

static bool failed_with(const struct task *task, uint8_t key, uint16_t asc)
{
    return task->status == SCSI_CHECK_CONDITION && task->key == key && task->asc == asc;
}

static void every_command_has_its_row(void)
{
    for (unsigned i = 0; i < scsi_opcode_count; i++) {
        const struct scsi_opcode *o = &scsi_opcodes[i];
        bool found = false;
        for (unsigned n = 0; n < G_N_ELEMENTS(rows) && !found; n++)
            found = rows[n].cdb[0] == o->opcode &&
                    (o->service_action == SA_NONE || (rows[n].cdb[1] & 0x1f) == o->service_action);
        if (!found)
            g_error("no row for %s", o->name);
    }
}

static void without_a_unit(void)
{
    setup(false);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct task *t =
            task_run(&rig, &(struct ask){ .cdb = rows[i].cdb, .lun = scsi_lun_encode(9) });
        expect_it(&rows[i], "refused without a unit",
                  failed_with(t, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED),
                  !has(&rows[i], 'N'));
        task_free(t);
    }
    rig_teardown(&rig);
}

static void with_a_unit_attention(void)
{
    setup(false);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool told = rows[i].cdb[0] == 0x03; /* in its data */
        scsi_unit_attention(rig.unit, rig.a, 0x2a, 0x01);
        bool ended = failed_with(ask_as(&rig, rig.b, rows[i].cdb, told ? 18 : 0),
                                 SENSE_UNIT_ATTENTION, ASC_MODE_PARAMETERS_CHANGED);
        expect_it(&rows[i], "ended by a unit attention", ended, !has(&rows[i], 'A'));
        bool left = failed_with(ask_as(&rig, rig.b, CDB(0x00), 0), SENSE_UNIT_ATTENTION,
                                ASC_MODE_PARAMETERS_CHANGED);
        expect_it(&rows[i], "a unit attention was left", left, has(&rows[i], 'A') && !told);
        expect_good(ask_as(&rig, rig.b, CDB(0x00), 0));
    }
    rig_teardown(&rig);
}

static void without_the_medium(void)
{
    setup(false);
    expect_good(ask_none(&rig, CDB(0x1b, 0, 0, 0, 0x02)));
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].cdb[0] != 0x48) /* erasing begins with looking at it */
            expect_it(
                &rows[i], "refused without the medium",
                failed_with(ask_none(&rig, rows[i].cdb), SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT),
                has(&rows[i], 'M'));
    rig_teardown(&rig);
}

static void write_protected(void)
{
    setup(true);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct task *t = ask_none(&rig, rows[i].cdb);
        expect_it(&rows[i], "refused when write protected",
                  failed_with(t, SENSE_DATA_PROTECT, ASC_WRITE_PROTECTED), has(&rows[i], 'W'));
    }
    rig_teardown(&rig);
}

static void while_it_is_sanitized(void)
{
    setup(false);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        atomic_fetch_or(&rig.unit->not_ready, UNIT_SANITIZING);
        expect_it(
            &rows[i], "refused while sanitized",
            failed_with(ask_none(&rig, rows[i].cdb), SENSE_NOT_READY, ASC_SANITIZE_IN_PROGRESS),
            !has(&rows[i], 'S'));
    }
    atomic_fetch_and(&rig.unit->not_ready, ~(uint32_t)UNIT_SANITIZING);
    rig_teardown(&rig);
}

/* All of its values are refused; where something else stands, some are not. */
static void protection_information(void)
{
    setup(false);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t cdb[16], refused = 0;
        if (rows[i].cdb[0] == 0x48) /* would begin with some of them */
            continue;
        for (uint8_t protect = 1; protect < 8; protect++) {
            memcpy(cdb, rows[i].cdb, sizeof(cdb));
            cdb[1] |= (uint8_t)(protect << 5);
            const struct task *t = ask_none(&rig, cdb);
            refused += failed_with(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB) &&
                       t->cmd.sense[15] == 0xcf && get_be16(t->cmd.sense + 16) == 1;
        }
        expect_it(&rows[i], "refused with protection information", refused == 7,
                  has(&rows[i], 'P'));
    }
    rig_teardown(&rig);
}

/* FUA, in every form: what was in a cache is on the medium before the answer; without it, it is not asked for. */
static void forced_unit_access(void)
{
    static const struct {
        uint8_t op, length_at, blocks_of_data;
    } forms[] = { { 0x28, 8, 0 },  { 0xa8, 9, 0 },  { 0x88, 13, 0 }, { 0x2a, 8, 1 }, { 0xaa, 9, 1 },
                  { 0x8a, 13, 1 }, { 0x8b, 13, 1 }, { 0x89, 13, 2 }, { 0x9c, 13, 1 } };
    static const uint8_t zeroes[1024];

    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        memset(&rig, 0, sizeof(rig));
        rig_setup(&rig,
                  &(struct disk_options){ .features = BACKEND_FEATURE_VOLATILE_CACHE,
                                          .store = forms[i].op == 0x9c },
                  NULL);
        for (uint8_t bits = 0; bits <= 0x18; bits += 0x08) { /* with and without DPO */
            uint8_t cdb[16] = { forms[i].op, bits };
            cdb[forms[i].length_at] = 1;
            unsigned before = disk_count(rig.disk, BACKEND_FLUSH);
            expect_good(forms[i].blocks_of_data
                            ? ask_out(&rig, cdb, zeroes, forms[i].blocks_of_data * 512u)
                            : ask_in(&rig, cdb, 512));
            unsigned flushed = disk_count(rig.disk, BACKEND_FLUSH) - before;
            if (flushed != (bits & 0x08u) >> 3)
                g_error("%02xh with %02xh: flushed %u times", forms[i].op, bits, flushed);
        }
        rig_teardown(&rig);
    }
}

/* What a COMPARE AND WRITE has for itself no other command touches before it has ended. */
static void blocks_of_another(void)
{
    static const struct {
        uint8_t op, length_at, length;
        uint32_t out; /* bytes of data; 0: one block comes in */
    } forms[] = { { 0x08, 4, 1, 0 },    { 0x28, 8, 1, 0 },    { 0xa8, 9, 1, 0 },
                  { 0x88, 13, 1, 0 },   { 0x0a, 4, 1, 512 },  { 0x2a, 8, 1, 512 },
                  { 0xaa, 9, 1, 512 },  { 0x8a, 13, 1, 512 }, { 0x2e, 8, 1, 512 },
                  { 0xae, 9, 1, 512 },  { 0x8e, 13, 1, 512 }, { 0x41, 8, 1, 512 },
                  { 0x93, 13, 1, 512 }, { 0x42, 8, 24, 24 },  { 0x8b, 13, 1, 512 },
                  { 0x89, 13, 1, 1024 } };
    static const uint8_t zeroes[1024];
    uint8_t list[1024] = { 0, 22, 0, 16, [19] = 1 }; /* of UNMAP: block 0; data for the others */

    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        const void *data = forms[i].op == 0x42 ? list : zeroes;
        uint8_t cdb[16] = { forms[i].op };
        setup(false);
        rig.disk->hold = true;
        struct task *first = task_run(&rig, &(struct ask){ .cdb = CDB([0] = 0x89, [13] = 1),
                                                           .out = true,
                                                           .expected = 1024,
                                                           .data = zeroes });
        unsigned before = rig.disk->log_count;
        cdb[forms[i].length_at] = forms[i].length;
        struct task *t =
            task_run(&rig, &(struct ask){ .nexus = rig.b,
                                          .cdb = cdb,
                                          .in = !forms[i].out,
                                          .out = forms[i].out,
                                          .expected = forms[i].out ? forms[i].out : 512,
                                          .data = data });
        if (t->ended || first->ended || rig.disk->log_count != before)
            g_error("%02xh did not wait", forms[i].op);
        rig.disk->hold = false;
        disk_release(rig.disk);
        rig_turn(&rig);
        expect_good(first);
        expect_good(t);
        task_free(first);
        task_free(t);
        rig_teardown(&rig);
    }
}

/* Every command with an LBA: not one block beyond the end, and nothing is done of what would reach there. */
static void blocks_beyond_the_end(void)
{
    static const struct {
        uint8_t op, action, lba_bytes, length_at, length_bytes;
        uint32_t out;
    } forms[] = {
        { 0x28, 0, 4, 7, 2, 0 },     { 0xa8, 0, 4, 6, 4, 0 },     { 0x88, 0, 8, 10, 4, 0 },
        { 0x2a, 0, 4, 7, 2, 1024 },  { 0xaa, 0, 4, 6, 4, 1024 },  { 0x8a, 0, 8, 10, 4, 1024 },
        { 0x2e, 0, 4, 7, 2, 1024 },  { 0xae, 0, 4, 6, 4, 1024 },  { 0x8e, 0, 8, 10, 4, 1024 },
        { 0x2f, 0, 4, 7, 2, 0 },     { 0xaf, 0, 4, 6, 4, 0 },     { 0x8f, 0, 8, 10, 4, 0 },
        { 0x34, 0, 4, 7, 2, 0 },     { 0x90, 0, 8, 10, 4, 0 },    { 0x35, 0, 4, 7, 2, 0 },
        { 0x91, 0, 8, 10, 4, 0 },    { 0x41, 0, 4, 7, 2, 512 },   { 0x93, 0, 8, 10, 4, 512 },
        { 0x89, 0, 8, 13, 1, 2048 }, { 0x8b, 0, 8, 10, 4, 1024 }, { 0x9c, 0, 8, 12, 2, 1024 },
        { 0x9e, 0x12, 8, 0, 0, 0 },
    };
    static const struct {
        uint64_t lba;
        uint8_t blocks;
    } ranges[] = { { 2047, 2 }, { 2048, 1 },     { 2048, 2 },
                   { 2049, 0 }, { 1u << 31, 0 }, { UINT32_MAX, 2 } };
    static const uint8_t zeroes[2048];

    setup(false);
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        for (unsigned r = 0; r < G_N_ELEMENTS(ranges); r++) {
            uint8_t cdb[16] = { forms[i].op, forms[i].action };
            if (ranges[r].lba < 2048 && !forms[i].length_bytes)
                continue;
            if (forms[i].lba_bytes == 8)
                put_be64(cdb + 2, ranges[r].lba);
            else
                put_be32(cdb + 2, (uint32_t)ranges[r].lba);
            if (forms[i].length_bytes)
                cdb[forms[i].length_at + forms[i].length_bytes - 1] = ranges[r].blocks;
            const struct task *t =
                forms[i].out ? ask_out(&rig, cdb, zeroes, forms[i].out) : ask_in(&rig, cdb, 1024);
            if (!failed_with(t, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE))
                g_error("%02xh: LBA %llu, %u blocks", cdb[0], (unsigned long long)ranges[r].lba,
                        ranges[r].blocks);
        }
    }
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/conditions/every-command", every_command_has_its_row);
    g_test_add_func("/scsi/conditions/no-unit", without_a_unit);
    g_test_add_func("/scsi/conditions/unit-attention", with_a_unit_attention);
    g_test_add_func("/scsi/conditions/no-medium", without_the_medium);
    g_test_add_func("/scsi/conditions/write-protected", write_protected);
    g_test_add_func("/scsi/conditions/sanitized", while_it_is_sanitized);
    g_test_add_func("/scsi/conditions/protection", protection_information);
    g_test_add_func("/scsi/conditions/fua", forced_unit_access);
    g_test_add_func("/scsi/conditions/range", blocks_of_another);
    g_test_add_func("/scsi/conditions/beyond-the-end", blocks_beyond_the_end);
    return g_test_run();
}
