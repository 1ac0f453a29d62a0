/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent reservations from the wire: service actions, types and who may do what, unit attentions,
 * what is reported. Three initiators, of which the third often has no registration.
 */
#include "rig.h"

#include <string.h>

#include "scsi/reservation.h"

#define KEY_A 0x1111111111111111ull
#define KEY_B 0x2222222222222222ull
#define KEY_C 0x3333333333333333ull

static struct rig rig;
static struct scsi_nexus *third;

static void setup(void)
{
    memset(&rig, 0, sizeof(rig));
    rig_setup(&rig, NULL, NULL);
    third = rig_nexus(&rig, INITIATOR_NAME "3", false);
}

static void teardown(void)
{
    scsi_nexus_free(third);
    rig_teardown(&rig);
}

static struct task *out_list(struct scsi_nexus *nexus, uint8_t action, uint8_t type,
                             const uint8_t *list, uint32_t bytes)
{
    static struct task *last;
    uint8_t cdb[16] = { 0x5f, action, type };
    struct ask ask = { .nexus = nexus, .cdb = cdb, .out = true, .expected = bytes, .data = list };

    put_be32(cdb + 5, bytes);
    task_free(last);
    return last = task_run(&rig, &ask);
}

static struct task *out_flags(struct scsi_nexus *nexus, uint8_t action, uint8_t type, uint64_t key,
                              uint64_t action_key, uint8_t flags)
{
    uint8_t list[24] = { 0 };

    put_be64(list, key);
    put_be64(list + 8, action_key);
    list[20] = flags;
    return out_list(nexus, action, type, list, sizeof(list));
}

static struct task *out(struct scsi_nexus *nexus, uint8_t action, uint8_t type, uint64_t key,
                        uint64_t action_key)
{
    return out_flags(nexus, action, type, key, action_key, 0);
}

static struct task *in(uint8_t action, uint16_t allocation)
{
    uint8_t cdb[16] = { 0x5e, action };
    put_be16(cdb + 7, allocation);
    return ask_as(&rig, third, cdb, allocation);
}

static uint32_t generation(void)
{
    return get_be32(in(0, 8)->in);
}

static void expect_conflict(const struct task *task)
{
    g_assert_true(task->ended);
    g_assert_cmphex(task->status, ==, SCSI_RESERVATION_CONFLICT);
}

static void expect_keys(unsigned count, uint64_t first, uint64_t second, uint64_t last)
{
    const uint64_t keys[3] = { first, second, last };
    struct task *t = in(0, 256);

    expect_good(t);
    g_assert_cmpuint(get_be32(t->in + 4), ==, count * 8);
    g_assert_cmpuint(t->in_bytes, ==, 8 + count * 8);
    for (unsigned i = 0; i < count; i++)
        g_assert_cmphex(get_be64(t->in + 8 + i * 8), ==, keys[i]);
}

/* Type and key of the reservation; type 0: there is none. */
static void expect_reservation(uint8_t type, uint64_t key)
{
    struct task *t = in(1, 256);

    expect_good(t);
    g_assert_cmpuint(get_be32(t->in + 4), ==, type ? 16 : 0);
    if (type) {
        g_assert_cmphex(get_be64(t->in + 8), ==, key);
        g_assert_cmphex(t->in[21], ==, type);
    }
}

static struct task *tur(struct scsi_nexus *nexus)
{
    return ask_as(&rig, nexus, CDB(0x00), 0);
}

static void register_all(void)
{
    expect_good(out(rig.a, PR_REGISTER, 0, 0, KEY_A));
    expect_good(out(rig.b, PR_REGISTER, 0, 0, KEY_B));
}

/* ---- registering ---- */

