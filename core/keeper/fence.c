/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See fence.h. What there is to do follows from four facts (is it cleaned, is it wanted, may there be
 * rules of ours, until when is it up); whenever one of them changes the next verb is started.
 */
#include "keeper/fence.h"

#include "base/clock.h"
#include "base/log.h"
#include "keeper/fence_process.h"
#include "keeper/state.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <sys/epoll.h>

#define INSTANCE_DIGITS 12
#define TRIES_MAX       3 /* to lower what is not in force any more */

enum stop_phase { STOP_NOT, STOP_WAITS, STOP_GOES_ON };

struct fence {
    const char *plugin;
    char instance[INSTANCE_DIGITS + 1];
    bool clean; /* the rules of earlier processes are dealt with */
    bool wanted;
    bool by_hand;   /* wanted so: once, not renewed */
    bool lower_now; /* though no worker is ready */
    const char *reason;
    bool rules;     /* there may be rules of ours */
    uint64_t up_ns; /* up since; 0: not */
    uint64_t expires_ns, renew_ns, retry_ns;
    unsigned failures; /* in a row */
    enum fence_verb failed_verb;
    enum stop_phase stop;
    uint64_t stop_give_up_ns;
    struct fence_process helper;
    struct source helper_exit;
    struct fence_status counters;
};

