/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler fault: wraps another handler and lets go wrong what the rules say, for people who test
 * initiators and failover.
 *
 *   error   the I/O is not done and answered with the error
 *   delay   it is done after `delay`
 *   hang    it is not answered until the rules are changed; then it is judged again. A hint to cancel
 *           is ignored, as hardware does
 *   tear    a write reaches the disk up to the middle, and is answered with the error
 *   lose    it is not done and answered as if it was: a lost flush, a lost write
 *
 * An I/O below runs in its room. What waits is in one list a queue; a timer looks at it.
 */
#include "fault.h"
#include "wrap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS  50000000u /* how often hanging I/Os look for new rules */
#define TORN_MAX 1024u     /* pieces of memory of a write that can be torn */

struct disk {
    struct rules rules;
    struct hf_lun *name; /* the daemon's */
    struct hf_lower *lower;
    uint32_t block_bytes;
};

struct queue {
    struct disk *disk;
    struct hf_queue *name; /* the daemon's */
    struct held *hanging;
    struct hf_timer timer;
};

/* In hf_io.room. */
struct held {
    struct hf_lower_io below;
    struct hf_timer timer;
    struct held *next;
    struct queue *queue;
    struct hf_io *io;
    uint64_t version;  /* of the rules that let it hang */
    int32_t error;     /* of a torn write */
    struct iovec *iov; /* of a torn write; NULL otherwise */
};
_Static_assert(sizeof(struct held) <= HF_IO_BYTES_MAX, "it is not too large");

static const struct hf_host *host;

/* ---------------------------------------------------------------------------------- what happens */

static void complete(struct held *held, int32_t result)
{
    free(held->iov);
    host->complete(held->queue->name, held->io->id, result);
}

static void below_done(struct hf_lower_io *below, int32_t result)
{
    struct held *held = (struct held *)below; /* its first member */
    wrap_answer(held->io, below);
    complete(held, result == 0 ? held->error : result);
}

static void pass_on(struct held *held)
{
    wrap_io(&held->below, held->io, below_done);
    host->lower_submit(held->queue->name, held->queue->disk->lower, &held->below);
}

/* Half of the blocks, at least none. */
static void tear(struct held *held)
{
    const struct hf_io *io = held->io;
    uint32_t block = held->queue->disk->block_bytes;
    uint64_t left = io->length / block / 2 * block;
    if (io->op != HF_OP_WRITE || left == 0 || io->iov_count > TORN_MAX ||
        !(held->iov = calloc(io->iov_count, sizeof(*held->iov)))) {
        complete(held, held->error);
        return;
    }
    wrap_io(&held->below, io, below_done);
    held->below.iov = held->iov;
    held->below.iov_count = 0;
    held->below.length = left;
    for (uint32_t i = 0; left > 0; i++) {
        uint64_t piece = io->iov[i].iov_len < left ? io->iov[i].iov_len : left;
        held->iov[i] = (struct iovec){ io->iov[i].iov_base, piece };
        held->below.iov_count++;
        left -= piece;
    }
    host->lower_submit(held->queue->name, held->queue->disk->lower, &held->below);
}

static void delay_over(struct hf_timer *timer)
{
    pass_on((struct held *)((char *)timer - offsetof(struct held, timer)));
}

static void hang(struct held *held)
{
    struct queue *q = held->queue;
    held->next = q->hanging;
    if (!q->hanging)
        host->timer_start(q->name, &q->timer, LOOK_NS);
    q->hanging = held;
}

static void judge(struct held *held)
{
    struct queue *q = held->queue;
    uint64_t version = q->disk->rules.version;
    struct verdict verdict = rules_judge(&q->disk->rules, held->io);
    held->error = verdict.action == ACTION_TEAR ? verdict.error : 0;
    held->version = version;
    switch (verdict.action) {
    case ACTION_ERROR:
        complete(held, verdict.error);
        return;
    case ACTION_LOSE:
        complete(held, 0);
        return;
    case ACTION_TEAR:
        tear(held);
        return;
    case ACTION_DELAY:
        host->timer_start(q->name, &held->timer, verdict.delay_ns);
        return;
    case ACTION_HANG:
        hang(held);
        return;
    default:
        pass_on(held);
    }
}

/* With new rules, what hangs is judged by them; the others hang on. */
static void look(struct hf_timer *timer)
{
    struct queue *q = (struct queue *)((char *)timer - offsetof(struct queue, timer));
    uint64_t version = q->disk->rules.version;
    struct held *todo = q->hanging, *next;
    q->hanging = NULL;
    for (; todo; todo = next) {
        next = todo->next;
        if (todo->version == version)
            hang(todo);
        else
            judge(todo);
    }
}

/* ---------------------------------------------------------------------------------------- queues */

static int32_t fault_queue_open(void *handle, struct hf_queue *name, void **ret_queue,
                                struct hf_error *error)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (!q)
        return host->fail(error, ENOMEM, "no memory");
    q->disk = handle;
    q->name = name;
    q->timer = (struct hf_timer){ .size = sizeof(q->timer), .fired = look };
    *ret_queue = q;
    return 0;
}

static void fault_submit(void *queue, struct hf_io *io)
{
    struct held *held = io->room;
    memset(&held->timer, 0, sizeof(held->timer));
    held->timer.size = sizeof(held->timer);
    held->timer.fired = delay_over;
    held->queue = queue;
    held->io = io;
    held->iov = NULL;
    judge(held);
}

