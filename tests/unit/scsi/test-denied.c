/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which commands reservations and port states keep away: SPC-4 table 66, SBC-3 table 13, SPC-2 5.5.1,
 * SPC-4 5.15.2.4, command by command. A command that has no row here fails the test.
 */
#include "rig.h"

#include <string.h>

#include "scsi/alua.h"
#include "scsi/opcode.h"
#include "scsi/reservation.h"

/* What denies: W, E: write exclusive, exclusive access of another, to a nexus without registration;
   L: RESERVE of another; S, U: the port is standby, unavailable. */
struct row {
    uint8_t cdb[16];
    const char *denied;
};

static const struct row rows[] = {
    { { 0x00 }, "LSU" },
    { { 0x03 }, "" },
    { { 0x08 }, "ELSU" },
    { { 0x0a }, "WELSU" },
    { { 0x12 }, "" },
    { { 0x15 }, "WELU" },
    { { 0x16 }, "WEL" },
    { { 0x17 }, "WE" }, /* under RESERVE of another it is GOOD and does nothing */
    { { 0x1a, 0, 0x3f }, "ELU" },
    { { 0x1b }, "WELSU" },
    { { 0x1b, 0, 0, 0, 0x11 }, "WELSU" }, /* a power condition */
    { { 0x1b, 0, 0, 0, 0x01 }, "SU" },
    { { 0x1c }, "ELU" },
    { { 0x1d }, "WELU" },
    { { 0x1e, 0, 0, 0, 0x01 }, "WEL" },
    { { 0x1e }, "" },
    { { 0x25 }, "SU" },
    { { 0x28 }, "ELSU" },
    { { 0x2a }, "WELSU" },
    { { 0x2e }, "WELSU" },
    { { 0x2f }, "ELSU" },
    { { 0x34 }, "ELSU" },
    { { 0x35 }, "WELSU" },
    { { 0x37 }, "ELSU" },
    { { 0x3b, 0x02 }, "WEL" },
    { { 0x3c, 0x03 }, "EL" },
    { { 0x41 }, "WELSU" },
    { { 0x42 }, "WELSU" },
    { { 0x48, 0x01 }, "WELSU" },
    { { 0x48, 0x02 }, "WELSU" },
    { { 0x48, 0x03 }, "WELSU" },
    { { 0x48, 0x1f }, "WELSU" },
    { { 0x4c }, "WELU" },
    { { 0x4d }, "L" },
    { { 0x55 }, "WELU" },
    { { 0x56 }, "WEL" },
    { { 0x57 }, "WE" },
    { { 0x5a, 0, 0x3f }, "ELU" },
    { { 0x5e, 0x00 }, "LU" },
    { { 0x5e, 0x01 }, "LU" },
    { { 0x5e, 0x02 }, "LU" },
    { { 0x5e, 0x03 }, "LU" },
    { { 0x5f, 0x00 }, "LU" }, /* who may do what is a matter of keys */
    { { 0x5f, 0x01 }, "LU" },
    { { 0x5f, 0x02 }, "LU" },
    { { 0x5f, 0x03 }, "LU" },
    { { 0x5f, 0x04 }, "LU" },
    { { 0x5f, 0x05 }, "LU" },
    { { 0x5f, 0x06 }, "LU" },
    { { 0x5f, 0x07 }, "LU" },
    { { 0x5f, 0x08 }, "LU" },
    { { 0x83, 0x00 }, "WELSU" },
    { { 0x84, 0x00 }, "ELSU" },
    { { 0x84, 0x03 }, "ELSU" },
    { { 0x84, 0x04 }, "ELSU" },
    { { 0x88 }, "ELSU" },
    { { 0x89 }, "WELSU" },
    { { 0x8a }, "WELSU" },
    { { 0x8b }, "WELSU" },
    { { 0x8e }, "WELSU" },
    { { 0x8f }, "ELSU" },
    { { 0x90 }, "ELSU" },
    { { 0x91 }, "WELSU" },
    { { 0x93 }, "WELSU" },
    { { 0x9c }, "WELSU" },
    { { 0x9e, 0x10 }, "SU" },
    { { 0x9e, 0x12 }, "ELSU" },
    { { 0xa0 }, "" },
    { { 0xa3, 0x05 }, "L" },
    { { 0xa3, 0x0a }, "" },
    { { 0xa3, 0x0c }, "EL" },
    { { 0xa3, 0x0d }, "EL" },
    { { 0xa3, 0x0f }, "" },
    { { 0xa4, 0x06 }, "WELSU" },
    { { 0xa4, 0x0a }, "WEL" },
    { { 0xa4, 0x0f }, "WELSU" },
    { { 0xa8 }, "ELSU" },
    { { 0xaa }, "WELSU" },
    { { 0xae }, "WELSU" },
    { { 0xaf }, "ELSU" },
    { { 0xb7 }, "ELSU" },
};

