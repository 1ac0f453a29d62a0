/* SPDX-License-Identifier: BSD-3-Clause */
/* The faulty handler's I/O: see wrong.c. */
#include "wrong.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct queue {
    struct disk *disk;
    struct hf_queue *queue;
    struct held *held;
    uint64_t count;
};

/* ------------------------------------------------------------------------------- one operation each */

/* Everybody's: that is the fault. */
static char shared[1 << 20];

static int32_t read_or_write_racing(struct disk *disk, void *to, const void *from, uint64_t length,
                                    uint64_t offset)
{
    length = length < sizeof(shared) ? length : sizeof(shared);
    if (from)
        memcpy(shared, from, length);
    else if (pread(disk->fd, shared, length, (off_t)offset) < 0)
        return -errno;
    usleep(20);
    if (to)
        memcpy(to, shared, length);
    else if (pwrite(disk->fd, shared, length, (off_t)offset) < 0)
        return -errno;
    return 0;
}

int32_t wrong_pread(void *handle, void *buffer, uint64_t length, uint64_t offset)
{
    struct disk *disk = handle;
    if (IS("races"))
        return read_or_write_racing(disk, buffer, NULL, length, offset);
    if (IS("last-block-fails") && offset + length == disk->bytes)
        return -EIO;
    if (IS("assumes-alignment") && (uintptr_t)buffer % 512)
        return -EINVAL;
    if (disk->cache) {
        memcpy(buffer, disk->cache + offset, length);
        return 0;
    }
    return pread(disk->fd, buffer, length, (off_t)offset) < 0 ? -errno : 0;
}

static int32_t write_one(struct disk *disk, const void *buffer, uint64_t length, uint64_t offset)
{
    return pwrite(disk->fd, buffer, length, (off_t)offset) < 0 ? -errno : 0;
}

int32_t wrong_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                     uint32_t flags)
{
    struct disk *disk = handle;
    if (IS("races"))
        return read_or_write_racing(disk, NULL, buffer, length, offset);
    if (IS("shifts-large-writes") && length > 65536)
        offset += disk->block;
    if (IS("spoils-the-neighbour") && length / disk->block % 2 && offset + length < disk->bytes)
        write_one(disk, buffer, disk->block, offset + length);
    if (!disk->cache)
        return write_one(disk, buffer, length, offset);
    memcpy(disk->cache + offset, buffer, length);
    if (flags & HF_IO_FUA && !IS("ignores-fua"))
        return write_one(disk, buffer, length, offset);
    return 0;
}

int32_t wrong_flush(void *handle)
{
    struct disk *disk = handle;
    if (disk->cache && !IS("flush-does-nothing"))
        return write_one(disk, disk->cache, disk->bytes, 0);
    return 0;
}

static int32_t punch(struct disk *disk, uint64_t length, uint64_t offset)
{
    if (disk->cache)
        memset(disk->cache + offset, 0, length);
    return fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                     (off_t)length) < 0
               ? -errno
               : 0;
}

int32_t wrong_unmap(void *handle, uint64_t length, uint64_t offset)
{
    if (IS("unmap-does-nothing"))
        return 0;
    if (IS("unmaps-too-much")) {
        uint64_t start = offset & ~65535ull;
        length = ((offset + length + 65535) & ~65535ull) - start;
        offset = start;
    }
    return punch(handle, length, offset);
}

int32_t wrong_write_zeroes(void *handle, uint64_t length, uint64_t offset, uint32_t flags)
{
    if (IS("zeroes-only-the-start") && length > 65536)
        length = 65536;
    return punch(handle, length, offset);
}

int32_t wrong_block_status(void *handle, uint64_t length, uint64_t offset,
                           struct hf_extent *ret_extent)
{
    struct disk *disk = handle;
    off_t data = lseek(disk->fd, (off_t)offset, SEEK_DATA);
    ret_extent->mapped = data == (off_t)offset;
    off_t end = lseek(disk->fd, (off_t)offset, ret_extent->mapped ? SEEK_HOLE : SEEK_DATA);
    if (end < 0 || (uint64_t)end > disk->bytes)
        end = (off_t)disk->bytes;
    ret_extent->bytes = (uint64_t)end - offset;
    if (IS("calls-data-a-hole"))
        ret_extent->mapped = 0;
    if (IS("extent-of-nothing"))
        ret_extent->bytes = 0;
    return 0;
}

