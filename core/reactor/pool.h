/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocking pool: a bounded number of threads, made when there is work for them and gone after
 * half a minute without, for whatever may block: handlers written for plain system calls, opening
 * and closing of LUNs, slow authentication. Jobs are embedded in the caller's objects, run in the
 * order of their submission, and report back to a reactor through its mailbox.
 */
#pragma once

#include "base/list.h"
#include "reactor/reactor.h"

#include <stdbool.h>

struct pool;

struct pool_job {
    void (*run)(struct pool_job *job);   /* on a thread of the pool; may block */
    void (*done)(struct pool_job *job);  /* on `reactor`; may free or submit the job; NULL: none */
    struct reactor *reactor;             /* NULL: done() runs on the pool's thread after run() */
    struct list link;                    /* private, as the rest */
    struct reactor_message message;
};

/* At most `max_threads` (at least 1); one is started now so that jobs cannot be stranded. */
int pool_create(const char *name, unsigned max_threads, struct pool **ret_pool);
/* Runs what is queued, waits for all threads; NULL is fine; returns NULL. done() messages posted to
 * reactors are theirs to run. */
struct pool *pool_destroy(struct pool *pool);

/* Any thread. The job is the pool's until done() (or the end of run() without one). */
void pool_submit(struct pool *pool, struct pool_job *job);
/* Takes a job back that no thread has begun; false: too late, it runs (ran) to its end. */
bool pool_cancel(struct pool *pool, struct pool_job *job);
/* Threads now alive, any thread. */
unsigned pool_threads(struct pool *pool);
