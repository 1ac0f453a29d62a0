/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handler with a fault: it reads zeroes and drops writes, but a write that begins with "POISON" ends
 * the process. For tests of what the daemon does about such an initiator. And about such a LUN: while the file
 * `plague` is there every I/O ends the process, or, when its first byte is an o, already open() does; with an f
 * open() fails, with an h it hangs, both as long as that is in the file.
 */
#include <errno.h>
#include <holdfast/handler.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LUN_BYTES (64u << 20)

static const struct hf_host *host;

struct config {
    const char *plague;
};

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_PATH,
      .name = "plague",
      .help = "a file",
      .offset = offsetof(struct config, plague) },
    { .size = 0 },
};

struct poison_lun {
    char plague[4096];
};

struct poison_queue {
    struct poison_lun *lun;
    struct hf_queue *queue;
};

/* The first byte of the file; EOF: there is none. */
static int plague(const struct poison_lun *lun)
{
    FILE *file = lun->plague[0] ? fopen(lun->plague, "r") : NULL;
    int first = file ? fgetc(file) : EOF;
    if (file)
        fclose(file);
    return first;
}

/* What open() meets. 0, or negative errno. */
static int32_t open_plagued(const struct poison_lun *lun)
{
    while (plague(lun) == 'h')
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    int first = plague(lun);
    if (first == 'o')
        abort();
    return first == 'f' ? -EIO : 0;
}

static int32_t poison_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                           void **ret_handle, struct hf_error *error)
{
    const struct config *c = config;
    struct poison_lun *lun = calloc(1, sizeof(*lun));
    if (!lun)
        return -12;
    if (c->plague)
        strncpy(lun->plague, c->plague, sizeof(lun->plague) - 1);
    int32_t r = open_plagued(lun);
    if (r < 0) {
        free(lun);
        return r;
    }
    info->bytes = LUN_BYTES;
    info->block_bytes = how->block_bytes ? how->block_bytes : 512;
    info->features = HF_FEATURE_IMMEDIATE;
    *ret_handle = lun;
    return 0;
}

static int32_t poison_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                                 struct hf_error *error)
{
    struct poison_queue *q = calloc(1, sizeof(*q));
    if (!q)
        return -12;
    q->lun = handle;
    q->queue = queue;
    *ret_queue = q;
    return 0;
}

static void poison_submit(void *queue, struct hf_io *io)
{
    struct poison_queue *q = queue;
    int first = plague(q->lun);
    if (first != EOF && first != 'f' && first != 'h')
        abort();
    if (io->op == HF_OP_WRITE && !memcmp(io->iov[0].iov_base, "POISON", 6))
        abort();
    if (io->op == HF_OP_READ)
        for (uint32_t i = 0; i < io->iov_count; i++)
            memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
    host->complete(q->queue, io->id, 0);
}

static void poison_free(void *handle)
{
    free(handle);
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
    .close = poison_free,
    .queue_open = poison_queue_open,
    .submit = poison_submit,
    .queue_close = poison_free,
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
        .options = options,
        .config_bytes = sizeof(struct config),
        .load = poison_load,
    };
    return &plugin;
}