static void registering(void)
{
    setup();
    expect_keys(0, 0, 0, 0);
    g_assert_cmpuint(generation(), ==, 0);
    expect_good(out(rig.a, PR_REGISTER, 0, 0, KEY_A));
    expect_keys(1, KEY_A, 0, 0);
    expect_conflict(out(rig.a, PR_REGISTER, 0, KEY_B, KEY_C)); /* not its key */
    expect_conflict(out(rig.b, PR_REGISTER, 0, KEY_A, KEY_C)); /* it has none */
    expect_good(out(rig.b, PR_REGISTER, 0, 0, 0));             /* nothing to do */
    g_assert_cmpuint(generation(), ==, 1);
    expect_good(out(rig.b, PR_REGISTER_AND_IGNORE, 0, KEY_C, KEY_B));
    expect_good(out(rig.a, PR_REGISTER, 0, KEY_A, KEY_C));
    expect_keys(2, KEY_C, KEY_B, 0);
    g_assert_cmpuint(generation(), ==, 3);
    expect_good(out(rig.a, PR_REGISTER_AND_IGNORE, 0, 0, 0));
    expect_good(out(rig.b, PR_REGISTER, 0, KEY_B, 0));
    expect_keys(0, 0, 0, 0);
    g_assert_cmpuint(generation(), ==, 5);
    expect_good(tur(rig.a));
    teardown();
}

static void lists_and_fields_that_are_wrong(void)
{
    static uint8_t long_list[256u << 10];
    uint8_t list[64] = { 0 };

    setup();
    expect_check(out_list(rig.a, PR_REGISTER, 0, long_list, sizeof(long_list)),
                 SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    /* RESERVE and RELEASE know no third party, no extents and no list. */
    static const uint8_t old[] = { 0x16, 0x17, 0x56, 0x57 };
    for (unsigned i = 0; i < sizeof(old); i++) {
        for (uint8_t bit = 0x01; bit <= 0x10; bit <<= 1)
            expect_field(ask_as(&rig, rig.a, CDB(old[i], bit), 0), true, 1);
        if (old[i] & 0x40)
            expect_field(ask_as(&rig, rig.a, CDB(old[i], 0, 0, 0, 0, 0, 0, 0, 8), 0), true, 7);
    }
    put_be64(list + 8, KEY_A);
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, 23), SENSE_ILLEGAL_REQUEST,
                 ASC_PARAMETER_LIST_LENGTH);
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, 28), SENSE_ILLEGAL_REQUEST,
                 ASC_PARAMETER_LIST_LENGTH);
    expect_check(out_flags(rig.a, PR_REGISTER, 0, 0, KEY_A, 1), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST); /* APTPL without a place for it */
    expect_good(out(rig.a, PR_REGISTER, 0, 0, KEY_A));
    static const uint8_t bad_types[] = { 0, 2, 4, 9, 15, 0x11 };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_types); i++)
        expect_check(out(rig.a, PR_RESERVE, bad_types[i], KEY_A, 0), SENSE_ILLEGAL_REQUEST,
                     ASC_INVALID_FIELD_IN_CDB);
    for (unsigned action = 4; action < 32; action++)
        expect_check(in((uint8_t)action, 64), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(out(rig.a, 9, 0, KEY_A, 0), SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_CDB);
    expect_check(out(rig.a, PR_REPLACE_LOST, 1, KEY_A, KEY_B), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB);
    static const uint8_t actions[] = { PR_RESERVE, PR_RELEASE, PR_CLEAR, PR_PREEMPT,
                                       PR_PREEMPT_AND_ABORT };
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++) {
        expect_conflict(out(rig.a, actions[i], 1, KEY_B, KEY_A)); /* wrong key */
        expect_conflict(out(rig.b, actions[i], 1, KEY_A, KEY_A)); /* not registered */
    }
    expect_keys(1, KEY_A, 0, 0);
    teardown();
}

static void registrations_have_a_limit(void)
{
    uint64_t key = 100;

    setup();
    for (unsigned i = 0; i < PR_REGISTRATIONS_MAX; i++) {
        g_autofree char *name = g_strdup_printf("iqn.2026-11.org.example:many%u", i);
        struct scsi_nexus *nexus = rig_nexus(&rig, name, false);
        expect_good(out(nexus, PR_REGISTER, 0, 0, key++));
        scsi_nexus_free(nexus);
    }
    expect_check(out(rig.a, PR_REGISTER, 0, 0, KEY_A), SENSE_ILLEGAL_REQUEST,
                 ASC_INSUFFICIENT_REGISTRATIONS);
    struct task *t = in(3, 65535);
    expect_good(t);
    g_assert_cmpuint(get_be32(t->in + 4) + 8, ==, t->in_bytes);
    t = in(0, 8);
    g_assert_cmpuint(get_be32(t->in + 4), ==, PR_REGISTRATIONS_MAX * 8); /* not cut */
    g_assert_cmpuint(t->in_bytes, ==, 8);
    teardown();
}

