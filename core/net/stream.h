/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection as a reactor drives it: directed receive, gathered send, one operation of each kind in
 * flight, all bookkeeping in stream_state.h.
 *
 * The protocol reads from the window (stream_peek, stream_consume), or asks for the next bytes to be
 * put straight into its buffers (stream_direct). It sends by filling entries (stream_tx_next,
 * stream_tx_push). Nothing of both counts before stream_commit(). What was committed in a
 * turn leaves with one sendmsg at its end.
 *
 * Thread: the reactor it is attached to. Callbacks are made from the reactor's completions and may
 * call anything here but stream_detach().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/stream_state.h"
#include "reactor/reactor.h"
#include "reactor/ring.h"

#define STREAM_SEND_IOV   256u           /* of one sendmsg */
#define STREAM_SEND_BYTES (1u << 20)     /* of one sendmsg, about */

struct stream;

struct stream_ops {
    /* New bytes are in the window, or the direct segment is complete. Nothing is received further
       before stream_receive(). */
    void (*received)(struct stream *stream);
    /* The entry has been taken by the socket; its data is not needed any more. */
    void (*written)(struct stream *stream, uint32_t owner);
    /* After one or more `written`: there is room in the queue. */
    void (*writable)(struct stream *stream);
    /* The stream has ended: 0 for end of file, or negative errno. Once. stream_close() is next. */
    void (*ended)(struct stream *stream, int error);
    /* After stream_close(): nothing is in flight any more, buffers and memory may go. */
    void (*closed)(struct stream *stream);
};

struct stream {
    int fd;                          /* not owned */
    struct stream_state *state;
    uint8_t *window;                 /* STREAM_WINDOW_BYTES, in the same arena */
    arena_ref window_ref;
    const struct stream_ops *ops;
    struct reactor *reactor;         /* NULL: detached */

    /* The working copy of what the next commit publishes. */
    struct stream_hot next;

    uint32_t window_end;             /* window bytes received: offsets [begin, end) are unparsed */
    struct stream_part direct[STREAM_PLAN_PARTS - 1];
    unsigned direct_count;
    uint64_t rx_pos;                 /* bytes received */
    uint64_t tx_pos;                 /* bytes taken by the socket */
    uint32_t tx_committed;           /* entries before it may be sent */

    struct ring_op rx_op, tx_op;
    struct reactor_watch rx_watch;   /* in place of rx_op while the reactor busy-polls */
    struct msghdr rx_msg, tx_msg;
    uint32_t rx_room;                /* bytes asked for by a receive into the window */
    struct reactor_task flush;
    bool rx_armed, tx_armed;
    bool rx_wanted;
    bool ended;                      /* `ended` was called */
    bool closing;                    /* stream_close() was called */
    bool frozen;                     /* stream_freeze() was called */
    int frozen_end;                  /* how the stream ended meanwhile: error + 1, 0: it did not */
    bool long_data;                  /* the last data segment was long: keep window receives short */
};

/* A new stream on a connected socket with zeroed state; `state_ref` and `window_ref` lie in one arena.
   Reads the socket's positions. 0 or negative errno. */
int stream_init(struct stream *s, int fd, arena_ref state_ref, arena_ref window_ref,
                const struct stream_ops *ops);
/*
 * The stream that another process left in `state_ref`: goes on from its last commit and from where
 * the socket stands. 0; -ESTALE when the two do not fit; -EPIPE when the peer has closed the connection, and
 * s->next is the last commit still; or another negative errno. When stream_direct_missing() is not 0
 * afterwards, the rest of the segment needs its place: stream_resume_direct().
 */
int stream_resume(struct stream *s, int fd, arena_ref state_ref, arena_ref window_ref,
                  const struct stream_ops *ops);
void stream_resume_direct(struct stream *s, const struct stream_part *part, unsigned count);
/* After stream_attach(): sends what is committed and not sent. */
void stream_send(struct stream *s);
/* Gives it to the calling reactor. Bytes that came before are announced by `received` only after the
   next receive: call stream_peek() first. */
