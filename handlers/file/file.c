/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler "file": a LUN in a regular file, through the page cache or with direct I/O. A flush is
 * fdatasync(), FUA is RWF_DSYNC, unmapping punches holes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "file.h"

const struct hf_host *file_host;

#define ROW .size = sizeof(struct hf_option)

static const struct hf_option options[] = {
    { ROW, .type = HF_OPTION_PATH, .name = "path", .help = "the file; made if it is missing",
      .change = HF_CHANGE_REOPEN, .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct file_config, path) },
    { ROW, .type = HF_OPTION_SIZE, .name = "size",
      .help = "size of the disk: a missing file is created with it, sparse; an existing one must "
              "have it (see grow); left out: the size of the file",
      .change = HF_CHANGE_LIVE, .min = 4096, .max = INT64_MAX - 4095,
      .offset = offsetof(struct file_config, bytes) },
    { ROW, .type = HF_OPTION_BOOL, .name = "grow", .help = "make a smaller file as large as size",
      .default_value = "no", .change = HF_CHANGE_LIVE,
      .offset = offsetof(struct file_config, grow) },
    { ROW, .type = HF_OPTION_BOOL, .name = "direct", .help = "go past the page cache (O_DIRECT)",
      .default_value = "no", .change = HF_CHANGE_REOPEN,
      .offset = offsetof(struct file_config, direct) },
    { .size = 0 },
};

static int32_t file_validate(const void *config, struct hf_error *error)
{
    const struct file_config *c = config;
    if (c->bytes % 512)
        return file_host->fail(error, EINVAL, "size must be a multiple of 512");
    if (c->grow && !c->bytes)
        return file_host->fail(error, EINVAL, "grow needs a size");
    return 0;
}

static void file_close(void *handle)
{
    struct file_lun *lun = handle;
    if (lun->fd.fd >= 0)
        close(lun->fd.fd); /* and the locks with it */
    free(lun);
}

static int32_t file_open_lun(const struct hf_open *how, const void *config,
                             struct hf_lun_info *info, void **ret_handle, struct hf_error *error)
{
    struct file_lun *lun = calloc(1, sizeof(*lun));
    if (!lun)
        return file_host->fail(error, ENOMEM, "no memory");
    lun->fd.host = file_host;
    lun->fd.fd = -1;
    lun->lun = how->lun;
    lun->info = *info;
    int32_t r = file_open(lun, config, how, error);
    if (r < 0) {
        file_close(lun);
        return r;
    }
    *info = lun->info;
    *ret_handle = lun;
    return 0;
}

static int32_t file_update(void *handle, const void *config, struct hf_error *error)
{
    struct file_lun *lun = handle;
    const struct file_config *c = config;
    if (!c->bytes || c->bytes == lun->info.bytes)
        return 0;
    if (c->bytes % lun->info.block_bytes)
        return file_host->fail(error, EINVAL, "%s: size is not a multiple of the block size %u",
                               c->path, lun->info.block_bytes);
    int32_t r = file_grow(lun->fd.fd, c, lun->info.bytes, error);
    if (r == 0) {
        lun->info.bytes = c->bytes;
        file_host->lu_changed(lun->lun, &lun->info);
    }
    return r;
}

/* Blocks of the file, and those that the file system has left for anybody. */
static int32_t file_space(void *handle, struct hf_space *ret_space)
{
    const struct file_lun *lun = handle;
    struct stat st;
    struct statvfs fs;
    if (fstat(lun->fd.fd, &st) < 0 || fstatvfs(lun->fd.fd, &fs) < 0)
        return -errno;
    ret_space->known = HF_SPACE_USED | HF_SPACE_AVAILABLE | HF_SPACE_SHARED;
    ret_space->used_bytes = (uint64_t)st.st_blocks * 512;
    ret_space->available_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

static int32_t file_load(const struct hf_host *host, struct hf_error *error)
{
    file_host = host;
    return 0;
}

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .io_bytes = FD_IO_BYTES,
    .queue_depth = 256,
    .validate = file_validate,
    .open = file_open_lun,
    .update = file_update,
    .close = file_close,
    .queue_open = fd_queue_open,
    .submit = fd_queue_submit,
    .cancel = fd_queue_cancel,
    .queue_close = fd_queue_close,
    .space = file_space,
};

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "file",
        .version = HOLDFAST_VERSION,
        .summary = "a disk in a file",
        .options = options,
        .config_bytes = sizeof(struct file_config),
        .ops = &ops,
        .load = file_load,
    };
    return &plugin;
}