/* ---- types ---- */

static const struct {
    uint8_t type;
    bool registered_reads, registered_writes, others_read, others_write;
} types[] = {
    { PR_WRITE_EXCLUSIVE, true, false, true, false },
    { PR_EXCLUSIVE_ACCESS, false, false, false, false },
    { PR_WRITE_EXCLUSIVE_REGISTRANTS, true, true, true, false },
    { PR_EXCLUSIVE_ACCESS_REGISTRANTS, true, true, false, false },
    { PR_WRITE_EXCLUSIVE_ALL, true, true, true, false },
    { PR_EXCLUSIVE_ACCESS_ALL, true, true, false, false },
};

static void expect_allowed(const struct task *task, bool allowed)
{
    if (allowed)
        expect_good(task);
    else
        expect_conflict(task);
}

static struct task *write_block(struct scsi_nexus *nexus)
{
    static struct task *last;
    static const uint8_t block[512];
    struct ask ask = { .nexus = nexus,
                       .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1),
                       .out = true,
                       .expected = 512,
                       .data = block };
    task_free(last);
    return last = task_run(&rig, &ask);
}

static struct task *read_block(struct scsi_nexus *nexus)
{
    return ask_as(&rig, nexus, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512);
}

static void every_type_keeps_away_whom_it_should(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        setup();
        register_all();
        expect_good(out(rig.a, PR_RESERVE, types[i].type, KEY_A, 0));
        bool all = pr_all_registrants(types[i].type);
        expect_reservation(types[i].type, all ? 0 : KEY_A);
        expect_allowed(read_block(rig.a), true);
        expect_allowed(write_block(rig.a), true);
        expect_allowed(read_block(rig.b), types[i].registered_reads);
        expect_allowed(write_block(rig.b), types[i].registered_writes);
        expect_allowed(read_block(third), types[i].others_read);
        expect_allowed(write_block(third), types[i].others_write);
        expect_allowed(ask_as(&rig, third, CDB(0x1a, 0, 0x3f, 0, 255), 255), types[i].others_read);
        expect_good(tur(third)); /* and all that asks only */
        expect_good(ask_as(&rig, third, CDB(0x25), 8));
        expect_good(ask_as(&rig, third, CDB(0x12, 0, 0, 0, 96), 96));
        expect_conflict(
            ask_as(&rig, third, CDB(0x16), 0)); /* RESERVE(6): there are registrations */

        /* Who else may take or release it. */
        expect_allowed(out(rig.b, PR_RESERVE, types[i].type, KEY_B, 0), all);
        expect_conflict(out(rig.b, PR_RESERVE, types[i].type == 1 ? 3 : 1, KEY_B, 0));
        expect_good(out(rig.a, PR_RESERVE, types[i].type, KEY_A, 0));
        if (!all) {
            expect_good(out(rig.b, PR_RELEASE, types[i].type, KEY_B, 0));
            expect_reservation(types[i].type, KEY_A);
        }
        expect_check(out(rig.a, PR_RELEASE, types[i].type == 1 ? 3 : 1, KEY_A, 0),
                     SENSE_ILLEGAL_REQUEST, ASC_INVALID_RELEASE);
        expect_good(out(rig.a, PR_RELEASE, types[i].type, KEY_A, 0));
        expect_reservation(0, 0);
        bool told = types[i].type > PR_EXCLUSIVE_ACCESS;
        if (told)
            expect_unit_attention(tur(rig.b), ASC_RESERVATIONS_RELEASED);
        expect_good(tur(rig.b));
        expect_good(tur(third));
        expect_good(write_block(third));
        g_assert_cmpuint(generation(), ==, 2); /* RESERVE and RELEASE do not count */
        teardown();
    }
}

