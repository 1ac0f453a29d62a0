/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One LUN on one reactor: slots, waiting I/Os, answers. See storage.h and storage_private.h.
 *
 * An answer may come from within submit, and may lead the scsi layer to submit the next I/O at once.
 * Such chains are cut: below QUEUE_NESTING_MAX submits the next one waits in the FIFO, and the loop in
 * queue_pump() takes it from there, still within the outermost submit.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/host.h"
#include "plugin/storage_private.h"

static struct waiter *waiter_of(struct backend_io *io)
{
    return (struct waiter *)io->room;
}

struct backend_io *queue_waiting_io(struct list *link)
{
    return (struct backend_io *)(void *)((char *)container_of(link, struct waiter, link) -
                                         offsetof(struct backend_io, room));
}

static void count(_Atomic uint32_t *counter, int32_t by)
{
    uint32_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + (uint32_t)by, memory_order_relaxed);
}

static uint32_t depth_of(const struct hf_queue *queue)
{
    return atomic_load_explicit(&queue->depth, memory_order_relaxed);
}

/* It waits no longer, and is the caller's. */
static void leave_waiting(struct hf_queue *queue, struct backend_io *io)
{
    list_remove(&waiter_of(io)->link);
    count(&queue->waiting_count, -1);
    if (G_UNLIKELY(!depth_of(queue)))
        absent_waits_no_more(queue, io);
}

/* ------------------------------------------------------------------------------------- answers */

struct slot *queue_claim(struct hf_queue *queue, uint64_t id)
{
    unsigned index = id & SLOT_INDEX_MASK;
    uint64_t expected = id;
    if (id != 0 && index < depth_of(queue)) {
        struct slot *slot = queue_slot(queue, index);
        if (atomic_compare_exchange_strong_explicit(&slot->live, &expected, 0, memory_order_acq_rel,
                                                    memory_order_relaxed))
            return slot;
    }
    lun_misused(queue->lun, STORAGE_STRAY_ANSWER, id);
    return NULL;
}

/* What the handler says of an extent, or -EIO when it makes no sense. */
static int take_extent(struct slot *slot)
{
    struct backend_io *io = slot->io;
    const struct backend_info *info = &slot->queue->lun->backend.info;
    uint64_t size = __atomic_load_n(&info->bytes, __ATOMIC_RELAXED);
    uint64_t rest = size > io->offset ? size - io->offset : 0;
    uint64_t bytes = MIN(slot->hf.extent_bytes, rest);
    if (bytes == 0 || bytes % info->block_bytes) {
        lun_misused(slot->queue->lun, STORAGE_BAD_RESULT, slot->hf.id);
        return -EIO;
    }
    io->extent.length = bytes;
    io->extent.mapped = slot->hf.extent_mapped != 0;
    return 0;
}

static int take_result(struct slot *slot, int32_t result)
{
    if (G_UNLIKELY(result > 0 || result < -4095)) {
        lun_misused(slot->queue->lun, STORAGE_BAD_RESULT, slot->hf.id);
        return -EIO;
    }
    if (result == 0 && slot->io->op == BACKEND_BLOCK_STATUS)
        return take_extent(slot);
    return result;
}

/* A failure of the handler: not what was cancelled, nor bytes that differ (EILSEQ). */
static bool is_error(int result)
{
    return result < 0 && result != -ECANCELED && result != -EILSEQ;
}

static void queue_pump(struct hf_queue *queue);

static void answer_io(struct hf_queue *queue, struct backend_io *io, int32_t result)
{
    io->result = result;
    if (G_UNLIKELY(is_error(result)))
        lun_failed(queue->lun, io, result, queue->reactor->now_ns);
    uint32_t before = lun_at_work; /* what is done about it is not the handler's */
    lun_at_work = 0;
    io->done(io);
    lun_at_work = before;
}

void queue_finish(struct slot *slot, int32_t result)
{
    struct hf_queue *queue = slot->queue;
    struct backend_io *io = slot->io;
    if (G_LIKELY(io))
        result = take_result(slot, result);
    else
        late_answered(slot);
    slot->io = NULL;
    slot->next = queue->free;
    queue->free = slot;
    count(&queue->at_handler, -1);
    if (G_LIKELY(io))
        answer_io(queue, io, result);
    if (!list_empty(&queue->waiting))
        queue_pump(queue);
    if (G_UNLIKELY(queue->closing))
        queue_settle(queue);
}

