/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocking pool of pool.h: one queue, one mutex, one condition. A thread that finds nothing for
 * half a minute ends, except the last. Submitting wakes an idle thread, or makes a new one when all
 * are busy and the limit allows; that it may fail to is why one thread always exists.
 */
#include "reactor/pool.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (30 * NS_PER_S)

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, ended;
    struct list queue;
    unsigned queued, threads, idle, max_threads;
    bool closing;
    char name[16];
};

static void job_message(struct reactor_message *message)
{
    struct pool_job *job = container_of(message, struct pool_job, message);
    job->done(job);
}

/* The job may be gone as soon as its done() can run. */
static void run_job(struct pool_job *job)
{
    struct reactor *reactor = job->reactor;
    void (*done)(struct pool_job *) = job->done;
    job->run(job);
    if (!done)
        return;
    if (reactor)
        reactor_post(reactor, &job->message);
    else
        done(job);
}

/* Waits for a job; NULL: this thread may end. With the lock held. */
static struct pool_job *next_job(struct pool *pool)
{
    uint64_t end = clock_now_ns() + IDLE_NS;
    while (list_empty(&pool->queue)) {
        struct timespec t = { .tv_sec = (time_t)(end / NS_PER_S), .tv_nsec = (long)(end % NS_PER_S) };
        if (pool->closing)
            return NULL;
        pool->idle++;
        int r = pthread_cond_timedwait(&pool->work, &pool->lock, &t);
        pool->idle--;
        if (r == ETIMEDOUT && list_empty(&pool->queue)) {
            if (pool->threads > 1)
                return NULL;
            end = clock_now_ns() + IDLE_NS;
        }
    }
    pool->queued--;
    return list_entry(list_take(&pool->queue), struct pool_job, link);
}

static void *pool_thread(void *data)
{
    struct pool *pool = data;
    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->lock);
    for (struct pool_job *job; (job = next_job(pool));) {
        pthread_mutex_unlock(&pool->lock);
        run_job(job);
        pthread_mutex_lock(&pool->lock);
    }
    pool->threads--;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* With the lock held; signals are for other threads. */
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

int pool_create(const char *name, unsigned max_threads, struct pool **ret_pool)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->work, &monotonic);
    pthread_cond_init(&pool->ended, NULL);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&pool->lock, NULL);
    list_init(&pool->queue);
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
    pthread_cond_broadcast(&pool->work);
    while (pool->threads)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    return NULL;
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
    job->message.run = job_message;
    pthread_mutex_lock(&pool->lock);
    list_append(&pool->queue, &job->link);
    pool->queued++;
    if (pool->queued > pool->idle && pool->threads < pool->max_threads)
        (void)add_thread(pool);
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

bool pool_cancel(struct pool *pool, struct pool_job *job)
{
    bool found = false;
    pthread_mutex_lock(&pool->lock);
    list_for_each(pos, &pool->queue) {
        if (pos == &job->link) {
            list_remove(pos);
            pool->queued--;
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

unsigned pool_threads(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned threads = pool->threads;
    pthread_mutex_unlock(&pool->lock);
    return threads;
}
