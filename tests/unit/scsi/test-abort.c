/* SPDX-License-Identifier: BSD-3-Clause */
/* Aborts, resets, waiting for scratch memory, kicks and the watchdog's question. */
#include "rig.h"

#include <string.h>

static uint8_t block[512];

static struct task *held_write(struct rig *rig, struct scsi_nexus *nexus)
{
    struct ask ask = { .nexus = nexus,
                       .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1),
                       .out = true,
                       .expected = 512,
                       .data = block };
    struct task *t = task_run(rig, &ask);
    g_assert_false(t->ended);
    return t;
}

static void an_executing_command_ends_when_the_backend_answers(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    rig.disk->hold = true;
    struct task *t = held_write(&rig, rig.a);
    scsi_abort(&t->cmd);
    scsi_abort(&t->cmd); /* twice is once */
    g_assert_false(t->ended);
    g_assert_cmpuint(rig.disk->cancels, ==, 1);
    disk_release(rig.disk);
    g_assert_true(t->ended);
    g_assert_true(t->cmd.aborted);
    scsi_abort(&t->cmd); /* too late */
    task_free(t);
    rig_teardown(&rig);
}

static void a_collecting_command_ends_at_once(void)
{
    struct rig rig = { 0 };
    struct ask ask = {
        .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), .out = true, .expected = 512, .data = block
    };

    rig_setup(&rig, NULL, NULL);
    struct task *t = task_start(&rig, &ask);
    scsi_abort(&t->cmd);
    g_assert_true(t->ended);
    g_assert_cmpuint(rig.disk->log_count, ==, 0);
    task_free(t);
    rig_teardown(&rig);
}

static unsigned drained;

static void count_drain(struct scsi_drain *drain)
{
    drained++;
}

static void a_reset_waits_for_what_it_aborted(void)
{
    struct rig rig = { 0 };
    struct scsi_drain first = { .done = count_drain }, second = { .done = count_drain };
    struct ask collecting = { .nexus = rig.b,
                              .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1),
                              .out = true,
                              .expected = 512,
                              .data = block };

    rig_setup(&rig, NULL, NULL);
    collecting.nexus = rig.b;
    drained = 0;
    scsi_unit_drain(rig.unit, &first); /* nothing there */
    g_assert_cmpuint(drained, ==, 1);

    rig.disk->hold = true;
    struct task *a = held_write(&rig, rig.a), *b = held_write(&rig, rig.b);
    struct task *c = task_start(&rig, &collecting);
    scsi_unit_reset(rig.unit, false);
    scsi_unit_abort_all(rig.unit, NULL);
    g_assert_true(c->ended && c->cmd.aborted);
    scsi_unit_drain(rig.unit, &first);
    scsi_unit_drain(rig.unit, &second);
    g_assert_cmpuint(drained, ==, 1);
    /* A command that comes now is not what the reset waits for. */
    expect_unit_attention(ask_as(&rig, rig.a, CDB(0x00), 0), ASC_DEVICE_RESET);
    struct backend_io *old = rig.disk->held;
    rig.disk->held = NULL;
    struct task *late = held_write(&rig, rig.a);
    struct backend_io *new = rig.disk->held;
    rig.disk->held = old;
    disk_release(rig.disk);
    g_assert_true(a->ended && b->ended && !late->ended);
    g_assert_cmpuint(drained, ==, 3);
    rig.disk->held = new;
    disk_release(rig.disk);
    g_assert_true(late->ended);
    g_assert_false(late->cmd.aborted);
    task_free(a);
    task_free(b);
    task_free(c);
    task_free(late);
    rig_teardown(&rig);
}

static void abort_task_set_is_for_one_nexus(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, NULL, NULL);
    rig.disk->hold = true;
    struct task *a = held_write(&rig, rig.a), *b = held_write(&rig, rig.b);
    scsi_unit_abort_all(rig.unit, rig.a);
    g_assert_true(a->cmd.aborted);
    g_assert_false(b->cmd.aborted);
    disk_release(rig.disk);
    task_free(a);
    task_free(b);
    rig_teardown(&rig);
}