static void a_holder_that_goes_releases(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        setup();
        register_all();
        expect_good(out(third, PR_REGISTER, 0, 0, KEY_C));
        expect_good(out(rig.a, PR_RESERVE, types[i].type, KEY_A, 0));
        expect_good(out(rig.a, PR_REGISTER, 0, KEY_A, 0));
        if (pr_all_registrants(types[i].type)) {
            expect_reservation(types[i].type, 0);
            expect_good(tur(rig.b));
            expect_good(out(rig.b, PR_REGISTER, 0, KEY_B, 0));
            expect_reservation(types[i].type, 0);
            expect_good(out(third, PR_REGISTER, 0, KEY_C, 0));
        } else if (types[i].type >= PR_WRITE_EXCLUSIVE_REGISTRANTS) {
            expect_unit_attention(tur(rig.b), ASC_RESERVATIONS_RELEASED);
            expect_unit_attention(tur(third), ASC_RESERVATIONS_RELEASED);
        }
        expect_good(tur(rig.a)); /* never the one that did it */
        expect_good(tur(rig.b));
        expect_reservation(0, 0);
        teardown();
    }
}

/* ---- CLEAR and PREEMPT ---- */

static void clearing(void)
{
    setup();
    register_all();
    expect_good(out(rig.a, PR_RESERVE, PR_EXCLUSIVE_ACCESS, KEY_A, 0));
    expect_good(out(rig.b, PR_CLEAR, 0, KEY_B, 0));
    expect_keys(0, 0, 0, 0);
    expect_reservation(0, 0);
    g_assert_cmpuint(generation(), ==, 3);
    expect_unit_attention(tur(rig.a), ASC_RESERVATIONS_PREEMPTED);
    expect_good(tur(rig.a));
    expect_good(tur(rig.b));
    teardown();
}

static void preempting_a_registration(void)
{
    setup();
    register_all();
    expect_good(out(third, PR_REGISTER, 0, 0, KEY_B)); /* two with one key */
    expect_conflict(out(rig.a, PR_PREEMPT, 0, KEY_A, KEY_C));
    expect_check(out(rig.a, PR_PREEMPT, 0, KEY_A, 0), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    expect_good(out(rig.a, PR_PREEMPT, 0, KEY_A, KEY_B));
    expect_unit_attention(tur(rig.b), ASC_REGISTRATIONS_PREEMPTED);
    expect_unit_attention(tur(third), ASC_REGISTRATIONS_PREEMPTED);
    expect_keys(1, KEY_A, 0, 0);
    g_assert_cmpuint(generation(), ==, 4);
    expect_good(tur(rig.b));
    teardown();
}

static void preempting_a_reservation(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        bool all = pr_all_registrants(types[i].type);
        setup();
        register_all();
        expect_good(out(third, PR_REGISTER, 0, 0, KEY_C));
        expect_good(out(rig.a, PR_RESERVE, types[i].type, KEY_A, 0));
        /* Somebody who is not the holder: the reservation stays. */
        expect_good(out(rig.b, PR_PREEMPT, 1, KEY_B, KEY_C));
        expect_unit_attention(tur(third), ASC_REGISTRATIONS_PREEMPTED);
        expect_reservation(types[i].type, all ? 0 : KEY_A);
        expect_good(out(third, PR_REGISTER, 0, 0, KEY_C));
        /* The holder, or everybody. */
        expect_check(out(rig.b, PR_PREEMPT, 2, KEY_B, all ? 0 : KEY_A), SENSE_ILLEGAL_REQUEST,
                     ASC_INVALID_FIELD_IN_CDB);
        expect_good(out(rig.b, PR_PREEMPT, PR_EXCLUSIVE_ACCESS, KEY_B, all ? 0 : KEY_A));
        expect_unit_attention(tur(rig.a), ASC_REGISTRATIONS_PREEMPTED);
        expect_conflict(read_block(rig.a));
        if (all)
            expect_unit_attention(tur(third), ASC_REGISTRATIONS_PREEMPTED);
        else if (types[i].type != PR_EXCLUSIVE_ACCESS)
            expect_unit_attention(tur(third), ASC_RESERVATIONS_RELEASED);
        expect_reservation(PR_EXCLUSIVE_ACCESS, KEY_B);
        expect_good(write_block(rig.b));
        /* Itself: another type. */
        expect_good(out(rig.b, PR_PREEMPT, PR_WRITE_EXCLUSIVE, KEY_B, KEY_B));
        if (!all)
            expect_unit_attention(tur(third), ASC_RESERVATIONS_RELEASED);
        expect_reservation(PR_WRITE_EXCLUSIVE, KEY_B);
        expect_good(read_block(rig.a));
        teardown();
    }
}

