/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "net/position.h"

/* Move the unparsed rest to the window's start when less room than this is left. */
#define WINDOW_LOW    (96u << 10)
/* Room for what follows a long data segment: its trailer and the next headers. */
#define SEND_AT_ONCE (256u << 10)
#define WINDOW_SHORT  (4u << 10)

static void rx_done(struct ring_op *op, int result);
static void tx_done(struct ring_op *op, int result);
static int watch_attempt(struct reactor_watch *watch);
static void watch_done(struct reactor_watch *watch, int result);
static void watch_arm(struct reactor_watch *watch);
static void flush_run(struct reactor_task *task);

static void prepare(struct stream *s, int fd, arena_ref state_ref, arena_ref window_ref,
                    const struct stream_ops *ops)
{
    memset(s, 0, sizeof(*s));
    s->fd = fd;
    s->state = arena_ptr(state_ref);
    s->window = arena_ptr(window_ref);
    s->window_ref = window_ref;
    s->ops = ops;
    ring_op_init(&s->rx_op, rx_done);
    ring_op_init(&s->tx_op, tx_done);
    list_init(&s->rx_watch.link);
    s->rx_watch.attempt = watch_attempt;
    s->rx_watch.done = watch_done;
    s->rx_watch.arm = watch_arm;
    reactor_task_init(&s->flush, flush_run);
}

int stream_init(struct stream *s, int fd, arena_ref state_ref, arena_ref window_ref,
                const struct stream_ops *ops)
{
    prepare(s, fd, state_ref, window_ref, ops);

    struct socket_position at;
    int r = socket_position(fd, &at);
    if (r < 0)
        return r;
    s->state->rx_bias = at.rx;
    s->state->tx_bias = at.tx;
    return 0;
}

static uint64_t tx_end(const struct stream_tx *e)
{
    return e->pos + e->header_bytes + e->data_bytes + e->trailer_bytes;
}

/* Finds the first entry that is not wholly written: backwards, since slots before it may hold what was
   never committed. */
static bool resume_queue(struct stream *s)
{
    struct stream_hot *h = &s->next;
    uint32_t i = h->tx_last;
    uint64_t end = h->tx_tail;
    if (h->tx_last - h->tx_first > STREAM_TX_ENTRIES)
        return false;
    while (end > s->tx_pos) {
        if (i == h->tx_first)
            return false;
        const struct stream_tx *e = &s->state->tx[--i % STREAM_TX_ENTRIES];
        if (e->header_bytes > STREAM_HEADER_MAX || e->trailer_bytes > sizeof(e->trailer) ||
            tx_end(e) != end || e->pos >= end ||
            (e->data_bytes && !arena_is_mapped(e->data, e->data_bytes)))
            return false;
        end = e->pos;
    }
    h->tx_first = i;
    s->tx_committed = h->tx_last;
    return true;
}

static bool resume_window(struct stream *s)
{
    struct stream_hot *h = &s->next;
    uint64_t at = h->rx_parsed + h->direct_bytes;
    if (stream_direct_missing(s)) {
        s->window_end = 0;
        return h->window_base == at;
    }
    uint64_t begin = at - h->window_base, end = s->rx_pos - h->window_base;
    s->window_end = (uint32_t)end;
    return begin <= end && end <= STREAM_WINDOW_BYTES;
}

int stream_resume(struct stream *s, int fd, arena_ref state_ref, arena_ref window_ref,
                  const struct stream_ops *ops)
{
    prepare(s, fd, state_ref, window_ref, ops);

    struct socket_position at;
    int r = socket_position(fd, &at);
    if (r < 0)
        return r;
    s->next = s->state->hot[atomic_load_explicit(&s->state->cur, memory_order_acquire) & 1];
    s->rx_pos = at.rx - s->state->rx_bias;
    s->tx_pos = at.tx - s->state->tx_bias;
    if (!at.open)
        return -EPIPE;
    if (s->rx_pos < s->next.rx_parsed || s->tx_pos > s->next.tx_tail ||
        s->rx_pos - s->next.rx_parsed > STREAM_WINDOW_BYTES + (uint64_t)s->next.direct_bytes)
        return -ESTALE;
    return resume_queue(s) && resume_window(s) ? 0 : -ESTALE;
}

