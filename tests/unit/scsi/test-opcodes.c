/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT SUPPORTED OPERATION CODES says exactly what dispatch knows. */
#include "rig.h"

#include <string.h>

#define ALL_BYTES 8192u

static struct task *report(struct rig *rig, uint8_t options, uint8_t opcode, uint16_t action)
{
    uint8_t cdb[16] = { 0xa3, 0x0c, options, opcode };
    put_be16(cdb + 4, action);
    put_be32(cdb + 6, ALL_BYTES);
    return ask_in(rig, cdb, ALL_BYTES);
}

struct entry {
    uint8_t opcode;
    bool has_action;
    uint16_t action, cdb_bytes;
};

/* Takes the list of all commands apart. */
static unsigned all_commands(struct rig *rig, struct entry *ret_entries, unsigned max)
{
    struct task *t = report(rig, 0x00, 0, 0);
    expect_good(t);
    g_assert_cmpuint(get_be32(t->in), ==, t->in_bytes - 4);
    g_assert_cmpuint((t->in_bytes - 4) % 8, ==, 0);
    unsigned n = (t->in_bytes - 4) / 8;
    g_assert_cmpuint(n, <=, max);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *d = t->in + 4 + i * 8;
        ret_entries[i] = (struct entry){ d[0], d[5] & 1, get_be16(d + 2), get_be16(d + 6) };
        g_assert_cmphex(d[5] & ~1, ==, 0);
        if (!ret_entries[i].has_action)
            g_assert_cmpuint(ret_entries[i].action, ==, 0);
    }
    return n;
}

/* Unknown: INVALID COMMAND OPERATION CODE, or the field pointer at the service action. */
static bool dispatched(struct rig *rig, uint8_t opcode, uint8_t action)
{
    uint8_t cdb[16] = { opcode, action };
    const struct task *t = ask_none(rig, cdb);
    if (t->status != SCSI_CHECK_CONDITION)
        return true;
    if (t->asc == ASC_INVALID_OPCODE)
        return false;
    return !(t->asc == ASC_INVALID_FIELD_IN_CDB && get_be16(t->cmd.sense + 16) == 1 &&
             (t->cmd.sense[15] & 0x0f) == 0x0c);
}

static void check_consistency(bool thin)
{
    struct rig rig = { 0 };
    struct entry entries[256];
    unsigned count, found = 0;

    rig_setup(&rig, &(struct disk_options){ .features = thin ? THIN_FEATURES : 0 }, NULL);
    count = all_commands(&rig, entries, G_N_ELEMENTS(entries));
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        bool has_actions = opcode == 0x9e || opcode == 0xa3 || opcode == 0xa4 || opcode == 0x48 ||
                           opcode == 0x5e || opcode == 0x5f || opcode == 0x83 || opcode == 0x84;
        /* The mode of READ BUFFER and WRITE BUFFER stands where others have a service action. */
        uint8_t mode = opcode == 0x3b || opcode == 0x3c ? 0x02 : 0;
        for (unsigned action = 0; action < (has_actions ? 32 : 1); action++) {
            unsigned listed = 0;
            for (unsigned i = 0; i < count; i++)
                listed += entries[i].opcode == opcode && entries[i].action == action &&
                          entries[i].has_action == has_actions;
            g_assert_cmpuint(listed, <=, 1);
            if (opcode == 0x1b || opcode == 0x48) { /* would change the unit for the others */
                found += listed;
                continue;
            }
            g_assert_cmpint(dispatched(&rig, (uint8_t)opcode, mode ? mode : (uint8_t)action), ==,
                            listed);
            found += listed;
        }
    }
    g_assert_cmpuint(found, ==, count);
    rig_teardown(&rig);
}

static void what_is_listed_is_dispatched_and_nothing_else(void)
{
    check_consistency(false);
    check_consistency(true);
}

static void every_command_has_its_one_command_form(void)
{
    struct rig rig = { 0 };
    struct entry entries[256];

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES }, NULL);
    unsigned count = all_commands(&rig, entries, G_N_ELEMENTS(entries));
    for (unsigned i = 0; i < count; i++) {
        const struct entry *e = &entries[i];
        struct task *t = report(&rig, e->has_action ? 0x02 : 0x01, e->opcode, e->action);
        expect_good(t);
        g_assert_cmphex(t->in[1], ==, 0x03);
        g_assert_cmpuint(get_be16(t->in + 2), ==, e->cdb_bytes);
        g_assert_cmpuint(t->in_bytes, ==, 4u + e->cdb_bytes);
        g_assert_cmphex(t->in[4], ==, e->opcode);
        if (e->has_action)
            g_assert_cmphex(t->in[5] & 0x1f, ==, e->action);
        /* CONTROL byte: nothing is supported there. */
        g_assert_cmphex(t->in[4 + e->cdb_bytes - 1], ==, 0);

        /* Either form by option 3; the wrong one by the other option. */
        expect_good(t = report(&rig, 0x03, e->opcode, e->action));
        g_assert_cmphex(t->in[1], ==, 0x03);
        t = report(&rig, e->has_action ? 0x01 : 0x02, e->opcode, e->action);
        expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
        expect_field(t, true, 2);
    }
    rig_teardown(&rig);
}

