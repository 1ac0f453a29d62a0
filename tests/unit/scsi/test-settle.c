/* SPDX-License-Identifier: BSD-3-Clause */
/* The first WRITE ATOMIC of a unit and READs that are sent from its store: who waits, and for how long. */
#include <string.h>

#include "base/clock.h"
#include "rig.h"
#include "scsi/once.h"

#define BLOCK  512u
#define BLOCKS 16u

static uint8_t data[BLOCKS * BLOCK];
static struct reactor *reactors[1];
static bool sends;
static unsigned asked;

static bool sends_store(void *user, uint32_t arena)
{
    const struct rig *rig = user;

    g_assert_cmpuint(arena, ==, rig->disk->backend.info.store_arena);
    asked++;
    return sends;
}

static void setup(struct rig *rig, struct scsi_services *services)
{
    *services =
        (struct scsi_services){ .reactors = reactors, .sends_store = sends_store, .user = rig };
    rig_setup(rig, &(struct disk_options){ .store = true },
              &(struct scsi_unit_config){ .services = services });
    reactors[0] = rig->reactor;
    rig->reactor->now_ns = clock_now_ns();
    timer_wheel_init(&rig->reactor->timers, rig->reactor->now_ns);
    memset(data, 7, sizeof(data));
    sends = false;
    asked = 0;
}

static void teardown(struct rig *rig)
{
    scsi_unit_abort_all(rig->unit, NULL);
    rig_turn(rig);
    rig_teardown(rig);
}

static const struct ask write_atomic = { .cdb = (const uint8_t[16]){ 0x9c, [13] = BLOCKS },
                                         .out = true,
                                         .expected = BLOCKS * BLOCK,
                                         .data = data };
static const struct ask read_10 = { .cdb = (const uint8_t[16]){ 0x28, [8] = BLOCKS },
                                    .in = true,
                                    .expected = BLOCKS * BLOCK };

static void pass(struct rig *rig, unsigned ms)
{
    rig->reactor->now_ns += ms * NS_PER_MS;
    timer_wheel_run(&rig->reactor->timers, rig->reactor->now_ns);
    rig_turn(rig);
}

static struct task *begin_write(struct rig *rig)
{
    struct task *t = task_run(rig, &write_atomic);
    rig_turn(rig);
    return t;
}

static void it_waits_for_what_is_being_sent(void)
{
    struct rig rig = { 0 };
    struct scsi_services services;

    setup(&rig, &services);
    sends = true;
    struct task *first = begin_write(&rig), *second = begin_write(&rig);
    for (unsigned i = 0; i < 10; i++)
        pass(&rig, 1000);
    g_assert_false(first->ended || second->ended);
    g_assert_cmpuint(scsi_settle_waiting(), ==, 2);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, 0);
    g_assert_cmpuint(asked, >=, 5);

    struct task *t = task_run(&rig, &read_10); /* it waits for nobody, and is a copy */
    g_assert_cmpuint(t->cmd.mapped, ==, 0);
    expect_good(t);
    task_free(t);

    sends = false;
    pass(&rig, 1000);
    expect_good(first);
    expect_good(second);
    g_assert_cmpuint(scsi_settle_waiting(), ==, 0);
    task_free(first);
    task_free(second);

    sends = true; /* of another unit in the same store, say: nobody asks any more */
    unsigned before = asked;
    first = begin_write(&rig);
    expect_good(first);
    g_assert_cmpuint(asked, ==, before);
    task_free(first);
    teardown(&rig);
}

static void a_read_that_waits_for_memory_becomes_a_copy(void)
{
    struct rig rig = { 0 };
    struct scsi_services services;

    setup(&rig, &services);
    struct task *read = task_start(&rig, &read_10);
    g_assert_cmpuint(read->cmd.mapped, !=, 0);
    struct task *t = begin_write(&rig);
    expect_good(t);
    g_assert_cmpuint(read->cmd.mapped, ==, 0);
    g_assert_cmpuint(read->cmd.buffer_bytes, ==, BLOCKS * BLOCK);
    task_free(t);
    scsi_abort(&read->cmd);
    task_free(read);
    teardown(&rig);
}

