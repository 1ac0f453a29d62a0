/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A blocking handler with every feature, for the kit: a memfd and plain system calls. Built with
 * -DSERIAL it answers -EBUSY when two calls for a LUN meet, which must not happen.
 */
#include <errno.h>
#include <fcntl.h>
#include <holdfast/handler.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static const struct hf_host *host;

#define BYTES (INT64_C(64) << 20)

struct lun {
    int fd;
    _Atomic int inside;
};

static int32_t enter(struct lun *lun)
{
    int others = lun->inside++;
#ifdef SERIAL
    if (others > 0) {
        lun->inside--;
        return -EBUSY;
    }
#else
    (void)others;
#endif
    return 0;
}

static int32_t leave(struct lun *lun, int result)
{
    int32_t r = result < 0 ? -errno : 0;
    lun->inside--;
    return r;
}

static int32_t waits_pread(void *handle, void *buffer, uint64_t length, uint64_t offset)
{
    struct lun *lun = handle;
    int32_t r = enter(lun);
    return r ? r : leave(lun, pread(lun->fd, buffer, length, (off_t)offset) < 0 ? -1 : 0);
}

static int32_t waits_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                            uint32_t flags)
{
    struct lun *lun = handle;
    int32_t r = enter(lun);
    return r ? r : leave(lun, pwrite(lun->fd, buffer, length, (off_t)offset) < 0 ? -1 : 0);
}

static int32_t waits_flush(void *handle)
{
    struct lun *lun = handle;
    int32_t r = enter(lun);
    return r ? r : leave(lun, fdatasync(lun->fd));
}

static int32_t punch(void *handle, uint64_t length, uint64_t offset)
{
    struct lun *lun = handle;
    int32_t r = enter(lun);
    return r ? r
             : leave(lun, fallocate(lun->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    (off_t)offset, (off_t)length));
}

static int32_t waits_zeroes(void *handle, uint64_t length, uint64_t offset, uint32_t flags)
{
    return punch(handle, length, offset);
}

static int32_t waits_status(void *handle, uint64_t length, uint64_t offset,
                            struct hf_extent *ret_extent)
{
    struct lun *lun = handle;
    off_t data = lseek(lun->fd, (off_t)offset, SEEK_DATA);
    ret_extent->mapped = data == (off_t)offset;
    if (ret_extent->mapped)
        ret_extent->bytes = (uint64_t)lseek(lun->fd, (off_t)offset, SEEK_HOLE) - offset;
    else
        ret_extent->bytes = (data < 0 ? (uint64_t)BYTES : (uint64_t)data) - offset;
    return 0;
}

static int32_t waits_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                          void **ret_handle, struct hf_error *error)
{
    struct lun *lun = calloc(1, sizeof(*lun));
    int32_t r = host->memfd_get(how->lun, BYTES, &lun->fd, NULL, error);
    if (r < 0) {
        free(lun);
        return r;
    }
    info->bytes = BYTES;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    info->features = HF_FEATURE_UNMAP | HF_FEATURE_ZEROES_UNMAPPED | HF_FEATURE_WRITE_ZEROES |
                     HF_FEATURE_VOLATILE_CACHE | HF_FEATURE_BLOCK_STATUS;
    *ret_handle = lun;
    return 0;
}

static void waits_close(void *handle)
{
    struct lun *lun = handle;
    close(lun->fd);
    free(lun);
}

static int32_t waits_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_handler_ops ops = {
        .size = sizeof(ops),
#ifdef SERIAL
        .shape = HF_SHAPE_BLOCKING_SERIAL,
#else
        .shape = HF_SHAPE_BLOCKING_PARALLEL,
#endif
        .queue_depth = 32,
        .open = waits_open,
        .close = waits_close,
        .pread = waits_pread,
        .pwrite = waits_pwrite,
        .flush = waits_flush,
        .unmap = punch,
        .write_zeroes = waits_zeroes,
        .block_status = waits_status,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .kind = HF_KIND_HANDLER,
        .name = "waits",
        .version = "1",
        .summary = "plain system calls",
        .ops = &ops,
        .load = waits_load,
    };
    return &plugin;
}
