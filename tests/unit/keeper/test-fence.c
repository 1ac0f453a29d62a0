/* SPDX-License-Identifier: BSD-3-Clause */
/* When the keeper raises, renews and lowers its fence, and what it does when that goes wrong. */
#include "fake-helper.h"
#include "fake-worker.h"

#include "keeper/fence.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void worker_stops(struct host *h)
{
    g_free(host_expect(h, "STOP"));
    host_tell(h, "stopped");
    host_tell(h, "exit 0");
}

static void end(struct host *h)
{
    host_signal(h, SIGTERM);
    worker_stops(h);
    fence_host_end(h, 0);
}

static void die(struct host *h)
{
    host_tell(h, "abort");
    host_expect_worker_end(h);
}

static void test_a_clean_start_leaves_nothing_to_do(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean");
    die(&h);
    host_ready_worker(&h, 2); /* one death is no crash loop */
    g_assert_cmpuint(fence_count(), ==, 1);
    end(&h);
}

static void test_the_worker_hears_of_a_stop_when_the_fence_is_up(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean");
    fence_answer("raise", -1);
    host_signal(&h, SIGTERM);
    fence_expect(1, "raise");
    g_assert_true(host_is_silent(&h));
    host_expect_log(&h, "cannot raise it: the helper hangs and was killed");
    worker_stops(&h); /* a helper that hangs holds it up, but not for ever */
    fence_host_end(&h, 0);
}

static void test_a_raised_fence_stays_when_we_end(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean");
    host_signal(&h, SIGTERM);
    worker_stops(&h);
    host_expect_log(&h, "raised plugin=fake reason=\"stop\"");
    host_expect_log(&h, "stays up until the next start");
    fence_expect(0, "clean raise");
    g_assert_cmpuint(fence_count(), ==, 2);
    fence_host_end(&h, 0);
}

static void test_a_second_signal_does_not_wait_for_the_fence(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean");
    fence_answer("raise", -1);
    host_signal(&h, SIGTERM);
    fence_expect(1, "raise");
    host_signal(&h, SIGINT); /* the same at once would be the first one, told twice */
    host_expect_log(&h, "not waited for");
    worker_stops(&h);
    g_assert_cmpuint(host_log_count(&h, "hangs"), ==, 0);
    fence_host_end(&h, 0);
}

static void test_a_stop_goes_on_when_the_fence_cannot_be_raised(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean");
    fence_answer("raise", FENCE_EXIT_FAILED);
    int peer = peer_connect(&h, false);
    unsigned slot = host_expect_connection(&h, 0);
    host_signal(&h, SIGTERM);
    host_expect_log(&h, "cannot raise it: the helper says why above");
    g_free(host_expect(&h, "STOP"));
    g_autofree char *closed = g_strdup_printf("closed %u", slot);
    host_tell(&h, closed);
    peer_expect_end(peer); /* in order, because nothing hides it */
    close(peer);
    host_tell(&h, "stopped");
    host_tell(&h, "exit 0");
    fence_host_end(&h, 0);
}

static void test_a_fence_found_at_the_start_is_lowered_when_ready(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_answer("clean", FENCE_EXIT_UP);
    fence_host_start(&h);
    host_expect_worker(&h, 1);
    g_free(host_expect(&h, "GO"));
    host_expect_log(&h, "found up and renewed plugin=fake reason=\"start\"");
    g_assert_cmpuint(fence_count(), ==, 1);
    host_tell(&h, "ready");
    fence_expect(0, "clean lower");
    end(&h);
}

static void test_a_crash_loop_raises_it_and_a_ready_worker_lowers_it(void)
{
    struct host h = { 0 };
    unsigned generation = 1;

    fence_prepare();
    fence_host_start(&h);
    for (; generation <= FENCE_AFTER_DEATHS; generation++) {
        host_ready_worker(&h, generation);
        die(&h);
    }
    fence_expect(0, "clean raise");
    host_expect_log(&h, "reason=\"crash loop\"");
    host_ready_worker(&h, generation);
    fence_expect(0, "clean raise lower");
    end(&h);
}

static void test_lowering_is_tried_again(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_answer("clean", FENCE_EXIT_UP);
    fence_answer("lower", FENCE_EXIT_FAILED);
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean lower lower");
    fence_answer("lower", FENCE_EXIT_DONE);
    host_expect_log(&h, "fence: lowered");
    end(&h);
}

static void test_a_fence_that_is_up_is_renewed(void)
{
    struct host h = { .stop_timeout_ms = 25000 };

    fence_prepare();
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    fence_expect(0, "clean");
    host_signal(&h, SIGTERM);
    fence_expect(1, "raise raise");
    worker_stops(&h);
    fence_host_end(&h, 0);
}

static void test_a_plugin_that_drops_nothing_is_no_fence(void)
{
    struct host h = { 0 };

    fence_prepare();
    fence_answer("clean", FENCE_EXIT_NOTHING);
    fence_host_start(&h);
    host_ready_worker(&h, 1);
    host_expect_log(&h, "drops nothing");
    end(&h);
}

#define ADD(name, function) g_test_add_func("/keeper/fence/" name, function)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return fake_worker_run(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--fence-helper") == 0)
        return fake_helper_run(argc, argv);
    g_test_init(&argc, &argv, NULL);
    ADD("a-clean-start-leaves-nothing-to-do", test_a_clean_start_leaves_nothing_to_do);
    ADD("the-worker-hears-of-a-stop-when-the-fence-is-up",
        test_the_worker_hears_of_a_stop_when_the_fence_is_up);
    ADD("a-raised-fence-stays-when-we-end", test_a_raised_fence_stays_when_we_end);
    ADD("a-second-signal-does-not-wait-for-the-fence",
        test_a_second_signal_does_not_wait_for_the_fence);
    ADD("a-stop-goes-on-when-the-fence-cannot-be-raised",
        test_a_stop_goes_on_when_the_fence_cannot_be_raised);
    ADD("a-fence-found-at-the-start-is-lowered-when-ready",
        test_a_fence_found_at_the_start_is_lowered_when_ready);
    ADD("a-crash-loop-raises-it-and-a-ready-worker-lowers-it",
        test_a_crash_loop_raises_it_and_a_ready_worker_lowers_it);
    ADD("lowering-is-tried-again", test_lowering_is_tried_again);
    ADD("a-fence-that-is-up-is-renewed", test_a_fence_that_is_up_is_renewed);
    ADD("a-plugin-that-drops-nothing-is-no-fence", test_a_plugin_that_drops_nothing_is_no_fence);
    return g_test_run();
}
