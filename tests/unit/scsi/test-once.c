/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker dies between any two steps of a command, and the next one executes it again: the effect is
 * that of executing it once (scsi/once.h). What outlives the worker is a copy of it as of the death.
 */
#include "rig.h"

#include <string.h>
#include <unistd.h>

#include "scsi/keep_area.h"
#include "scsi/medium.h"
#include "scsi/nexus_internal.h"
#include "scsi/once.h"
#include "scsi/opcode.h"

#define BYTES 512u

static struct rig rig;
static int memfd = -1;

static int memfd_get(void *user, const char *name, uint64_t bytes, int *ret_fd, bool *ret_existed)
{
    *ret_existed = memfd >= 0;
    if (memfd < 0)
        memfd = arena_create_fd("keep", bytes);
    *ret_fd = dup(memfd);
    return 0;
}

static struct scsi_services services = { .reactors = &rig.reactor, .memfd_get = memfd_get };

static void start(void)
{
    services.area = scsi_keep_area_free(services.area);
    g_assert_cmpint(scsi_keep_area_open(&services, 1, &services.area), ==, 0);
    rig_setup(&rig, &(struct disk_options){ 0 },
              &(struct scsi_unit_config){ .services = &services, .removable = true });
}

static void stop(void)
{
    rig_teardown(&rig);
    services.area = scsi_keep_area_free(services.area);
    close(memfd);
    memfd = -1;
}

/* ---- deaths ---- */

/* What is there when a worker has died. */
static struct {
    struct keep_data data;
    struct keep_rare rare;
    struct scsi_kept note;
    uint8_t disk[64 * BYTES];
} left;

static void remember(struct scsi_kept note)
{
    left.data = *rig.unit->home.keep.data;
    left.rare = *rig.unit->home.keep.rare;
    left.note = note;
    memcpy(left.disk, rig.disk->data, sizeof(left.disk));
}

/* The worker that has been remembered is dead; another one begins with what it left. */
static void next_worker(void)
{
    rig_teardown(&rig);
    *keep_area_rare(services.area, 0) = left.rare;
    keep_area_slot(services.area, 0)->data = left.data;
    start();
    memcpy(rig.disk->data, left.disk, sizeof(left.disk));
}

static void let_run(struct task *t)
{
    for (unsigned i = 0; i < 100 && !t->ended; i++) {
        disk_release(rig.disk);
        rig_turn(&rig);
    }
    g_assert_true(t->ended);
}

/* ---- the table ---- */

static void every_opcode_has_its_reason(void)
{
    for (unsigned i = 0; i < scsi_opcode_count; i++) {
        const struct scsi_opcode *o = &scsi_opcodes[i];
        const char *why = NULL;
        g_test_message("%s", o->name);
        g_assert_cmpint(scsi_once_of(o->opcode, o->service_action, &why), !=, 0);
        g_assert_nonnull(why);
        if (scsi_once_of(o->opcode, o->service_action, NULL) >= ONCE_NOTE) /* not while unborn */
            g_assert_cmpuint(o->flags & (OP_ONCE | OP_ALONE), !=, 0);
        if (!o->execute) /* an answer made of what there is */
            g_assert_cmpint(scsi_once_of(o->opcode, o->service_action, NULL), !=, ONCE_SAME);
    }
    g_assert_cmpint(scsi_once_of(0xff, SA_NONE, NULL), ==, 0);
}

/* ---- COMPARE AND WRITE ---- */

static uint8_t old_and_new[6 * BYTES];
static const uint8_t compare_cdb[16] = { 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3 };

static struct task *compare_and_write(struct scsi_nexus *nexus, struct scsi_kept *note,
                                      bool resumed)
{
    struct ask ask = { .nexus = nexus,
                       .cdb = compare_cdb,
                       .out = true,
                       .expected = 6 * BYTES,
                       .data = old_and_new,
                       .kept = note,
                       .id = 1,
                       .resumed = resumed };
    return task_run(&rig, &ask);
}

static uint8_t *blocks(void)
{
    return rig.disk->data + 4 * BYTES;
}

