/* SPDX-License-Identifier: BSD-3-Clause */
/* The keeper against a worker on strings: start, service, crash, restart, stop. */
#include "fake-worker.h"
#include "harness.h"

#include "keeper/state.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The keeper has handled everything the worker has said so far: the link keeps the order. */
static void sync_link(struct host *h)
{
    host_tell(h, "get lun:sync 4096");
    g_free(host_expect(h, "MEMFD 0 *"));
}

static void test_nothing_is_accepted_before_the_worker_is_ready(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_expect_worker(&h, 1);
    g_free(host_expect(&h, "GO"));
    g_assert_cmpint(peer_connect(&h, false), ==, -1);
    g_assert_cmpint(peer_connect(&h, true), ==, -1);
    host_tell(&h, "ready");
    host_expect_log(&h, "ready generation=1 ");

    int v4 = peer_connect(&h, false);
    g_assert_cmpint(v4, >=, 0);
    g_assert_cmpuint(host_expect_connection(&h, 0), ==, 0);
    int v6 = peer_connect(&h, true);
    g_assert_cmpint(v6, >=, 0);
    g_assert_cmpuint(host_expect_connection(&h, 1), ==, 1);
    host_tell(&h, "say 0 four");
    host_tell(&h, "say 1 six");
    peer_expect_data(v4, "four");
    peer_expect_data(v6, "six");

    host_tell(&h, "closed 0"); /* the slot is free again */
    peer_expect_end(v4);
    close(v4);
    sync_link(&h);
    v4 = peer_connect(&h, false);
    g_assert_cmpuint(host_expect_connection(&h, 0), ==, 0);
    host_stop(&h);
    peer_expect_end(v4);
    peer_expect_end(v6);
    close(v4);
    close(v6);
}

static void test_connections_of_a_dead_worker_are_held_and_then_closed_in_order(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int quiet = peer_connect(&h, false), talking = peer_connect(&h, false);
    host_expect_connection(&h, 0);
    host_expect_connection(&h, 0);
    host_tell(&h, "say 0 hello");
    host_tell(&h, "say 1 hello");
    peer_expect_data(quiet, "hello");
    peer_expect_data(talking, "hello");
    g_assert_cmpint(send(talking, "never read", 10, 0), ==, 10);

    host_tell(&h, "killed");
    host_expect_worker(&h, 2); /* at once */
    g_assert_cmpuint(host_log_count(&h, "next start in"), ==, 0);
    g_assert_cmpuint(host_log_count(&h, "ended by signal 9"), ==, 1);
    g_free(host_expect(&h, "GO"));
    g_assert_true(peer_is_held(quiet));
    g_assert_true(peer_is_held(talking));
    int early = peer_connect(&h, false); /* waits in the kernel */
    g_assert_cmpint(early, >=, 0);
    sync_link(&h); /* and nobody was told of it */

    host_tell(&h, "ready");
    peer_expect_end(quiet);
    peer_expect_end(talking);
    g_assert_cmpuint(host_expect_connection(&h, 0), <, 2);
    peer_expect_no_reset(quiet);
    peer_expect_no_reset(talking); /* although its bytes were never read */
    g_assert_true(peer_is_held(early));
    host_stop(&h);
    close(quiet);
    close(talking);
    close(early);
}

static void test_connections_that_no_worker_has_begun_with_go_to_the_next(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int known = peer_connect(&h, false);
    host_expect_connection(&h, 0);
    int read = peer_connect(&h, true);
    g_assert_cmpuint(host_expect_connection(&h, 1), ==, 1);
    g_assert_cmpint(send(read, "r", 1, 0), ==, 1);
    host_tell(&h, "read 1");
    g_free(host_expect(&h, "READ r"));
    host_tell(&h, "deaf");
    int unseen = peer_connect(&h, true), gone = peer_connect(&h, false);
    g_assert_cmpint(send(unseen, "login", 5, 0), ==, 5);
    close(gone);
    while (host_log_count(&h, "signal 1 (") == 0) /* the keeper has turned round since the connects */
        host_signal(&h, SIGHUP);
    host_tell(&h, "abort");

    host_expect_worker(&h, 2);
    g_free(host_expect(&h, "GO"));
    host_tell(&h, "ready");
    g_assert_cmpuint(host_expect_connection(&h, 0), ==, 0);
    g_assert_cmpuint(host_expect_connection(&h, 1), ==, 2);
    peer_expect_end(read);
    host_tell(&h, "read 2");
    g_free(host_expect(&h, "READ login"));
    host_tell(&h, "say 0 here");
    peer_expect_data(known, "here");
    sync_link(&h);
    g_assert_true(host_is_silent(&h)); /* the one that hung up was not offered */
    host_tell(&h, "closed 2");
    peer_expect_end(unseen);
    sync_link(&h);
    host_stop(&h);
    close(known);
    close(read);
    close(unseen);
}

