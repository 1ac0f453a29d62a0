/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A LUN that is absent: a worker that follows another one cannot open it. Its file system is not mounted, its
 * device is unplugged, or its handler is to blame for the end of workers before. All else goes on; its I/Os
 * wait in their queues, of depth 0, and its options about late I/Os hold (late.c).
 *
 * It is tried again on a thread of the integrator's: there the handler opens it in place, with plugin and options
 * as they are by then. Nobody else looks at handler, options and handle of a LUN that is absent. When the
 * integrator, on the control thread, has found it to be the disk that it was, it returns: each reactor has its queue
 * served and its I/Os go to the handler, in the order in which they came.
 *
 * A trial that runs is one of the LUN's queues for storage_close(), which waits for its end; and so is what it has
 * opened, until it is taken or given up.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/host.h"
#include "plugin/storage_private.h"

enum trial {
    TRIAL_NONE,
    TRIAL_RUNS,
    TRIAL_OPEN, /* it has succeeded: storage_return() is expected */
};

struct absent {
    char *handler; /* its name */
    bool had_memory;
    bool abandoned;
    _Atomic uint32_t trial; /* enum trial */
    _Atomic bool late;      /* its I/Os are given up: counts as one in hf_lun.given_up */
};

/* Of this reactor: I/Os that commands wait for. */
static _Thread_local unsigned waiting_here;

/* Something to do on every reactor. */
struct errand {
    struct reactor_message message;
    struct hf_lun *lun;
    void (*run)(struct hf_queue *queue);
};

static void errand_run(struct reactor_message *message)
{
    struct errand *e = container_of(message, struct errand, message);
    struct hf_lun *lun = e->lun;
    struct hf_queue *queue =
        atomic_load_explicit(&lun->queues[reactor_current()->index], memory_order_relaxed);
    /* Not lun->closing, which may be ahead of this: what waits here has to be answered before it is closed. */
    if (queue && !queue->closing)
        e->run(queue);
    g_free(e);
    lun_queue_closed(lun);
}

/* Also where there is no queue yet: one may be made there meanwhile. */
void lun_each_queue(struct hf_lun *lun, void (*run)(struct hf_queue *queue))
{
    for (unsigned i = 0; i < lun->services->reactor_count; i++) {
        struct errand *e = g_new0(struct errand, 1);
        *e = (struct errand){ .message.run = errand_run, .lun = lun, .run = run };
        atomic_fetch_add_explicit(&lun->open_queues, 1, memory_order_relaxed);
        reactor_post(lun->services->reactors[i], &e->message);
    }
}

/* ---- its I/Os ---- */

void absent_waits(struct hf_queue *queue, const struct backend_io *io)
{
    uint64_t deadline_ns = atomic_load_explicit(&queue->lun->deadline_ns, memory_order_relaxed);
    waiting_here += !(io->flags & BACKEND_IO_UNASKED);
    if (deadline_ns && !timer_armed(&queue->late_timer))
        reactor_timer_start(queue->reactor, &queue->late_timer, deadline_ns);
}

void absent_waits_no_more(struct hf_queue *queue, const struct backend_io *io)
{
    waiting_here -= !(io->flags & BACKEND_IO_UNASKED);
}

unsigned storage_absent_waiting(void)
{
    return waiting_here;
}

void absent_not_late(struct hf_lun *lun)
{
    if (lun->absent && atomic_exchange(&lun->absent->late, false))
        atomic_fetch_sub_explicit(&lun->given_up, 1, memory_order_seq_cst);
}

void absent_late(struct hf_queue *queue)
{
    struct hf_lun *lun = queue->lun;
    if (atomic_load_explicit(&queue->depth, memory_order_relaxed) || list_empty(&queue->waiting) ||
        !atomic_load(&lun->is_absent) || atomic_exchange(&lun->absent->late, true))
        return;
    atomic_fetch_add_explicit(&lun->given_up, 1, memory_order_seq_cst);
    if (!atomic_load(&lun->is_absent)) { /* it has returned meanwhile */
        absent_not_late(lun);
        return;
    }
    log_warning("storage",
                "I/Os of a LUN that is absent are given up handler=%s target=%s lun=%u answer=%s",
                lun->backend.product, lun->target, lun->number,
                late_result(lun) == -EAGAIN ? "busy" : "error");
}

static void answer_busy(struct hf_queue *queue)
{
    if (!atomic_load_explicit(&queue->depth, memory_order_relaxed))
        queue_refuse_waiting(queue, -EAGAIN);
}

void storage_send_away(struct backend *backend)
{
    if (storage_is_absent(backend))
        lun_each_queue(lun_of(backend), answer_busy);
}