/* The worker dies after `steps` I/Os. False: the command was over before. */
static bool compare_and_write_dies(unsigned steps)
{
    struct scsi_kept note = { 0 };

    start();
    memset(blocks(), 1, 3 * BYTES);
    rig.disk->hold = true;
    struct task *t = compare_and_write(NULL, &note, false);
    for (unsigned i = 0; i < steps && !t->ended; i++) {
        disk_release(rig.disk);
        rig_turn(&rig);
    }
    bool died = !t->ended;
    remember(note);
    let_run(t);
    g_assert_cmphex(t->status, ==, SCSI_GOOD);
    task_free(t);
    if (!died) {
        stop();
        return false;
    }

    next_worker();
    rig.disk->hold = true;
    note = left.note;
    struct ask ask = { .cdb = compare_cdb,
                       .out = true,
                       .expected = 6 * BYTES,
                       .data = old_and_new,
                       .kept = &note,
                       .id = 1,
                       .resumed = true };
    /* Another nexus wants the same, and comes first; what has begun is before it all the same. */
    bool begun = note.begun != NOTE_NONE;
    struct task *again = NULL, *other = NULL;
    if (!begun)
        other = compare_and_write(rig.b, NULL, false);
    again = task_start(&rig, &ask);
    if (begun)
        other = compare_and_write(rig.b, NULL, false);
    g_assert_false(other->ended);
    task_execute(again);
    let_run(again);
    let_run(other);
    g_assert_cmphex(begun ? again->status : other->status, ==, SCSI_GOOD);
    expect_check(begun ? other : again, SENSE_MISCOMPARE, ASC_MISCOMPARE);
    for (unsigned i = 0; i < 3 * BYTES; i++)
        g_assert_cmphex(blocks()[i], ==, 2);
    task_free(again);
    task_free(other);
    stop();
    return true;
}

static void compare_and_write_counts_once(void)
{
    unsigned steps = 0;

    memset(old_and_new, 1, 3 * BYTES);
    memset(old_and_new + 3 * BYTES, 2, 3 * BYTES);
    while (compare_and_write_dies(steps))
        steps++;
    g_assert_cmpuint(steps, >=, 2);
}

/* It is aborted before it is executed again: its blocks are free. */
static void what_is_given_up_is_given_back(void)
{
    struct scsi_kept note = { .begun = NOTE_BEGUN };

    memset(old_and_new, 1, 3 * BYTES);
    for (unsigned how = 0; how < 2; how++) {
        start();
        memset(blocks(), 1, 3 * BYTES);
        struct ask ask = { .cdb = compare_cdb,
                           .out = true,
                           .expected = 6 * BYTES,
                           .data = old_and_new,
                           .kept = &note,
                           .id = 1,
                           .resumed = true };
        struct task *t = task_start(&rig, &ask);
        struct task *other = compare_and_write(rig.b, NULL, false);
        g_assert_false(other->ended);
        if (how == 0) {
            scsi_abort(&t->cmd);
        } else {
            task_execute(t);
        }
        let_run(t);
        let_run(other);
        g_assert_cmphex(other->status, ==, how == 0 ? SCSI_GOOD : SCSI_CHECK_CONDITION);
        task_free(t);
        task_free(other);
        stop();
    }
}

/* ---- PERSISTENT RESERVE OUT ---- */

struct out {
    bool b;
    uint8_t action, type;
    uint64_t key, action_key;
};

static struct task *persistent_out(const struct out *o, struct scsi_kept *note, uint64_t id,
                                   bool resumed)
{
    uint8_t list[24] = { 0 }, cdb[16] = { 0x5f, o->action, o->type, 0, 0, 0, 0, 0, 24 };
    struct ask ask = { .nexus = o->b ? rig.b : rig.a,
                       .cdb = cdb,
                       .out = true,
                       .expected = 24,
                       .data = list,
                       .kept = note,
                       .id = id,
                       .resumed = resumed };

    put_be64(list, o->key);
    put_be64(list + 8, o->action_key);
    struct task *t = task_run(&rig, &ask);
    let_run(t);
    return t;
}

/* What is pending is told. */
static void settle(void)
{
    for (unsigned i = 0; i < 4; i++)
        ask_as(&rig, i & 1 ? rig.a : rig.b, CDB(0x00), 0);
}

static uint32_t generation(unsigned *ret_count)
{
    settle();
    struct task *t = ask_in(&rig, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 255), 255);
    expect_good(t);
    *ret_count = get_be32(t->in + 4) / 8;
    return get_be32(t->in);
}

