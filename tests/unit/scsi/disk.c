/* SPDX-License-Identifier: BSD-3-Clause */
/* The RAM disk of the bench. It aborts on a request that backend.h does not allow. */
#include "rig.h"

#include <errno.h>
#include <string.h>

static void check_request(const struct disk *disk, const struct backend_io *io)
{
    const struct backend_info *info = &disk->backend.info;
    uint64_t sum = 0;

    g_assert_nonnull(io->done);
    if (io->op == BACKEND_FLUSH) {
        g_assert_cmpuint(io->length, ==, 0);
        return;
    }
    g_assert_cmpuint(io->length, >, 0);
    g_assert_cmpuint(io->offset % info->block_bytes, ==, 0);
    g_assert_cmpuint(io->length % info->block_bytes, ==, 0);
    g_assert_cmpuint(io->offset, <=, info->bytes);
    g_assert_cmpuint(io->length, <=, info->bytes - io->offset);
    if (io->op == BACKEND_READ || io->op == BACKEND_WRITE || io->op == BACKEND_COMPARE_AND_WRITE) {
        for (uint32_t i = 0; i < io->iov_count; i++)
            sum += io->iov[i].iov_len;
        g_assert_cmpuint(sum, ==, io->op == BACKEND_COMPARE_AND_WRITE ? 2 * io->length : io->length);
        if (info->max_io_bytes)
            g_assert_cmpuint(io->length, <=, info->max_io_bytes);
    }
    if (io->op == BACKEND_UNMAP) {
        g_assert_cmpuint(io->offset % disk->granule, ==, 0);
        g_assert_cmpuint(io->length % disk->granule, ==, 0);
    }
    if (io->op == BACKEND_UNMAP)
        g_assert_true(info->features & BACKEND_FEATURE_UNMAP);
    if (io->op == BACKEND_WRITE_ZEROES)
        g_assert_true(info->features & BACKEND_FEATURE_WRITE_ZEROES);
    if (io->op == BACKEND_BLOCK_STATUS)
        g_assert_true(info->features & BACKEND_FEATURE_BLOCK_STATUS);
    if (io->flags & BACKEND_IO_FUA)
        g_assert_true(info->features & BACKEND_FEATURE_FUA);
}

static void set_mapped(struct disk *disk, uint64_t offset, uint64_t length)
{
    for (uint64_t g = offset / disk->granule; g <= (offset + length - 1) / disk->granule; g++)
        disk->mapped[g] = 1;
}

static void unmap(struct disk *disk, const struct backend_io *io)
{
    memset(disk->data + io->offset, 0, io->length);
    for (uint64_t at = io->offset; at < io->offset + io->length; at += disk->granule)
        disk->mapped[at / disk->granule] = 0;
}

static void block_status(const struct disk *disk, struct backend_io *io)
{
    uint64_t end = io->offset + io->length, at = io->offset;

    io->extent.mapped = disk->mapped[at / disk->granule];
    while (at < end && disk->mapped[at / disk->granule] == io->extent.mapped)
        at = (at / disk->granule + 1) * disk->granule;
    io->extent.length = (at < end ? at : end) - io->offset;
}

static void move(const struct disk *disk, const struct backend_io *io)
{
    uint8_t *at = disk->data + io->offset;

    for (uint32_t i = 0; i < io->iov_count; at += io->iov[i++].iov_len) {
        if (io->op == BACKEND_READ)
            memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
        else
            memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
    }
}

/* The bench gives the memory in one piece. */
static int compare_and_write(struct disk *disk, const struct backend_io *io)
{
    const uint8_t *from = io->iov[0].iov_base;

    g_assert_cmpuint(io->iov_count, ==, 1);
    if (memcmp(disk->data + io->offset, from, io->length) != 0)
        return -EILSEQ;
    memcpy(disk->data + io->offset, from + io->length, io->length);
    set_mapped(disk, io->offset, io->length);
    return 0;
}

