/* SPDX-License-Identifier: BSD-3-Clause */
/* A storage handler in C, blocking shape: a disk on the heap, gone when the LUN is closed. */
#include <holdfast/handler.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One row of the table below a field. The daemon fills it from `options:` of the LUN. */
struct config {
    uint64_t bytes;
};

struct disk {
    char *data;
    uint64_t bytes;
};

static const struct hf_host *host;

static const struct hf_option options[] = {
    {
        .size = sizeof(struct hf_option),
        .type = HF_OPTION_SIZE,
        .name = "size",
        .help = "size of the disk",
        .default_value = "8M",
        .change = HF_CHANGE_IDENTITY, /* another size is another, empty disk */
        .min = 1 << 20,
        .max = 1ull << 40,
        .offset = offsetof(struct config, bytes),
    },
    { .size = 0 },
};

static int32_t heap_validate(const void *data, struct hf_error *error)
{
    const struct config *config = data;
    if (config->bytes % 4096)
        return host->fail(error, EINVAL, "size is not a multiple of 4096");
    return 0;
}

static int32_t heap_open(const struct hf_open *how, const void *data, struct hf_lun_info *info,
                         void **ret_handle, struct hf_error *error)
{
    const struct config *config = data;
    struct disk *disk = calloc(1, sizeof(*disk));
    if (disk)
        disk->data = calloc(1, config->bytes);
    if (!disk || !disk->data) {
        free(disk);
        return host->fail(error, ENOMEM, "no memory for %llu bytes",
                          (unsigned long long)config->bytes);
    }
    disk->bytes = info->bytes = config->bytes;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    info->features = HF_FEATURE_UNMAP | HF_FEATURE_ZEROES_UNMAPPED;
    *ret_handle = disk;
    return 0;
}

static void heap_close(void *handle)
{
    struct disk *disk = handle;
    free(disk->data);
    free(disk);
}

static int32_t heap_pread(void *handle, void *buffer, uint64_t length, uint64_t offset)
{
    struct disk *disk = handle;
    memcpy(buffer, disk->data + offset, length);
    return 0;
}

static int32_t heap_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                           uint32_t flags)
{
    struct disk *disk = handle;
    memcpy(disk->data + offset, buffer, length);
    return 0;
}

static int32_t heap_unmap(void *handle, uint64_t length, uint64_t offset)
{
    struct disk *disk = handle;
    memset(disk->data + offset, 0, length);
    return 0;
}

static int32_t heap_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_BLOCKING_PARALLEL,
    .validate = heap_validate,
    .open = heap_open,
    .close = heap_close,
    .pread = heap_pread,
    .pwrite = heap_pwrite,
    .unmap = heap_unmap,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "heap",
        .version = "1.0",
        .summary = "a disk on the heap",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = heap_load,
    };
    return &plugin;
}
