/* SPDX-License-Identifier: BSD-3-Clause */
/* The turn: deferred work, scratch memory, sleeping for nothing less than work, stopping. */
#include "reactor-helper.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- deferred tasks ---- */

struct counted_task {
    struct reactor_task task;
    unsigned runs, again;
    uint64_t first_turn, last_turn;
    sem_t *finished;
};

static void run_counted(struct reactor_task *task)
{
    struct counted_task *t = container_of(task, struct counted_task, task);
    struct reactor *r = reactor_current();
    if (!t->runs++)
        t->first_turn = r->counters.turns;
    t->last_turn = r->counters.turns;
    if (t->again) {
        t->again--;
        reactor_defer(r, task);
    } else if (t->finished) {
        sem_post(t->finished);
    }
}

static void defer_three_times(void *data)
{
    struct counted_task *t = data;
    for (unsigned i = 0; i < 3; i++)
        reactor_defer(reactor_current(), &t->task);
    g_assert_cmpuint(t->runs, ==, 0);
}

static void defer_and_cancel(void *data)
{
    struct counted_task *t = data;
    reactor_defer(reactor_current(), &t[0].task);
    reactor_defer(reactor_current(), &t[1].task);
    reactor_task_cancel(&t[0].task);
}

static void nothing(void *data)
{
}

static void test_deferring_twice_runs_once(void)
{
    struct reactor *r = reactor_running(0);
    struct counted_task t = { 0 };
    reactor_task_init(&t.task, run_counted);
    on_reactor(r, defer_three_times, &t);
    on_reactor(r, nothing, NULL);
    g_assert_cmpuint(t.runs, ==, 1);
    reactor_end(r);
}

static void test_cancelled_task_does_not_run(void)
{
    struct reactor *r = reactor_running(0);
    struct counted_task t[2] = { { .runs = 0 } };
    reactor_task_init(&t[0].task, run_counted);
    reactor_task_init(&t[1].task, run_counted);
    on_reactor(r, defer_and_cancel, t);
    on_reactor(r, nothing, NULL);
    g_assert_cmpuint(t[0].runs, ==, 0);
    g_assert_cmpuint(t[1].runs, ==, 1);
    reactor_end(r);
}

static void test_rounds_are_bounded_and_go_on_without_sleep(void)
{
    struct reactor *r = reactor_running(0);
    sem_t finished;
    sem_init(&finished, 0, 0);
    struct counted_task t = { .again = REACTOR_ROUNDS * 4 - 1, .finished = &finished };
    reactor_task_init(&t.task, run_counted);
    on_reactor(r, defer_three_times, &t);
    wait_signal(&finished); /* nobody wakes it: were it asleep, this would hang */
    g_assert_cmpuint(t.runs, ==, REACTOR_ROUNDS * 4);
    g_assert_cmpuint(t.last_turn - t.first_turn, ==, 3);
    on_reactor(r, nothing, NULL);
    g_assert_cmpuint(counters_of(r).deferred, ==, REACTOR_ROUNDS * 4);
    g_assert_cmpuint(counters_of(r).carried, ==, 3);
    reactor_end(r);
}

/* ---- idling ---- */

enum { TIMERS = 100000 };

struct idle_test {
    struct timer *timers;
    struct timer soon;
    sem_t fired;
};

static void never(struct timer *timer)
{
    g_assert_not_reached();
}

static void soon_fired(struct timer *timer)
{
    sem_post(&container_of(timer, struct idle_test, soon)->fired);
}

static void start_timers(void *data)
{
    struct idle_test *t = data;
    for (unsigned i = 0; i < TIMERS; i++) {
        timer_init(&t->timers[i], never);
        reactor_timer_start(reactor_current(), &t->timers[i], (600 + i % 600) * NS_PER_S);
    }
    timer_init(&t->soon, soon_fired);
    reactor_timer_start(reactor_current(), &t->soon, 200 * NS_PER_MS);
}

static void test_idle_reactor_does_not_turn(void)
{
    struct reactor *r = reactor_running(0);
    struct idle_test t = { .timers = g_new(struct timer, TIMERS) };
    sem_init(&t.fired, 0, 0);
    on_reactor(r, start_timers, &t);
    uint64_t turns = counters_of(r).turns;
    wait_signal(&t.fired);
    /* One to finish the start, one for the message's wake-up, one for the timer; not 200 ticks. */
    g_assert_cmpuint(counters_of(r).turns - turns, <=, 4);
    on_reactor(r, nothing, NULL); /* the counter is written after the timer's call */
    g_assert_cmpuint(counters_of(r).timers, ==, 1);
    turns = counters_of(r).turns;
    g_usleep(300000);
    g_assert_cmpuint(counters_of(r).turns - turns, <=, 2);
    reactor_end(r);
    g_free(t.timers);
}