static void finish_message(struct reactor_message *message)
{
    struct slot *slot = container_of(message, struct slot, message);
    queue_finish(slot, slot->result);
}

void queue_finish_posted(struct slot *slot)
{
    slot->message.run = finish_message;
    reactor_post(slot->queue->reactor, &slot->message);
}

void queue_host_complete(struct hf_queue *queue, uint64_t id, int32_t result)
{
    if (G_UNLIKELY(reactor_current() != queue->reactor)) {
        lun_misused(queue->lun, STORAGE_WRONG_THREAD, id);
        queue_host_complete_remote(queue, id, result);
        return;
    }
    struct slot *slot = queue_claim(queue, id);
    if (slot)
        queue_finish(slot, result);
}

void queue_host_complete_remote(struct hf_queue *queue, uint64_t id, int32_t result)
{
    struct slot *slot = queue_claim(queue, id);
    if (!slot)
        return;
    slot->result = result;
    queue_finish_posted(slot);
}

/* -------------------------------------------------------------------------------------- submit */

static const uint8_t ops_of_backend[] = {
    [BACKEND_READ] = HF_OP_READ,
    [BACKEND_WRITE] = HF_OP_WRITE,
    [BACKEND_FLUSH] = HF_OP_FLUSH,
    [BACKEND_UNMAP] = HF_OP_UNMAP,
    [BACKEND_WRITE_ZEROES] = HF_OP_WRITE_ZEROES,
    [BACKEND_BLOCK_STATUS] = HF_OP_BLOCK_STATUS,
};
_Static_assert(BACKEND_IO_FUA == HF_IO_FUA && BACKEND_IO_UNMAP == HF_IO_UNMAP, "flags are equal");

static bool has_slot(const struct hf_queue *queue)
{
    return queue->free || queue->fresh < depth_of(queue);
}

/* One that was in use before, or else the next that never was. */
static struct slot *take_slot(struct hf_queue *queue)
{
    struct slot *slot = queue->free;
    if (slot) {
        queue->free = slot->next;
        return slot;
    }
    slot = queue_slot(queue, queue->fresh);
    slot->queue = queue;
    slot->hf.size = sizeof(slot->hf);
    slot->hf.id = queue->fresh++;
    slot->hf.room = slot->room;
    return slot;
}

static struct slot *fill_slot(struct hf_queue *queue, struct backend_io *io)
{
    struct slot *slot = take_slot(queue);
    struct hf_io *hf = &slot->hf;
    uint64_t id = ++slot->generation << SLOT_INDEX_BITS | (hf->id & SLOT_INDEX_MASK);
    slot->io = io;
    waiter_of(io)->place = id;
    hf->op = ops_of_backend[io->op];
    hf->flags = io->flags & (BACKEND_IO_FUA | BACKEND_IO_UNMAP);
    hf->iov_count = io->iov_count;
    hf->id = id;
    hf->offset = io->offset;
    hf->length = io->length;
    hf->iov = io->iov;
    hf->extent_bytes = 0;
    hf->extent_mapped = 1;
    atomic_store_explicit(&slot->since_ns, queue->reactor->now_ns, memory_order_relaxed);
    atomic_store_explicit(&slot->live, id, memory_order_release);
    return slot;
}

static void launch(struct hf_queue *queue, struct backend_io *io)
{
    struct slot *slot = fill_slot(queue, io);
    if (G_UNLIKELY(atomic_load_explicit(&queue->lun->deadline_ns, memory_order_relaxed)))
        late_launch(slot);
    count(&queue->at_handler, 1);
    if (queue->lun->ops->shape != HF_SHAPE_QUEUE) {
        blocking_submit(slot);
        return;
    }
    queue->nesting++;
    uint32_t before = lun_enter(queue->lun);
    queue->lun->ops->submit(queue->handle, &slot->hf);
    lun_leave(before);
    queue->nesting--;
}

static void queue_pump(struct hf_queue *queue)
{
    bool launched = false;
    if (queue->pumping)
        return;
    queue->pumping = true;
    while (has_slot(queue) && !list_empty(&queue->waiting)) {
        struct backend_io *io = queue_waiting_io(queue->waiting.next);
        leave_waiting(queue, io);
        launch(queue, io);
        launched = true;
    }
    queue->pumping = false;
    if (launched && queue->lun->kicks) {
        queue->kick_due = true; /* nobody above knows that there is something to kick */
        reactor_defer(queue->reactor, &queue->task);
    }
}