void stream_attach(struct stream *s, struct reactor *reactor);
/* Takes it away; nothing may be in flight (see stream_idle). */
void stream_detach(struct stream *s);
static inline bool stream_idle(const struct stream *s)
{
    return !s->rx_armed && !s->tx_armed;
}

/* The unparsed bytes of the window. */
static inline uint32_t stream_peek(const struct stream *s, const uint8_t **ret_bytes)
{
    uint32_t begin = (uint32_t)(s->next.rx_parsed + s->next.direct_bytes - s->next.window_base);
    *ret_bytes = s->window + begin;
    return s->window_end - begin;
}

static inline void stream_consume(struct stream *s, uint32_t bytes)
{
    s->next.rx_parsed += bytes;
}

/* The most that a PDU taken from the window may need as a whole. */
#define STREAM_WINDOW_PDU_MAX (64u << 10)

/*
 * The next `bytes` of the stream belong into these buffers, in order (at most STREAM_PLAN_PARTS - 1,
 * together exactly `bytes`). Those already in the window are copied, the others will be received
 * there; `received` is called when all are in place. Until stream_direct_finish() they are not
 * parsed; stream_peek() shows what follows them.
 */
void stream_direct(struct stream *s, const struct stream_part *part, unsigned count, uint32_t bytes);
/* Up to where what was received is accounted for, by the last commit. */
static inline uint64_t stream_committed(const struct stream *s)
{
    const struct stream_state *st = s->state;
    return st->hot[atomic_load_explicit(&st->cur, memory_order_relaxed) & 1].rx_parsed;
}

/* Bytes of the direct segment that have not been received. */
static inline uint32_t stream_direct_missing(const struct stream *s)
{
    uint64_t got = s->rx_pos - s->next.rx_parsed;
    return got < s->next.direct_bytes ? s->next.direct_bytes - (uint32_t)got : 0;
}
/* They are all there, and accounted for: part of the next commit. */
static inline void stream_direct_finish(struct stream *s)
{
    s->next.rx_parsed += s->next.direct_bytes;
    s->next.direct_bytes = 0;
}

/* Asks for more bytes; submitted at the end of the turn. */
void stream_receive(struct stream *s);

/* A free queue entry to fill (pos is the stream's), or NULL: wait for `writable`. */
static inline struct stream_tx *stream_tx_next(struct stream *s)
{
    if (s->next.tx_last - s->next.tx_first == STREAM_TX_ENTRIES)
        return NULL;
    return &s->state->tx[s->next.tx_last % STREAM_TX_ENTRIES];
}

static inline uint32_t stream_tx_room(const struct stream *s)
{
    return STREAM_TX_ENTRIES - (s->next.tx_last - s->next.tx_first);
}

static inline void stream_tx_push(struct stream *s, struct stream_tx *e)
{
    e->pos = s->next.tx_tail;
    s->next.tx_tail += (uint64_t)e->header_bytes + e->data_bytes + e->trailer_bytes;
    s->next.tx_last++;
}

/* Publishes consumed bytes, queued entries and numbers as one. */
void stream_commit(struct stream *s);

/* Starts no operation any more and asks for an early end of those in flight (then stream_idle()). What
   they still bring is accounted for; nothing is announced. */
void stream_freeze(struct stream *s);
/* Goes on; the protocol looks at stream_peek() itself. */
void stream_unfreeze(struct stream *s);

/* Bytes queued that the next flush could give to the socket; 0 while a send is in flight. */
static inline uint64_t stream_backlog(const struct stream *s)
{
    return s->tx_armed ? 0 : s->next.tx_tail - s->tx_pos;
}

/* True when everything queued has been taken by the socket. */
static inline bool stream_drained(const struct stream *s)
{
    return s->next.tx_first == s->next.tx_last;
}

/* Sends FIN after what is queued has left (call when drained). */
void stream_shutdown_send(struct stream *s);
/* Ends everything at once (shutdown of both directions); `closed` follows. */
void stream_close(struct stream *s);