static void test_busy_polling_reactor_falls_asleep(void)
{
    struct reactor *r = reactor_running(0);
    reactor_set_busy_poll(r, 50 * NS_PER_US);
    for (unsigned i = 0; i < 100; i++)
        on_reactor(r, nothing, NULL);
    g_usleep(50000);
    struct reactor_counters c = counters_of(r);
    g_usleep(100000);
    g_assert_cmpuint(counters_of(r).turns, ==, c.turns);
    g_assert_cmpuint(counters_of(r).enters, ==, c.enters);
    on_reactor(r, nothing, NULL);
    reactor_end(r);
}

/* ---- echo: socket to socket through the whole turn ---- */

struct echo {
    struct ring_op recv, send;
    struct reactor *reactor;
    int fd;
    char buf[4096];
    bool ended;
    sem_t end;
};

static void echo_receive(struct echo *e)
{
    ring_recv(e->reactor->ring, &e->recv, e->fd, e->buf, sizeof(e->buf), 0);
}

static void echo_sent(struct ring_op *op, int result)
{
    struct echo *e = container_of(op, struct echo, send);
    g_assert_cmpint(result, >, 0);
    echo_receive(e);
}

static void echo_received(struct ring_op *op, int result)
{
    struct echo *e = container_of(op, struct echo, recv);
    if (result <= 0) {
        e->ended = true;
        sem_post(&e->end);
        return;
    }
    struct iovec *iov = reactor_iov(e->reactor, 2);
    unsigned half = (unsigned)result / 2;
    iov[0] = (struct iovec){ e->buf, half };
    iov[1] = (struct iovec){ e->buf + half, (unsigned)result - half };
    struct msghdr *msg = reactor_msghdr(e->reactor, iov, 2);
    ring_sendmsg(e->reactor->ring, &e->send, e->fd, msg, MSG_WAITALL);
}

static void echo_start(void *data)
{
    struct echo *e = data;
    ring_op_init(&e->recv, echo_received);
    ring_op_init(&e->send, echo_sent);
    echo_receive(e);
}

static void talk(uint64_t busy_poll_ns)
{
    enum { TALKERS = 8, ROUNDS = 500 };
    struct reactor *r = reactor_running(0);
    struct echo e[TALKERS];
    int fds[TALKERS][2];
    char out[64], in[64];
    reactor_set_busy_poll(r, busy_poll_ns);
    for (unsigned i = 0; i < TALKERS; i++) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]), ==, 0);
        e[i] = (struct echo){ .reactor = r, .fd = fds[i][0] };
        sem_init(&e[i].end, 0, 0);
        on_reactor(r, echo_start, &e[i]);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < TALKERS; i++) {
            memset(out, (int)(round + i), sizeof(out));
            g_assert_cmpint(write(fds[i][1], out, sizeof(out)), ==, sizeof(out));
        }
        for (unsigned i = 0; i < TALKERS; i++) {
            memset(out, (int)(round + i), sizeof(out));
            g_assert_cmpint(recv(fds[i][1], in, sizeof(in), MSG_WAITALL), ==, sizeof(in));
            g_assert_cmpint(memcmp(in, out, sizeof(in)), ==, 0);
        }
    }
    struct reactor_counters c = counters_of(r);
    /* A turn makes one system call (the snapshot is not one moment); busy polling may add some. */
    if (!busy_poll_ns)
        g_assert_cmpuint(c.enters, <=, c.turns + 2);
    for (unsigned i = 0; i < TALKERS; i++) {
        close(fds[i][1]);
        wait_signal(&e[i].end);
        close(fds[i][0]);
    }
    reactor_end(r);
}

static void test_echo(void)
{
    talk(0);
}

static void test_echo_with_busy_polling(void)
{
    talk(50 * NS_PER_US);
}

/* ---- watches: operations the reactor tries itself ---- */

struct watched {
    struct reactor_watch watch;
    int ready; /* what attempt() returns */
    unsigned attempts, armed, done;
    int result;
    bool accepted, taken_off;
    sem_t finished;
};

static int watched_attempt(struct reactor_watch *watch)
{
    struct watched *w = container_of(watch, struct watched, watch);
    w->attempts++;
    return __atomic_load_n(&w->ready, __ATOMIC_ACQUIRE);
}

