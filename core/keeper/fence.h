/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the fence is up. A fence (holdfast/fence.h) drops the portals' packets, so that initiators
 * hear nothing while sockets have to close. The keeper decides when; a short-lived helper process
 * (`holdfastd --fence-helper`, see fence_helper.h) does it, because the keeper runs no plugin code.
 *
 *   start          clean: what an earlier boot left goes. A fence that is still in force (of a
 *                  stop, or of a killed daemon) stays and is renewed until a worker is ready
 *   stop           raise, and only then the worker is told and the listeners close. It stays up when
 *                  we exit and ends by its age, unless the next start renews it
 *   crash loop     raise when workers die again and again
 *   worker ready   lower
 *
 * While it is up it is renewed long before its age ends. One helper runs at a time; one that hangs is
 * killed with all it started. Whatever fails is logged and tried again, and nothing waits for it but
 * a stop, for FENCE_HELPER_MS at most for each helper. Without `fence:` all of this does nothing.
 *
 * Times are CLOCK_MONOTONIC nanoseconds. The keeper's one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FENCE_MAX_AGE_MS   30000 /* nothing keeps a fence up for longer than this after a raise */
#define FENCE_RENEW_MS     10000 /* so two renewals may fail */
#define FENCE_HELPER_MS    5000  /* then it is killed */
#define FENCE_RETRY_MS     1000  /* after a failure; doubled up to the next */
#define FENCE_RETRY_MAX_MS 15000
#define FENCE_AFTER_DEATHS 5 /* of workers in a row: they do not come back by themselves */
#define FENCE_STOP_MS      3000 /* behind a fence a worker need not wait for its initiators for longer */

/* How a helper ends; anything else is a failure, too. */
enum fence_exit {
    FENCE_EXIT_DONE = 0,
    FENCE_EXIT_FAILED = 1, /* why is on standard error */
    FENCE_EXIT_USAGE = 2,
    FENCE_EXIT_UP = 3,      /* of "clean": a fence was in force and has been renewed */
    FENCE_EXIT_NOTHING = 4, /* of "clean": this plugin drops nothing, there is no fence */
};

/* A helper finds the sealed configuration here after exec. */
#define FENCE_HELPER_FD_CONFIG 3

/* For status and metrics. */
struct fence_status {
    bool configured;
    const char *plugin; /* NULL: none */
    bool up;            /* packets are dropped now */
    bool wanted;
    bool busy; /* a helper runs */
    const char *
        reason; /* why it is wanted, or was wanted last: "stop", "crash loop", "start", "by hand" */
    uint64_t up_since_ns, expires_ns; /* 0: not up */
    uint64_t up_total_ns;             /* in the life of this keeper, the present one included */
    uint64_t raised, renewed, lowered, failed, timeouts;
    const char *last_error; /* a constant; NULL: what failed has worked since */
};

struct keeper;

/* Begins the cleaning. Needs the loop, the sealed configuration and args. */
void fence_start(struct keeper *k);
/* Ends a helper that still runs; a fence that is up stays up. May be called without fence_start(). */
void fence_close(struct keeper *k);

/* k->config is another one now, with the same fence. */
void fence_config_changed(struct keeper *k);

/* Initiators can log in. */
void fence_worker_ready(struct keeper *k);
/* A worker has died or could not be started, for the k->failures-th time in a row. */
void fence_worker_gone(struct keeper *k);
/*
 * True: the stop has to wait for the fence; keeper_stop() is called again when it is up or cannot be
 * raised. Asked again meanwhile (a second signal) it gives in.
 */
bool fence_delays_stop(struct keeper *k);

/*
 * By hand: up once for its age whatever workers do, and not renewed; or down, also while no worker is
 * ready. Both return at once; what became of it is in the status. -ENOTSUP without a fence, -EBUSY
 * while we stop.
 */
int fence_raise_by_hand(struct keeper *k);
int fence_lower_by_hand(struct keeper *k);

bool fence_is_up(const struct keeper *k);
/* There is none, or it is down, is to stay so, and no helper runs. */
bool fence_is_quiet(const struct keeper *k);
/* Does what is due; returns when something will be, or UINT64_MAX. */
uint64_t fence_tick(struct keeper *k, uint64_t now_ns);
void fence_get_status(const struct keeper *k, struct fence_status *ret_status);
