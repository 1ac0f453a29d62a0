/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handler whose open(), update() and close() take as long as its options say: the daemon must go on
 * meanwhile. The disk is memory of the keeper's.
 */
#include <errno.h>
#include <holdfast/handler.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct hf_host *host;

struct config {
    uint64_t bytes, open_ns, update_ns, close_ns;
};

#define ROW .size = sizeof(struct hf_option)
#define TAKES(what, field, class)                                                                  \
    {                                                                                              \
        ROW, .type = HF_OPTION_DURATION, .name = what, .help = "how long it takes",                \
             .default_value = "0", .change = class, .offset = offsetof(struct config, field)       \
    }

static const struct hf_option options[] = {
    { ROW, .type = HF_OPTION_SIZE, .name = "size", .help = "of the disk", .default_value = "8M",
      .offset = offsetof(struct config, bytes) },
    TAKES("open", open_ns, HF_CHANGE_REOPEN),
    TAKES("update", update_ns, HF_CHANGE_LIVE),
    TAKES("close", close_ns, HF_CHANGE_LIVE),
    { .size = 0 },
};

struct lun {
    struct hf_lun *name;
    const struct config *config;
    int fd;
};

static void wait_ns(uint64_t ns)
{
    nanosleep(&(struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) }, NULL);
}

static int32_t slow_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                         void **ret_handle, struct hf_error *error)
{
    const struct config *c = config;
    struct lun *lun = calloc(1, sizeof(*lun));
    *lun = (struct lun){ how->lun, c, -1 };
    wait_ns(c->open_ns);
    int32_t r = host->memfd_get(how->lun, c->bytes, &lun->fd, NULL, error);
    if (r < 0) {
        free(lun);
        return r;
    }
    info->bytes = c->bytes;
    info->block_bytes = 512;
    *ret_handle = lun;
    return 0;
}

static int32_t slow_update(void *handle, const void *config, struct hf_error *error)
{
    struct lun *lun = handle;
    const struct config *c = config;
    struct hf_lun_info info = { .size = sizeof(info), .bytes = c->bytes, .block_bytes = 512 };
    wait_ns(c->update_ns);
    if (c->bytes < lun->config->bytes || ftruncate(lun->fd, (off_t)c->bytes) < 0)
        return -EINVAL;
    lun->config = c;
    host->lu_changed(lun->name, &info);
    return 0;
}

static void slow_close(void *handle)
{
    struct lun *lun = handle;
    wait_ns(lun->config->close_ns);
    close(lun->fd);
    free(lun);
}

static int32_t slow_pread(void *handle, void *buffer, uint64_t length, uint64_t offset)
{
    return pread(((struct lun *)handle)->fd, buffer, length, (off_t)offset) < 0 ? -errno : 0;
}

static int32_t slow_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                           uint32_t flags)
{
    return pwrite(((struct lun *)handle)->fd, buffer, length, (off_t)offset) < 0 ? -errno : 0;
}

static int32_t slow_flush(void *handle)
{
    return 0;
}

static int32_t slow_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_handler_ops ops = {
        .size = sizeof(ops),
        .shape = HF_SHAPE_BLOCKING_PARALLEL,
        .queue_depth = 8,
        .open = slow_open,
        .update = slow_update,
        .close = slow_close,
        .pread = slow_pread,
        .pwrite = slow_pwrite,
        .flush = slow_flush,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "slow",
        .version = "1",
        .summary = "memory that is opened, changed and closed slowly",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = slow_load,
    };
    return &plugin;
}