static void fault_queue_close(void *queue)
{
    struct queue *q = queue;
    host->timer_stop(q->name, &q->timer);
    free(q);
}

/* -------------------------------------------------------------------------------- open and close */

static int32_t fault_validate(const void *data, struct hf_error *error)
{
    const struct config *config = data;
    const struct rule *rules = config->rules.items;
    int32_t r = wrap_check(host, error);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < config->rules.count; i++) {
        if (rules[i].action == ACTION_DELAY && rules[i].delay_ns == 0)
            return host->fail(error, EINVAL, "rule %u: a delay of 0", i + 1);
        if (rules[i].to && rules[i].to <= rules[i].from)
            return host->fail(error, EINVAL, "rule %u: to is not above from", i + 1);
        if (rules[i].action == ACTION_TEAR && rules[i].op != OP_WRITE)
            return host->fail(error, EINVAL, "rule %u: only a write can be torn", i + 1);
    }
    return 0;
}

static void fault_lower_changed(void *handle, const struct hf_lun_info *below)
{
    const struct disk *disk = handle;
    wrap_changed(host, disk->name, below);
}

static int32_t fault_space(void *handle, struct hf_space *ret_space)
{
    const struct disk *disk = handle;
    return wrap_space(host, disk->lower, ret_space);
}

static int32_t fault_open(const struct hf_open *how, const void *data, struct hf_lun_info *info,
                          void **ret_handle, struct hf_error *error)
{
    const struct config *config = data;
    struct disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return host->fail(error, ENOMEM, "no memory");
    int32_t r = host->lower_open(how->lun, config->of, info, &disk->lower, error);
    if (r < 0) {
        free(disk);
        return r;
    }
    pthread_mutex_init(&disk->rules.lock, NULL);
    rules_set(&disk->rules, config);
    disk->block_bytes = info->block_bytes;
    disk->name = how->lun;
    wrap_info(info);
    *ret_handle = disk;
    return 0;
}

static int32_t fault_update(void *handle, const void *config, struct hf_error *error)
{
    struct disk *disk = handle;
    rules_set(&disk->rules, config);
    return 0;
}

static void fault_close(void *handle)
{
    struct disk *disk = handle;
    pthread_mutex_destroy(&disk->rules.lock);
    free(disk);
}

static int32_t fault_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

/* ------------------------------------------------------------------------------------- options */

#define ROW        .size = sizeof(struct hf_option)
#define AT(member) .offset = offsetof(struct rule, member)

static const char *const op_words[] = { "any", "read", "write", "flush", "unmap", "zeroes", NULL };
static const char *const action_words[] = { "error", "delay", "hang", "tear", "lose", NULL };

static const struct hf_option rule_options[] = {
    { ROW, .type = HF_OPTION_CHOICE, .name = "op", .help = "which I/Os", .default_value = "any",
      .choices = op_words, AT(op) },
    { ROW, .type = HF_OPTION_CHOICE, .name = "action", .help = "what becomes of them",
      .default_value = "error", .choices = action_words, AT(action) },
    { ROW, .type = HF_OPTION_CHOICE, .name = "error", .help = "of error and tear; none: success",
      .default_value = "EIO", .choices = fault_errors, AT(error) },
    { ROW, .type = HF_OPTION_DURATION, .name = "delay", .help = "of delay", AT(delay_ns) },
    { ROW, .type = HF_OPTION_SIZE, .name = "from", .help = "first byte of the range",
      .default_value = "0", AT(from) },
    { ROW, .type = HF_OPTION_SIZE, .name = "to", .help = "byte after the range; 0: the end",
      .default_value = "0", AT(to) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "chance", .help = "in a million",
      .default_value = "1000000", .min = 1, .max = 1000000, AT(chance) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "every", .help = "only each n-th",
      .default_value = "1", .min = 1, .max = UINT32_MAX, AT(every) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "after", .help = "not the first n",
      .default_value = "0", AT(after) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "times", .help = "at most n of them; 0: any number",
      .default_value = "0", AT(times) },
    { .size = 0 },
};

static const struct hf_option options[] = {
    { ROW, .type = HF_OPTION_HANDLER, .name = "of", .help = "the handler that is wrapped",
      .change = HF_CHANGE_REOPEN, .flags = HF_OPTION_REQUIRED,
      .offset = offsetof(struct config, of) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "seed", .help = "of chance", .default_value = "1",
      .offset = offsetof(struct config, seed) },
    { ROW, .type = HF_OPTION_LIST, .name = "rules", .help = "the first that meets an I/O decides",
      .max = RULES_MAX, .item_type = HF_OPTION_TABLE, .table = rule_options,
      .table_bytes = sizeof(struct rule), .offset = offsetof(struct config, rules) },
    { .size = 0 },
};

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .io_bytes = sizeof(struct held),
    .queue_depth = 256,
    .validate = fault_validate,
    .open = fault_open,
    .update = fault_update,
    .close = fault_close,
    .queue_open = fault_queue_open,
    .submit = fault_submit,
    .queue_close = fault_queue_close,
    .lower_changed = fault_lower_changed,
    .space = fault_space,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "fault",
        .version = HOLDFAST_VERSION,
        .summary = "wraps a handler and lets go wrong what rules say",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = fault_load,
    };
    return &plugin;
}
