/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See fd_queue.h. Each I/O is a small chain of ring requests; what it has to remember lies in its
 * room. A read or write that comes back short goes on where it stopped, one iovec element a time.
 */
#include "fd_queue.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fd_queue {
    struct fd_lun *lun;
    struct hf_queue *queue;
};

struct fd_io {
    struct hf_ring_op op;
    struct fd_queue *queue;
    struct hf_io *io;
    uint64_t moved;       /* bytes read, written or zeroed so far */
    char *bounce;         /* the copy for direct I/O; NULL: none */
    struct iovec iov[16]; /* the next request, when it is not the I/O's own */
};
_Static_assert(sizeof(struct fd_io) <= FD_IO_BYTES, "FD_IO_BYTES holds a struct fd_io");

#define ZEROES_BYTES 65536
static char zeroes[ZEROES_BYTES] __attribute__((aligned(4096)));

static void complete(struct fd_io *f, int32_t result)
{
    struct fd_queue *q = f->queue;
    free(f->bounce);
    q->lun->host->complete(q->queue, f->io->id, result);
}

/* The last request of an I/O. */
static void on_last(struct hf_ring_op *op, int32_t result)
{
    complete((struct fd_io *)op, result);
}

static void sync_data(struct fd_io *f)
{
    struct fd_queue *q = f->queue;
    f->op.done = on_last;
    q->lun->host->ring_fsync(q->queue, &f->op, q->lun->fd, HF_RING_DSYNC);
}

/* ------------------------------------------------------------------------------- read and write */

static int is_aligned(const struct hf_io *io, uint32_t align)
{
    for (uint32_t i = 0; i < io->iov_count; i++)
        if (((uintptr_t)io->iov[i].iov_base | io->iov[i].iov_len) & (align - 1))
            return 0;
    return 1;
}

static void copy_out(const struct hf_io *io, char *flat)
{
    for (uint32_t i = 0; i < io->iov_count; flat += io->iov[i++].iov_len)
        memcpy(flat, io->iov[i].iov_base, io->iov[i].iov_len);
}

static void copy_in(const struct hf_io *io, const char *flat)
{
    for (uint32_t i = 0; i < io->iov_count; flat += io->iov[i++].iov_len)
        memcpy(io->iov[i].iov_base, flat, io->iov[i].iov_len);
}

/* What is left of the element that `moved` lies in. */
static struct iovec rest_of_element(const struct fd_io *f)
{
    const struct iovec *iov = f->io->iov;
    uint64_t skip = f->moved;
    if (f->bounce)
        return (struct iovec){ f->bounce + skip, f->io->length - skip };
    while (skip >= iov->iov_len)
        skip -= iov++->iov_len;
    return (struct iovec){ (char *)iov->iov_base + skip, iov->iov_len - skip };
}

static void on_moved(struct hf_ring_op *op, int32_t result);

static void move(struct fd_io *f)
{
    struct fd_queue *q = f->queue;
    const struct hf_io *io = f->io;
    const struct iovec *iov = io->iov;
    uint32_t count = io->iov_count;
    if (f->moved || f->bounce) {
        f->iov[0] = rest_of_element(f);
        iov = f->iov;
        count = 1;
    }
    f->op.done = on_moved;
    if (io->op == HF_OP_READ)
        q->lun->host->ring_read(q->queue, &f->op, q->lun->fd, iov, count, io->offset + f->moved);
    else
        q->lun->host->ring_write(q->queue, &f->op, q->lun->fd, iov, count, io->offset + f->moved,
                                 io->flags & HF_IO_FUA ? HF_RING_DSYNC : 0);
}

static void on_moved(struct hf_ring_op *op, int32_t result)
{
    struct fd_io *f = (struct fd_io *)op;
    if (result == -EINTR) {
        move(f);
        return;
    }
    if (result <= 0) {
        complete(f, result < 0 ? result : -EIO); /* 0: the file ends where the LUN does not */
        return;
    }
    f->moved += (uint32_t)result;
    if (f->moved < f->io->length) {
        move(f);
        return;
    }
    if (f->bounce && f->io->op == HF_OP_READ)
        copy_in(f->io, f->bounce);
    complete(f, 0);
}

static void transfer(struct fd_io *f)
{
    uint32_t align = f->queue->lun->align;
    if (align && !is_aligned(f->io, align)) {
        f->bounce = aligned_alloc(4096, (f->io->length + 4095) & ~UINT64_C(4095));
        if (!f->bounce) {
            complete(f, -ENOMEM);
            return;
        }
        if (f->io->op == HF_OP_WRITE)
            copy_out(f->io, f->bounce);
    }
    move(f);
}

/* --------------------------------------------------------------------------------- write zeroes */

static void on_zeroes_written(struct hf_ring_op *op, int32_t result);

static void write_zeroes(struct fd_io *f)
{
    struct fd_queue *q = f->queue;
    uint64_t left = f->io->length - f->moved;
    uint32_t count = 0;
    while (left && count < sizeof(f->iov) / sizeof(f->iov[0])) {
        size_t bytes = left < ZEROES_BYTES ? left : ZEROES_BYTES;
        f->iov[count++] = (struct iovec){ zeroes, bytes };
        left -= bytes;
    }
    f->op.done = on_zeroes_written;
    q->lun->host->ring_write(q->queue, &f->op, q->lun->fd, f->iov, count, f->io->offset + f->moved,
                             0);
}

