/* SPDX-License-Identifier: BSD-3-Clause */
/* What a handler says of its LUN, checked so that the scsi layer can compute with it, and in that layer's words. */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "plugin/host.h"
#include "plugin/storage_private.h"

static bool power_of_two(uint32_t n)
{
    return n && (n & (n - 1)) == 0;
}

static const struct {
    uint32_t handler, backend;
} features[] = {
    { HF_FEATURE_READ_ONLY, BACKEND_FEATURE_READ_ONLY },
    { HF_FEATURE_FUA, BACKEND_FEATURE_FUA },
    { HF_FEATURE_UNMAP, BACKEND_FEATURE_UNMAP },
    { HF_FEATURE_WRITE_ZEROES, BACKEND_FEATURE_WRITE_ZEROES },
    { HF_FEATURE_ZEROES_UNMAPPED, BACKEND_FEATURE_ZEROES_UNMAPPED },
    { HF_FEATURE_VOLATILE_CACHE, BACKEND_FEATURE_VOLATILE_CACHE },
    { HF_FEATURE_BLOCK_STATUS, BACKEND_FEATURE_BLOCK_STATUS },
    { HF_FEATURE_IMMEDIATE, BACKEND_FEATURE_IMMEDIATE },
};

void lun_info_to_handler(const struct backend_info *from, struct hf_lun_info *to)
{
    struct hf_lun_info info = {
        .size = to->size,
        .bytes = from->bytes,
        .block_bytes = from->block_bytes,
        .physical_block_bytes = from->physical_block_bytes,
        .optimal_io_bytes = from->optimal_io_bytes,
        .max_io_bytes = from->max_io_bytes,
        .unmap_granularity_bytes = from->unmap_granularity_bytes,
        .rotational = from->rotational,
        .store_fd = -1,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++)
        if (from->features & features[i].backend)
            info.features |= features[i].handler;
    memcpy(to, &info, MIN(to->size, sizeof(info)));
}

static uint32_t take_features(const struct hf_lun *lun, uint32_t theirs)
{
    uint32_t ours = lun->read_only ? BACKEND_FEATURE_READ_ONLY : 0;
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++)
        if (theirs & features[i].handler)
            ours |= features[i].backend;
    if (lun->ops->shape != HF_SHAPE_QUEUE)
        ours &= ~BACKEND_FEATURE_IMMEDIATE;
    return ours;
}

/* Declared features of a blocking handler need their functions. */
static int check_functions(const struct hf_lun *lun, uint32_t theirs, struct hf_error *error)
{
    const struct hf_handler_ops *ops = lun->ops;
    const char *missing = NULL;
    if (ops->shape == HF_SHAPE_QUEUE)
        return 0;
    if (theirs & HF_FEATURE_VOLATILE_CACHE && !ops->flush)
        missing = "flush";
    if (theirs & HF_FEATURE_UNMAP && !ops->unmap)
        missing = "unmap";
    if (theirs & HF_FEATURE_WRITE_ZEROES && !ops->write_zeroes)
        missing = "write_zeroes";
    if (theirs & HF_FEATURE_BLOCK_STATUS && !ops->block_status)
        missing = "block_status";
    return missing
               ? plugin_fail(error, EINVAL, "handler %s declares a feature and has no operation %s",
                             lun->plugin->info.name, missing)
               : 0;
}

int lun_check_info(const struct hf_lun *lun, const struct hf_lun_info *info,
                   unsigned asked_block_bytes, struct hf_error *error)
{
    const char *name = lun->plugin->info.name;
    if (info->block_bytes != 512 && info->block_bytes != 4096)
        return plugin_fail(error, EINVAL, "handler %s: block size %u is neither 512 nor 4096", name,
                           info->block_bytes);
    if (asked_block_bytes && asked_block_bytes != info->block_bytes)
        return plugin_fail(error, EINVAL,
                           "handler %s: blocks of %u bytes are not to be had (%u are)", name,
                           asked_block_bytes, info->block_bytes);
    if (info->bytes == 0 || info->bytes % info->block_bytes || info->bytes > INT64_MAX)
        return plugin_fail(error, EINVAL,
                           "handler %s: size %" PRIu64 " is not a number of %u-byte blocks", name,
                           info->bytes, info->block_bytes);
    if (info->physical_block_bytes && (!power_of_two(info->physical_block_bytes) ||
                                       info->physical_block_bytes < info->block_bytes))
        return plugin_fail(error, EINVAL, "handler %s: physical block size %u", name,
                           info->physical_block_bytes);
    if (info->max_io_bytes % info->block_bytes || info->optimal_io_bytes % info->block_bytes ||
        info->unmap_granularity_bytes % info->block_bytes)
        return plugin_fail(error, EINVAL, "handler %s: a limit is not a number of whole blocks",
                           name);
    return check_functions(lun, info->features, error);
}

struct backend_info lun_convert_info(const struct hf_lun *lun, const struct hf_lun_info *info)
{
    return (struct backend_info){
        .bytes = info->bytes,
        .block_bytes = info->block_bytes,
        .physical_block_bytes =
            info->physical_block_bytes ? info->physical_block_bytes : info->block_bytes,
        .optimal_io_bytes = info->optimal_io_bytes,
        .max_io_bytes = info->max_io_bytes,
        .unmap_granularity_bytes = info->unmap_granularity_bytes,
        .features = take_features(lun, info->features),
        .store_arena = lun->store_arena,
        .rotational = info->rotational != 0,
    };
}