static void preempt_and_abort_ends_what_runs(void)
{
    struct task *t[3], *preempt;
    static const uint8_t block[512];
    uint8_t list[24] = { 0 }, cdb[16] = { 0x5f, PR_PREEMPT_AND_ABORT, 1, 0, 0, 0, 0, 0, 24 };
    struct ask ask = {
        .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), .out = true, .expected = 512, .data = block
    };
    struct ask abort = { .nexus = rig.b, .cdb = cdb, .out = true, .expected = 24, .data = list };

    setup();
    register_all();
    expect_good(out(rig.a, PR_RESERVE, PR_WRITE_EXCLUSIVE_REGISTRANTS, KEY_A, 0));
    rig.disk->hold = true;
    ask.nexus = rig.a;
    t[0] = task_start(&rig, &ask);
    task_execute(t[0]);
    t[1] = task_start(&rig, &ask); /* its data has not come yet */
    ask.nexus = rig.b;
    t[2] = task_start(&rig, &ask);
    task_execute(t[2]);
    put_be64(list, KEY_B);
    put_be64(list + 8, KEY_A);
    abort.nexus = rig.b;
    preempt = task_run(&rig, &abort);
    g_assert_false(preempt->ended); /* a write of the other may still reach the disk */
    g_assert_true(t[0]->cmd.aborted && t[1]->cmd.aborted && !t[2]->cmd.aborted);
    g_assert_true(t[1]->ended);
    disk_release(rig.disk);
    rig_turn(&rig);
    g_assert_true(preempt->ended && t[0]->ended && t[2]->ended);
    expect_good(preempt);
    rig.disk->hold = false;
    expect_unit_attention(tur(rig.a), ASC_REGISTRATIONS_PREEMPTED);
    expect_conflict(write_block(rig.a));
    for (unsigned i = 0; i < 3; i++)
        task_free(t[i]);
    task_free(preempt);
    teardown();
}

/* A reset comes while PREEMPT AND ABORT waits: neither waits for the other for ever. */
static void preempt_and_abort_can_be_aborted(void)
{
    static const uint8_t block[512];
    uint8_t list[24] = { 0 }, cdb[16] = { 0x5f, PR_PREEMPT_AND_ABORT, 1, 0, 0, 0, 0, 0, 24 };
    struct ask ask = {
        .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), .out = true, .expected = 512, .data = block
    };
    struct ask abort = { .cdb = cdb, .out = true, .expected = 24, .data = list };

    setup();
    register_all();
    rig.disk->hold = true;
    ask.nexus = rig.a;
    struct task *t = task_start(&rig, &ask);
    task_execute(t);
    put_be64(list, KEY_B);
    put_be64(list + 8, KEY_A);
    abort.nexus = rig.b;
    struct task *first = task_run(&rig, &abort), *second = task_run(&rig, &abort);
    scsi_unit_reset(rig.unit, false);
    scsi_unit_abort_all(rig.unit, NULL);
    g_assert_true(first->ended && second->ended && first->cmd.aborted);
    disk_release(rig.disk);
    rig_turn(&rig);
    rig.disk->hold = false;
    expect_unit_attention(tur(rig.a), ASC_DEVICE_RESET);
    expect_unit_attention(tur(third), ASC_DEVICE_RESET);
    expect_unit_attention(tur(rig.a), ASC_REGISTRATIONS_PREEMPTED); /* the change was made */
    expect_keys(1, KEY_B, 0, 0);
    task_free(t);
    task_free(first);
    task_free(second);
    teardown();
}

/* ---- ports ---- */

static unsigned put_port(uint8_t *to, const char *port)
{
    unsigned bytes = ((unsigned)strlen(port) + 4) & ~3u;
    memset(to, 0, 4 + bytes);
    to[0] = 0x45;
    put_be16(to + 2, (uint16_t)bytes);
    memcpy(to + 4, port, strlen(port));
    return 4 + bytes;
}