static void zeroes_are_there(struct fd_io *f)
{
    if (f->io->flags & HF_IO_FUA)
        sync_data(f);
    else
        complete(f, 0);
}

static void on_zeroes_written(struct hf_ring_op *op, int32_t result)
{
    struct fd_io *f = (struct fd_io *)op;
    if (result <= 0 && result != -EINTR) {
        complete(f, result < 0 ? result : -EIO);
        return;
    }
    f->moved += result > 0 ? (uint32_t)result : 0;
    if (f->moved < f->io->length)
        write_zeroes(f);
    else
        zeroes_are_there(f);
}

static void zero_range(struct fd_io *f);

static void on_zeroed(struct hf_ring_op *op, int32_t result)
{
    struct fd_io *f = (struct fd_io *)op;
    if (result == 0) {
        zeroes_are_there(f);
    } else if (result == -EOPNOTSUPP) {
        f->queue->lun->no_zero_range = 1;
        write_zeroes(f);
    } else if (result == -EINTR) {
        zero_range(f);
    } else {
        complete(f, result);
    }
}

static void zero_range(struct fd_io *f)
{
    struct fd_queue *q = f->queue;
    const struct hf_io *io = f->io;
    int mode = FALLOC_FL_ZERO_RANGE;
    if (io->flags & HF_IO_UNMAP && q->lun->can_punch)
        mode = FALLOC_FL_PUNCH_HOLE;
    else if (q->lun->no_zero_range) {
        write_zeroes(f);
        return;
    }
    f->op.done = on_zeroed;
    q->lun->host->ring_fallocate(q->queue, &f->op, q->lun->fd, mode | FALLOC_FL_KEEP_SIZE,
                                 io->offset, io->length);
}

/* ------------------------------------------------------------------------------------ the others */

static void unmap(struct fd_io *f)
{
    struct fd_queue *q = f->queue;
    f->op.done = on_last;
    q->lun->host->ring_fallocate(q->queue, &f->op, q->lun->fd,
                                 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, f->io->offset,
                                 f->io->length);
}

/* A block that is partly data is data. */
static void round_extent(struct hf_io *io, uint64_t block_bytes)
{
    if (io->extent_mapped)
        io->extent_bytes = (io->extent_bytes + block_bytes - 1) / block_bytes * block_bytes;
    else
        io->extent_bytes = io->extent_bytes / block_bytes * block_bytes;
    if (io->extent_bytes == 0) {
        io->extent_bytes = block_bytes;
        io->extent_mapped = 1;
    }
}

/*
 * lseek() is no ring request; it looks at extents that the file system mostly has in memory. The
 * file position that it moves is used by nobody.
 */
static void block_status(struct fd_io *f)
{
    struct hf_io *io = f->io;
    int fd = f->queue->lun->fd;
    off_t start = (off_t)io->offset, data = lseek(fd, start, SEEK_DATA);
    int error = data < 0 ? errno : 0;
    io->extent_mapped = 1;
    io->extent_bytes = io->length;
    if (error == ENXIO) { /* no data up to the end */
        io->extent_mapped = 0;
    } else if (data > start) {
        io->extent_mapped = 0;
        io->extent_bytes = (uint64_t)(data - start);
    } else if (data == start) {
        off_t hole = lseek(fd, start, SEEK_HOLE);
        if (hole > start)
            io->extent_bytes = (uint64_t)(hole - start);
    }
    round_extent(io, f->queue->lun->block_bytes);
    complete(f, 0);
}

int32_t fd_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                      struct hf_error *error)
{
    struct fd_lun *lun = handle;
    struct fd_queue *q = malloc(sizeof(*q));
    if (!q)
        return lun->host->fail(error, ENOMEM, "no memory for a queue");
    *q = (struct fd_queue){ lun, queue };
    *ret_queue = q;
    return 0;
}

void fd_queue_submit(void *queue, struct hf_io *io)
{
    struct fd_io *f = io->room;
    f->op.size = sizeof(f->op);
    f->queue = queue;
    f->io = io;
    f->moved = 0;
    f->bounce = NULL;
    switch (io->op) {
    case HF_OP_READ:
    case HF_OP_WRITE:
        transfer(f);
        break;
    case HF_OP_FLUSH:
        sync_data(f);
        break;
    case HF_OP_UNMAP:
        unmap(f);
        break;
    case HF_OP_WRITE_ZEROES:
        zero_range(f);
        break;
    case HF_OP_BLOCK_STATUS:
        block_status(f);
        break;
    default:
        complete(f, -EOPNOTSUPP);
    }
}

void fd_queue_cancel(void *queue, struct hf_io *io)
{
    struct fd_queue *q = queue;
    struct fd_io *f = io->room;
    q->lun->host->ring_cancel(q->queue, &f->op);
}

void fd_queue_close(void *queue)
{
    free(queue);
}