static void queue_task(struct reactor_task *task);

static struct hf_queue *queue_new(struct hf_lun *lun, struct reactor *reactor)
{
    struct hf_queue *queue = g_try_new0(struct hf_queue, 1);
    if (!queue)
        return NULL;
    queue->lun = lun;
    queue->reactor = reactor;
    list_init(&queue->waiting);
    list_init(&queue->dropped);
    reactor_task_init(&queue->task, queue_task);
    late_init(queue);
    return queue;
}

/* Every I/O tries again: it is said the 1st, 2nd, 3rd, 5th, 9th … time. */
static void say_refused(struct hf_queue *queue, int r, const char *why)
{
    struct hf_lun *lun = queue->lun;
    uint64_t before = atomic_fetch_add_explicit(&lun->refusals, 1, memory_order_relaxed);
    if ((before & (before - 1)) == 0)
        log_error("storage",
                  "a handler cannot serve a LUN on a reactor handler=%s target=%s lun=%u "
                  "reactor=%u error=\"%s\"",
                  lun->backend.product, lun->target, lun->number, queue->reactor->index,
                  why[0] ? why : strerror(-r));
}

static void kick(struct hf_queue *queue)
{
    uint32_t before = lun_enter(queue->lun);
    queue->lun->ops->kick(queue->handle);
    lun_leave(before);
}

static int open_at_handler(struct hf_queue *queue, struct hf_error *why)
{
    struct hf_lun *lun = queue->lun;
    uint32_t before = lun_enter(lun);
    int r = lun->ops->queue_open(lun->handle, queue, &queue->handle, why);
    lun_leave(before);
    return r;
}

/* The handler serves it from now on. 0, or negative errno. */
static int queue_serve(struct hf_queue *queue)
{
    struct hf_lun *lun = queue->lun;
    struct hf_error why = PLUGIN_ERROR_INIT;
    queue->slots = calloc(lun->depth, lun->slot_bytes); /* pages are touched as slots are used */
    int r = queue->slots ? 0 : plugin_fail(&why, ENOMEM, "no memory");
    if (r == 0 && lun->ops->shape == HF_SHAPE_QUEUE)
        r = open_at_handler(queue, &why);
    if (r == 0) {
        atomic_store_explicit(&queue->depth, lun->depth, memory_order_release);
        return 0;
    }
    free(queue->slots);
    queue->slots = NULL;
    say_refused(queue, r, why.text);
    return r < 0 ? r : -EIO;
}

static struct hf_queue *queue_here(struct hf_lun *lun)
{
    struct reactor *reactor = reactor_current();
    struct hf_queue *queue =
        atomic_load_explicit(&lun->queues[reactor->index], memory_order_relaxed);
    if (G_UNLIKELY(!queue)) {
        queue = queue_new(lun, reactor);
        if (!queue)
            return NULL;
        atomic_store_explicit(&lun->queues[reactor->index], queue, memory_order_release);
    }
    /* While I/Os wait for one that has returned, queue_return() is on its way: they come first. */
    if (G_UNLIKELY(!depth_of(queue)) && list_empty(&queue->waiting) &&
        !atomic_load_explicit(&lun->is_absent, memory_order_acquire) && queue_serve(queue) < 0)
        return NULL;
    return queue;
}

static void backend_submit(struct backend *backend, struct backend_io *io)
{
    struct hf_queue *queue = queue_here(lun_of(backend));
    if (G_UNLIKELY(!queue)) {
        io->result = -ENOMEM;
        io->done(io);
        return;
    }
    if (G_UNLIKELY(atomic_load_explicit(&queue->lun->given_up, memory_order_relaxed))) {
        io->result = late_result(queue->lun);
        io->done(io);
        return;
    }
    if (G_UNLIKELY(!has_slot(queue) || !list_empty(&queue->waiting) ||
                   queue->nesting >= QUEUE_NESTING_MAX)) {
        waiter_of(io)->place = WAITER_WAITING;
        list_append(&queue->waiting, &waiter_of(io)->link);
        count(&queue->waiting_count, 1);
        if (G_UNLIKELY(!depth_of(queue)))
            absent_waits(queue, io);
        return;
    }
    launch(queue, io);
}

static void backend_kick(struct backend *backend)
{
    struct hf_queue *queue = queue_here(lun_of(backend));
    if (queue && G_LIKELY(depth_of(queue)) && queue->lun->kicks)
        kick(queue);
}

