/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handler with a fault: it reads zeroes and drops writes, but a write that begins with "POISON" ends
 * the process. For tests of what the daemon does about such an initiator.
 */
#include <holdfast/handler.h>
#include <stdlib.h>
#include <string.h>

#define LUN_BYTES (64u << 20)

static const struct hf_host *host;

static int32_t poison_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                           void **ret_handle, struct hf_error *error)
{
    info->bytes = LUN_BYTES;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    info->features = HF_FEATURE_IMMEDIATE;
    *ret_handle = NULL;
    return 0;
}

static int32_t poison_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                                 struct hf_error *error)
{
    *ret_queue = queue;
    return 0;
}

static void poison_submit(void *queue, struct hf_io *io)
{
    if (io->op == HF_OP_WRITE && !memcmp(io->iov[0].iov_base, "POISON", 6))
        abort();
    if (io->op == HF_OP_READ)
        for (uint32_t i = 0; i < io->iov_count; i++)
            memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
    host->complete(queue, io->id, 0);
}

static void nothing(void *handle)
{
}

static int32_t poison_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .open = poison_open,
    .close = nothing,
    .queue_open = poison_queue_open,
    .submit = poison_submit,
    .queue_close = nothing,
};

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "poison",
        .version = "1",
        .summary = "ends the process when told to",
        .ops = &ops,
        .load = poison_load,
    };
    return &plugin;
}
