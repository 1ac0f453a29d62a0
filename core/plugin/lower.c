/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stacking: the LUN below one that wraps it, and timers. The lower one is a LUN like any other, opened
 * with the same bridge, only that its I/O comes from the handler above and its news go there. It is
 * closed after the one above. The daemon's part of an hf_lower_io or hf_timer lies in its room; like ring
 * requests, I/Os below keep the queue above from being closed.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "plugin/host.h"
#include "plugin/options_private.h"
#include "plugin/storage_private.h"

#define LOWERS_MAX 16

struct hf_lower {
    struct hf_lower *next;
    struct backend *backend;
};

/* ---------------------------------------------------------------------------------- open and close */

static unsigned count_lowers(const struct hf_lun *lun)
{
    unsigned n = 0;
    for (const struct hf_lower *lower = lun->lowers; lower; lower = lower->next)
        n++;
    for (; lun->above; lun = lun->above)
        n++;
    return n;
}

int32_t lower_host_open(struct hf_lun *lun, const struct hf_lower_config *config,
                        struct hf_lun_info *info, struct hf_lower **ret_lower,
                        struct hf_error *error)
{
    struct backend *backend;
    if (!lun->opening || !config || lun->ops->shape != HF_SHAPE_QUEUE)
        return plugin_fail(error, EINVAL,
                           "lower_open() is for handlers of the queue shape, within open()");
    if (count_lowers(lun) >= LOWERS_MAX)
        return plugin_fail(error, ELOOP, "more than %u handlers on each other", LOWERS_MAX);
    const struct storage_options options = {
        .services = lun->services,
        .plugin = config->plugin,
        .config = options_ref(config->config),
        .target = lun->target,
        .lun = lun->number,
        .read_only = lun->read_only,
        .block_bytes = lun->asked_block_bytes,
        .again = lun->again,
        .free_by_ns = lun->free_by_ns,
        .above = lun,
    };
    struct hf_error why = PLUGIN_ERROR_INIT;
    int r = storage_open(&options, &backend, &why);
    if (r < 0)
        return plugin_fail(error, -r, "handler %s: %s", config->plugin->info.name, why.text);
    struct hf_lower *lower = g_new0(struct hf_lower, 1);
    *lower = (struct hf_lower){ .next = lun->lowers, .backend = backend };
    lun->lowers = lower;
    lun_info_to_handler(&backend->info, info);
    *ret_lower = lower;
    return 0;
}

static struct backend *take_lower(struct hf_lun *lun)
{
    struct hf_lower *lower = lun->lowers;
    struct backend *backend = lower ? lower->backend : NULL;
    if (lower)
        lun->lowers = lower->next;
    g_free(lower);
    return backend;
}

void lowers_discard(struct hf_lun *lun)
{
    struct backend *backend;
    while ((backend = take_lower(lun)))
        lun_discard(lun_of(backend));
}

bool lowers_close(struct hf_lun *lun, void (*closed)(void *lun))
{
    struct backend *backend = take_lower(lun);
    if (backend)
        storage_close(backend, closed, lun);
    return backend != NULL;
}

bool lowers_memory(const struct hf_lun *lun, uint32_t *ret_number)
{
    for (const struct hf_lower *lower = lun->lowers; lower; lower = lower->next)
        if (storage_memory(lower->backend, ret_number))
            return true;
    return false;
}

int lowers_save(struct hf_lun *lun, struct hf_error *error)
{
    int r = 0;
    for (struct hf_lower *lower = lun->lowers; lower && r == 0; lower = lower->next)
        r = storage_save(lower->backend, error);
    return r;
}

/* -------------------------------------------------------------------------------------------- I/O */

struct host_lower {
    struct backend_io io;
    struct hf_queue *queue;
    struct hf_lower_io *hf;
};
_Static_assert(sizeof(struct host_lower) <= sizeof(((struct hf_lower_io *)0)->room),
               "the room of an hf_lower_io is large enough");