static double seconds(uint64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static void run_next(struct keeper *k, uint64_t now);

bool fence_is_up(const struct keeper *k)
{
    return k->fence != NULL && k->fence->up_ns != 0 && clock_now_ns() < k->fence->expires_ns;
}

bool fence_is_quiet(const struct keeper *k)
{
    const struct fence *f = k->fence;
    return f == NULL ||
           (f->clean && !f->wanted && !f->rules && f->helper.pid == 0 && f->stop == STOP_NOT);
}

/* --- what a helper brought about --- */

static void went_up(struct fence *f, uint64_t started_ns)
{
    if (f->up_ns == 0)
        f->up_ns = started_ns;
    f->expires_ns = started_ns + FENCE_MAX_AGE_MS * NS_PER_MS; /* it counts from a bit later */
    f->renew_ns = f->by_hand ? UINT64_MAX : started_ns + FENCE_RENEW_MS * NS_PER_MS;
}

static void went_down(struct fence *f, uint64_t now)
{
    if (f->up_ns != 0)
        f->counters.up_total_ns += MIN(now, f->expires_ns) - f->up_ns;
    f->up_ns = f->expires_ns = f->renew_ns = 0;
}

static void succeeded(struct keeper *k, const struct fence_process *h, int code, uint64_t now)
{
    struct fence *f = k->fence;
    bool was_up = f->up_ns != 0;

    f->failures = 0;
    f->retry_ns = 0;
    if (h->verb == f->failed_verb) /* what failed works now; taking away its rest says nothing */
        f->counters.last_error = NULL;
    if (h->verb == FENCE_LOWER) {
        log_notice("fence", "lowered after=%.3fs", was_up ? seconds(now - f->up_ns) : 0.0);
        f->rules = f->lower_now = false;
        f->counters.lowered++;
        went_down(f, now);
    } else if (h->verb == FENCE_RAISE || code == FENCE_EXIT_UP) {
        went_up(f, h->started_ns);
        f->counters.raised += !was_up;
        f->counters.renewed += was_up;
        if (h->verb == FENCE_RAISE && was_up)
            log_debug("fence", "renewed reason=\"%s\"", f->reason);
        else
            log_notice("fence", "%s plugin=%s reason=\"%s\" max-age=%us took=%.3fs",
                       h->verb == FENCE_RAISE ? "raised" : "found up and renewed", f->plugin,
                       f->reason, FENCE_MAX_AGE_MS / 1000, seconds(now - h->started_ns));
    } else {
        f->rules = false;
    }
}

static void by_hand_ends(struct fence *f)
{
    f->wanted = f->wanted && !f->by_hand;
    f->by_hand = false;
}

static void failed(struct keeper *k, enum fence_verb verb, const char *how, uint64_t now)
{
    struct fence *f = k->fence;
    unsigned delay = MIN(FENCE_RETRY_MS << MIN(f->failures, 8u), FENCE_RETRY_MAX_MS);

    if (verb == FENCE_RAISE)
        by_hand_ends(f);
    f->failures++;
    f->counters.failed++;
    f->counters.last_error = how;
    f->failed_verb = verb;
    /* A failure holds up only its own repetition. */
    f->retry_ns = verb == (f->wanted ? FENCE_RAISE : FENCE_LOWER) ? now + delay * NS_PER_MS : 0;
    if (verb == FENCE_LOWER && f->up_ns == 0 && f->failures >= TRIES_MAX)
        f->rules = false;
    log_warning("fence", "cannot %s it: %s plugin=%s%s", fence_verb_name(verb), how, f->plugin,
                verb == FENCE_RAISE ? "; initiators may see connections end" : "");
}

/* A stop that waits goes on when the raise has ended in whatever way. */
static void check_stop(struct keeper *k, uint64_t now)
{
    struct fence *f = k->fence;

    if (f->stop != STOP_WAITS)
        return;
    bool hangs = f->helper.verb == FENCE_RAISE && f->helper.deadline_ns == 0;
    if (f->helper.pid != 0 && !hangs && now < f->stop_give_up_ns)
        return;
    f->stop = STOP_GOES_ON;
    keeper_stop(k);
}

static void after_clean(struct keeper *k, int code)
{
    struct fence *f = k->fence;

    f->clean = true; /* a failure is not repeated: it says that this machine cannot fence */
    if (code == FENCE_EXIT_UP && k->worker.state != WORKER_READY && !f->wanted) {
        f->wanted = true;
        f->reason = "start";
    }
}

/* The plugin says that it drops nothing: from now on there is no fence. */
static void give_up_fence(struct keeper *k)
{
    bool stop_waits = k->fence->stop == STOP_WAITS;

    log_info("fence", "plugin=%s drops nothing: there is no fence", k->fence->plugin);
    g_clear_pointer(&k->fence, g_free);
    if (stop_waits)
        keeper_stop(k);
}

static void helper_ready(struct keeper *k, struct source *s, uint32_t events)
{
    struct fence *f = k->fence;
    struct fence_process h = f->helper;
    uint64_t now = clock_now_ns();

    (void)events;
    source_watch(k, s, s->fd, 0);
    int code = fence_process_reap(&f->helper);
    if (code == -EAGAIN) {
        source_watch(k, s, s->fd, EPOLLIN);
        return;
    }
    if (h.verb == FENCE_CLEAN && code == FENCE_EXIT_NOTHING) {
        give_up_fence(k);
        return;
    }
    if (h.verb == FENCE_CLEAN)
        after_clean(k, code);
    if (code == FENCE_EXIT_DONE || (h.verb == FENCE_CLEAN && code == FENCE_EXIT_UP))
        succeeded(k, &h, code, now);
    else if (h.deadline_ns != 0) /* else this has been said */
        failed(k, h.verb, code < 0 ? "the helper died" : "the helper says why above", now);
    run_next(k, now);
    check_stop(k, now);
}

/* --- what to do next --- */

static void start_helper(struct keeper *k, enum fence_verb verb, uint64_t now)
{
    struct fence *f = k->fence;
    const struct fence_call call = { .verb = verb,
                                     .instance = f->instance,
                                     .max_age_ms = FENCE_MAX_AGE_MS,
                                     .config_fd = keeper_config(k),
                                     .file = k->args->file };

    f->rules = true;
    int r = fence_process_start(&f->helper, &call);
    if (r == 0)
        r = source_watch(k, &f->helper_exit, f->helper.pidfd, EPOLLIN);
    if (r == 0)
        return;
    fence_process_discard(&f->helper);
    if (verb == FENCE_CLEAN)
        f->clean = true;
    failed(k, verb, g_strerror(-r), now);
}

static bool may_lower(const struct keeper *k)
{
    const struct fence *f = k->fence;
    return !f->wanted && f->rules && (k->worker.state == WORKER_READY || f->lower_now);
}

static void run_next(struct keeper *k, uint64_t now)
{
    struct fence *f = k->fence;

    if (f == NULL || f->helper.pid != 0 || now < f->retry_ns || k->done)
        return;
    if (!f->clean)
        start_helper(k, FENCE_CLEAN, now);
    else if (f->wanted && now >= f->renew_ns)
        start_helper(k, FENCE_RAISE, now);
    else if (may_lower(k))
        start_helper(k, FENCE_LOWER, now);
}

static void want(struct keeper *k, bool wanted, const char *reason)
{
    struct fence *f = k->fence;

    if (f->wanted != wanted)
        f->retry_ns = 0;
    if (f->by_hand)
        f->renew_ns = 0;
    f->by_hand = f->lower_now = false;
    f->wanted = wanted;
    if (wanted)
        f->reason = reason;
    run_next(k, clock_now_ns());
}

/* --- the keeper's calls --- */

void fence_start(struct keeper *k)
{
    const struct config *config = k->config;

    if (config->fence.node == NULL || config->fence.plugin == NULL)
        return;
    struct fence *f = k->fence = g_new0(struct fence, 1);
    /* The same after a restart and another one's beside us: no two daemons share this directory. */
    g_autofree char *sum =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, config->daemon.state_directory, -1);
    g_strlcpy(f->instance, sum, sizeof(f->instance));
    f->plugin = config->fence.plugin;
    f->reason = "start";
    f->helper = (struct fence_process){ .pidfd = -1 };
    f->helper_exit = (struct source){ .ready = helper_ready, .fd = -1 };
    run_next(k, clock_now_ns());
}

void fence_config_changed(struct keeper *k)
{
    if (k->fence != NULL)
        k->fence->plugin = k->config->fence.plugin;
}