static void registering_others(void)
{
    uint8_t list[512] = { 0 };
    unsigned at = 28;

    setup();
    put_be64(list + 8, KEY_A);
    list[20] = 0x08; /* SPEC_I_PT */
    at += put_port(list + at, INITIATOR_NAME "2,i,0x400001370000");
    at += put_port(list + at, "IQN.2026-11.org.example:host3,i,0x400001370000");
    put_be32(list + 24, at - 28);
    expect_good(out_list(rig.a, PR_REGISTER, 0, list, at));
    expect_keys(3, KEY_A, KEY_A, KEY_A);
    expect_good(out(third, PR_RESERVE, PR_EXCLUSIVE_ACCESS, KEY_A, 0));
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, at), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST); /* it is registered now */
    expect_good(out(third, PR_CLEAR, 0, KEY_A, 0));
    expect_unit_attention(tur(rig.a), ASC_RESERVATIONS_PREEMPTED);

    /* Nothing of a list that is wrong somewhere. */
    list[28 + 4] = 'x';
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, at), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    list[28 + 4] = 'i';
    list[28] = 0x05; /* without ISID */
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, at), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    list[28] = 0x45;
    put_be32(list + 24, at - 24);
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, at), SENSE_ILLEGAL_REQUEST,
                 ASC_PARAMETER_LIST_LENGTH);
    put_be32(list + 24, at - 28 - 8);
    expect_check(out_list(rig.a, PR_REGISTER, 0, list, at - 8), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST); /* the last one is cut */
    expect_keys(0, 0, 0, 0);
    teardown();
}

static void all_target_ports(void)
{
    setup();
    expect_good(out_flags(rig.a, PR_REGISTER, 0, 0, KEY_A, 0x04));
    struct task *t = in(3, 512);
    expect_good(t);
    uint32_t bytes = get_be32(t->in + 8 + 20);
    g_assert_cmpuint(get_be32(t->in + 4), ==, 2 * (24 + bytes));
    g_assert_cmpuint(get_be16(t->in + 8 + 18), ==, 1);
    g_assert_cmpuint(get_be16(t->in + 8 + 24 + bytes + 18), ==, 2);
    expect_good(out(rig.b, PR_REGISTER, 0, 0, KEY_B));
    expect_good(out(rig.a, PR_RESERVE, PR_WRITE_EXCLUSIVE_REGISTRANTS, KEY_A, 0));
    expect_good(out_flags(rig.a, PR_REGISTER, 0, KEY_A, 0, 0x04));
    expect_keys(1, KEY_B, 0, 0);
    expect_reservation(0, 0);
    expect_unit_attention(tur(rig.b), ASC_RESERVATIONS_RELEASED);
    expect_good(tur(rig.a));
    expect_good(out_flags(rig.a, PR_REGISTER, 0, 0, KEY_A, 0x04));
    expect_good(out_flags(rig.a, PR_REGISTER_AND_IGNORE, 0, 0, 0, 0)); /* at its own port alone */
    expect_keys(2, KEY_B, KEY_A, 0);
    teardown();
}

static void full_status(void)
{
    setup();
    register_all();
    expect_good(out(rig.b, PR_RESERVE, PR_WRITE_EXCLUSIVE_REGISTRANTS, KEY_B, 0));
    struct task *t = in(3, 512);
    expect_good(t);
    const uint8_t *a = t->in + 8, *b = a + 24 + get_be32(a + 20);
    g_assert_cmphex(get_be64(a), ==, KEY_A);
    g_assert_cmphex(a[12], ==, 0);
    g_assert_cmphex(get_be64(b), ==, KEY_B);
    g_assert_cmphex(b[12], ==, 1);
    g_assert_cmphex(b[13], ==, PR_WRITE_EXCLUSIVE_REGISTRANTS);
    g_assert_cmphex(b[24], ==, 0x45);
    g_assert_cmpstr((const char *)b + 28, ==, INITIATOR_NAME "2,i,0x400001370000");
    g_assert_cmpuint(get_be16(b + 26) % 4, ==, 0);
    t = in(2, 64);
    g_assert_cmpmem(t->in, t->in_bytes, ((uint8_t[]){ 0, 8, 0x0c, 0x90, 0xea, 0x01, 0, 0 }), 8);
    teardown();
}