static void watched_done(struct reactor_watch *watch, int result)
{
    struct watched *w = container_of(watch, struct watched, watch);
    w->done++;
    w->result = result;
    w->taken_off = reactor_unwatch(reactor_current(), watch);
    sem_post(&w->finished);
}

static void watched_arm(struct reactor_watch *watch)
{
    struct watched *w = container_of(watch, struct watched, watch);
    w->armed++;
    sem_post(&w->finished);
}

static void watched_prepare(struct watched *w, int ready)
{
    *w = (struct watched){
        .watch = { .attempt = watched_attempt, .done = watched_done, .arm = watched_arm },
        .ready = ready,
    };
    list_init(&w->watch.link);
    sem_init(&w->finished, 0, 0);
}

static void watched_start(void *data)
{
    struct watched *w = data;
    w->accepted = reactor_watch(reactor_current(), &w->watch);
}

static void watched_start_and_end(void *data)
{
    struct watched *w = data;
    watched_start(w);
    w->taken_off = reactor_unwatch(reactor_current(), &w->watch);
}

static void test_watch_needs_busy_polling(void)
{
    struct reactor *r = reactor_running(0);
    struct watched w;
    watched_prepare(&w, 1);
    on_reactor(r, watched_start, &w);
    on_reactor(r, nothing, NULL);
    g_assert_false(w.accepted);
    g_assert_cmpuint(w.attempts, ==, 0);
    reactor_end(r);
}

static void test_watch_is_tried_until_it_has_a_result(void)
{
    struct reactor *r = reactor_running(0);
    struct watched w;
    reactor_set_busy_poll(r, NS_PER_S);
    watched_prepare(&w, -EAGAIN);
    on_reactor(r, watched_start, &w);
    g_assert_true(w.accepted);
    __atomic_store_n(&w.ready, 48, __ATOMIC_RELEASE);
    wait_signal(&w.finished);
    g_assert_cmpint(w.result, ==, 48);
    g_assert_false(w.taken_off); /* it was off already */
    reactor_set_busy_poll(r, 0);
    on_reactor(r, nothing, NULL);
    g_assert_cmpuint(w.done, ==, 1);
    g_assert_cmpuint(w.armed, ==, 0);
    reactor_end(r);
}

static void test_watch_is_armed_before_sleep(void)
{
    struct reactor *r = reactor_running(0);
    struct watched w;
    reactor_set_busy_poll(r, 50 * NS_PER_US);
    watched_prepare(&w, -EAGAIN);
    on_reactor(r, watched_start, &w);
    wait_signal(&w.finished);
    g_assert_cmpuint(w.armed, ==, 1);
    g_assert_cmpuint(w.attempts, >, 0);
    w.attempts = 0;
    on_reactor(r, nothing, NULL);
    g_assert_cmpuint(w.attempts, ==, 0);
    g_assert_cmpuint(w.done, ==, 0);
    reactor_end(r);
}

static void test_watch_that_is_taken_off_is_not_heard_of(void)
{
    struct reactor *r = reactor_running(0);
    struct watched w;
    reactor_set_busy_poll(r, 50 * NS_PER_US);
    watched_prepare(&w, -EAGAIN);
    on_reactor(r, watched_start_and_end, &w);
    g_assert_true(w.accepted);
    g_assert_true(w.taken_off);
    on_reactor(r, nothing, NULL);
    g_usleep(2000);
    on_reactor(r, nothing, NULL);
    g_assert_cmpuint(w.attempts + w.armed + w.done, ==, 0);
    reactor_end(r);
}

static void test_watches_are_few(void)
{
    struct reactor *r = reactor_running(0);
    struct watched w[REACTOR_WATCHES + 1];
    reactor_set_busy_poll(r, NS_PER_S);
    for (unsigned i = 0; i <= REACTOR_WATCHES; i++) {
        watched_prepare(&w[i], -EAGAIN);
        on_reactor(r, watched_start, &w[i]);
        g_assert_cmpint(w[i].accepted, ==, i < REACTOR_WATCHES);
    }
    for (unsigned i = 0; i < REACTOR_WATCHES; i++)
        __atomic_store_n(&w[i].ready, -ECONNRESET, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < REACTOR_WATCHES; i++) {
        wait_signal(&w[i].finished);
        g_assert_cmpint(w[i].result, ==, -ECONNRESET);
    }
    on_reactor(r, watched_start, &w[REACTOR_WATCHES]); /* there is room again */
    g_assert_true(w[REACTOR_WATCHES].accepted);
    reactor_set_busy_poll(r, 0);
    on_reactor(r, nothing, NULL);
    wait_signal(&w[REACTOR_WATCHES].finished);
    g_assert_cmpuint(w[REACTOR_WATCHES].armed, ==, 1);
    reactor_end(r);
}