void fence_close(struct keeper *k)
{
    struct fence *f = k->fence;

    if (f == NULL)
        return;
    if (f->helper.pid != 0)
        source_watch(k, &f->helper_exit, f->helper.pidfd, 0);
    fence_process_discard(&f->helper);
    if (fence_is_up(k))
        log_notice("fence", "stays up until the next start, at most %.0f s",
                   seconds(f->expires_ns - clock_now_ns()));
    g_clear_pointer(&k->fence, g_free);
}

void fence_worker_ready(struct keeper *k)
{
    struct fence *f = k->fence;

    if (f == NULL || f->stop != STOP_NOT)
        return;
    if (f->by_hand)
        run_next(k, clock_now_ns());
    else
        want(k, false, NULL);
}

void fence_worker_gone(struct keeper *k)
{
    if (k->fence != NULL && k->ever_ready && k->failures >= FENCE_AFTER_DEATHS)
        want(k, true, "crash loop");
}

int fence_raise_by_hand(struct keeper *k)
{
    struct fence *f = k->fence;

    if (f == NULL)
        return -ENOTSUP;
    if (f->stop != STOP_NOT || k->stopping)
        return -EBUSY;
    if (f->wanted && !f->by_hand)
        return 0; /* it is up, or will be, for a better reason */
    f->renew_ns = f->retry_ns = 0;
    f->wanted = f->by_hand = true;
    f->lower_now = false;
    f->reason = "by hand";
    run_next(k, clock_now_ns());
    return 0;
}

int fence_lower_by_hand(struct keeper *k)
{
    struct fence *f = k->fence;

    if (f == NULL)
        return -ENOTSUP;
    if (f->stop != STOP_NOT || k->stopping)
        return -EBUSY;
    want(k, false, NULL);
    f->lower_now = true;
    run_next(k, clock_now_ns());
    return 0;
}

bool fence_delays_stop(struct keeper *k)
{
    struct fence *f = k->fence;

    if (f == NULL || !k->ever_ready || f->stop == STOP_GOES_ON)
        return false;
    if (f->stop == STOP_WAITS) {
        log_notice("fence", "not waited for");
        f->stop = STOP_GOES_ON;
        return false;
    }
    uint64_t now = clock_now_ns();
    f->stop = STOP_WAITS;
    f->stop_give_up_ns = now + 2 * FENCE_HELPER_MS * NS_PER_MS; /* one may be running already */
    f->renew_ns = 0; /* with its full age from now, also when it is up already */
    f->retry_ns = 0;
    want(k, true, "stop");
    if (f->helper.pid == 0)
        f->stop = STOP_GOES_ON;
    return f->stop == STOP_WAITS;
}

/* --- time --- */

static void helper_tick(struct keeper *k, uint64_t now)
{
    struct fence *f = k->fence;

    if (f->helper.pid == 0 || f->helper.deadline_ns == 0 || now < f->helper.deadline_ns)
        return;
    fence_process_kill(&f->helper);
    f->counters.timeouts++;
    failed(k, f->helper.verb, "the helper hangs and was killed", now);
}

/* When run_next() will have something to do; 0 is never far. */
static uint64_t next_ns(const struct keeper *k)
{
    const struct fence *f = k->fence;

    if (f->helper.pid != 0)
        return f->helper.deadline_ns == 0 ? UINT64_MAX : f->helper.deadline_ns;
    if (f->wanted)
        return MAX(f->renew_ns, f->retry_ns);
    return may_lower(k) ? f->retry_ns : UINT64_MAX;
}

uint64_t fence_tick(struct keeper *k, uint64_t now)
{
    struct fence *f = k->fence;

    if (f == NULL)
        return UINT64_MAX;
    if (f->up_ns != 0 && now >= f->expires_ns) {
        log_warning("fence", "ended by its age reason=\"%s\"", f->reason);
        went_down(f, now);
        by_hand_ends(f);
    }
    helper_tick(k, now);
    run_next(k, now);
    check_stop(k, now);
    uint64_t next = next_ns(k);
    return f->stop == STOP_WAITS ? MIN(next, f->stop_give_up_ns) : next;
}

void fence_get_status(const struct keeper *k, struct fence_status *ret_status)
{
    const struct fence *f = k->fence;

    *ret_status = (struct fence_status){ 0 };
    if (f == NULL)
        return;
    *ret_status = f->counters;
    ret_status->configured = true;
    ret_status->plugin = f->plugin;
    ret_status->up = fence_is_up(k);
    ret_status->wanted = f->wanted;
    ret_status->busy = f->helper.pid != 0;
    ret_status->reason = f->reason;
    ret_status->up_since_ns = f->up_ns;
    ret_status->expires_ns = f->expires_ns;
    if (f->up_ns != 0)
        ret_status->up_total_ns += MIN(clock_now_ns(), f->expires_ns) - f->up_ns;
}
