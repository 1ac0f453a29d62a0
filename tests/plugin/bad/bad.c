/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins with one thing wrong each, chosen by -DBAD_…; without one it is a good plugin. What the
 * loader says of them is in test-loader.c.
 */
#include <holdfast/handler.h>
#include <stdlib.h>

struct config {
    uint64_t bytes;
    uint64_t more;
};

#define ROW .size = sizeof(struct hf_option), .help = "help"

#if defined(BAD_NAME)
#define NAME "Bad Name"
#else
#define NAME "bad"
#endif

static const struct hf_option nested[] = {
    { ROW, .type = HF_OPTION_STRING, .name = "in", .offset = 8 },
    { .size = 0 },
};

static const struct hf_option options[] = {
    { ROW, .type = HF_OPTION_SIZE, .name = "size", .offset = offsetof(struct config, bytes) },
#if defined(BAD_TYPE)
    { ROW, .type = 99, .name = "more", .offset = offsetof(struct config, more) },
#elif defined(BAD_OFFSET)
    { ROW, .type = HF_OPTION_SIZE, .name = "more", .offset = 12 },
#elif defined(BAD_OFFSET_HUGE)
    { ROW, .type = HF_OPTION_SIZE, .name = "more", .offset = UINT64_MAX - 3 },
#elif defined(BAD_ALIGN)
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "more", .offset = 4 },
#elif defined(BAD_DOUBLE)
    { ROW, .type = HF_OPTION_SIZE, .name = "size", .offset = offsetof(struct config, more) },
#elif defined(BAD_OVERLAP)
    { ROW, .type = HF_OPTION_BOOL, .name = "more", .offset = 4 },
#elif defined(BAD_DEFAULT)
    { ROW, .type = HF_OPTION_SIZE, .name = "more", .default_value = "twelve",
      .offset = offsetof(struct config, more) },
#elif defined(BAD_RANGE)
    { ROW, .type = HF_OPTION_SIZE, .name = "more", .default_value = "4K", .max = 1024,
      .offset = offsetof(struct config, more) },
#elif defined(BAD_CHOICES)
    { ROW, .type = HF_OPTION_CHOICE, .name = "more", .offset = offsetof(struct config, more) },
#elif defined(BAD_NESTED)
    { ROW, .type = HF_OPTION_TABLE, .name = "more", .table = nested, .table_bytes = 8,
      .offset = offsetof(struct config, more) },
#endif
    { .size = 0 },
};

static int32_t my_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                       void **ret_handle, struct hf_error *error)
{
    return nested[0].size ? -5 : 0;
}

static int32_t my_pread(void *disk, void *buffer, uint64_t length, uint64_t offset)
{
    return -5;
}

#if !defined(BAD_OPERATION)
static int32_t my_pwrite(void *disk, const void *buffer, uint64_t length, uint64_t offset,
                         uint32_t flags)
{
    return -5;
}
#else
#define my_pwrite NULL
#endif

static int32_t my_load(const struct hf_host *host, struct hf_error *error)
{
#if defined(BAD_LOAD)
    return host->fail(error, 19, "the moon is not full");
#else
    return 0;
#endif
}

#if defined(BAD_LINK)
int nobody_has_this(void);
#define VERSION (nobody_has_this() ? "1" : "2")
#else
#define VERSION "1"
#endif

#if defined(BAD_SYMBOL)
const struct hf_plugin *hf_plugin_v0(void);
#define hf_plugin_v1 hf_plugin_v0
#endif

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_handler_ops ops = {
        .size = sizeof(ops),
#if defined(BAD_SHAPE)
        .shape = 7,
#else
        .shape = HF_SHAPE_BLOCKING_SERIAL,
#endif
        .open = my_open,
        .close = free,
        .pread = my_pread,
        .pwrite = my_pwrite,
    };
    static struct hf_plugin plugin = {
        .size = sizeof(plugin),
#if defined(BAD_VERSION)
        .api_major = 2,
        .api_minor = 3,
#else
        .api_major = HF_API_MAJOR,
#endif
        .kind = HF_KIND_HANDLER,
        .name = NAME,
        .summary = "has something wrong",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = my_load,
    };
    plugin.version = VERSION;
    return &plugin;
}
