/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handlers that wait: each I/O is a job of the pool. A SERIAL handler gets one at a time of a LUN: its
 * I/Os gather on a stack (pushed by any reactor), and one job of the LUN runs what is there in the
 * order it came, as often as something is there. So a slow serial LUN holds one thread, not all.
 */
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/storage_private.h"

/* ------------------------------------------------------------------------------- one I/O, may wait */

static int one_buffer(const struct hf_lun *lun, const struct hf_io *hf, void *buffer,
                      uint64_t length, uint64_t offset)
{
    if (hf->op == HF_OP_READ)
        return lun->ops->pread(lun->handle, buffer, length, offset);
    return lun->ops->pwrite(lun->handle, buffer, length, offset, hf->flags & HF_IO_FUA);
}

static void gather(const struct hf_io *hf, char *flat)
{
    for (uint32_t i = 0; i < hf->iov_count; i++)
        flat = (char *)mempcpy(flat, hf->iov[i].iov_base, hf->iov[i].iov_len);
}

static void scatter(const struct hf_io *hf, const char *flat)
{
    for (uint32_t i = 0; i < hf->iov_count; i++) {
        memcpy(hf->iov[i].iov_base, flat, hf->iov[i].iov_len);
        flat += hf->iov[i].iov_len;
    }
}

/* Elements that are not whole blocks: by way of one flat buffer. */
static int by_flat_buffer(const struct hf_lun *lun, struct hf_io *hf)
{
    void *flat;
    if (posix_memalign(&flat, 4096, hf->length) != 0)
        return -ENOMEM;
    if (hf->op == HF_OP_WRITE)
        gather(hf, flat);
    int r = one_buffer(lun, hf, flat, hf->length, hf->offset);
    if (r == 0 && hf->op == HF_OP_READ)
        scatter(hf, flat);
    free(flat);
    return r;
}

static bool whole_blocks(const struct hf_lun *lun, const struct hf_io *hf)
{
    for (uint32_t i = 0; i < hf->iov_count; i++)
        if (hf->iov[i].iov_len == 0 || hf->iov[i].iov_len % lun->backend.info.block_bytes)
            return false;
    return true;
}

static int transfer(const struct hf_lun *lun, struct hf_io *hf)
{
    uint64_t offset = hf->offset;
    int r = 0;
    if (!whole_blocks(lun, hf))
        return by_flat_buffer(lun, hf);
    for (uint32_t i = 0; i < hf->iov_count && r == 0; i++) {
        r = one_buffer(lun, hf, hf->iov[i].iov_base, hf->iov[i].iov_len, offset);
        offset += hf->iov[i].iov_len;
    }
    return r;
}

static int block_status(const struct hf_lun *lun, struct hf_io *hf)
{
    struct hf_extent extent = { .size = sizeof(extent) };
    int r = lun->ops->block_status(lun->handle, hf->length, hf->offset, &extent);
    hf->extent_bytes = extent.bytes;
    hf->extent_mapped = extent.mapped;
    return r;
}

static int at_handler(const struct hf_lun *lun, struct hf_io *hf)
{
    const struct hf_handler_ops *ops = lun->ops;
    switch (hf->op) {
    case HF_OP_READ:
    case HF_OP_WRITE:
        return transfer(lun, hf);
    case HF_OP_FLUSH:
        return ops->flush ? ops->flush(lun->handle) : 0;
    case HF_OP_UNMAP:
        return ops->unmap(lun->handle, hf->length, hf->offset);
    case HF_OP_WRITE_ZEROES:
        return ops->write_zeroes(lun->handle, hf->length, hf->offset, hf->flags);
    default:
        return block_status(lun, hf);
    }
}

static int perform(const struct hf_lun *lun, struct hf_io *hf)
{
    uint32_t before = lun_enter(lun);
    int r = at_handler(lun, hf);
    lun_leave(before);
    return r;
}

/* ------------------------------------------------------------------------------------ parallel */

static void parallel_run(struct pool_job *job)
{
    struct slot *slot = container_of(job, struct slot, job);
    slot->result = perform(slot->queue->lun, &slot->hf);
}

static void parallel_done(struct pool_job *job)
{
    struct slot *slot = container_of(job, struct slot, job);
    int32_t result = pool_job_cancelled(job) ? -ECANCELED : slot->result;
    if (queue_claim(slot->queue, slot->hf.id))
        queue_finish(slot, result);
}

/* -------------------------------------------------------------------------------------- serial */

static void serial_answer(struct slot *slot, int32_t result)
{
    if (!queue_claim(slot->queue, slot->hf.id))
        return;
    slot->result = result;
    queue_finish_posted(slot);
}

static struct slot *take_stack(struct hf_lun *lun)
{
    struct slot *slot = atomic_exchange_explicit(&lun->serial_stack, NULL, memory_order_acquire);
    struct slot *in_order = NULL;
    while (slot) {
        struct slot *next = slot->next;
        slot->next = in_order;
        in_order = slot;
        slot = next;
    }
    return in_order;
}

static void serial_run(struct pool_job *job)
{
    struct hf_lun *lun = container_of(job, struct hf_lun, serial_job);
    struct slot *slot = take_stack(lun);
    lun->serial_batch = 0;
    while (slot) {
        struct slot *next = slot->next; /* the slot is used again once it is answered */
        lun->serial_batch++;
        serial_answer(slot, perform(lun, &slot->hf));
        slot = next;
    }
}

/* After run(), on the same thread. The LUN may be gone when pending has become 0. */
static void serial_done(struct pool_job *job)
{
    struct hf_lun *lun = container_of(job, struct hf_lun, serial_job);
    uint32_t batch = lun->serial_batch;
    if (atomic_fetch_sub_explicit(&lun->serial_pending, batch, memory_order_acq_rel) != batch)
        pool_submit(lun->services->pool, job);
}

/* Counted before it is pushed, so that the job never takes more from the stack than is counted. */
static void serial_submit(struct slot *slot)
{
    struct hf_lun *lun = slot->queue->lun;
    uint32_t before = atomic_fetch_add_explicit(&lun->serial_pending, 1, memory_order_acq_rel);
    struct slot *top = atomic_load_explicit(&lun->serial_stack, memory_order_relaxed);
    do
        slot->next = top;
    while (!atomic_compare_exchange_weak_explicit(&lun->serial_stack, &top, slot,
                                                  memory_order_release, memory_order_relaxed));
    if (before == 0) {
        lun->serial_job = (struct pool_job){ .run = serial_run, .done = serial_done };
        pool_submit(lun->services->pool, &lun->serial_job);
    }
}

/* --------------------------------------------------------------------------------------- both */

void blocking_submit(struct slot *slot)
{
    if (slot->queue->lun->ops->shape == HF_SHAPE_BLOCKING_SERIAL) {
        serial_submit(slot);
        return;
    }
    slot->job = (struct pool_job){
        .run = parallel_run,
        .done = parallel_done,
        .reactor = slot->queue->reactor,
    };
    pool_submit(slot->queue->lun->services->pool, &slot->job);
}

void blocking_cancel(struct slot *slot)
{
    /* One in a serial LUN's row stays there: it is soon over. */
    if (slot->queue->lun->ops->shape == HF_SHAPE_BLOCKING_PARALLEL)
        pool_cancel(&slot->job);
}
