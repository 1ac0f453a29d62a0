/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looking at queues from outside their reactors: what is read here are single words that their
 * reactors store atomically, so a look costs the data path nothing.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/storage_private.h"

/* When the oldest I/O of a queue went to the handler; UINT64_MAX: there is none. */
static uint64_t oldest_in_queue(const struct hf_queue *queue)
{
    uint64_t oldest = UINT64_MAX;
    if (atomic_load_explicit(&queue->at_handler, memory_order_relaxed) == 0)
        return oldest;
    uint32_t depth = atomic_load_explicit(&queue->depth, memory_order_acquire);
    for (unsigned i = 0; i < depth; i++) {
        const struct slot *slot = queue_slot(queue, i);
        if (atomic_load_explicit(&slot->live, memory_order_acquire) == 0)
            continue;
        uint64_t since = atomic_load_explicit(&slot->since_ns, memory_order_relaxed);
        if (since < oldest)
            oldest = since;
    }
    return oldest;
}

static uint64_t oldest_in_lun(const struct hf_lun *lun)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < lun->services->reactor_count; i++) {
        struct hf_queue *queue = atomic_load_explicit(&lun->queues[i], memory_order_acquire);
        uint64_t since = queue ? oldest_in_queue(queue) : UINT64_MAX;
        if (since < oldest)
            oldest = since;
    }
    return oldest;
}

uint64_t storage_age_ns(struct backend *backend, uint64_t now_ns)
{
    uint64_t oldest = oldest_in_lun(lun_of(backend));
    return oldest < now_ns ? now_ns - oldest : 0;
}

void storage_depth(struct backend *backend, unsigned *ret_at_handler, unsigned *ret_waiting)
{
    struct hf_lun *lun = lun_of(backend);
    *ret_at_handler = *ret_waiting = 0;
    for (unsigned i = 0; i < lun->services->reactor_count; i++) {
        struct hf_queue *queue = atomic_load_explicit(&lun->queues[i], memory_order_acquire);
        if (!queue)
            continue;
        *ret_at_handler += atomic_load_explicit(&queue->at_handler, memory_order_relaxed);
        *ret_waiting += atomic_load_explicit(&queue->waiting_count, memory_order_relaxed);
    }
}

uint64_t storage_errors(struct backend *backend)
{
    const struct hf_lun *lun = lun_of(backend);
    return atomic_load_explicit(&lun->errors, memory_order_relaxed) +
           atomic_load_explicit(&lun->refusals, memory_order_relaxed);
}

uint64_t storage_stalls(struct backend *backend)
{
    return lun_of(backend)->stalls;
}

bool storage_watch(struct backend *backend, uint64_t now_ns, uint64_t limit_ns)
{
    struct hf_lun *lun = lun_of(backend);
    uint64_t oldest = oldest_in_lun(lun);
    bool late = oldest < now_ns && now_ns - oldest > limit_ns;
    if (lun->watched_ns && oldest != lun->watched_ns)
        log_notice("storage",
                   "a late I/O was answered after all handler=%s target=%s lun=%u "
                   "age=%" PRIu64 "s",
                   lun->backend.product, lun->target, lun->number,
                   (uint64_t)((now_ns - lun->watched_ns) / NS_PER_S));
    if (late && oldest != lun->watched_ns) {
        lun->stalls++;
        log_warning("storage",
                    "a handler has not answered an I/O handler=%s target=%s lun=%u "
                    "age=%" PRIu64 "s",
                    lun->backend.product, lun->target, lun->number,
                    (uint64_t)((now_ns - oldest) / NS_PER_S));
    }
    lun->watched_ns = late ? oldest : 0;
    return late;
}