void stream_resume_direct(struct stream *s, const struct stream_part *part, unsigned count)
{
    memcpy(s->direct, part, count * sizeof(*part));
    s->direct_count = count;
    s->long_data = true;
}

void stream_send(struct stream *s)
{
    if (s->next.tx_first != s->tx_committed && !s->tx_armed)
        reactor_defer(s->reactor, &s->flush);
}

void stream_attach(struct stream *s, struct reactor *reactor)
{
    s->reactor = reactor;
}

void stream_detach(struct stream *s)
{
    assert(stream_idle(s));
    reactor_task_cancel(&s->flush);
    s->reactor = NULL;
}

void stream_commit(struct stream *s)
{
    struct stream_state *st = s->state;
    uint32_t other = !atomic_load_explicit(&st->cur, memory_order_relaxed);
    st->hot[other] = s->next;
    crash_point("commit");
    atomic_store_explicit(&st->cur, other, memory_order_release);
    crash_point("committed");
    if (s->tx_committed != s->next.tx_last) {
        s->tx_committed = s->next.tx_last;
        if (!s->tx_armed && s->reactor)
            reactor_defer(s->reactor, &s->flush);
    }
}

/* ---- receive ---- */

void stream_direct(struct stream *s, const struct stream_part *part, unsigned count, uint32_t bytes)
{
    const uint8_t *from;
    uint32_t have = stream_peek(s, &from);
    uint32_t left = have < bytes ? have : bytes;
    s->direct_count = 0;
    s->long_data = true;
    for (unsigned i = 0; i < count; i++) {
        uint32_t n = left < part[i].bytes ? left : part[i].bytes;
        if (n) {
            memcpy(arena_ptr(part[i].where), from, n);
            from += n;
            left -= n;
        }
        if (n < part[i].bytes)
            s->direct[s->direct_count++] =
                (struct stream_part){.where = part[i].where + n, .bytes = part[i].bytes - n};
    }
    s->next.direct_bytes = bytes;
    if (have < bytes) { /* the window is used up: it goes on after the segment */
        s->next.window_base = s->next.rx_parsed + bytes;
        s->window_end = 0;
    }
}

void stream_receive(struct stream *s)
{
    if (s->rx_armed || s->ended || s->closing)
        return;
    s->rx_wanted = true;
    reactor_defer(s->reactor, &s->flush);
}

/* Makes room for the next receive; false: the window is full of unparsed bytes. */
static bool window_prepare(struct stream *s)
{
    uint64_t at = s->next.rx_parsed + s->next.direct_bytes;
    if (stream_direct_missing(s))
        return true;
    uint32_t begin = (uint32_t)(at - s->next.window_base);
    uint32_t rest = s->window_end - begin;
    if (!begin)
        return s->window_end < STREAM_WINDOW_BYTES;
    if (rest && STREAM_WINDOW_BYTES - s->window_end >= WINDOW_LOW)
        return true;
    if (rest > begin) /* the copy must not destroy what the committed state points to */
        return s->window_end < STREAM_WINDOW_BYTES;
    memcpy(s->window, s->window + begin, rest);
    s->next.window_base = at;
    s->window_end = rest;
    stream_commit(s);
    return true;
}

static void plan_publish(struct stream *s, const struct stream_plan *plan)
{
    struct stream_state *st = s->state;
    uint32_t other = !atomic_load_explicit(&st->plan_cur, memory_order_relaxed);
    st->plan[other] = *plan;
    atomic_store_explicit(&st->plan_cur, other, memory_order_release);
}

static void rx_arm(struct stream *s)
{
    s->rx_wanted = false;
    if (!window_prepare(s)) {
        s->ended = true;
        s->ops->ended(s, -EMSGSIZE);
        return;
    }
    struct stream_plan plan = {.pos = s->rx_pos};
    for (unsigned i = 0; i < s->direct_count; i++)
        plan.part[plan.count++] = s->direct[i];
    uint32_t room = STREAM_WINDOW_BYTES - s->window_end;
    if (s->long_data && room > WINDOW_SHORT)
        room = WINDOW_SHORT;
    plan.part[plan.count++] =
        (struct stream_part){.where = s->window_ref + s->window_end, .bytes = room};
    plan_publish(s, &plan);

    s->rx_armed = true;
    if (plan.count == 1) {
        s->rx_room = room;
        if (!reactor_watch(s->reactor, &s->rx_watch))
            watch_arm(&s->rx_watch);
        return;
    }
    struct iovec *iov = reactor_iov(s->reactor, plan.count);
    if (!iov) { /* used up by others in this turn */
        s->rx_armed = false;
        stream_receive(s);
        return;
    }
    for (unsigned i = 0; i < plan.count; i++)
        iov[i] = (struct iovec){arena_ptr(plan.part[i].where), plan.part[i].bytes};
    s->rx_msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = plan.count};
    ring_recvmsg(s->reactor->ring, &s->rx_op, s->fd, &s->rx_msg, 0);
}