void storage_abandon(struct backend *backend)
{
    if (storage_is_absent(backend))
        lun_of(backend)->absent->abandoned = true;
}

bool absent_is_abandoned(const struct hf_lun *lun)
{
    return lun->absent && lun->absent->abandoned;
}

/* ---- open ---- */

struct backend *storage_open_absent(const struct storage_options *options, const char *handler,
                                    const struct backend_info *info)
{
    struct absent *a = g_new0(struct absent, 1);
    a->handler = g_strdup(handler);
    a->had_memory = info->store_arena != 0;
    struct hf_lun *lun = lun_new(options, a->handler);
    lun->absent = a;
    atomic_init(&lun->is_absent, true);
    lun->again = true;
    lun->backend.info = *info;
    lun->backend.info.store_arena = 0;
    lun->backend.info.features &= ~BACKEND_FEATURE_IMMEDIATE;
    return &lun->backend;
}

bool storage_is_absent(const struct backend *backend)
{
    return atomic_load(&lun_of(backend)->is_absent);
}

bool absent_used_memory(const struct hf_lun *lun)
{
    return lun->absent && lun->absent->had_memory;
}

void absent_free(struct hf_lun *lun)
{
    if (lun->absent)
        g_free(lun->absent->handler);
    g_free(lun->absent);
}

/* ---- trials ---- */

/* The one that takes the trial out of that state has to give up what it stands for. */
static bool leave(struct hf_lun *lun, uint32_t state)
{
    return atomic_compare_exchange_strong(&lun->absent->trial, &state, TRIAL_NONE);
}

bool storage_trial_begin(struct backend *backend)
{
    struct hf_lun *lun = lun_of(backend);
    uint32_t none = TRIAL_NONE;
    if (!storage_is_absent(backend) ||
        !atomic_compare_exchange_strong(&lun->absent->trial, &none, TRIAL_RUNS))
        return false;
    atomic_fetch_add_explicit(&lun->open_queues, 1, memory_order_relaxed);
    return true;
}

/* As large as it was or larger, and else such that its initiators see no difference. */
static int check_same(const struct hf_lun *lun, const struct backend_info *now,
                      struct hf_error *error)
{
    const struct backend_info *was = &lun->backend.info;
    if (now->block_bytes != was->block_bytes)
        return plugin_fail(error, ESTALE, "it has blocks of %u bytes, and had blocks of %u",
                           now->block_bytes, was->block_bytes);
    if (now->bytes < was->bytes)
        return plugin_fail(error, ESTALE,
                           "it has %" PRIu64 " bytes, and had %" PRIu64 ": it is another disk",
                           now->bytes, was->bytes);
    if ((now->features ^ was->features) & ~BACKEND_FEATURE_IMMEDIATE)
        return plugin_fail(error, ESTALE,
                           "it cannot do the same as before (features 0x%x, not 0x%x)",
                           now->features & ~BACKEND_FEATURE_IMMEDIATE, was->features);
    return 0;
}

int storage_trial(struct backend *backend, const struct plugin *plugin,
                  struct plugin_config *config, struct backend_info *ret_info,
                  struct hf_error *error)
{
    struct hf_lun *lun = lun_of(backend);
    plugin_config_free(lun->config);
    lun_set_plugin(lun, plugin, config);
    int r = lun_open_handler(lun, ret_info, error);
    if (r < 0) {
        lowers_discard(lun);
    } else {
        r = check_same(lun, ret_info, error);
        if (r < 0)
            lun_discard_handler(lun);
    }
    if (r == 0)
        atomic_fetch_add_explicit(&lun->open_queues, 1, memory_order_relaxed);
    atomic_store(&lun->absent->trial, r < 0 ? TRIAL_NONE : TRIAL_OPEN);
    if (r == 0 && atomic_load(&lun->closing) && leave(lun, TRIAL_OPEN))
        lun_queue_closed(lun);
    lun_queue_closed(lun); /* what is closed may be gone */
    return r;
}

void absent_closing(struct hf_lun *lun)
{
    atomic_store(&lun->closing, true);
    if (lun->absent && leave(lun, TRIAL_OPEN))
        lun_queue_closed(lun); /* there is one more: storage_close() is not over */
}

bool storage_return(struct backend *backend, const struct backend_info *info)
{
    struct hf_lun *lun = lun_of(backend);
    if (!lun->absent || !leave(lun, TRIAL_OPEN))
        return false;
    storage_set_info(backend, info);
    atomic_store(&lun->is_absent, false);
    absent_not_late(lun);
    lun_each_queue(lun, queue_return);
    lun_queue_closed(lun);
    return true;
}
