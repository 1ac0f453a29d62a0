/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole storage handler: eight megabytes a LUN, in memory, gone when it is closed. */
#include <holdfast/handler.h>
#include <stdlib.h>
#include <string.h>

#define BYTES (8 << 20)

static int32_t my_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                       void **ret_handle, struct hf_error *error)
{
    info->bytes = BYTES;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    *ret_handle = calloc(1, BYTES);
    return *ret_handle ? 0 : -12;
}

static int32_t my_pread(void *disk, void *buffer, uint64_t length, uint64_t offset)
{
    memcpy(buffer, (char *)disk + offset, length);
    return 0;
}

static int32_t my_pwrite(void *disk, const void *buffer, uint64_t length, uint64_t offset,
                         uint32_t flags)
{
    memcpy((char *)disk + offset, buffer, length);
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_handler_ops ops = { .size = sizeof(ops),
                                               .shape = HF_SHAPE_BLOCKING_SERIAL,
                                               .open = my_open,
                                               .close = free,
                                               .pread = my_pread,
                                               .pwrite = my_pwrite };
    static const struct hf_plugin plugin = { .size = sizeof(plugin),
                                             .api_major = HF_API_MAJOR,
                                             .kind = HF_KIND_HANDLER,
                                             .name = "heap",
                                             .version = "1",
                                             .summary = "a disk on the heap",
                                             .ops = &ops };
    return &plugin;
}