/* ---- a receive into the window, by the reactor's own hand or by the ring ---- */

static int watch_attempt(struct reactor_watch *watch)
{
    struct stream *s = container_of(watch, struct stream, rx_watch);
    ssize_t n = recv(s->fd, s->window + s->window_end, s->rx_room, MSG_DONTWAIT);
    return n >= 0 ? (int)n : -errno;
}

static void watch_done(struct reactor_watch *watch, int result)
{
    rx_done(&container_of(watch, struct stream, rx_watch)->rx_op, result);
}

static void watch_arm(struct reactor_watch *watch)
{
    struct stream *s = container_of(watch, struct stream, rx_watch);
    ring_recv(s->reactor->ring, &s->rx_op, s->fd, s->window + s->window_end, s->rx_room, 0);
}

/* Ends the receive early, when that is possible; rx_done() comes, or the stream is idle at once. */
static void rx_cancel(struct stream *s)
{
    if (reactor_unwatch(s->reactor, &s->rx_watch))
        s->rx_armed = false;
    else if (s->rx_armed)
        ring_cancel(s->reactor->ring, &s->rx_op);
}

/* Takes `bytes` received off the direct parts; returns what goes beyond them. */
static uint32_t direct_advance(struct stream *s, uint32_t bytes)
{
    unsigned i = 0;
    while (i < s->direct_count && bytes >= s->direct[i].bytes)
        bytes -= s->direct[i++].bytes;
    if (i < s->direct_count) {
        s->direct[i].where += bytes;
        s->direct[i].bytes -= bytes;
        memmove(s->direct, s->direct + i, (s->direct_count - i) * sizeof(s->direct[0]));
        s->direct_count -= i;
        return 0;
    }
    s->direct_count = 0;
    return bytes;
}

static void maybe_closed(struct stream *s)
{
    if (s->closing && stream_idle(s))
        reactor_defer(s->reactor, &s->flush);
}

static void rx_done(struct ring_op *op, int result)
{
    struct stream *s = container_of(op, struct stream, rx_op);
    s->rx_armed = false;
    if (s->closing) {
        maybe_closed(s);
        return;
    }
    if (s->frozen && result <= 0) {
        if (result != -ECANCELED && result != -EINTR && result != -EAGAIN)
            s->frozen_end = 1 - result;
        return;
    }
    if (result <= 0) {
        if (result == -EINTR || result == -EAGAIN) {
            stream_receive(s);
            return;
        }
        if (!s->ended) {
            s->ended = true;
            s->ops->ended(s, result);
        }
        return;
    }
    uint32_t bytes = (uint32_t)result;
    s->rx_pos += bytes;
    s->window_end += direct_advance(s, bytes);
    if (s->frozen)
        return;
    if (stream_direct_missing(s)) {
        stream_receive(s);
        return;
    }
    s->ops->received(s);
}

/* ---- send ---- */

static unsigned add_iov(struct iovec *iov, unsigned n, const uint8_t *base, uint32_t bytes, uint64_t *skip)
{
    if (*skip >= bytes) {
        *skip -= bytes;
        return n;
    }
    iov[n] = (struct iovec){(void *)(base + *skip), bytes - (uint32_t)*skip};
    *skip = 0;
    return n + 1;
}