static void test_storage_waits_for_the_rings_of_the_dead(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int ring = host_take_tombstone(&h);
    host_tell(&h, "abort");

    host_expect_worker(&h, 2);
    int ring2 = host_take_tombstone(&h);
    sync_link(&h); /* GO would have come before */
    host_tell(&h, "abort");

    host_expect_worker(&h, 3); /* waits for both of them */
    close(ring2);
    sync_link(&h);
    g_assert_true(host_is_silent(&h));
    close(ring);
    g_free(host_expect(&h, "GO"));
    host_tell(&h, "ready");
    host_expect_log(&h, "ready generation=3 ");
    host_stop(&h);
}

static void test_memory_of_luns_survives_and_the_rest_is_fresh(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    host_tell(&h, "get lun:iqn.x/0 8192");
    g_free(host_expect(&h, "MEMFD 0 0 "));
    host_tell(&h, "fill precious");
    host_tell(&h, "get state 8192");
    g_free(host_expect(&h, "MEMFD 0 0 "));
    host_tell(&h, "fill stale");
    host_tell(&h, "get state 8192");
    g_autofree char *twice = g_strdup_printf("MEMFD %d 0 ", EEXIST);
    g_free(host_expect(&h, twice));
    g_autofree char *invalid = g_strdup_printf("MEMFD %d 0 ", EINVAL);
    host_tell(&h, "get lun:iqn.x/1 0");
    g_free(host_expect(&h, invalid));
    host_tell(&h, "get lun:iqn.x/1 281474976710657");
    g_free(host_expect(&h, invalid));
    host_tell(&h, "abort");

    host_expect_worker(&h, 2); /* it opens its LUNs before it is ready */
    g_free(host_expect(&h, "GO"));
    host_tell(&h, "get state 8192");
    g_free(host_expect(&h, "MEMFD 0 0 "));
    host_tell(&h, "get lun:iqn.x/0 16384");
    g_free(host_expect(&h, "MEMFD 0 1 precious"));
    host_tell(&h, "ready");
    host_expect_log(&h, "ready generation=2 ");
    host_tell(&h, "get lun:iqn.x/0 4");
    g_free(host_expect(&h, "MEMFD 0 1 prec"));
    host_tell(&h, "get lun:iqn.x/1 4096");
    g_free(host_expect(&h, "MEMFD 0 0 "));
    host_tell(&h, "abort");

    host_ready_worker(&h, 3); /* it has not opened that LUN, and may do so later */
    host_tell(&h, "get lun:iqn.x/0 4");
    g_free(host_expect(&h, "MEMFD 0 1 prec"));
    host_stop(&h);
}

static void test_delays_grow_up_to_ten_seconds(void)
{
    static const unsigned expected[] = { 0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++)
        g_assert_cmpuint(supervise_delay_ms(i), ==, expected[i]);
    g_assert_cmpuint(supervise_delay_ms(UINT32_MAX), ==, 10000);
}

static void test_a_worker_that_dies_again_and_again_is_restarted_with_delays(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    for (unsigned generation = 1; generation <= 4; generation++) {
        host_ready_worker(&h, generation);
        host_tell(&h, "abort");
        host_expect_worker_end(&h);
    }
    host_ready_worker(&h, 5);
    g_assert_cmpuint(host_log_count(&h, "next start in"), ==, 3);
    g_assert_cmpuint(host_log_count(&h, "next start in 100 ms"), ==, 1);
    g_assert_cmpuint(host_log_count(&h, "next start in 200 ms"), ==, 1);
    g_assert_cmpuint(host_log_count(&h, "next start in 400 ms"), ==, 1);
    host_stop(&h);
}

