/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handler on a plain file with one fault each, chosen by -DFAULT="…"; without one it is a good handler.
 * What the conformance kit has to find is in meson.build beside it. Everything is done within
 * submit(), or in kick() for the faults that need I/Os under way.
 */
#include "wrong.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct hf_host *host;

static int32_t wrong_validate(const void *data, struct hf_error *error)
{
    const struct config *config = data;
    if (IS("validate-makes-the-file"))
        close(open(config->path, O_RDWR | O_CREAT, 0600));
    if (IS("validate-leaks"))
        return open("/dev/null", O_RDONLY) < 0 ? -errno : 0;
    return 0;
}

static int open_file(struct disk *disk, const struct hf_open *how, struct hf_error *error)
{
    const struct config *config = disk->config;
    if (IS("refuses-silently") && access(config->path, F_OK) < 0 && errno == ENOENT &&
        strncmp(config->path, "/nonexistent/", 13) == 0)
        return -ENOENT;
    disk->fd = open(config->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (disk->fd < 0)
        return host->fail(error, errno, "%s: %s", config->path, strerror(errno));
    if (IS("crashes-without-a-size") && !config->bytes)
        abort();
    disk->bytes = config->bytes ? config->bytes : 64u << 20;
    if (IS("fails-read-only") && how->read_only)
        return host->fail(error, EROFS, "not without writing");
    return ftruncate(disk->fd, (off_t)disk->bytes) < 0
               ? host->fail(error, errno, "%s: %s", config->path, strerror(errno))
               : 0;
}

/* The faults that write late do so from a copy in memory. */
static void open_cache(struct disk *disk)
{
    if (!IS("flush-does-nothing") && !IS("ignores-fua") && !IS("save-forgets"))
        return;
    disk->cache = malloc(disk->bytes);
    if (pread(disk->fd, disk->cache, disk->bytes, 0) < 0)
        abort();
}

static void *sleep_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void plant_at_open(struct disk *disk, struct hf_lun_info *info)
{
    pthread_t thread;
    if (IS("leaks-descriptors") && dup(disk->fd) < 0)
        abort();
    if (IS("leaks-threads"))
        pthread_create(&thread, NULL, sleep_for_ever, NULL);
    if (IS("store-is-another")) {
        info->store_fd = memfd_create("store", MFD_CLOEXEC);
        info->store_valid = ftruncate(info->store_fd, (off_t)disk->bytes) == 0;
    }
    if (IS("size-is-no-number-of-blocks"))
        info->bytes += 100;
}

static int32_t wrong_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                          void **ret_handle, struct hf_error *error)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    disk->config = config;
    int32_t r = open_file(disk, how, error);
    if (r < 0) {
        if (disk->fd > 0)
            close(disk->fd);
        free(disk);
        return r;
    }
    open_cache(disk);
    info->bytes = disk->bytes;
    info->block_bytes = disk->block = how->block_bytes ? how->block_bytes : 512;
    info->features = HF_FEATURE_FUA | HF_FEATURE_UNMAP | HF_FEATURE_WRITE_ZEROES |
                     HF_FEATURE_ZEROES_UNMAPPED | HF_FEATURE_VOLATILE_CACHE |
                     HF_FEATURE_BLOCK_STATUS | (IN_KICK ? 0 : HF_FEATURE_IMMEDIATE);
    plant_at_open(disk, info);
    *ret_handle = disk;
    return 0;
}

static int32_t wrong_save(void *handle, struct hf_error *error)
{
    struct disk *disk = handle;
    disk->saved = 1;
    return 0;
}

static void wrong_close(void *handle)
{
    struct disk *disk = handle;
    if (IS("hangs-in-close"))
        sleep_for_ever(NULL);
    if (IS("forgets-at-close") && ftruncate(disk->fd, 0) < 0)
        abort();
    if (disk->cache && !(IS("save-forgets") && disk->saved) &&
        pwrite(disk->fd, disk->cache, disk->bytes, 0) < 0)
        abort();
    free(disk->cache);
    close(disk->fd);
    free(disk);
}

static int32_t wrong_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return IS("does-not-load") ? host->fail(error, ENODEV, "the moon is not full") : 0;
}

__attribute__((constructor)) static void constructor(void)
{
    if (IS("crashes-in-constructor"))
        abort();
}

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_PATH,
      .name = "path",
      .help = "the file",
      .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, path) },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_SIZE,
      .name = "size",
      .help = "of the disk",
      .offset = offsetof(struct config, bytes) },
    { .size = 0 },
};

static const struct hf_handler_ops ops = {
    .size = IS("lies-about-its-size") ? 16 : sizeof(ops),
    .shape = IS("races") ? HF_SHAPE_BLOCKING_PARALLEL : HF_SHAPE_QUEUE,
    .io_bytes = sizeof(struct held),
    .validate = wrong_validate,
    .open = wrong_open,
    .save = wrong_save,
    .close = wrong_close,
    .pread = wrong_pread,
    .pwrite = wrong_pwrite,
    .flush = wrong_flush,
    .unmap = wrong_unmap,
    .write_zeroes = wrong_write_zeroes,
    .block_status = wrong_block_status,
    .queue_open = wrong_queue_open,
    .submit = wrong_submit,
    .kick = wrong_kick,
    .cancel = wrong_cancel,
    .queue_close = wrong_queue_close,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "wrong",
        .version = "1",
        .summary = "a disk with a fault: " FAULT,
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = wrong_load,
    };
    return &plugin;
}
