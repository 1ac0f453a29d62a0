/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocking pool: a bounded number of threads for whatever may block: handlers written for plain
 * system calls, opening and closing of LUNs, slow authentication. Threads are made when there is
 * work for them and end after half a minute without. Jobs are embedded in the caller's objects,
 * begin in the order of their submission, and report back to a reactor through its mailbox.
 * Submitting and cancelling take no lock, so a data reactor may.
 */
#pragma once

#include "reactor/reactor.h"

#include <stdbool.h>

struct pool;

struct pool_job {
    void (*run)(struct pool_job *job);  /* on a thread of the pool; may block */
    void (*done)(struct pool_job *job); /* on `reactor`; may free or submit the job; NULL: none */
    struct reactor *reactor;            /* NULL: done() runs on the pool's thread after run() */
    struct reactor_message message;     /* private, as the rest */
    struct pool_job *next;
    uint32_t state;
};

/* At most `max_threads` (at least 1); one is started now so that jobs cannot be stranded. */
int pool_create(const char *name, unsigned max_threads, struct pool **ret_pool);
/* Runs what is queued, waits for all threads; NULL is fine; returns NULL. Nobody submits any more;
 * done() messages posted to reactors are theirs to run. */
struct pool *pool_destroy(struct pool *pool);

/* Any thread. The job is the pool's until done(), or the end of run() when there is no done(). */
void pool_submit(struct pool *pool, struct pool_job *job);
/* Asks a submitted job not to run. true: run() will not be called; false: it has begun or ended.
 * done() comes in both cases, exactly once (without a done() the job cannot be cancelled). */
bool pool_cancel(struct pool_job *job);
/* In done(): the job was cancelled before it ran. */
bool pool_job_cancelled(const struct pool_job *job);
/* Threads now alive, any thread. */
unsigned pool_threads(struct pool *pool);