static void tx_arm(struct stream *s)
{
    uint32_t entries = s->tx_committed - s->next.tx_first;
    if (entries > STREAM_SEND_IOV / 3)
        entries = STREAM_SEND_IOV / 3;
    struct iovec *iov = reactor_iov(s->reactor, entries * 3);
    if (!iov) {
        reactor_defer(s->reactor, &s->flush);
        return;
    }
    unsigned n = 0;
    uint32_t total = 0;
    uint64_t skip = s->tx_pos - s->state->tx[s->next.tx_first % STREAM_TX_ENTRIES].pos;
    for (uint32_t i = 0; i < entries && total < STREAM_SEND_BYTES; i++) {
        const struct stream_tx *e = &s->state->tx[(s->next.tx_first + i) % STREAM_TX_ENTRIES];
        n = add_iov(iov, n, e->header, e->header_bytes, &skip);
        if (e->data_bytes)
            n = add_iov(iov, n, arena_ptr(e->data), e->data_bytes, &skip);
        if (e->trailer_bytes)
            n = add_iov(iov, n, e->trailer, e->trailer_bytes, &skip);
        total += e->header_bytes + e->data_bytes + e->trailer_bytes;
    }
    s->tx_msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = n};
    s->tx_armed = true;
    crash_point("send");
    if (reactor_busy_polls(s->reactor)) {
        ssize_t sent = sendmsg(s->fd, &s->tx_msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0 || errno != EAGAIN) {
            tx_done(&s->tx_op, sent >= 0 ? (int)sent : -errno);
            return;
        }
    }
    ring_sendmsg(s->reactor->ring, &s->tx_op, s->fd, &s->tx_msg, MSG_WAITALL);
    if (total >= SEND_AT_ONCE) /* much: the peer takes it while this turn goes on */
        ring_enter(s->reactor->ring, RING_NO_WAIT);
}

static void tx_done(struct ring_op *op, int result)
{
    struct stream *s = container_of(op, struct stream, tx_op);
    s->tx_armed = false;
    if (s->closing) {
        maybe_closed(s);
        return;
    }
    if (s->frozen && result < 0) {
        if (result != -ECANCELED && result != -EINTR && result != -EAGAIN)
            s->frozen_end = 1 - result;
        return;
    }
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
        if (!s->ended) {
            s->ended = true;
            s->ops->ended(s, result);
        }
        return;
    }
    crash_point("sent");
    if (result > 0)
        s->tx_pos += (uint64_t)result;
    bool any = false;
    while (s->next.tx_first != s->tx_committed) {
        const struct stream_tx *e = &s->state->tx[s->next.tx_first % STREAM_TX_ENTRIES];
        if (tx_end(e) > s->tx_pos)
            break;
        uint32_t owner = e->owner;
        s->next.tx_first++;
        any = true;
        if (owner)
            s->ops->written(s, owner);
    }
    if (s->next.tx_first == s->next.tx_last) /* start over: fewer pages of the queue are touched */
        s->next.tx_first = s->next.tx_last = s->tx_committed = 0;
    if (any)
        s->ops->writable(s);
    if (!s->closing && s->next.tx_first != s->tx_committed && !s->tx_armed)
        reactor_defer(s->reactor, &s->flush);
}

/* ---- both ---- */

static void flush_run(struct reactor_task *task)
{
    struct stream *s = container_of(task, struct stream, flush);
    if (s->closing) {
        if (stream_idle(s)) {
            reactor_task_cancel(&s->flush);
            s->ops->closed(s);
        }
        return;
    }
    if (s->ended || s->frozen)
        return;
    if (!s->tx_armed && s->next.tx_first != s->tx_committed)
        tx_arm(s);
    if (s->ended || s->closing || s->frozen)
        return;
    if (s->rx_wanted && !s->rx_armed)
        rx_arm(s);
}

void stream_shutdown_send(struct stream *s)
{
    shutdown(s->fd, SHUT_WR);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = s->ended = true;
    shutdown(s->fd, SHUT_RDWR);
    rx_cancel(s);
    ring_cancel(s->reactor->ring, &s->tx_op);
    maybe_closed(s);
}

void stream_freeze(struct stream *s)
{
    s->frozen = true;
    rx_cancel(s);
    if (s->tx_armed)
        ring_cancel(s->reactor->ring, &s->tx_op);
}

void stream_unfreeze(struct stream *s)
{
    s->frozen = false;
    if (s->frozen_end && !s->ended && !s->closing) {
        s->ended = true;
        s->ops->ended(s, s->frozen_end - 1 ? 1 - s->frozen_end : 0);
        return;
    }
    if (!s->ended && !s->closing) {
        stream_send(s);
        if (s->rx_wanted || stream_direct_missing(s))
            stream_receive(s);
    }
}
