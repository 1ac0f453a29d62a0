/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reactor's ring for handlers: the daemon's part of an hf_ring_op lies in its room. A queue counts
 * what is under way, so that it is not closed below a request.
 *
 * What may outlive the process is counted in the state memory: a device may write, or be written to, after
 * the process has died (O_DIRECT), and the next worker has to wait for that. Through the page cache it is a
 * thread of this process that copies, and the kernel lets no process end before its threads, the ring's
 * workers among them, are done.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "plugin/host.h"
#include "plugin/storage_private.h"

#define ONE_REQUEST_MAX (1u << 30) /* bytes; the kernel's own limit is a little below 2 GiB */

struct host_op {
    struct ring_op op;
    struct hf_queue *queue;
    struct hf_ring_op *hf;
    bool lasts;
};
_Static_assert(sizeof(struct host_op) <= sizeof(((struct hf_ring_op *)0)->room),
               "the room of an hf_ring_op is large enough");

static void count_lasting(const struct hf_queue *queue, int by)
{
    uint32_t *lasting = queue->reactor->lasting;
    if (lasting)
        __atomic_store_n(lasting, *lasting + (uint32_t)by, __ATOMIC_RELEASE);
}

static bool look(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || flags & O_DIRECT || fstat(fd, &st) < 0 ||
           (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode));
}

/* A file stays what it is while requests are under way (hf_ring_op): under load the last look still counts. */
static bool may_last(struct hf_queue *queue, int fd)
{
    if (queue->ring_busy == 0 || queue->looked.fd != fd) {
        queue->looked.lasts = look(fd);
        queue->looked.fd = fd;
    }
    return queue->looked.lasts;
}

static void op_done(struct ring_op *op, int result)
{
    struct host_op *host_op = container_of(op, struct host_op, op);
    struct hf_queue *queue = host_op->queue;
    queue->ring_busy--;
    if (host_op->lasts)
        count_lasting(queue, -1);
    uint32_t before = lun_enter(queue->lun);
    host_op->hf->done(host_op->hf, result);
    lun_leave(before);
    if (G_UNLIKELY(queue->closing))
        queue_settle(queue);
}

static struct host_op *start(struct hf_queue *queue, struct hf_ring_op *hf, int fd)
{
    struct host_op *host_op = (struct host_op *)hf->room;
    ring_op_init(&host_op->op, op_done);
    host_op->queue = queue;
    host_op->hf = hf;
    host_op->lasts = may_last(queue, fd);
    if (host_op->lasts)
        count_lasting(queue, 1);
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
    struct host_op *host_op = start(queue, op, fd);
    struct ring *ring = queue->reactor->ring;
    if (iov_count == 1)
        ring_read(ring, &host_op->op, fd, iov->iov_base, length_of(iov), offset, 0);
    else
        ring_readv(ring, &host_op->op, fd, iov, MIN(iov_count, IOV_MAX), offset, 0);
}

void ring_host_write(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd,
                     const struct iovec *iov, uint32_t iov_count, uint64_t offset, uint32_t flags)
{
    struct host_op *host_op = start(queue, op, fd);
    struct ring *ring = queue->reactor->ring;
    int rw_flags = flags & HF_RING_DSYNC ? RWF_DSYNC : 0;
    if (iov_count == 1)
        ring_write(ring, &host_op->op, fd, iov->iov_base, length_of(iov), offset, rw_flags);
    else
        ring_writev(ring, &host_op->op, fd, iov, MIN(iov_count, IOV_MAX), offset, rw_flags);
}

void ring_host_fsync(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, uint32_t flags)
{
    struct host_op *host_op = start(queue, op, fd);
    ring_fsync(queue->reactor->ring, &host_op->op, fd, flags & HF_RING_DSYNC);
}

void ring_host_fallocate(struct hf_queue *queue, struct hf_ring_op *op, int32_t fd, int32_t mode,
                         uint64_t offset, uint64_t length)
{
    struct host_op *host_op = start(queue, op, fd);
    ring_fallocate(queue->reactor->ring, &host_op->op, fd, mode, offset, length);
}

void ring_host_cancel(struct hf_queue *queue, struct hf_ring_op *op)
{
    struct host_op *host_op = (struct host_op *)op->room;
    ring_cancel(queue->reactor->ring, &host_op->op);
}