/* ---- scratch ---- */

struct scratch_test {
    void *first, *later[600];
    bool refused;
};

static void take_scratch(void *data)
{
    struct scratch_test *t = data;
    struct reactor *r = reactor_current();
    t->first = reactor_scratch(r, 1);
    memset(t->first, 1, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(t->later); i++) {
        t->later[i] = reactor_scratch(r, 65536);
        if (t->later[i])
            memset(t->later[i], (int)i, 65536);
        else
            t->refused = true;
    }
    g_assert_null(reactor_scratch(r, 65537));
    for (unsigned i = 0; i < G_N_ELEMENTS(t->later) && t->later[i]; i++)
        g_assert_cmpuint(((uint8_t *)t->later[i])[65535], ==, (uint8_t)i);
    g_assert_cmpuint((uintptr_t)t->first % 16, ==, 0);
}

static void test_scratch_is_bounded_and_reused(void)
{
    struct reactor *r = reactor_running(0);
    struct scratch_test a = { 0 }, b = { 0 };
    on_reactor(r, take_scratch, &a);
    on_reactor(r, nothing, NULL);
    on_reactor(r, take_scratch, &b);
    g_assert_true(a.refused && b.refused);
    g_assert_true(a.first == b.first);
    g_assert_true(a.later[100] && a.later[100] == b.later[100]);
    reactor_end(r);
}

/* ---- stopping ---- */

static void test_stop_with_an_operation_in_flight(void)
{
    struct reactor *r = reactor_running(0);
    struct echo e = { .reactor = r };
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    e.fd = fds[0];
    sem_init(&e.end, 0, 0);
    on_reactor(r, echo_start, &e);
    reactor_stop(r);
    g_assert_false(e.ended);
    reactor_free(r);
    close(fds[0]);
    close(fds[1]);
}

static void test_create_and_free_without_start(void)
{
    reactor_free(reactor_make(0, 0));
    reactor_free(NULL);
    g_assert_null(reactor_current());
}

struct self_test {
    struct reactor *seen;
};

static void see(void *data)
{
    ((struct self_test *)data)->seen = reactor_current();
}

static void test_current(void)
{
    struct reactor *r[2] = { reactor_running(0), reactor_running(1) };
    for (unsigned i = 0; i < 2; i++) {
        struct self_test t = { NULL };
        on_reactor(r[i], see, &t);
        g_assert_true(t.seen == r[i]);
        g_assert_cmpuint(r[i]->index, ==, i);
    }
    reactor_end(r[0]);
    reactor_end(r[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/defer/twice-runs-once", test_deferring_twice_runs_once);
    g_test_add_func("/reactor/defer/cancelled-task-does-not-run", test_cancelled_task_does_not_run);
    g_test_add_func("/reactor/defer/rounds-are-bounded-and-go-on-without-sleep",
                    test_rounds_are_bounded_and_go_on_without_sleep);
    g_test_add_func("/reactor/idle/does-not-turn", test_idle_reactor_does_not_turn);
    g_test_add_func("/reactor/idle/busy-polling-falls-asleep",
                    test_busy_polling_reactor_falls_asleep);
    g_test_add_func("/reactor/echo/plain", test_echo);
    g_test_add_func("/reactor/echo/busy-polling", test_echo_with_busy_polling);
    g_test_add_func("/reactor/watch/needs-busy-polling", test_watch_needs_busy_polling);
    g_test_add_func("/reactor/watch/tried-until-result", test_watch_is_tried_until_it_has_a_result);
    g_test_add_func("/reactor/watch/armed-before-sleep", test_watch_is_armed_before_sleep);
    g_test_add_func("/reactor/watch/taken-off", test_watch_that_is_taken_off_is_not_heard_of);
    g_test_add_func("/reactor/watch/few", test_watches_are_few);
    g_test_add_func("/reactor/scratch/bounded-and-reused", test_scratch_is_bounded_and_reused);
    g_test_add_func("/reactor/life/stop-with-an-operation-in-flight",
                    test_stop_with_an_operation_in_flight);
    g_test_add_func("/reactor/life/create-and-free-without-start",
                    test_create_and_free_without_start);
    g_test_add_func("/reactor/life/current", test_current);
    return g_test_run();
}
