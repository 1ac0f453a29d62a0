/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The deadline of a LUN: what becomes of an I/O that the handler has had for too long.
 *
 *   stall   nothing: it waits, as its initiator does; status and log say so (watch.c)
 *   busy    it is given up: answered with EAGAIN, which initiators hear as BUSY
 *   fail    it is given up: answered with ETIMEDOUT
 *
 * An I/O that was given up still belongs to the handler: its slot stays taken, its buffers are
 * referenced and its iovec is the slot's copy, until the handler answers after all. As long as there is
 * one, the LUN takes no I/O on any reactor and answers each the same way at once: so no write that was
 * given up can reach the disk after a later one of anybody.
 *
 * An I/O whose memory cannot be held (not from the reactor's pool of buffers, or more pieces than a
 * slot has room for) is never given up. One timer a queue, that runs while something is at the handler;
 * LUNs that stall have none.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "plugin/storage_private.h"
#include "reactor/bufpool.h"

static uint64_t deadline_of(const struct hf_lun *lun)
{
    return atomic_load_explicit(&lun->deadline_ns, memory_order_relaxed);
}

int late_result(const struct hf_lun *lun)
{
    return atomic_load_explicit(&lun->when_late, memory_order_relaxed) == STORAGE_LATE_FAIL
               ? -ETIMEDOUT
               : -EAGAIN;
}

void late_launch(struct slot *slot)
{
    struct hf_queue *queue = slot->queue;
    if (slot->hf.iov_count > 0 && slot->hf.iov_count <= SLOT_HELD_MAX) {
        memcpy(slot->iov, slot->hf.iov, slot->hf.iov_count * sizeof(*slot->iov));
        slot->hf.iov = slot->iov;
    }
    if (!timer_armed(&queue->late_timer))
        reactor_timer_start(queue->reactor, &queue->late_timer, deadline_of(queue->lun));
}

/* ------------------------------------------------------------------------------------- giving up */

static void let_go(struct slot *slot)
{
    for (unsigned i = 0; i < SLOT_HELD_MAX; i++)
        slot->held[i] = buf_unref(slot->held[i]);
}

/* A reference to every buffer of the I/O; false: there is one that cannot be had. */
static bool hold(struct slot *slot)
{
    struct bufpool *pool = slot->queue->reactor->pool;
    if (slot->hf.iov_count == 0)
        return true;
    if (!pool || slot->hf.iov != slot->iov)
        return false;
    for (uint32_t i = 0; i < slot->hf.iov_count; i++) {
        struct buf *buf = bufpool_find(pool, slot->iov[i].iov_base);
        if (!buf) {
            let_go(slot);
            return false;
        }
        slot->held[i] = buf_ref(buf);
    }
    return true;
}

static void say_given_up(const struct slot *slot)
{
    const struct hf_lun *lun = slot->queue->lun;
    uint64_t before = atomic_load_explicit(&lun->given_up_ever, memory_order_relaxed);
    if (before < 16 || (before & (before - 1)) == 0)
        log_warning("storage",
                    "an I/O is given up: the handler has not answered it handler=%s target=%s "
                    "lun=%u deadline=%" PRIu64 "ms answer=%s times=%" PRIu64,
                    lun->backend.product, lun->target, lun->number, deadline_of(lun) / 1000000,
                    late_result(lun) == -EAGAIN ? "busy" : "error", before + 1);
}

static void give_up(struct slot *slot)
{
    struct hf_lun *lun = slot->queue->lun;
    struct backend_io *io = slot->io;
    if (!hold(slot))
        return;
    say_given_up(slot);
    slot->io = NULL;
    atomic_fetch_add_explicit(&lun->given_up_ever, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lun->given_up, 1, memory_order_seq_cst);
    io->result = late_result(lun);
    io->done(io);
}

void late_answered(struct slot *slot)
{
    struct hf_lun *lun = slot->queue->lun;
    let_go(slot);
    if (atomic_fetch_sub_explicit(&lun->given_up, 1, memory_order_seq_cst) == 1)
        log_notice("storage",
                   "the handler has answered what was given up: the LUN goes on handler=%s "
                   "target=%s lun=%u",
                   lun->backend.product, lun->target, lun->number);
}

/* ---------------------------------------------------------------------------------------- timer */

/* Gives up what is due; how long it is to the next one, 0: there is none. */
static uint64_t look(struct hf_queue *queue, uint64_t limit_ns)
{
    uint64_t now = queue->reactor->now_ns, next = 0;
    for (unsigned i = 0; i < queue->fresh; i++) {
        struct slot *slot = queue_slot(queue, i);
        if (!slot->io || atomic_load_explicit(&slot->live, memory_order_acquire) == 0)
            continue;
        uint64_t due = atomic_load_explicit(&slot->since_ns, memory_order_relaxed) + limit_ns;
        if (due <= now)
            give_up(slot);
        else if (!next || due - now < next)
            next = due - now;
    }
    return next;
}

static void fired(struct timer *timer)
{
    struct hf_queue *queue = container_of(timer, struct hf_queue, late_timer);
    uint64_t limit_ns = deadline_of(queue->lun);
    if (!limit_ns)
        return;
    absent_late(queue);
    uint64_t next = look(queue, limit_ns);
    if (atomic_load_explicit(&queue->lun->given_up, memory_order_relaxed) >
        0) /* they have nobody to wait for */
        queue_refuse_waiting(queue, late_result(queue->lun));
    if (!timer_armed(timer) && atomic_load_explicit(&queue->at_handler, memory_order_relaxed) > 0)
        reactor_timer_start(queue->reactor, timer, next ? next : limit_ns);
}

void late_init(struct hf_queue *queue)
{
    timer_init(&queue->late_timer, fired);
}

void late_end(struct hf_queue *queue)
{
    reactor_timer_stop(queue->reactor, &queue->late_timer);
}

/* ------------------------------------------------------------------------------------- from outside */

void storage_set_deadline(struct backend *backend, uint64_t deadline_ns,
                          enum storage_when_late when_late)
{
    struct hf_lun *lun = lun_of(backend);
    atomic_store_explicit(&lun->when_late, when_late, memory_order_relaxed);
    atomic_store_explicit(&lun->deadline_ns, when_late == STORAGE_LATE_STALL ? 0 : deadline_ns,
                          memory_order_relaxed);
}

static void deadline_changed(struct hf_queue *queue)
{
    uint64_t limit_ns = deadline_of(queue->lun);
    bool any = atomic_load_explicit(&queue->at_handler, memory_order_relaxed) > 0 ||
               !list_empty(&queue->waiting);
    reactor_timer_stop(queue->reactor, &queue->late_timer);
    if (limit_ns && any)
        reactor_timer_start(queue->reactor, &queue->late_timer, limit_ns);
}

void storage_change_deadline(struct backend *backend, uint64_t deadline_ns,
                             enum storage_when_late when_late)
{
    struct hf_lun *lun = lun_of(backend);
    storage_set_deadline(backend, deadline_ns, when_late);
    absent_not_late(lun);
    lun_each_queue(lun, deadline_changed);
}

void storage_given_up(struct backend *backend, unsigned *ret_now, uint64_t *ret_ever)
{
    struct hf_lun *lun = lun_of(backend);
    *ret_now = atomic_load_explicit(&lun->given_up, memory_order_relaxed);
    *ret_ever = atomic_load_explicit(&lun->given_up_ever, memory_order_relaxed);
}