static void moving(void)
{
    uint8_t list[128] = { 0 };

    setup();
    register_all();
    put_be64(list, KEY_A);
    put_be64(list + 8, KEY_C);
    put_be16(list + 18, 1);
    unsigned bytes = put_port(list + 24, INITIATOR_NAME "3,i,0x400001370000");
    put_be32(list + 20, bytes);
    expect_check(out_list(rig.a, PR_REGISTER_AND_MOVE, 0, list, 24 + bytes), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_CDB); /* nobody holds anything */
    expect_good(out(rig.b, PR_RESERVE, PR_EXCLUSIVE_ACCESS, KEY_B, 0));
    expect_conflict(out_list(rig.a, PR_REGISTER_AND_MOVE, 0, list, 24 + bytes)); /* somebody else */
    expect_good(out(rig.b, PR_RELEASE, PR_EXCLUSIVE_ACCESS, KEY_B, 0));
    expect_good(out(rig.a, PR_RESERVE, PR_EXCLUSIVE_ACCESS, KEY_A, 0));
    put_be16(list + 18, 3); /* no such port */
    expect_check(out_list(rig.a, PR_REGISTER_AND_MOVE, 0, list, 24 + bytes), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    put_be16(list + 18, 1);
    put_be64(list + 8, 0);
    expect_check(out_list(rig.a, PR_REGISTER_AND_MOVE, 0, list, 24 + bytes), SENSE_ILLEGAL_REQUEST,
                 ASC_INVALID_FIELD_IN_LIST);
    put_be64(list + 8, KEY_C);
    expect_good(out_list(rig.a, PR_REGISTER_AND_MOVE, 0, list, 24 + bytes));
    expect_keys(3, KEY_A, KEY_B, KEY_C);
    expect_reservation(PR_EXCLUSIVE_ACCESS, KEY_C);
    expect_good(write_block(third));
    expect_conflict(write_block(rig.a));
    /* Back again, and the sender is registered no more. */
    put_be64(list, KEY_C);
    put_be64(list + 8, KEY_A);
    list[17] = 0x02;
    bytes = put_port(list + 24, INITIATOR_NAME ",i,0x400001370000");
    put_be32(list + 20, bytes);
    expect_good(out_list(third, PR_REGISTER_AND_MOVE, 0, list, 24 + bytes));
    expect_keys(2, KEY_A, KEY_B, 0);
    expect_reservation(PR_EXCLUSIVE_ACCESS, KEY_A);
    teardown();
}

/* A registration belongs to the port, not to the session. */
static void a_session_may_come_back(void)
{
    setup();
    register_all();
    expect_good(out(rig.a, PR_RESERVE, PR_EXCLUSIVE_ACCESS, KEY_A, 0));
    expect_good(out(rig.b, PR_PREEMPT, PR_EXCLUSIVE_ACCESS, KEY_B, KEY_A));
    scsi_nexus_gone(rig.a);
    scsi_nexus_free(rig.a);
    rig.a = rig_nexus(&rig, INITIATOR_NAME, false);
    expect_good(tur(rig.a)); /* what was before is not news */
    expect_conflict(read_block(rig.a));
    scsi_nexus_gone(rig.b);
    scsi_nexus_free(rig.b);
    rig.b = rig_nexus(&rig, INITIATOR_NAME "2", false);
    expect_good(write_block(rig.b));
    teardown();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/persistent/register", registering);
    g_test_add_func("/scsi/persistent/wrong", lists_and_fields_that_are_wrong);
    g_test_add_func("/scsi/persistent/limit", registrations_have_a_limit);
    g_test_add_func("/scsi/persistent/types", every_type_keeps_away_whom_it_should);
    g_test_add_func("/scsi/persistent/holder-goes", a_holder_that_goes_releases);
    g_test_add_func("/scsi/persistent/clear", clearing);
    g_test_add_func("/scsi/persistent/preempt-registration", preempting_a_registration);
    g_test_add_func("/scsi/persistent/preempt-reservation", preempting_a_reservation);
    g_test_add_func("/scsi/persistent/abort", preempt_and_abort_ends_what_runs);
    g_test_add_func("/scsi/persistent/abort-aborted", preempt_and_abort_can_be_aborted);
    g_test_add_func("/scsi/persistent/spec-i-pt", registering_others);
    g_test_add_func("/scsi/persistent/all-ports", all_target_ports);
    g_test_add_func("/scsi/persistent/full-status", full_status);
    g_test_add_func("/scsi/persistent/move", moving);
    g_test_add_func("/scsi/persistent/session", a_session_may_come_back);
    return g_test_run();
}
