/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data buffers of tasks. A task gets all it needs or waits in one queue per reactor; only the first
 * of the queue holds a part of its need, so that waiting tasks cannot block each other for ever.
 */
#include "iscsi/engine.h"

static uint32_t piece(uint32_t left)
{
    return left < BUFPOOL_MAX_BYTES ? left : BUFPOOL_MAX_BYTES;
}

static void have(struct task *t, struct buf *b)
{
    t->buf[t->buf_count++] = b;
    t->capacity += b->bytes;
}

static void add(struct task *t, struct buf *b)
{
    t->record->buffer[t->buf_count] = buf_arena_ref(b);
    t->record->buffer_bytes[t->buf_count] = b->bytes;
    atomic_signal_fence(memory_order_release); /* counted when it is there */
    have(t, b);
    t->record->buffers = (uint8_t)t->buf_count;
}

bool buffers_adopt(struct task *t)
{
    struct bufpool *pool = t->session->engine->reactor->pool;
    struct task_record *rec = t->record;
    unsigned count = rec->buffers;
    if (count > STATE_TASK_BUFFERS)
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct buf *b = bufpool_adopt(pool, rec->buffer[i], rec->buffer_bytes[i]);
        if (!b)
            return false;
        have(t, b); /* the record says so already, and must not say less for a moment */
    }
    return true;
}

/* Takes what there is; true when the task has its `need`. */
static bool gather(struct task *t, uint32_t need)
{
    struct bufpool *pool = t->session->engine->reactor->pool;
    while (t->capacity < need) {
        struct buf *b = bufpool_take(pool, piece(need - t->capacity));
        if (!b)
            return false;
        add(t, b);
    }
    return true;
}

/* It may wait already: a task that got its buffers can make others queue before this is called. */
static void wait_for_first(struct engine *e)
{
    if (list_empty(&e->gathering) || !list_empty(&e->waiter.link))
        return;
    struct task *t = list_entry(e->gathering.next, struct task, gather_link);
    bufpool_wait(e->reactor->pool, &e->waiter, piece(t->need - t->capacity));
}

static void gathered(struct task *t)
{
    list_remove(&t->gather_link);
    t->gather = false;
    t->session->engine->granted++;
    command_advance(t);
}

void buffers_ready(struct bufpool_waiter *waiter, struct buf *buf)
{
    struct engine *e = container_of(waiter, struct engine, waiter);
    struct task *t = list_entry(e->gathering.next, struct task, gather_link);
    add(t, buf);
    if (gather(t, t->need))
        gathered(t);
    while (!list_empty(&e->gathering)) {
        t = list_entry(e->gathering.next, struct task, gather_link);
        if (!gather(t, t->need))
            break;
        gathered(t);
    }
    wait_for_first(e);
}

/* What waits for a disk that is absent may do so for long: others find a part of the memory free. */
bool buffers_are_for_others(const struct task *t, uint32_t bytes)
{
    const struct bufpool *pool = t->session->engine->reactor->pool;
    uint64_t capacity = bufpool_capacity(pool), used = bufpool_used(pool);
    return t->capacity < bytes && used + bytes > capacity - capacity / 4 && t->cmd.unit &&
           scsi_unit_is_absent(t->cmd.unit);
}

bool buffers_take(struct task *t, uint32_t bytes)
{
    struct engine *e = t->session->engine;
    if (t->capacity >= bytes)
        return true;
    if (list_empty(&e->gathering) && gather(t, bytes))
        return true;
    e->buffer_waits++;
    t->gather = true;
    t->need = bytes;
    list_append(&e->gathering, &t->gather_link);
    if (e->gathering.next == &t->gather_link)
        wait_for_first(e);
    return false;
}

void buffers_cancel(struct task *t)
{
    if (!t->gather)
        return;
    struct engine *e = t->session->engine;
    bool first = e->gathering.next == &t->gather_link;
    list_remove(&t->gather_link);
    t->gather = false;
    if (first) {
        bufpool_wait_cancel(e->reactor->pool, &e->waiter);
        wait_for_first(e);
    }
}

void buffers_release(struct task *t)
{
    for (unsigned i = 0; i < t->buf_count; i++)
        buf_unref(t->buf[i]);
    t->buf_count = 0;
    t->capacity = 0;
    t->record->buffers = 0;
}

unsigned buffers_iov(struct task *t, uint32_t bytes)
{
    unsigned n = 0;
    while (bytes) {
        uint32_t take = bytes < t->buf[n]->bytes ? bytes : t->buf[n]->bytes;
        t->iov[n] = (struct iovec){ t->buf[n]->data, take };
        bytes -= take;
        n++;
    }
    return n;
}

arena_ref buffers_at(const struct task *t, uint32_t offset, uint32_t *ret_contiguous)
{
    unsigned i = 0;
    while (offset >= t->record->buffer_bytes[i])
        offset -= t->record->buffer_bytes[i++];
    *ret_contiguous = t->record->buffer_bytes[i] - offset;
    return t->record->buffer[i] + offset;
}

unsigned buffers_parts(const struct task *t, uint32_t offset, uint32_t bytes,
                       struct stream_part *part)
{
    unsigned n = 0;
    while (bytes) {
        uint32_t contiguous;
        arena_ref at = buffers_at(t, offset, &contiguous);
        uint32_t take = bytes < contiguous ? bytes : contiguous;
        part[n++] = (struct stream_part){ .where = at, .bytes = take };
        offset += take;
        bytes -= take;
    }
    return n;
}