static void test_a_worker_that_others_kill_is_restarted_at_once(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    for (unsigned generation = 1; generation <= 10; generation++) {
        host_ready_worker(&h, generation);
        host_tell(&h, "killed");
        host_expect_worker_end(&h);
    }
    host_ready_worker(&h, 11);
    g_assert_cmpuint(host_log_count(&h, "next start in"), ==, 0);
    host_stop(&h);
}

static void test_a_refused_configuration_ends_the_first_start(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_expect_worker(&h, 1);
    host_tell(&h, "failed no-such-disk");
    host_tell(&h, "exit 1");
    host_expect_log(&h, "no-such-disk");
    host_expect_exit(&h, 1);

    h = (struct host){ 0 };
    host_start(&h, NULL);
    host_expect_worker(&h, 1);
    host_tell(&h, "exit 0"); /* says nothing, is never ready */
    host_expect_exit(&h, 1);
}

static void test_crashes_before_the_first_ready_end_the_start_after_five(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    for (unsigned generation = 1; generation <= 5; generation++) {
        host_expect_worker(&h, generation);
        host_tell(&h, "abort");
        host_expect_worker_end(&h);
    }
    host_expect_exit(&h, 1);
}

static void test_a_later_worker_that_fails_is_tried_again(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int peer = peer_connect(&h, false);
    host_expect_connection(&h, 0);
    host_tell(&h, "say 0 hello");
    peer_expect_data(peer, "hello");
    host_tell(&h, "abort");
    host_expect_worker(&h, 2);
    host_tell(&h, "failed disk-away");
    host_tell(&h, "exit 1");
    host_expect_worker_end(&h);
    host_expect_worker(&h, 3);
    g_assert_true(peer_is_held(peer));
    g_free(host_expect(&h, "GO"));
    host_tell(&h, "ready");
    peer_expect_end(peer);
    close(peer);
    host_stop(&h);
}

static void test_a_worker_that_speaks_out_of_turn_is_replaced(void)
{
    static const char *const lines[] = { "nonsense", "closed 7", "stopped", "ready" };
    struct host h = { 0 };
    unsigned generation = 1;

    host_start(&h, NULL);
    host_ready_worker(&h, generation++);
    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        host_tell(&h, lines[i]);
        host_expect_worker_end(&h);
        host_ready_worker(&h, generation++);
    }
    g_assert_cmpuint(host_log_count(&h, "speaks nonsense"), ==, G_N_ELEMENTS(lines));

    int ring = host_take_tombstone(&h);
    host_tell(&h, "abort");
    host_expect_worker_end(&h);
    host_expect_worker(&h, generation);
    host_tell(&h, "ready"); /* without GO */
    host_expect_worker_end(&h);
    close(ring);
    host_ready_worker(&h, generation + 1);
    host_stop(&h);
}

static void test_a_port_in_use_is_named_and_nothing_starts(void)
{
    struct host first = { 0 }, second = { 0 };

    host_start(&first, NULL);
    host_ready_worker(&first, 1);
    second.port = first.port;
    host_start(&second, NULL);
    g_autofree char *v4 =
        g_strdup_printf("portal san: cannot bind 127.0.0.1:%u: Address already in use", first.port);
    g_autofree char *v6 =
        g_strdup_printf("portal san: cannot bind [::1]:%u: Address already in use", first.port);
    host_expect_log(&second, v4);
    host_expect_log(&second, v6);
    g_assert_cmpuint(host_log_count(&second, "test.yaml:3:"), ==, 2);
    g_assert_cmpuint(host_log_count(&second, "generation"), ==, 0);
    host_expect_exit(&second, 1);
    host_stop(&first);

    first = (struct host){ .port = second.port }; /* TIME_WAIT does not keep the port */
    host_start(&first, NULL);
    host_ready_worker(&first, 1);
    host_stop(&first);
}

static void test_signals_that_do_nothing_are_answered_in_the_log(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_expect_worker(&h, 1);
    g_free(host_expect(&h, "GO"));
    host_signal(&h, SIGUSR2);
    host_expect_log(&h, "not now: no worker is ready");
    host_tell(&h, "ready");
    host_expect_log(&h, "ready generation=1 ");
    host_signal(&h, SIGHUP);
    host_expect_log(&h, "signal 1 (");
    host_signal(&h, SIGPIPE);
    int peer = peer_connect(&h, false);
    host_expect_connection(&h, 0);
    close(peer);
    host_stop(&h);
}

