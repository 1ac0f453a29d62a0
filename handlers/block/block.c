/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler "block": a LUN on a block device, with direct I/O unless asked otherwise. The device is
 * opened exclusively: one that is mounted, or part of something else, is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block_limits.h"
#include "fd_open.h"
#include "fd_queue.h"

static const struct hf_host *host;

struct config {
    const char *path;
    uint32_t direct;
};

#define ROW .size = sizeof(struct hf_option)

static const struct hf_option options[] = {
    { ROW, .type = HF_OPTION_PATH, .name = "path",
      .help = "the block device; better a name of /dev/disk/by-id than one that may move",
      .change = HF_CHANGE_REOPEN, .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, path) },
    { ROW, .type = HF_OPTION_BOOL, .name = "direct", .help = "go past the page cache (O_DIRECT)",
      .default_value = "yes", .change = HF_CHANGE_REOPEN,
      .offset = offsetof(struct config, direct) },
    { .size = 0 },
};

struct block_lun {
    struct fd_lun fd; /* first */
};

static int32_t not_a_device(const struct config *c, struct hf_error *error)
{
    return host->fail(error, ENOTBLK, "%s: not a block device (files are for handler file)",
                      c->path);
}

static int32_t open_device(struct block_lun *lun, const struct config *c, const struct hf_open *how,
                           struct hf_error *error)
{
    int flags = (how->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    flags |= c->direct ? O_DIRECT : 0;
    struct stat st;
    if (stat(c->path, &st) == 0 && !S_ISBLK(st.st_mode)) /* open() does not say so of all of them */
        return not_a_device(c, error);
    flags |= how->read_only ? 0 : O_EXCL; /* a reader may look at a disk that is in use */
    lun->fd.fd = open(c->path, flags);
    if (lun->fd.fd >= 0)
        return fd_lock(host, lun->fd.fd, c->path, how->read_only, error);
    if (errno == EBUSY)
        return host->fail(error, EBUSY, "%s: in use: it is mounted or part of another device",
                          c->path);
    return host->fail(error, errno, "%s: %s", c->path, strerror(errno));
}

static int32_t choose_blocks(struct block_lun *lun, const struct config *c,
                             const struct hf_open *how, const struct block_limits *limits,
                             struct hf_error *error)
{
    uint32_t block_bytes = how->block_bytes;
    if (!block_bytes)
        block_bytes = limits->logical_bytes <= 512 ? 512 : 4096;
    if (limits->logical_bytes > block_bytes)
        return host->fail(error, EINVAL, "%s: has blocks of %u bytes, the LUN cannot have %u",
                          c->path, limits->logical_bytes, block_bytes);
    lun->fd.block_bytes = block_bytes;
    return 0;
}

static uint32_t power_of_two(uint32_t n)
{
    return n && (n & (n - 1)) == 0;
}

static void fill_info(struct block_lun *lun, const struct block_limits *limits,
                      struct hf_lun_info *info)
{
    uint32_t block = lun->fd.block_bytes;
    info->block_bytes = block;
    info->bytes = limits->bytes / block * block;
    if (power_of_two(limits->physical_bytes) && limits->physical_bytes >= block)
        info->physical_block_bytes = limits->physical_bytes;
    info->optimal_io_bytes = limits->optimal_bytes / block * block;
    info->rotational = limits->rotational;
    info->features = HF_FEATURE_VOLATILE_CACHE | HF_FEATURE_FUA | HF_FEATURE_WRITE_ZEROES;
    if (!limits->can_discard)
        return;
    info->features |= HF_FEATURE_UNMAP | HF_FEATURE_ZEROES_UNMAPPED;
    info->unmap_granularity_bytes = limits->discard_granularity / block * block;
    lun->fd.can_punch = 1;
}

static int32_t open_lun(struct block_lun *lun, const struct config *c, const struct hf_open *how,
                        struct hf_lun_info *info, struct hf_error *error)
{
    struct block_limits limits;
    uint32_t memory, offset;
    int32_t r = open_device(lun, c, how, error);
    if (r < 0)
        return r;
    int code = block_read_limits(lun->fd.fd, &limits);
    if (code == ENOTBLK)
        return not_a_device(c, error);
    if (code)
        return host->fail(error, code, "%s: %s", c->path, strerror(code));
    r = choose_blocks(lun, c, how, &limits, error);
    if (r < 0)
        return r;
    if (c->direct) {
        fd_direct_alignment(lun->fd.fd, limits.logical_bytes, &memory, &offset);
        lun->fd.align = memory > offset ? memory : offset;
    }
    fill_info(lun, &limits, info);
    if (info->bytes == 0)
        return host->fail(error, ENOMEDIUM, "%s: has no medium", c->path);
    return 0;
}

static void block_close(void *handle)
{
    struct block_lun *lun = handle;
    if (lun->fd.fd >= 0)
        close(lun->fd.fd);
    free(lun);
}

static int32_t block_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                          void **ret_handle, struct hf_error *error)
{
    struct block_lun *lun = calloc(1, sizeof(*lun));
    if (!lun)
        return host->fail(error, ENOMEM, "no memory");
    lun->fd.host = host;
    lun->fd.fd = -1;
    int32_t r = open_lun(lun, config, how, info, error);
    if (r < 0)
        block_close(lun);
    else
        *ret_handle = lun;
    return r;
}

static int32_t block_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .io_bytes = FD_IO_BYTES,
    .queue_depth = 256,
    .open = block_open,
    .close = block_close,
    .queue_open = fd_queue_open,
    .submit = fd_queue_submit,
    .cancel = fd_queue_cancel,
    .queue_close = fd_queue_close,
};

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "block",
        .version = HOLDFAST_VERSION,
        .summary = "a block device",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = block_load,
    };
    return &plugin;
}