void queue_kick_later(struct hf_lun *lun)
{
    struct hf_queue *queue = lun->kicks ? queue_here(lun) : NULL;
    if (!queue || queue->kick_due)
        return;
    queue->kick_due = true;
    reactor_defer(queue->reactor, &queue->task);
}

/* ---------------------------------------------------------------------------------- cancel */

static void drop_waiting(struct hf_queue *queue, struct backend_io *io)
{
    leave_waiting(queue, io);
    waiter_of(io)->place = WAITER_DROPPED;
    list_append(&queue->dropped, &waiter_of(io)->link);
    reactor_defer(queue->reactor, &queue->task);
}

void queue_refuse_waiting(struct hf_queue *queue, int result)
{
    struct list todo;
    list_init(&todo);
    list_splice(&todo, &queue->waiting);
    while (!list_empty(&todo)) {
        struct backend_io *io = queue_waiting_io(todo.next);
        leave_waiting(queue, io);
        io->result = result;
        io->done(io);
    }
}

static void backend_cancel(struct backend *backend, struct backend_io *io)
{
    struct hf_queue *queue = atomic_load_explicit(
        &lun_of(backend)->queues[reactor_current()->index], memory_order_relaxed);
    uint64_t place = waiter_of(io)->place;
    if (!queue || place == WAITER_DROPPED)
        return;
    if (place == WAITER_WAITING) {
        drop_waiting(queue, io);
        return;
    }
    struct slot *slot = queue_slot(queue, place & SLOT_INDEX_MASK);
    if (atomic_load_explicit(&slot->live, memory_order_acquire) != place)
        return; /* the answer is on its way */
    if (queue->lun->ops->shape != HF_SHAPE_QUEUE)
        blocking_cancel(slot);
    else if (queue->lun->ops->cancel)
        queue->lun->ops->cancel(queue->handle, &slot->hf);
}

const struct backend_ops queue_backend_ops = { backend_submit, backend_kick, backend_cancel };
const struct backend_ops queue_backend_ops_without_kick = { backend_submit, NULL, backend_cancel };

int storage_prepare(struct backend *backend)
{
    return queue_here(lun_of(backend)) ? 0 : -ENOMEM;
}

/* ------------------------------------------------------------------------------- open and close */

static bool is_at_rest(const struct hf_queue *queue)
{
    return queue->ring_busy == 0 &&
           (list_empty(&queue->waiting) || absent_is_abandoned(queue->lun)) &&
           atomic_load_explicit(&queue->at_handler, memory_order_relaxed) == 0;
}

void queue_settle(struct hf_queue *queue)
{
    if (queue->closing && is_at_rest(queue))
        reactor_defer(queue->reactor, &queue->task);
}

/* End of a turn: nobody of this queue is on the stack. */
static void queue_task(struct reactor_task *task)
{
    struct hf_queue *queue = container_of(task, struct hf_queue, task);
    struct list *link;
    if (queue->kick_due) {
        queue->kick_due = false;
        kick(queue);
    }
    while ((link = list_take(&queue->dropped))) {
        struct backend_io *io = queue_waiting_io(link);
        io->result = -ECANCELED;
        io->done(io);
    }
    if (!queue->closing || !is_at_rest(queue))
        return;
    struct hf_lun *lun = queue->lun;
    queue->closing = false;
    late_end(queue);
    if (depth_of(queue) && lun->ops->shape == HF_SHAPE_QUEUE)
        lun->ops->queue_close(queue->handle);
    lun_queue_closed(lun);
}

static void close_message(struct reactor_message *message)
{
    struct hf_queue *queue = container_of(message, struct hf_queue, close_message);
    queue->closing = true;
    queue_settle(queue);
}

void queue_close(struct hf_queue *queue)
{
    queue->close_message.run = close_message;
    reactor_post(queue->reactor, &queue->close_message);
}

void queue_free(struct hf_queue *queue)
{
    free(queue->slots);
    g_free(queue);
}

void queue_return(struct hf_queue *queue)
{
    if (depth_of(queue))
        return;
    list_for_each(link, &queue->waiting)
        absent_waits_no_more(queue, queue_waiting_io(link));
    if (queue_serve(queue) == 0)
        queue_pump(queue);
    else
        queue_refuse_waiting(queue, -ENOMEM);
}
