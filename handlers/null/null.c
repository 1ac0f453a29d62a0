/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler "null": reads are zeroes, writes vanish. For measuring everything but storage, and sizes
 * that no disk has. It answers within submit, and its handle never changes but for update().
 */
#include <errno.h>
#include <holdfast/handler.h>
#include <stdlib.h>
#include <string.h>

static const struct hf_host *host;

struct config {
    uint64_t bytes;
};

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_SIZE,
      .name = "size",
      .help = "size of the disk",
      .change = HF_CHANGE_LIVE,
      .flags = HF_OPTION_REQUIRED,
      .min = 4096,
      .max = INT64_MAX - 4095,
      .offset = offsetof(struct config, bytes) },
    { .size = 0 },
};

struct null_lun {
    struct hf_lun *lun;
    struct hf_lun_info info;
};

static int32_t null_validate(const void *config, struct hf_error *error)
{
    const struct config *c = config;
    return c->bytes % 512 ? host->fail(error, EINVAL, "size must be a multiple of 512") : 0;
}

static int32_t check_blocks(const struct config *c, uint32_t block_bytes, struct hf_error *error)
{
    return c->bytes % block_bytes
               ? host->fail(error, EINVAL, "size is not a multiple of %u", block_bytes)
               : 0;
}

static int32_t null_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                         void **ret_handle, struct hf_error *error)
{
    const struct config *c = config;
    uint32_t block_bytes = how->block_bytes ? how->block_bytes : 512;
    struct null_lun *lun;
    int32_t r = check_blocks(c, block_bytes, error);
    if (r < 0)
        return r;
    lun = calloc(1, sizeof(*lun));
    if (!lun)
        return host->fail(error, ENOMEM, "no memory");
    info->bytes = c->bytes;
    info->block_bytes = block_bytes;
    info->features = HF_FEATURE_FUA | HF_FEATURE_UNMAP | HF_FEATURE_WRITE_ZEROES |
                     HF_FEATURE_ZEROES_UNMAPPED | HF_FEATURE_BLOCK_STATUS | HF_FEATURE_IMMEDIATE;
    lun->lun = how->lun;
    lun->info = *info;
    *ret_handle = lun;
    return 0;
}

static int32_t null_update(void *handle, const void *config, struct hf_error *error)
{
    struct null_lun *lun = handle;
    const struct config *c = config;
    int32_t r = check_blocks(c, lun->info.block_bytes, error);
    if (r == 0 && lun->info.bytes != c->bytes) {
        lun->info.bytes = c->bytes;
        host->lu_changed(lun->lun, &lun->info);
    }
    return r;
}

static int32_t null_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                               struct hf_error *error)
{
    *ret_queue = queue;
    return 0;
}

static void null_submit(void *queue, struct hf_io *io)
{
    if (io->op == HF_OP_READ)
        for (uint32_t i = 0; i < io->iov_count; i++)
            memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
    io->extent_bytes = io->length;
    io->extent_mapped = 0;
    host->complete((struct hf_queue *)queue, io->id, 0);
}

static void null_queue_close(void *queue)
{
}

static int32_t null_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .validate = null_validate,
    .open = null_open,
    .update = null_update,
    .close = free,
    .queue_open = null_queue_open,
    .submit = null_submit,
    .queue_close = null_queue_close,
};

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "null",
        .version = HOLDFAST_VERSION,
        .summary = "reads zeroes, drops writes",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = null_load,
    };
    return &plugin;
}
