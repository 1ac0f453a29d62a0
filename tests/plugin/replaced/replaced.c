/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handler whose shared object is replaced under a running service: a disk in memory that outlives the
 * worker. REPLACED_BY says which version it is, or what is wrong with it.
 */
#include <holdfast/handler.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOOD    1
#define BETTER  2
#define CRASHES 3 /* in its constructor */
#define HANGS   4 /* there */
#define EXITS   5 /* there */
#define FUTURE  6 /* another API */
#define JUDGES  7 /* crashes when it looks at its options */
#define SHORT   8 /* says a size that no version has */

static const struct hf_host *host;

struct config {
    uint64_t bytes;
};

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_SIZE,
      .name = "size",
      .help = "size of the disk",
      .change = HF_CHANGE_IDENTITY,
      .flags = HF_OPTION_REQUIRED,
      .min = 4096,
      .max = UINT64_C(1) << 30,
      .offset = offsetof(struct config, bytes) },
    { .size = 0 },
};

#if REPLACED_BY == CRASHES || REPLACED_BY == HANGS || REPLACED_BY == EXITS
__attribute__((constructor)) static void begin(void)
{
#if REPLACED_BY == CRASHES
    raise(SIGSEGV);
#elif REPLACED_BY == EXITS
    _exit(3);
#endif
    for (;;)
        pause();
}
#endif

static int32_t my_validate(const void *config, struct hf_error *error)
{
#if REPLACED_BY == JUDGES
    raise(SIGSEGV);
#endif
    return 0;
}

static int32_t my_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                       void **ret_handle, struct hf_error *error)
{
    const struct config *c = config;
    int *fd = malloc(sizeof(*fd));
    int32_t r = fd ? host->memfd_get(how->lun, c->bytes, fd, NULL, error)
                   : host->fail(error, 12, "no memory");
    if (r < 0) {
        free(fd);
        return r;
    }
    info->bytes = c->bytes;
    info->block_bytes = 512;
    *ret_handle = fd;
    return 0;
}

static void my_close(void *handle)
{
    close(*(int *)handle);
    free(handle);
}

static int32_t my_pread(void *handle, void *buffer, uint64_t length, uint64_t offset)
{
    return pread(*(int *)handle, buffer, length, (off_t)offset) == (ssize_t)length ? 0 : -5;
}

static int32_t my_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                         uint32_t flags)
{
    return pwrite(*(int *)handle, buffer, length, (off_t)offset) == (ssize_t)length ? 0 : -5;
}

static int32_t my_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_handler_ops ops = {
        .size = sizeof(ops),
        .shape = HF_SHAPE_BLOCKING_PARALLEL,
        .validate = my_validate,
        .open = my_open,
        .close = my_close,
        .pread = my_pread,
        .pwrite = my_pwrite,
    };
    static const struct hf_plugin plugin = {
        .size = REPLACED_BY == SHORT ? 8 : sizeof(plugin),
        .api_major = REPLACED_BY == FUTURE ? HF_API_MAJOR + 1 : HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "replaced",
        .version = REPLACED_BY == BETTER ? "2" : "1",
        .summary = REPLACED_BY == BETTER ? "the better one" : "the good one",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = my_load,
    };
    return &plugin;
}
