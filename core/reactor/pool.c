/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocking pool of pool.h.
 *
 * Submitters push onto a lock-free stack and raise a semaphore, once a job; the pool's threads sort
 * the stack into a queue under a lock that only they take. There is always one thread waiting, as
 * long as the limit allows: the thread that takes a job and leaves nobody behind makes the next one
 * before it begins. So it is never a submitter that pays for making a thread.
 */
#include "reactor/pool.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (30 * NS_PER_S)

enum { JOB_WAITS = 1, JOB_RUNS, JOB_CANCELLED };

struct pool {
    struct pool_job *incoming; /* stack */
    sem_t work;                /* one a job, and one a thread when closing */
    pthread_mutex_t lock;      /* for the rest */
    pthread_cond_t ended;
    struct pool_job *first, **last; /* queue */
    unsigned threads, waiting, max_threads;
    bool closing;
    char name[16];
};

/* ---- submitters ---- */

static void job_message(struct reactor_message *message)
{
    struct pool_job *job = container_of(message, struct pool_job, message);
    job->done(job);
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
    job->message.run = job_message;
    __atomic_store_n(&job->state, JOB_WAITS, __ATOMIC_RELAXED);
    job->next = __atomic_load_n(&pool->incoming, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&pool->incoming, &job->next, job, /* weak= */ true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    sem_post(&pool->work);
}

bool pool_cancel(struct pool_job *job)
{
    uint32_t waits = JOB_WAITS;
    return job->done &&
           __atomic_compare_exchange_n(&job->state, &waits, JOB_CANCELLED,
                                       /* weak= */ false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool pool_job_cancelled(const struct pool_job *job)
{
    return __atomic_load_n(&job->state, __ATOMIC_RELAXED) == JOB_CANCELLED;
}

/* ---- threads ---- */

/* The job may be gone as soon as its done() can run, or, without one, when run() ends. */
static void run_job(struct pool_job *job)
{
    struct reactor *reactor = job->reactor;
    void (*done)(struct pool_job *) = job->done;
    uint32_t waits = JOB_WAITS;
    if (__atomic_compare_exchange_n(&job->state, &waits, JOB_RUNS, /* weak= */ false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        job->run(job);
    if (done && reactor)
        reactor_post(reactor, &job->message);
    else if (done)
        done(job);
}

/* Moves the stack of new jobs to the end of the queue, oldest first. */
static void collect(struct pool *pool)
{
    struct pool_job *stack = __atomic_exchange_n(&pool->incoming, NULL, __ATOMIC_ACQUIRE);
    struct pool_job *oldest = NULL, *newest = stack;
    while (stack) {
        struct pool_job *next = stack->next;
        stack->next = oldest;
        oldest = stack;
        stack = next;
    }
    if (!oldest)
        return;
    *pool->last = oldest;
    pool->last = &newest->next;
}

static struct pool_job *take_job(struct pool *pool)
{
    collect(pool);
    struct pool_job *job = pool->first;
    if (job && !(pool->first = job->next))
        pool->last = &pool->first;
    return job;
}

/* Waits for a job; NULL: this thread may end. With the lock held. */
static struct pool_job *wait_for_job(struct pool *pool)
{
    for (;;) {
        uint64_t end = clock_now_ns() + IDLE_NS;
        struct timespec t = { .tv_sec = (time_t)(end / NS_PER_S),
                              .tv_nsec = (long)(end % NS_PER_S) };
        pool->waiting++;
        pthread_mutex_unlock(&pool->lock);
        int r = sem_clockwait(&pool->work, CLOCK_MONOTONIC, &t);
        bool expired = r < 0 && errno == ETIMEDOUT;
        pthread_mutex_lock(&pool->lock);
        pool->waiting--;
        struct pool_job *job = r == 0 ? take_job(pool) : NULL;
        if (job)
            return job;
        if ((r == 0 && pool->closing) || (expired && pool->waiting))
            return NULL;
    }
}

static int add_thread(struct pool *pool);

static void *pool_thread(void *data)
{
    struct pool *pool = data;
    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (struct pool_job *job; (job = wait_for_job(pool));) {
        if (!pool->waiting && pool->threads < pool->max_threads && !pool->closing)
            (void)add_thread(pool);
        pthread_mutex_unlock(&pool->lock);
        run_job(job);
        pthread_mutex_lock(&pool->lock);
    }
    pool->threads--;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* With the lock held. Signals are for other threads. */
static int add_thread(struct pool *pool)
{
    sigset_t all, old;
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&thread, &attributes, pool_thread, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (r == 0)
        pool->threads++;
    return -r;
}

/* ---- life ---- */

int pool_create(const char *name, unsigned max_threads, struct pool **ret_pool)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    pthread_cond_init(&pool->ended, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    sem_init(&pool->work, 0, 0);
    pool->last = &pool->first;
    pool->max_threads = max_threads ? max_threads : 1;
    strncpy(pool->name, name ? name : "pool", sizeof(pool->name) - 1);
    pthread_mutex_lock(&pool->lock);
    int r = add_thread(pool);
    pthread_mutex_unlock(&pool->lock);
    if (r < 0) {
        pool_destroy(pool);
        return r;
    }
    *ret_pool = pool;
    return 0;
}

struct pool *pool_destroy(struct pool *pool)
{
    if (!pool)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    for (unsigned i = 0; i < pool->threads; i++)
        sem_post(&pool->work);
    while (pool->threads)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    sem_destroy(&pool->work);
    free(pool);
    return NULL;
}

unsigned pool_threads(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned threads = pool->threads;
    pthread_mutex_unlock(&pool->lock);
    return threads;
}