/* ---------------------------------------------------------------------------------------- queue */

static int32_t move(struct disk *disk, struct hf_io *io)
{
    uint64_t offset = io->offset;
    int32_t r = 0;
    for (uint32_t i = 0; i < io->iov_count && r == 0; i++) {
        r = io->op == HF_OP_READ
                ? wrong_pread(disk, io->iov[i].iov_base, io->iov[i].iov_len, offset)
                : wrong_pwrite(disk, io->iov[i].iov_base, io->iov[i].iov_len, offset, io->flags);
        offset += io->iov[i].iov_len;
        if (IS("reads-the-first-buffer-only") && io->op == HF_OP_READ)
            break;
    }
    return r;
}

static int32_t perform(struct disk *disk, struct hf_io *io)
{
    struct hf_extent extent = { sizeof(extent), 0, 0 };
    int32_t r;
    switch (io->op) {
    case HF_OP_FLUSH:
        return wrong_flush(disk);
    case HF_OP_UNMAP:
        return wrong_unmap(disk, io->length, io->offset);
    case HF_OP_WRITE_ZEROES:
        return wrong_write_zeroes(disk, io->length, io->offset, io->flags);
    case HF_OP_BLOCK_STATUS:
        r = wrong_block_status(disk, io->length, io->offset, &extent);
        io->extent_bytes = extent.bytes;
        io->extent_mapped = extent.mapped;
        return r;
    default:
        return move(disk, io);
    }
}

int32_t wrong_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                         struct hf_error *error)
{
    struct disk *disk = handle;
    if (IS("serves-one-reactor") && disk->queues++ > 0)
        return host->fail(error, EBUSY, "one queue is enough");
    struct queue *q = calloc(1, sizeof(*q));
    q->disk = disk;
    q->queue = queue;
    *ret_queue = q;
    return 0;
}

struct remote {
    struct hf_queue *queue;
    uint64_t id;
};

static void *complete_elsewhere(void *data)
{
    struct remote *remote = data;
    host->complete(remote->queue, remote->id, 0);
    free(remote);
    return NULL;
}

static void complete_on_a_thread(struct queue *q, uint64_t id)
{
    pthread_t thread;
    struct remote *remote = malloc(sizeof(*remote));
    *remote = (struct remote){ q->queue, id };
    pthread_create(&thread, NULL, complete_elsewhere, remote);
    pthread_join(thread, NULL);
}

static void answer(struct queue *q, uint64_t id, int32_t result)
{
    if (IS("answers-on-a-thread"))
        complete_on_a_thread(q, id);
    else
        host->complete(q->queue, id, result);
    if (IS("answers-twice"))
        host->complete(q->queue, id, result);
}

void wrong_submit(void *queue, struct hf_io *io)
{
    struct queue *q = queue;
    struct held *held = io->room;
    uint64_t id = io->id;
    int32_t result = perform(q->disk, io);
    if (IS("loses-an-io") && ++q->count == 1000)
        return;
    if (IS("exits") && q->count++ == 50)
        exit(0);
    if (IS("result-is-a-length") && io->op == HF_OP_READ)
        result = (int32_t)io->length;
    if (!IN_KICK && !(IS("not-immediate") && io->op == HF_OP_READ)) {
        answer(q, id, result);
        return;
    }
    *held = (struct held){ io, q->held, id };
    q->held = held;
}

void wrong_kick(void *queue)
{
    struct queue *q = queue;
    struct held *held = q->held;
    q->held = NULL;
    while (held) {
        struct held *next = held->next;
        answer(q, held->id, 0);
        held = next;
    }
}

void wrong_cancel(void *queue, struct hf_io *io)
{
    struct queue *q = queue;
    struct held **at = &q->held;
    while (*at && (*at)->io != io)
        at = &(*at)->next;
    if (!*at || !IN_KICK || IS("none-but-in-kick"))
        return;
    if (IS("cancel-answers-wrongly")) {
        *at = (*at)->next;
        host->complete(q->queue, io->id, -ENXIO);
    } else { /* it stays with those that kick() answers */
        host->complete(q->queue, io->id, -ECANCELED);
    }
}

void wrong_queue_close(void *queue)
{
    free(queue);
}