static void perform(struct disk *disk, struct backend_io *io)
{
    io->result = 0;
    if (io->op == disk->fail_op && (disk->fail_after == 0 || disk->fail_after-- == 0)) {
        io->result = disk->fail_result;
        io->done(io);
        return;
    }
    switch (io->op) {
    case BACKEND_READ:
        move(disk, io);
        break;
    case BACKEND_WRITE:
        move(disk, io);
        set_mapped(disk, io->offset, io->length);
        break;
    case BACKEND_UNMAP:
        unmap(disk, io);
        break;
    case BACKEND_WRITE_ZEROES:
        memset(disk->data + io->offset, 0, io->length);
        break;
    case BACKEND_BLOCK_STATUS:
        block_status(disk, io);
        break;
    case BACKEND_COMPARE_AND_WRITE:
        io->result = compare_and_write(disk, io);
        break;
    }
    io->done(io);
}

static void submit(struct backend *backend, struct backend_io *io)
{
    struct disk *disk = container_of(backend, struct disk, backend);
    struct disk_entry entry = { io->op, io->flags, io->offset, io->length };

    check_request(disk, io);
    if (disk->log_count < DISK_LOG)
        disk->log[disk->log_count++] = entry;
    if (!disk->hold) {
        perform(disk, io);
        return;
    }
    io->room[0] = (uintptr_t)disk->held;
    disk->held = io;
}

void disk_release(struct disk *disk)
{
    struct backend_io *oldest = NULL;

    while (disk->held) {
        struct backend_io *io = disk->held;
        disk->held = (void *)(uintptr_t)io->room[0];
        io->room[0] = (uintptr_t)oldest;
        oldest = io;
    }
    while (oldest) {
        struct backend_io *io = oldest;
        oldest = (void *)(uintptr_t)io->room[0];
        perform(disk, io);
    }
}

static void kick(struct backend *backend)
{
    container_of(backend, struct disk, backend)->kicks++;
}

static void cancel(struct backend *backend, struct backend_io *io)
{
    container_of(backend, struct disk, backend)->cancels++;
}

static const struct backend_ops plain_ops = { .submit = submit, .cancel = cancel };
static const struct backend_ops kick_ops = { .submit = submit, .kick = kick, .cancel = cancel };

struct disk *disk_new(const struct disk_options *o)
{
    struct disk *disk = g_new0(struct disk, 1);
    struct backend_info *info = &disk->backend.info;

    info->block_bytes = o->block ? o->block : 512;
    info->bytes = (o->blocks ? o->blocks : 2048) * info->block_bytes;
    info->physical_block_bytes = o->physical ? o->physical : info->block_bytes;
    info->max_io_bytes = o->max_io;
    info->unmap_granularity_bytes = o->granule;
    info->features = o->features;
    disk->granule = o->granule ? o->granule : info->block_bytes;
    disk->backend.ops = o->kick ? &kick_ops : &plain_ops;
    disk->backend.product = "ram";
    disk->mapped = g_malloc0(info->bytes / disk->granule + 1);
    disk->fail_op = -1;
    if (o->store) {
        int arena = arena_map_any(arena_create_fd("disk", info->bytes), info->bytes);
        g_assert_cmpint(arena, >, 0);
        info->store_arena = (uint32_t)arena;
        disk->data = arena_table[arena].base;
    } else {
        disk->data = g_malloc0(info->bytes);
    }
    return disk;
}

struct disk *disk_free(struct disk *disk)
{
    if (!disk)
        return NULL;
    if (disk->backend.info.store_arena)
        arena_unmap(disk->backend.info.store_arena);
    else
        g_free(disk->data);
    g_free(disk->mapped);
    g_free(disk);
    return NULL;
}

unsigned disk_count(const struct disk *disk, enum backend_op op)
{
    unsigned n = 0;
    for (unsigned i = 0; i < disk->log_count; i++)
        n += disk->log[i].op == op;
    return n;
}

void disk_fill(struct disk *disk, uint8_t seed)
{
    for (uint64_t i = 0; i < disk->backend.info.bytes; i++)
        disk->data[i] = (uint8_t)((i / 512 * 31 + i) * 7 + seed) | 1;
    memset(disk->mapped, 1, disk->backend.info.bytes / disk->granule);
}
