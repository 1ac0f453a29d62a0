/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reactor's ring for handlers: the daemon's part of an hf_ring_op lies in its room. A queue counts
 * what is under way, so that it is not closed below a request.
 */
#include <errno.h>
#include <glib.h>
#include <sys/uio.h>

#include "plugin/host.h"
#include "plugin/storage_private.h"

#define ONE_REQUEST_MAX (1u << 30) /* bytes; the kernel's own limit is a little below 2 GiB */

struct host_op {
    struct ring_op op;
    struct hf_queue *queue;
    struct hf_ring_op *hf;
};
_Static_assert(sizeof(struct host_op) <= sizeof(((struct hf_ring_op *)0)->room),
               "the room of an hf_ring_op is large enough");

static void op_done(struct ring_op *op, int result)
{
    struct host_op *host_op = container_of(op, struct host_op, op);
    struct hf_queue *queue = host_op->queue;
    queue->ring_busy--;
    host_op->hf->done(host_op->hf, result);
    if (G_UNLIKELY(queue->closing))
        queue_settle(queue);
}

static struct host_op *start(struct hf_queue *queue, struct hf_ring_op *hf)
{
    struct host_op *host_op = (struct host_op *)hf->room;
    ring_op_init(&host_op->op, op_done);
    host_op->queue = queue;
    host_op->hf = hf;
    queue->ring_busy++;
    return host_op;
}

static unsigned length_of(const struct iovec *iov)
{
    return (unsigned)MIN(iov->iov_len, ONE_REQUEST_MAX);
}

void ring_host_read(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                    const struct iovec *iov, uint32_t iov_count, uint64_t offset)
{
    struct host_op *host_op = start(queue, op);
    struct ring *ring = queue->reactor->ring;
    if (iov_count == 1)
        ring_read(ring, &host_op->op, fd, iov->iov_base, length_of(iov), offset, 0);
    else
        ring_readv(ring, &host_op->op, fd, iov, MIN(iov_count, IOV_MAX), offset, 0);
}

void ring_host_write(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                     const struct iovec *iov, uint32_t iov_count, uint64_t offset, uint32_t flags)
{
    struct host_op *host_op = start(queue, op);
    struct ring *ring = queue->reactor->ring;
    int rw_flags = flags & HF_RING_DSYNC ? RWF_DSYNC : 0;
    if (iov_count == 1)
        ring_write(ring, &host_op->op, fd, iov->iov_base, length_of(iov), offset, rw_flags);
    else
        ring_writev(ring, &host_op->op, fd, iov, MIN(iov_count, IOV_MAX), offset, rw_flags);
}

void ring_host_fsync(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, uint32_t flags)
{
    struct host_op *host_op = start(queue, op);
    ring_fsync(queue->reactor->ring, &host_op->op, fd, flags & HF_RING_DSYNC);
}

void ring_host_fallocate(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, int32_t mode,
                         uint64_t offset, uint64_t length)
{
    struct host_op *host_op = start(queue, op);
    ring_fallocate(queue->reactor->ring, &host_op->op, fd, mode, offset, length);
}

void ring_host_cancel(struct hf_queue *queue, struct hf_ring_op *op)
{
    struct host_op *host_op = (struct host_op *)op->room;
    ring_cancel(queue->reactor->ring, &host_op->op);
}
