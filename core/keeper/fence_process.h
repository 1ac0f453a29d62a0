/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mechanics of one fence helper: this same executable, run as
 *   holdfastd --fence-helper VERB INSTANCE MAX_AGE_MS FILE
 * with standard input, output and error and the configuration at FENCE_HELPER_FD_CONFIG. It leads a
 * process group of its own, so that what it starts is killed with it, and dies with the keeper.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum fence_verb { FENCE_CLEAN, FENCE_RAISE, FENCE_LOWER };

struct fence_process {
    pid_t pid; /* 0: none */
    int pidfd; /* readable when it has ended */
    enum fence_verb verb;
    uint64_t started_ns, deadline_ns; /* deadline_ns 0: killed already */
};

struct fence_call {
    enum fence_verb verb;
    const char *instance;
    unsigned max_age_ms;
    int config_fd;    /* the sealed memfd */
    const char *file; /* the name that the configuration has in messages */
};

const char *fence_verb_name(enum fence_verb verb);
/* 0 or negative errno with nothing left behind. */
int fence_process_start(struct fence_process *p, const struct fence_call *call);
void fence_process_kill(struct fence_process *p);
/* When pidfd is readable. Its exit code, or -1 when a signal ended it; -EAGAIN: it still runs. */
int fence_process_reap(struct fence_process *p);
/* Kills it and closes what there is of it; nothing without a process. */
void fence_process_discard(struct fence_process *p);
