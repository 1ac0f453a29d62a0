/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker in reserve, and what it may say of the dead one. */
#include "fake-worker.h"
#include "harness.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* From here on the test speaks with the other one. */
static void change_line(struct host *h, int *other)
{
    int line = h->worker;
    h->worker = *other;
    *other = line;
}

/* Worker `generation` is ready on h->worker; the line of the next, prepared in reserve. */
static int expect_spare(struct host *h, unsigned generation)
{
    g_autofree char *line = g_strdup_printf("in reserve generation=%u ", generation + 1);
    int other = -1;
    change_line(h, &other);
    host_expect_worker(h, generation + 1);
    host_tell(h, "prepared");
    host_expect_log(h, line);
    g_assert_true(host_is_silent(h)); /* no GO */
    change_line(h, &other);
    return other;
}

static void test_the_one_in_reserve_goes_on_for_the_dead_one(void)
{
    struct host h = { .spare_worker = true };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    for (unsigned generation = 1; generation <= 3; generation++) {
        g_autofree char *ready = g_strdup_printf("ready generation=%u ", generation + 1);
        int spare = expect_spare(&h, generation);
        host_tell(&h, "killed");
        host_expect_worker_end(&h);
        change_line(&h, &spare);
        g_free(host_expect(&h, "GO"));
        host_tell(&h, "ready");
        host_expect_log(&h, ready);
    }
    g_assert_cmpuint(host_log_count(&h, "taken from the reserve"), ==, 3);
    int spare = expect_spare(&h, 4);
    host_stop(&h);
    close(spare);
}

static void test_its_own_death_concerns_nobody(void)
{
    struct host h = { .spare_worker = true };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int spare = expect_spare(&h, 1);
    change_line(&h, &spare);
    host_tell(&h, "killed");
    host_expect_worker_end(&h);
    change_line(&h, &spare);
    host_expect_log(&h, "the one in reserve has failed");
    spare = expect_spare(&h, 1); /* another one */
    g_assert_cmpuint(host_log_count(&h, "next start in"), ==, 0);
    host_stop(&h);
    close(spare);
}

static void test_one_that_fails_or_speaks_out_of_turn_is_thrown_away(void)
{
    static const char *const lines[] = { "failed no memory", "nonsense" };
    struct host h = { .spare_worker = true };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int other = -1;
    change_line(&h, &other);
    host_expect_worker(&h, 2);
    host_tell(&h, lines[0]);
    host_expect_worker_end(&h);
    host_expect_worker(&h, 2); /* a second later */
    host_tell(&h, lines[1]);
    host_expect_worker_end(&h);
    host_expect_log(&h, "the one in reserve has failed");
    change_line(&h, &other);
    host_tell(&h, "killed"); /* there is none now: one is started */
    host_expect_worker_end(&h);
    host_ready_worker(&h, 2);
    g_assert_cmpuint(host_log_count(&h, "taken from the reserve"), ==, 0);
    host_stop(&h);
}

static void test_rings_that_hold_nothing_are_not_waited_for(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int ring = host_take_tombstone(&h);
    host_tell(&h, "abort");

    host_expect_worker(&h, 2);
    int ring2 = host_take_tombstone(&h);
    g_assert_true(host_is_silent(&h));
    host_tell(&h, "nothing-lasts");
    g_free(host_expect(&h, "GO"));
    host_tell(&h, "ready");
    host_expect_log(&h, "ready generation=2 ");
    host_tell(&h, "abort");

    host_expect_worker(&h, 3); /* what was said was of the first one */
    host_tell(&h, "get lun:sync 4096");
    g_free(host_expect(&h, "MEMFD 0 *"));
    g_assert_true(host_is_silent(&h));
    close(ring2);
    g_free(host_expect(&h, "GO"));
    host_tell(&h, "ready");
    host_expect_log(&h, "ready generation=3 ");
    host_stop(&h);
    close(ring);
}

#define ADD(name, function) g_test_add_func("/spare/" name, function)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return fake_worker_run(argc, argv);
    g_test_init(&argc, &argv, NULL);
    ADD("the-one-in-reserve-goes-on-for-the-dead-one",
        test_the_one_in_reserve_goes_on_for_the_dead_one);
    ADD("its-own-death-concerns-nobody", test_its_own_death_concerns_nobody);
    ADD("one-that-fails-or-speaks-out-of-turn-is-thrown-away",
        test_one_that_fails_or_speaks_out_of_turn_is_thrown_away);
    ADD("rings-that-hold-nothing-are-not-waited-for",
        test_rings_that_hold_nothing_are_not_waited_for);
    return g_test_run();
}