static void unsupported_commands_are_reported_as_such(void)
{
    struct rig rig = { 0 };
    struct task *t;

    rig_setup(&rig, NULL, NULL);
    expect_good(t = report(&rig, 0x01, 0x04, 0)); /* FORMAT UNIT */
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 1, 0, 0 }), 4);
    expect_good(t = report(&rig, 0x02, 0x9e, 0x1f));
    g_assert_cmphex(t->in[1], ==, 0x01);
    expect_good(t = report(&rig, 0x03, 0x28, 1)); /* READ(10) has no service action */
    g_assert_cmphex(t->in[1], ==, 0x01);
    expect_good(t = report(&rig, 0x01, 0x42, 0)); /* UNMAP on a thick unit */
    g_assert_cmphex(t->in[1], ==, 0x01);
    expect_check(report(&rig, 0x04, 0, 0), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    rig_teardown(&rig);
}

static void timeouts_come_with_every_descriptor_when_asked_for(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES }, NULL);
    struct task *t = report(&rig, 0x80, 0, 0);
    expect_good(t);
    g_assert_cmpuint((t->in_bytes - 4) % 20, ==, 0);
    for (uint32_t at = 4; at < t->in_bytes; at += 20) {
        g_assert_cmphex(t->in[at + 5] & 0x02, ==, 0x02);
        g_assert_cmphex(get_be16(t->in + at + 8), ==, 0x000a);
        g_assert_cmpuint(get_be32(t->in + at + 16), >, 0);
    }
    expect_good(t = report(&rig, 0x81, 0x28, 0));
    g_assert_cmphex(t->in[1], ==, 0x83);
    g_assert_cmpuint(t->in_bytes, ==, 4 + 10 + 12);
    g_assert_cmphex(get_be16(t->in + 14), ==, 0x000a);
    rig_teardown(&rig);
}

/* MODE SENSE says DPOFUA: the usage maps must have the bits, and only where they mean it. */
static void usage_shows_dpo_and_fua(void)
{
    static const struct {
        uint8_t opcode, bits;
    } cases[] = { { 0x28, 0x18 }, { 0xa8, 0x18 }, { 0x88, 0x18 }, { 0x2a, 0x18 }, { 0xaa, 0x18 },
                  { 0x8a, 0x18 }, { 0x2e, 0x10 }, { 0xae, 0x10 }, { 0x8e, 0x10 }, { 0x2f, 0x10 },
                  { 0xaf, 0x10 }, { 0x8f, 0x10 }, { 0x8b, 0x18 }, { 0x89, 0x18 }, { 0x9c, 0x18 } };
    struct rig rig = { 0 };
    struct task *t;

    rig_setup(&rig, &(struct disk_options){ .store = true }, NULL);
    expect_good(t = ask_in(&rig, CDB(0x1a, 0, 0x3f, 0, 255), 255));
    g_assert_cmphex(t->in[2] & 0x10, ==, 0x10);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        expect_good(t = report(&rig, 0x01, cases[i].opcode, 0));
        g_assert_cmphex(t->in[5] & 0x18, ==, cases[i].bits);
        g_assert_cmphex(t->in[5] & 0xe0, ==, 0);
    }
    rig_teardown(&rig);
}

static void an_unknown_service_action_is_told_apart(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    struct task *t = ask_none(&rig, CDB(0xa3, 0x1f));
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_field(t, true, 1);
    t = ask_none(&rig, CDB(0x04));
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    /* A CDB shorter than the command's. */
    struct ask ask = { .cdb = CDB(0x88), .cdb_bytes = 10 };
    t = task_run(&rig, &ask);
    expect_check(t, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE);
    task_free(t);
    rig_teardown(&rig);
}

static void task_management_functions_are_reported(void)
{
    struct rig rig = { 0 };
    struct task *t;

    rig_setup(&rig, NULL, NULL);
    expect_good(t = ask_in(&rig, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16), 16));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0xd8, 0, 0, 0 }), 4);
    expect_good(t = ask_in(&rig, CDB(0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16), 16));
    g_assert_cmpuint(t->in_bytes, ==, 16);
    g_assert_cmphex(t->in[3], ==, 0x0c);
    rig.a->version_descriptor = 0x0962; /* RFC 7144 was agreed on */
    expect_good(t = ask_in(&rig, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16), 16));
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0xdc, 0x07, 0, 0 }), 4);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/opcodes/consistent", what_is_listed_is_dispatched_and_nothing_else);
    g_test_add_func("/scsi/opcodes/one-command", every_command_has_its_one_command_form);
    g_test_add_func("/scsi/opcodes/unsupported", unsupported_commands_are_reported_as_such);
    g_test_add_func("/scsi/opcodes/timeouts", timeouts_come_with_every_descriptor_when_asked_for);
    g_test_add_func("/scsi/opcodes/dpo-fua", usage_shows_dpo_and_fua);
    g_test_add_func("/scsi/opcodes/unknown", an_unknown_service_action_is_told_apart);
    g_test_add_func("/scsi/opcodes/tmf", task_management_functions_are_reported);
    return g_test_run();
}