static void test_a_worker_that_does_not_stop_is_killed(void)
{
    struct host h = { .stop_timeout_ms = 50 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    host_signal(&h, SIGTERM);
    g_free(host_expect(&h, "STOP"));
    host_expect_log(&h, "does not end, killed generation=1");
    host_expect_exit(&h, 0);

    h = (struct host){ .stop_timeout_ms = 3600 * 1000 };
    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    host_signal(&h, SIGTERM);
    g_free(host_expect(&h, "STOP"));
    host_signal(&h, SIGINT); /* the second one has no patience */
    host_expect_worker_end(&h);
    host_expect_exit(&h, 0);
}

static void test_stop_while_a_worker_starts_and_while_there_is_none(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_expect_worker(&h, 1);
    g_free(host_expect(&h, "GO"));
    host_stop(&h);

    h = (struct host){ 0 };
    host_start(&h, NULL);
    for (unsigned generation = 1; generation <= 6; generation++) {
        host_ready_worker(&h, generation);
        host_tell(&h, "abort");
        host_expect_worker_end(&h);
    }
    host_expect_log(&h, "next start in 1600 ms");
    host_signal(&h, SIGTERM);
    host_expect_exit(&h, 0);
}

static void test_connections_over_the_limit_are_turned_away(void)
{
    struct host h = { 0 };

    host_start(&h, "{ max-connections: 2 }");
    host_ready_worker(&h, 1);
    int a = peer_connect(&h, false), b = peer_connect(&h, false);
    host_expect_connection(&h, 0);
    host_expect_connection(&h, 0);
    int c = peer_connect(&h, false);
    peer_expect_end(c);
    host_expect_log(&h, "connections turned away count=1 open=2 limit=2");
    g_assert_true(peer_is_held(a) && peer_is_held(b));
    host_tell(&h, "closed 1");
    peer_expect_end(b);
    close(b);
    sync_link(&h);
    b = peer_connect(&h, false);
    g_assert_cmpuint(host_expect_connection(&h, 0), ==, 1);
    host_stop(&h);
    close(a);
    close(b);
    close(c);
}

static void test_a_worker_that_does_not_listen_blocks_nothing_and_loses_nothing(void)
{
    enum { PEERS = 700 };
    struct host h = { 0 };
    int peers[PEERS];
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    if (limit.rlim_max < 2 * PEERS) {
        g_test_skip("the limit of open files is too low");
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    host_tell(&h, "deaf");
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_connect(&h, false);
        g_assert_cmpint(peers[i], >=, 0);
    }
    host_signal(&h, SIGHUP);
    host_expect_log(&h, "signal 1 ("); /* the keeper is not stuck */
    host_tell(&h, "hear");
    for (unsigned i = 0; i < PEERS; i++)
        g_assert_cmpuint(host_expect_connection(&h, 0), ==, i);
    for (int i = 0; i < PEERS; i++)
        close(peers[i]);
    host_stop(&h);
}

static void test_a_worker_that_does_not_answer_is_replaced(void)
{
    struct host h = { .watchdog_ms = 500 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    int peer = peer_connect(&h, false);
    g_assert_cmpuint(host_expect_connection(&h, 0), ==, 0);
    host_tell(&h, "deaf");
    host_expect_worker_end(&h);
    host_ready_worker(&h, 2);
    g_assert_cmpuint(host_expect_connection(&h, 0), ==, 0);
    host_expect_log(&h, "does not answer for");
    host_expect_log(&h, "ended by signal 6");
    g_assert_true(peer_is_held(peer));
    close(peer);
    host_signal(&h, SIGTERM);
    g_free(host_expect(&h, "STOP"));
    host_tell(&h, "stopped");
    host_tell(&h, "exit 0");
    host_expect_exit(&h, 0);
}

static void test_a_worker_does_not_outlive_its_keeper(void)
{
    struct host h = { 0 };

    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    host_tell(&h, "deaf"); /* it does not see the end of the link either */
    host_signal(&h, SIGKILL);
    host_expect_worker_end(&h);
    g_assert_cmpint(waitpid(h.keeper, NULL, 0), ==, h.keeper);
    close(h.listener);
    unlink(h.log);
    g_free(h.log);
}

static void expect_notification(int fd, const char *prefix)
{
    char text[256];
    do { /* what it is to keep: the descriptors are dropped here */
        memset(text, 0, sizeof(text));
        g_assert_cmpint(recv(fd, text, sizeof(text) - 1, 0), >, 0);
    } while (g_str_has_prefix(text, "FDSTORE"));
    g_assert_true(g_str_has_prefix(text, prefix));
}

static void test_the_service_manager_is_told(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    g_autofree char *dir = g_dir_make_tmp("holdfast-XXXXXX", NULL);
    struct host h = { 0 };
    struct timeval patience = { .tv_sec = HARNESS_TIMEOUT_MS / 1000 };

    g_snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    g_setenv("NOTIFY_SOCKET", a.sun_path, TRUE);
    host_start(&h, NULL);
    host_ready_worker(&h, 1);
    expect_notification(fd, "READY=1\n");
    host_stop(&h);
    expect_notification(fd, "STOPPING=1\n");
    g_unsetenv("NOTIFY_SOCKET");
    close(fd);
    unlink(a.sun_path);
    rmdir(dir);
}

#define ADD(name, function) g_test_add_func("/keeper/" name, function)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--worker") == 0)
        return fake_worker_run(argc, argv);
    g_test_init(&argc, &argv, NULL);
    ADD("nothing-is-accepted-before-the-worker-is-ready",
        test_nothing_is_accepted_before_the_worker_is_ready);
    ADD("connections-of-a-dead-worker-are-held-and-then-closed-in-order",
        test_connections_of_a_dead_worker_are_held_and_then_closed_in_order);
    ADD("connections-that-no-worker-has-begun-with-go-to-the-next",
        test_connections_that_no_worker_has_begun_with_go_to_the_next);
    ADD("storage-waits-for-the-rings-of-the-dead", test_storage_waits_for_the_rings_of_the_dead);
    ADD("memory-of-luns-survives-and-the-rest-is-fresh",
        test_memory_of_luns_survives_and_the_rest_is_fresh);
    ADD("delays-grow-up-to-ten-seconds", test_delays_grow_up_to_ten_seconds);
    ADD("a-worker-that-dies-again-and-again-is-restarted-with-delays",
        test_a_worker_that_dies_again_and_again_is_restarted_with_delays);
    ADD("a-worker-that-others-kill-is-restarted-at-once",
        test_a_worker_that_others_kill_is_restarted_at_once);
    ADD("a-refused-configuration-ends-the-first-start",
        test_a_refused_configuration_ends_the_first_start);
    ADD("crashes-before-the-first-ready-end-the-start-after-five",
        test_crashes_before_the_first_ready_end_the_start_after_five);
    ADD("a-later-worker-that-fails-is-tried-again", test_a_later_worker_that_fails_is_tried_again);
    ADD("a-worker-that-speaks-out-of-turn-is-replaced",
        test_a_worker_that_speaks_out_of_turn_is_replaced);
    ADD("a-port-in-use-is-named-and-nothing-starts",
        test_a_port_in_use_is_named_and_nothing_starts);
    ADD("signals-that-do-nothing-are-answered-in-the-log",
        test_signals_that_do_nothing_are_answered_in_the_log);
    ADD("a-worker-that-does-not-stop-is-killed", test_a_worker_that_does_not_stop_is_killed);
    ADD("stop-while-a-worker-starts-and-while-there-is-none",
        test_stop_while_a_worker_starts_and_while_there_is_none);
    ADD("connections-over-the-limit-are-turned-away",
        test_connections_over_the_limit_are_turned_away);
    ADD("a-worker-that-does-not-listen-blocks-nothing-and-loses-nothing",
        test_a_worker_that_does_not_listen_blocks_nothing_and_loses_nothing);
    ADD("a-worker-that-does-not-answer-is-replaced",
        test_a_worker_that_does_not_answer_is_replaced);
    ADD("a-worker-does-not-outlive-its-keeper", test_a_worker_does_not_outlive_its_keeper);
    ADD("the-service-manager-is-told", test_the_service_manager_is_told);
    return g_test_run();
}