static void whoever_waits_can_be_aborted(void)
{
    struct rig rig = { 0 };
    struct scsi_services services;

    setup(&rig, &services);
    sends = true;
    struct task *first = begin_write(&rig), *second = begin_write(&rig);
    scsi_abort(&first->cmd);
    g_assert_true(first->ended && first->cmd.aborted);
    g_assert_cmpuint(scsi_settle_waiting(), ==, 1);
    sends = false;
    pass(&rig, 1000);
    expect_good(second);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_WRITE), ==, 1);
    task_free(first);
    task_free(second);
    teardown(&rig);
}

/* The hand-over was prepared and called off: whoever waited waits on. */
static void a_stop_in_between(void)
{
    struct rig rig = { 0 };
    struct scsi_services services;
    sem_t stopped;

    setup(&rig, &services);
    sem_init(&stopped, 0, 0);
    sends = true;
    struct task *t = begin_write(&rig);
    scsi_settle_stop(rig.unit, &stopped);
    g_assert_cmpint(sem_trywait(&stopped), ==, 0);
    sends = false;
    pass(&rig, 1000);
    g_assert_false(t->ended);
    scsi_settle_go_on();
    scsi_settle_stop(rig.unit, &stopped); /* its message is on its way */
    g_assert_cmpint(sem_trywait(&stopped), !=, 0);
    rig_turn(&rig);
    g_assert_cmpint(sem_trywait(&stopped), ==, 0);
    g_assert_false(t->ended);
    scsi_settle_go_on();
    rig_turn(&rig);
    expect_good(t);
    task_free(t);
    sem_destroy(&stopped);
    teardown(&rig);
}

/* What an earlier worker had read and sent in part goes on as it began. */
static void a_read_that_was_sent_in_part(void)
{
    struct rig rig = { 0 };
    struct scsi_services services;
    struct scsi_kept kept = { 0 };
    struct ask ask = read_10;

    setup(&rig, &services);
    ask.kept = &kept;
    expect_good(ask_out(&rig, write_atomic.cdb, data, sizeof(data)));
    struct task *t = task_run(&rig, &ask);
    g_assert_cmpuint(t->cmd.mapped, ==, 0);
    g_assert_cmpuint(kept.begun, ==, NOTE_BEGUN);
    unsigned reads = disk_count(rig.disk, BACKEND_READ);

    t->cmd.partly_sent = true;
    t->cmd.had_bytes = sizeof(data);
    g_assert_cmpint(scsi_start(&t->cmd), ==, SCSI_EXECUTE);
    g_assert_cmpuint(t->cmd.buffer_bytes, ==, sizeof(data));
    t->cmd.iov = t->iov;
    t->cmd.iov_count = 1;
    t->ended = false;
    task_execute(t);
    expect_good(t);
    g_assert_cmpuint(disk_count(rig.disk, BACKEND_READ), ==, reads); /* not read again */

    kept.begun = 0; /* it was being sent from the store */
    g_assert_cmpint(scsi_start(&t->cmd), ==, SCSI_EXECUTE);
    g_assert_cmpuint(t->cmd.mapped, !=, 0);
    t->ended = false;
    task_execute(t);
    expect_good(t);
    task_free(t);
    teardown(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi/settle/waits", it_waits_for_what_is_being_sent);
    g_test_add_func("/scsi/settle/becomes-a-copy", a_read_that_waits_for_memory_becomes_a_copy);
    g_test_add_func("/scsi/settle/abort", whoever_waits_can_be_aborted);
    g_test_add_func("/scsi/settle/stop", a_stop_in_between);
    g_test_add_func("/scsi/settle/sent-in-part", a_read_that_was_sent_in_part);
    return g_test_run();
}
