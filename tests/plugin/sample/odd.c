/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue handler that breaks the rules on demand: option `mode` says how. Eight I/Os a queue; the LUN
 * has 4 MiB and keeps nothing.
 */
#include <errno.h>
#include <holdfast/handler.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const struct hf_host *host;

enum mode { GOOD, TWICE, FOREIGN, NEVER, REMOTE, REMOTE_TWICE, POSITIVE, NO_QUEUE, SLOW_SPACE };
static const char *const modes[] = { "good",         "twice",    "foreign",  "never", "remote",
                                     "remote-twice", "positive", "no-queue", "slow-space", NULL };

struct config {
    uint32_t mode;
    uint32_t reserved;
};

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_CHOICE,
      .name = "mode",
      .help = "how",
      .default_value = "good",
      .choices = modes,
      .offset = offsetof(struct config, mode) },
    { .size = 0 },
};

struct odd_queue {
    enum mode mode;
    struct hf_queue *queue;
    uint64_t held[8];
    uint32_t held_count;
};

/* What another thread will say. */
struct answer {
    struct hf_queue *queue;
    uint64_t id;
    int times;
};

static void *say(void *argument)
{
    struct answer *answer = argument;
    while (answer->times-- > 0)
        host->complete_remote(answer->queue, answer->id, 0);
    free(answer);
    return NULL;
}

static void answer_elsewhere(const struct odd_queue *q, const struct hf_io *io, int times)
{
    pthread_t thread;
    struct answer *answer = malloc(sizeof(*answer));
    *answer = (struct answer){ q->queue, io->id, times };
    if (pthread_create(&thread, NULL, say, answer) == 0)
        pthread_detach(thread);
}

static void odd_submit(void *queue, struct hf_io *io)
{
    struct odd_queue *q = queue;
    uint64_t id = io->id;
    switch (q->mode) {
    case NEVER:
        q->held[q->held_count++] = id;
        return;
    case REMOTE:
    case REMOTE_TWICE:
        answer_elsewhere(q, io, q->mode == REMOTE ? 1 : 2);
        return;
    case FOREIGN:
        host->complete(q->queue, id + 1, 0);
        host->complete(q->queue, 0, 0);
        host->complete(q->queue, UINT64_MAX, 0);
        break;
    default:
        break;
    }
    host->complete(q->queue, id, q->mode == POSITIVE ? 512 : 0);
    if (q->mode == TWICE)
        host->complete(q->queue, id, 0);
}

/* One that is cancelled lets all go. */
static void odd_cancel(void *queue, struct hf_io *io)
{
    struct odd_queue *q = queue;
    while (q->held_count > 0)
        host->complete(q->queue, q->held[--q->held_count], -ECANCELED);
}

static int32_t odd_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                              struct hf_error *error)
{
    const struct config *c = handle;
    struct odd_queue *q = calloc(1, sizeof(*q));
    if (c->mode == NO_QUEUE) {
        free(q);
        return host->fail(error, EMFILE, "no more queues");
    }
    q->mode = (enum mode)c->mode;
    q->queue = queue;
    *ret_queue = q;
    return 0;
}

static int32_t odd_open(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                        void **ret_handle, struct hf_error *error)
{
    info->bytes = 4 << 20;
    info->block_bytes = 512;
    *ret_handle = (void *)config;
    return 0;
}

static void odd_close(void *handle)
{
}

static int32_t odd_space(void *handle, struct hf_space *ret_space)
{
    const struct config *c = handle;
    if (c->mode == SLOW_SPACE)
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    ret_space->used_bytes = 4096;
    ret_space->available_bytes = 1;
    ret_space->known = HF_SPACE_USED;
    return c->mode == POSITIVE ? 1 : 0;
}

static int32_t odd_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_handler_ops ops = {
        .size = sizeof(ops),
        .shape = HF_SHAPE_QUEUE,
        .queue_depth = 8,
        .open = odd_open,
        .close = odd_close,
        .queue_open = odd_queue_open,
        .submit = odd_submit,
        .cancel = odd_cancel,
        .queue_close = free,
        .space = odd_space,
    };
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .kind = HF_KIND_HANDLER,
        .name = "odd",
        .version = "1",
        .summary = "breaks the rules",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = odd_load,
    };
    return &plugin;
}