static const int8_t ops_of_handler[] = {
    [HF_OP_READ] = BACKEND_READ,
    [HF_OP_WRITE] = BACKEND_WRITE,
    [HF_OP_FLUSH] = BACKEND_FLUSH,
    [HF_OP_UNMAP] = BACKEND_UNMAP,
    [HF_OP_WRITE_ZEROES] = BACKEND_WRITE_ZEROES,
    [HF_OP_BLOCK_STATUS] = BACKEND_BLOCK_STATUS,
};

static void lower_done(struct backend_io *io)
{
    struct host_lower *host = container_of(io, struct host_lower, io);
    struct hf_queue *queue = host->queue;
    struct hf_lower_io *hf = host->hf;
    hf->extent_bytes = io->extent.length;
    hf->extent_mapped = io->extent.mapped;
    queue->ring_busy--;
    uint32_t before = lun_enter(queue->lun);
    hf->done(hf, io->result);
    lun_leave(before);
    if (G_UNLIKELY(queue->closing))
        queue_settle(queue);
}

void lower_host_submit(struct hf_queue *queue, struct hf_lower *lower, struct hf_lower_io *io)
{
    struct host_lower *host = (struct host_lower *)io->room;
    if (io->op < HF_OP_READ || io->op >= G_N_ELEMENTS(ops_of_handler)) {
        io->done(io, -ENOTSUP);
        return;
    }
    host->queue = queue;
    host->hf = io;
    host->io = (struct backend_io){
        .done = lower_done,
        .iov = io->iov,
        .iov_count = io->iov_count,
        .op = (uint8_t)ops_of_handler[io->op],
        .flags = (uint8_t)(io->flags & (HF_IO_FUA | HF_IO_UNMAP)),
        .offset = io->offset,
        .length = io->length,
    };
    queue->ring_busy++;
    lower->backend->ops->submit(lower->backend, &host->io);
    queue_kick_later(lun_of(lower->backend));
}

void lower_host_cancel(struct hf_queue *queue, struct hf_lower *lower, struct hf_lower_io *io)
{
    struct host_lower *host = (struct host_lower *)io->room;
    lower->backend->ops->cancel(lower->backend, &host->io);
}

int32_t lower_host_space(struct hf_lower *lower, struct hf_space *ret_space)
{
    struct storage_space space;
    int r = lun_space(lun_of(lower->backend), &space);
    if (r < 0)
        return r;
    struct hf_space told = {
        .size = ret_space->size,
        .known = (space.used_known ? HF_SPACE_USED : 0) |
                 (space.available_known ? HF_SPACE_AVAILABLE : 0) |
                 (space.shared ? HF_SPACE_SHARED : 0),
        .used_bytes = space.used_bytes,
        .available_bytes = space.available_bytes,
    };
    memcpy(ret_space, &told, MIN(ret_space->size, sizeof(told)));
    return 0;
}

/* ----------------------------------------------------------------------------------------- timers */

struct host_timer {
    struct timer timer;
    struct hf_timer *hf;
};
_Static_assert(sizeof(struct host_timer) <= sizeof(((struct hf_timer *)0)->room),
               "the room of an hf_timer is large enough");

static void timer_fired(struct timer *timer)
{
    struct hf_timer *hf = container_of(timer, struct host_timer, timer)->hf;
    hf->fired(hf);
}

void timer_host_start(struct hf_queue *queue, struct hf_timer *timer, uint64_t ns)
{
    struct host_timer *host = (struct host_timer *)timer->room;
    if (!host->hf)
        timer_init(&host->timer, timer_fired);
    host->hf = timer;
    reactor_timer_stop(queue->reactor, &host->timer);
    reactor_timer_start(queue->reactor, &host->timer, ns);
}

void timer_host_stop(struct hf_queue *queue, struct hf_timer *timer)
{
    struct host_timer *host = (struct host_timer *)timer->room;
    if (host->hf)
        reactor_timer_stop(queue->reactor, &host->timer);
}
