/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler log: wraps another handler and adds a line to a file for each I/O when it ends:
 *
 *     2026-11-25T18:42:53.123456 write 4096 8192 fua 0 153us
 *     end of the I/O, operation, offset and length in bytes, flags or -, result (0 or errno), time taken
 */
#include "wrap.h"
#include "writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <holdfast/handler.h>

struct config {
    const struct hf_lower_config *of;
    const char *path;
    uint64_t limit;
    uint32_t trace, reserved;
};

struct disk {
    struct hf_lun *name; /* the daemon's */
    struct hf_lower *lower;
    struct writer *writer;
    _Atomic uint32_t on;
};

struct queue {
    struct disk *disk;
    struct hf_queue *name; /* the daemon's */
};

/* In hf_io.room. */
struct traced {
    struct hf_lower_io below; /* first */
    struct queue *queue;
    struct hf_io *io;
    struct timespec begun;
};
_Static_assert(sizeof(struct traced) <= HF_IO_BYTES_MAX, "it is not too large");

static const struct hf_host *host;

/* ------------------------------------------------------------------------------------------ lines */

static const char *op_name(uint32_t op)
{
    static const char *const names[] = {
        "?", "read", "write", "flush", "unmap", "zeroes", "status"
    };
    return op < sizeof(names) / sizeof(*names) ? names[op] : "?";
}

static const char *flags_name(uint32_t flags)
{
    static const char *const names[] = { "-", "fua", "unmap", "fua+unmap" };
    return names[flags & (HF_IO_FUA | HF_IO_UNMAP)];
}

static uint64_t us_since(const struct timespec *begun)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)((now.tv_sec - begun->tv_sec) * 1000000 +
                      (now.tv_nsec - begun->tv_nsec) / 1000);
}

static void add_line(const struct traced *traced, int32_t result)
{
    char line[192];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    n += (size_t)snprintf(
        line + n, sizeof(line) - n, ".%06ld %s %" PRIu64 " %" PRIu64 " %s %d %" PRIu64 "us\n",
        now.tv_nsec / 1000, op_name(traced->io->op), traced->io->offset, traced->io->length,
        flags_name(traced->io->flags), -result, us_since(&traced->begun));
    writer_add(traced->queue->disk->writer, line, n);
}

/* ------------------------------------------------------------------------------------------- I/O */

static void below_done(struct hf_lower_io *below, int32_t result)
{
    struct traced *traced = (struct traced *)below;
    wrap_answer(traced->io, below);
    if (atomic_load_explicit(&traced->queue->disk->on, memory_order_relaxed))
        add_line(traced, result);
    host->complete(traced->queue->name, traced->io->id, result);
}

static void log_submit(void *queue, struct hf_io *io)
{
    struct traced *traced = io->room;
    traced->queue = queue;
    traced->io = io;
    clock_gettime(CLOCK_MONOTONIC, &traced->begun);
    wrap_io(&traced->below, io, below_done);
    host->lower_submit(traced->queue->name, traced->queue->disk->lower, &traced->below);
}

static void log_cancel(void *queue, struct hf_io *io)
{
    struct traced *traced = io->room;
    host->lower_cancel(traced->queue->name, traced->queue->disk->lower, &traced->below);
}

static int32_t log_queue_open(void *handle, struct hf_queue *name, void **ret_queue,
                              struct hf_error *error)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (!q)
        return host->fail(error, ENOMEM, "no memory");
    *q = (struct queue){ handle, name };
    *ret_queue = q;
    return 0;
}

/* -------------------------------------------------------------------------------- open and close */

static int32_t log_validate(const void *config, struct hf_error *error)
{
    return wrap_check(host, error);
}

static void log_lower_changed(void *handle, const struct hf_lun_info *below)
{
    const struct disk *disk = handle;
    wrap_changed(host, disk->name, below);
}

static int32_t log_space(void *handle, struct hf_space *ret_space)
{
    const struct disk *disk = handle;
    return wrap_space(host, disk->lower, ret_space);
}

static int32_t log_open(const struct hf_open *how, const void *data, struct hf_lun_info *info,
                        void **ret_handle, struct hf_error *error)
{
    const struct config *config = data;
    struct disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return host->fail(error, ENOMEM, "no memory");
    disk->name = how->lun;
    disk->on = config->trace;
    int32_t r = host->lower_open(how->lun, config->of, info, &disk->lower, error);
    if (r == 0 && !(disk->writer = writer_open(config->path, config->limit)))
        r = host->fail(error, errno, "%s: %s", config->path, strerror(errno));
    if (r < 0) {
        free(disk);
        return r;
    }
    wrap_info(info);
    *ret_handle = disk;
    return 0;
}

static int32_t log_update(void *handle, const void *data, struct hf_error *error)
{
    struct disk *disk = handle;
    const struct config *config = data;
    atomic_store_explicit(&disk->on, config->trace, memory_order_relaxed);
    return 0;
}

static void log_close(void *handle)
{
    struct disk *disk = handle;
    writer_close(disk->writer);
    free(disk);
}

static int32_t log_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_HANDLER,
      .name = "of",
      .help = "the handler that is wrapped",
      .change = HF_CHANGE_REOPEN,
      .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, of) },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_PATH,
      .name = "path",
      .help = "the file that gets a line an I/O",
      .change = HF_CHANGE_REOPEN,
      .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, path) },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_SIZE,
      .name = "limit",
      .help = "what is written to the file at most",
      .default_value = "1G",
      .change = HF_CHANGE_REOPEN,
      .min = 4096,
      .max = 1ull << 50,
      .offset = offsetof(struct config, limit) },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_BOOL,
      .name = "trace",
      .help = "no: lines are added from when it is yes; may change under I/O",
      .default_value = "yes",
      .change = HF_CHANGE_LIVE,
      .offset = offsetof(struct config, trace) },
    { .size = 0 },
};

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .io_bytes = sizeof(struct traced),
    .queue_depth = 256,
    .validate = log_validate,
    .open = log_open,
    .update = log_update,
    .close = log_close,
    .queue_open = log_queue_open,
    .submit = log_submit,
    .cancel = log_cancel,
    .queue_close = free,
    .lower_changed = log_lower_changed,
    .space = log_space,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "log",
        .version = HOLDFAST_VERSION,
        .summary = "wraps a handler and traces its I/O to a file",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = log_load,
    };
    return &plugin;
}