static struct rig rig;

static void setup(void)
{
    memset(&rig, 0, sizeof(rig));
    rig_setup(&rig, &(struct disk_options){ .features = THIN_FEATURES, .store = true },
              &(struct scsi_unit_config){ .removable = true });
}

static void persistent_out(struct scsi_nexus *nexus, uint8_t action, uint8_t type, uint64_t key,
                           uint64_t action_key)
{
    uint8_t cdb[16] = { 0x5f, action, type, 0, 0, 0, 0, 0, 24 }, list[24] = { 0 };
    struct ask ask = { .nexus = nexus, .cdb = cdb, .out = true, .expected = 24, .data = list };

    put_be64(list, key);
    put_be64(list + 8, action_key);
    struct task *task = task_run(&rig, &ask);
    expect_good(task);
    task_free(task);
}

/* As rig.b, which does not hold anything. */
static const struct task *denied_nexus_asks(const uint8_t *cdb)
{
    return ask_as(&rig, rig.b, cdb, 0);
}

static bool is_denied(const struct task *task, char by)
{
    if (by == 'S' || by == 'U')
        return task->key == SENSE_NOT_READY &&
               task->asc == (by == 'S' ? ASC_PORT_STANDBY : ASC_PORT_UNAVAILABLE);
    return task->status == SCSI_RESERVATION_CONFLICT;
}

static void expect_denials(char by)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool expected = strchr(rows[i].denied, by) != NULL;
        if (is_denied(denied_nexus_asks(rows[i].cdb), by) != expected)
            g_error("%02xh/%02xh byte 4 %02xh is %sdenied by %c", rows[i].cdb[0], rows[i].cdb[1],
                    rows[i].cdb[4], expected ? "not " : "", by);
    }
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

static void reserve(uint8_t type)
{
    persistent_out(rig.a, PR_REGISTER, 0, 0, 1);
    persistent_out(rig.a, PR_RESERVE, type, 1, 0);
}

static void persistent_reservations_deny(void)
{
    static const struct {
        uint8_t type;
        char by;
    } types[] = {
        { PR_WRITE_EXCLUSIVE, 'W' },
        { PR_WRITE_EXCLUSIVE_REGISTRANTS, 'W' },
        { PR_WRITE_EXCLUSIVE_ALL, 'W' },
        { PR_EXCLUSIVE_ACCESS, 'E' },
        { PR_EXCLUSIVE_ACCESS_REGISTRANTS, 'E' },
        { PR_EXCLUSIVE_ACCESS_ALL, 'E' },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        setup();
        reserve(types[i].type);
        expect_denials(types[i].by);
        rig_teardown(&rig);
    }
}

/* A registered nexus is kept from nothing then but RESERVE and RELEASE. */
static void registrants_are_let_in(void)
{
    setup();
    reserve(PR_EXCLUSIVE_ACCESS_REGISTRANTS);
    persistent_out(rig.b, PR_REGISTER, 0, 0, 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t opcode = rows[i].cdb[0];
        bool old = opcode == 0x16 || opcode == 0x17 || opcode == 0x56 || opcode == 0x57;
        if (opcode != 0x48)
            g_assert_cmpint(is_denied(denied_nexus_asks(rows[i].cdb), 'E'), ==, old);
    }
    rig_teardown(&rig);
}

static void reserve_denies(void)
{
    setup();
    expect_good(ask_as(&rig, rig.a, CDB(0x16), 0));
    expect_denials('L');
    /* Persistent reservations are out of its holder's reach, too. */
    g_assert_true(is_denied(ask_as(&rig, rig.a, CDB(0x5e), 0), 'L'));
    expect_good(ask_as(&rig, rig.a, CDB(0x00), 0));
    expect_good(ask_as(&rig, rig.a, CDB(0x17), 0));
    expect_good(ask_as(&rig, rig.a, CDB(0x5e), 0));
    rig_teardown(&rig);
}

static void port_states_deny(void)
{
    static const struct {
        enum scsi_access_state state;
        char by;
    } states[] = { { ACCESS_STANDBY, 'S' }, { ACCESS_UNAVAILABLE, 'U' } };

    for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
        setup();
        scsi_unit_set_access_state(rig.unit, 0, states[i].state);
        expect_unit_attention(denied_nexus_asks(CDB(0x00)), ASC_ACCESS_STATE_CHANGED);
        expect_denials(states[i].by);
        rig_teardown(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/denied/every-command", every_command_has_its_row);
    g_test_add_func("/scsi/denied/persistent", persistent_reservations_deny);
    g_test_add_func("/scsi/denied/registrants", registrants_are_let_in);
    g_test_add_func("/scsi/denied/reserve", reserve_denies);
    g_test_add_func("/scsi/denied/port-states", port_states_deny);
    return g_test_run();
}