/* Each of them, with the worker dying before its change and after it. */
static void reservations_change_once(void)
{
    static const struct out outs[] = {
        { false, PR_REGISTER, 0, 0, 11 },
        { true, PR_REGISTER, 0, 0, 22 },
        { false, PR_REGISTER, 0, 11, 12 },
        { false, PR_RESERVE, PR_WRITE_EXCLUSIVE, 12, 0 },
        { true, PR_PREEMPT, PR_EXCLUSIVE_ACCESS, 22, 12 },
        { false, PR_REGISTER_AND_IGNORE, 0, 0, 13 },
        { true, PR_PREEMPT_AND_ABORT, PR_EXCLUSIVE_ACCESS, 22, 13 },
        { true, PR_RELEASE, PR_EXCLUSIVE_ACCESS, 22, 0 },
        { true, PR_CLEAR, 0, 22, 0 },
    };
    uint32_t expected = 0;

    start();
    for (unsigned i = 0; i < G_N_ELEMENTS(outs); i++) {
        for (unsigned published = 0; published < 2; published++) {
            struct scsi_kept note = { 0 };
            unsigned count, again;
            remember((struct scsi_kept){ 0 });
            struct task *first = persistent_out(&outs[i], &note, 100 + i, false);
            expect_good(first);
            task_free(first);
            uint32_t now = generation(&count);
            if (published)
                remember(note);
            next_worker();
            note = (struct scsi_kept){ 0 };
            struct task *t = persistent_out(&outs[i], &note, 100 + i, true);
            g_test_message("action %u published %u status %u", outs[i].action, published,
                           t->status);
            expect_good(t);
            g_assert_cmpuint(generation(&again), ==, now);
            g_assert_cmpuint(again, ==, count);
            task_free(t);
            if (!published) { /* as it was before, for the other death */
                next_worker();
            }
            expected = now;
        }
    }
    g_assert_cmpuint(expected, >=, 7);
    stop();
}

/* ---- unit attentions ---- */

static void a_unit_attention_is_told_once(void)
{
    struct scsi_kept note = { 0 };
    struct ask ask = { .cdb = CDB(0x00), .kept = &note };

    start();
    scsi_unit_attention(rig.unit, NULL, 0x2a, 0x09);
    struct task *t = task_run(&rig, &ask);
    expect_unit_attention(t, 0x2a09);
    task_free(t);
    remember(note); /* the answer was not sent */
    next_worker();
    ask.resumed = true;
    t = task_run(&rig, &ask);
    expect_unit_attention(t, 0x2a09);
    task_free(t);
    expect_good(ask_none(&rig, CDB(0x00)));

    /* It died after the note, and before it took it. */
    scsi_unit_attention(rig.unit, NULL, 0x2a, 0x09);
    note = left.note;
    t = task_run(&rig, &ask);
    expect_unit_attention(t, 0x2a09);
    task_free(t);
    expect_good(ask_none(&rig, CDB(0x00)));

    /* REQUEST SENSE has it as data. */
    struct ask sense = {
        .cdb = CDB(0x03, 0, 0, 0, 252), .in = true, .expected = 252, .kept = &note
    };
    note = left.note;
    t = task_run(&rig, &sense);
    expect_good(t);
    g_assert_cmphex(get_be16(t->in + 12), ==, 0x2a09);
    task_free(t);
    stop();
}

/* ---- PREVENT ALLOW ---- */

static struct scsi_nexus *nexus_of(struct scsi_nexus_unit *units, uint32_t resumed_id)
{
    struct scsi_nexus_config config = { .target = rig.target,
                                        .initiator_name = INITIATOR_NAME "3",
                                        .initiator_port = INITIATOR_NAME "3,i,0x400001370000",
                                        .tag = 1,
                                        .units = units,
                                        .resumed_id = resumed_id };
    struct scsi_nexus *nexus = NULL;
    g_assert_cmpint(scsi_nexus_create(&config, &nexus), ==, 0);
    return nexus;
}

static void who_prevents_still_does(void)
{
    static struct scsi_nexus_unit units[SCSI_LUNS_MAX];

    start();
    scsi_unit_reset(rig.unit, false); /* another generation than the first */
    struct scsi_nexus *nexus = nexus_of(units, 0);
    scsi_prevent_allow(rig.unit, scsi_nexus_state(nexus, rig.unit), true);
    scsi_nexus_free(nexus);
    remember((struct scsi_kept){ 0 });
    next_worker();
    g_assert_false(scsi_prevented(rig.unit));
    nexus = nexus_of(units, 77);
    g_assert_true(scsi_prevented(rig.unit));
    scsi_nexus_free(nexus);
    next_worker();
    nexus = nexus_of(units, 77);
    scsi_unit_reset(rig.unit, false); /* none does any more */
    scsi_nexus_free(nexus);
    remember((struct scsi_kept){ 0 });
    next_worker();
    nexus = nexus_of(units, 77);
    g_assert_false(scsi_prevented(rig.unit));
    scsi_nexus_free(nexus);
    stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/once/table", every_opcode_has_its_reason);
    g_test_add_func("/scsi/once/compare-and-write", compare_and_write_counts_once);
    g_test_add_func("/scsi/once/given-up", what_is_given_up_is_given_back);
    g_test_add_func("/scsi/once/persistent-reserve-out", reservations_change_once);
    g_test_add_func("/scsi/once/unit-attention", a_unit_attention_is_told_once);
    g_test_add_func("/scsi/once/prevent", who_prevents_still_does);
    return g_test_run();
}