/* A long command stops at the next step. */
static void an_aborted_command_takes_no_further_step(void)
{
    struct rig rig = { 0 };
    struct ask ask = { .cdb = CDB(0x2f, 0, 0, 0, 0, 0, 0, 4, 0) };

    rig_setup(&rig, NULL, NULL);
    rig.disk->hold = true;
    struct task *t = task_run(&rig, &ask);
    scsi_abort(&t->cmd);
    disk_release(rig.disk);
    g_assert_true(t->ended);
    g_assert_cmpuint(rig.disk->log_count, ==, 1);
    task_free(t);
    rig_teardown(&rig);
}

/* All memory of the pool, as other commands would hold it. */
static unsigned exhaust(struct rig *rig, struct buf **bufs)
{
    unsigned n = 0;
    while ((bufs[n] = bufpool_take(rig->pool, 4096)))
        n++;
    return n;
}

static void scratch_memory_is_waited_for(void)
{
    struct rig rig = { .pool_mib = 1 };
    struct ask ask = { .cdb = CDB(0x2f, 0, 0, 0, 0, 0, 0, 4, 0) };
    struct buf *bufs[300];

    rig_setup(&rig, NULL, NULL);
    unsigned n = exhaust(&rig, bufs);
    struct task *waits = task_run(&rig, &ask), *aborted = task_run(&rig, &ask);
    g_assert_false(waits->ended);
    g_assert_false(aborted->ended);
    scsi_abort(&aborted->cmd);
    g_assert_true(aborted->ended);
    while (n)
        buf_unref(bufs[--n]);
    rig_turn(&rig);
    g_assert_true(waits->ended);
    expect_good(waits);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, 8); /* 512 KiB in 64 KiB pieces */
    task_free(waits);
    task_free(aborted);
    rig_teardown(&rig);
}

static void backends_are_kicked_once_a_turn(void)
{
    struct rig rig = { 0 };

    rig_setup(&rig, &(struct disk_options){ .kick = true }, NULL);
    for (unsigned i = 0; i < 3; i++)
        expect_good(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    g_assert_cmpuint(rig.disk->kicks, ==, 0);
    scsi_kick();
    g_assert_cmpuint(rig.disk->kicks, ==, 1);
    scsi_kick();
    g_assert_cmpuint(rig.disk->kicks, ==, 1);
    /* When the transport does not call, the turn's end does. */
    rig_turn(&rig);
    expect_good(ask_in(&rig, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512));
    rig_turn(&rig);
    g_assert_cmpuint(rig.disk->kicks, ==, 2);
    rig_teardown(&rig);
}

static void the_age_of_the_oldest_command_is_known(void)
{
    struct rig rig = { 0 };
    struct ask collecting = {
        .cdb = CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), .out = true, .expected = 512, .data = block
    };

    rig_setup(&rig, NULL, NULL);
    rig.disk->hold = true;
    rig.reactor->now_ns = 1000;
    struct task *waiting = task_start(&rig, &collecting);
    g_assert_cmpuint(scsi_unit_oldest_ns(rig.unit, 9000), ==, 0); /* the initiator's time */
    rig.reactor->now_ns = 3000;
    struct task *old = held_write(&rig, rig.a);
    rig.reactor->now_ns = 5000;
    struct task *new = held_write(&rig, rig.a);
    g_assert_cmpuint(scsi_unit_oldest_ns(rig.unit, 9000), ==, 6000);
    disk_release(rig.disk);
    g_assert_cmpuint(scsi_unit_oldest_ns(rig.unit, 9000), ==, 0);
    scsi_abort(&waiting->cmd);
    task_free(waiting);
    task_free(old);
    task_free(new);
    rig_teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/abort/executing", an_executing_command_ends_when_the_backend_answers);
    g_test_add_func("/scsi/abort/collecting", a_collecting_command_ends_at_once);
    g_test_add_func("/scsi/abort/reset", a_reset_waits_for_what_it_aborted);
    g_test_add_func("/scsi/abort/task-set", abort_task_set_is_for_one_nexus);
    g_test_add_func("/scsi/abort/steps", an_aborted_command_takes_no_further_step);
    g_test_add_func("/scsi/abort/scratch", scratch_memory_is_waited_for);
    g_test_add_func("/scsi/abort/kick", backends_are_kicked_once_a_turn);
    g_test_add_func("/scsi/abort/age", the_age_of_the_oldest_command_is_known);
    return g_test_run();
}
