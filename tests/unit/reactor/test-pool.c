/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocking pool: bounded, in order, every job answered once, on the reactor that asked. */
#include "reactor-helper.h"

#include "reactor/pool.h"

enum { JOBS = 2000, THREADS = 4 };

struct test_job {
    struct pool_job job;
    struct reactor *ended_on;
    unsigned runs, done;
    bool cancelled;
};

static unsigned running, most_running, finished;
static sem_t all_done, gate, at_gate;

static void count_run(struct pool_job *job)
{
    struct test_job *t = (struct test_job *)job;
    unsigned now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST), most;
    while ((most = __atomic_load_n(&most_running, __ATOMIC_SEQ_CST)) < now)
        __atomic_compare_exchange_n(&most_running, &most, now, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
    t->runs++;
    if (t->job.reactor == NULL)
        g_assert_null(reactor_current());
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
}

static void count_done(struct pool_job *job)
{
    struct test_job *t = (struct test_job *)job;
    t->ended_on = reactor_current();
    t->cancelled = pool_job_cancelled(job);
    t->done++;
    if (__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST) == JOBS)
        sem_post(&all_done);
}

static void test_bounded_and_answered_where_asked(void)
{
    struct reactor *r[2] = { reactor_running(0), reactor_running(1) };
    struct pool *pool = NULL;
    g_autofree struct test_job *jobs = g_new0(struct test_job, JOBS);
    sem_init(&all_done, 0, 0);
    finished = 0;
    g_assert_cmpint(pool_create("jobs", THREADS, &pool), ==, 0);
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i].job = (struct pool_job){ .run = count_run,
                                         .done = count_done,
                                         .reactor = i % 3 < 2 ? r[i % 3] : NULL };
        pool_submit(pool, &jobs[i].job);
    }
    wait_signal(&all_done);
    g_assert_cmpuint(pool_threads(pool), >=, 1);
    g_assert_cmpuint(pool_threads(pool), <=, THREADS);
    g_assert_cmpuint(most_running, <=, THREADS);
    pool_destroy(pool);
    reactor_end(r[0]);
    reactor_end(r[1]);
    for (unsigned i = 0; i < JOBS; i++) {
        g_assert_cmpuint(jobs[i].runs, ==, 1);
        g_assert_cmpuint(jobs[i].done, ==, 1);
        g_assert_true(jobs[i].ended_on == (i % 3 < 2 ? r[i % 3] : NULL));
    }
}

static void stand_at_gate(struct pool_job *job)
{
    sem_post(&at_gate);
    wait_signal(&gate);
}

static void test_blocked_jobs_get_threads_up_to_the_limit(void)
{
    struct pool *pool = NULL;
    struct pool_job jobs[THREADS * 3];
    sem_init(&gate, 0, 0);
    sem_init(&at_gate, 0, 0);
    g_assert_cmpint(pool_create("gate", THREADS, &pool), ==, 0);
    g_assert_cmpuint(pool_threads(pool), ==, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
        jobs[i] = (struct pool_job){ .run = stand_at_gate };
        pool_submit(pool, &jobs[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        wait_signal(&at_gate); /* that many stand there at the same time */
    g_usleep(20000);
    g_assert_cmpint(sem_trywait(&at_gate), !=, 0); /* and no more */
    g_assert_cmpuint(pool_threads(pool), ==, THREADS);
    for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++)
        sem_post(&gate);
    pool_destroy(pool); /* runs what is queued */
    for (unsigned i = THREADS; i < G_N_ELEMENTS(jobs); i++)
        g_assert_cmpint(sem_trywait(&at_gate), ==, 0);
}

static unsigned order[100], order_count;

static void note_order(struct pool_job *job)
{
    order[order_count++] = ((struct test_job *)job)->done;
}

static void test_one_thread_keeps_the_order(void)
{
    struct pool *pool = NULL;
    struct test_job jobs[100];
    order_count = 0;
    g_assert_cmpint(pool_create("order", 1, &pool), ==, 0);
    for (unsigned i = 0; i < 100; i++) {
        jobs[i] = (struct test_job){ .job.run = note_order, .done = i };
        pool_submit(pool, &jobs[i].job);
    }
    pool_destroy(pool);
    g_assert_cmpuint(order_count, ==, 100);
    for (unsigned i = 0; i < 100; i++)
        g_assert_cmpuint(order[i], ==, i);
}

static void test_cancelled_job_is_answered_and_not_run(void)
{
    struct reactor *r = reactor_running(0);
    struct pool *pool = NULL;
    struct test_job blocker = { .job = { .run = stand_at_gate, .done = count_done, .reactor = r } };
    struct test_job jobs[JOBS - 1];
    sem_init(&gate, 0, 0);
    sem_init(&at_gate, 0, 0);
    sem_init(&all_done, 0, 0);
    finished = 0;
    g_assert_cmpint(pool_create("cancel", 1, &pool), ==, 0);
    pool_submit(pool, &blocker.job);
    wait_signal(&at_gate);
    for (unsigned i = 0; i < JOBS - 1; i++) {
        jobs[i] =
            (struct test_job){ .job = { .run = count_run, .done = count_done, .reactor = r } };
        pool_submit(pool, &jobs[i].job);
    }
    g_assert_false(pool_cancel(&blocker.job)); /* it runs */
    for (unsigned i = 0; i < JOBS - 1; i += 2) {
        g_assert_true(pool_cancel(&jobs[i].job));
        g_assert_false(pool_cancel(&jobs[i].job));
    }
    sem_post(&gate);
    wait_signal(&all_done);
    for (unsigned i = 0; i < JOBS - 1; i++) {
        g_assert_cmpuint(jobs[i].done, ==, 1);
        g_assert_cmpuint(jobs[i].runs, ==, i % 2);
        g_assert_true(jobs[i].cancelled == (i % 2 == 0));
    }
    g_assert_false(blocker.cancelled);
    pool_destroy(pool);
    reactor_end(r);
}

/* A job that is submitted again from its own done(), from the reactor. */
struct again {
    struct pool_job job;
    struct pool *pool;
    unsigned left;
};

static void no_work(struct pool_job *job)
{
}

static void submit_again(struct pool_job *job)
{
    struct again *a = (struct again *)job;
    if (a->left-- == 0)
        sem_post(&all_done);
    else
        pool_submit(a->pool, job);
}

static void test_submitting_again_from_done(void)
{
    enum { N = 8 };
    struct reactor *r = reactor_running(0);
    struct pool *pool = NULL;
    struct again a[N];
    sem_init(&all_done, 0, 0);
    g_assert_cmpint(pool_create("again", THREADS, &pool), ==, 0);
    for (unsigned i = 0; i < N; i++) {
        a[i] = (struct again){ { .run = no_work, .done = submit_again, .reactor = r }, pool, 500 };
        pool_submit(pool, &a[i].job);
    }
    for (unsigned i = 0; i < N; i++)
        wait_signal(&all_done);
    pool_destroy(pool);
    reactor_end(r);
    pool_destroy(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/pool/bounded-and-answered-where-asked",
                    test_bounded_and_answered_where_asked);
    g_test_add_func("/reactor/pool/blocked-jobs-get-threads-up-to-the-limit",
                    test_blocked_jobs_get_threads_up_to_the_limit);
    g_test_add_func("/reactor/pool/one-thread-keeps-the-order", test_one_thread_keeps_the_order);
    g_test_add_func("/reactor/pool/cancelled-job-is-answered-and-not-run",
                    test_cancelled_job_is_answered_and_not_run);
    g_test_add_func("/reactor/pool/submitting-again-from-done", test_submitting_again_from_done);
    return g_test_run();
}
