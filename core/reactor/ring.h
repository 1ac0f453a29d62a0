/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring: asynchronous I/O as one-shot operations. ring.c is the only file that knows io_uring;
 * nothing here shows its types, so another back end can stand behind the same calls.
 *
 * An operation is a `struct ring_op` embedded in the caller's object. Started, it belongs to the
 * ring until its done() has been called, exactly once, from ring_reap() on the ring's own thread
 * and never from inside the call that started it. `result` is what the system call would have
 * returned, or a negative errno (-ECANCELED after a cancel that was in time). The operation may be
 * started again, or freed, from inside done().
 *
 * Starting cannot fail: operations are queued and go to the kernel with the next ring_enter(), or
 * earlier when the submission queue is full. An operation that the kernel refuses completes with
 * the errno.
 *
 * What must stay valid, and how long (IORING_FEAT_SUBMIT_STABLE is required at creation):
 *   - data buffers, always: until done();
 *   - iovec arrays, and the msghdr of ring_sendmsg(): until the operation has been submitted (the
 *     end of the reactor's turn, see reactor_iov()), even when the kernel goes on asynchronously;
 *   - the msghdr of ring_recvmsg(): until done(), the kernel writes msg_flags and lengths back.
 *
 * Thread: everything is called on the thread that called ring_enable(), except ring_create(), what
 * prepares the ring before ring_enable(), ring_counters() and ring_destroy() after ring_leave().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct ring;

struct ring_op {
    void (*done)(struct ring_op *op, int result);
    uint32_t busy;  /* private: started, not yet done */
    uint32_t notes; /* private: see ring_op_more_data() */
};

/* Counters, written by the ring's thread, readable anywhere with relaxed loads. */
struct ring_counters {
    uint64_t enters;    /* system calls made to submit, wait or collect */
    uint64_t waits;     /* ... that were allowed to sleep */
    uint64_t started;   /* operations started */
    uint64_t completed; /* done() calls */
    uint64_t full;      /* early submissions because the queue was full */
    uint64_t fixed;     /* reads and writes through registered buffers */
};

/* For ring_recv()/ring_recvmsg() flags: do not try at once, the socket is known to be empty. */
#define RING_POLL_FIRST (1 << 28)

static inline void ring_op_init(struct ring_op *op, void (*done)(struct ring_op *op, int result))
{
    op->done = done;
    op->busy = 0;
    op->notes = 0;
}

static inline bool ring_op_busy(const struct ring_op *op)
{
    return op->busy;
}

/* In done() of a receive: the socket held more bytes than were taken. */
bool ring_op_more_data(const struct ring_op *op);

/*
 * A ring with room for `entries` unsubmitted operations (rounded up to a power of two). Disabled:
 * nothing can be started before ring_enable(). Errors: what io_uring_setup(2) says; turn it into a
 * line for people with ring_refusal_text().
 */
int ring_create(unsigned entries, struct ring **ret_ring);
/* Binds the ring to the calling thread, which from now on is the only one that may use it. */
int ring_enable(struct ring *ring);
/* The thread of ring_enable() gives the ring up, before it ends; only ring_destroy() may follow. */
void ring_leave(struct ring *ring);
/*
 * Closes the ring; NULL is fine; returns NULL. Operations still outstanding never call done() and
 * may go on for a while in the kernel: cancel and reap them first (ring_outstanding() == 0), or let
 * the tombstone say when they are over.
 */
/* In a process that shares the memory of one that is dead: takes every ring of it out of that memory. */
void ring_unmap_all(void);
struct ring *ring_destroy(struct ring *ring);
/* One line for the log: why io_uring said -err, and which knob changes it. `err` as returned. */
const char *ring_refusal_text(int err);

/*
 * Tombstone: the ring keeps its own reference to fd's open file until the kernel has finished the
 * ring's last operation, also after the process was killed. The caller closes its fd.
 */
int ring_hold(struct ring *ring, int fd);

/*
 * Registered files: an fd number good for this ring's calls only, cheaper per operation. When the
 * table is full the fd itself is returned; always use the returned number, and give it back with
 * ring_file_remove() (after its last operation is done) before the fd is closed. Old kernels let go
 * of a removed file only when older operations on other registered files are over: a socket that
 * must end now wants shutdown(2), not only close(2).
 */
int ring_file_add(struct ring *ring, int fd);
void ring_file_remove(struct ring *ring, int ring_fd);

/*
 * Registered memory: [base, base + bytes) in blocks of 1 << shift bytes, each registered on its
 * own, which saves the kernel the page look-up of every direct I/O. Reads and writes of one iovec
 * inside one block use it by themselves; a block that file I/O keeps using without being registered
 * is registered by the way, until the kernel refuses once (RLIMIT_MEMLOCK), silently.
 * Registering touches and pins the block's pages. A block must have no operation in flight when it
 * is unregistered, and must be unregistered before its pages are taken out of the file.
 * ring_memory_set() once, before ring_enable() or on the ring's thread.
 */
int ring_memory_set(struct ring *ring, void *base, uint64_t bytes, unsigned shift);
int ring_memory_register(struct ring *ring, unsigned block);
void ring_memory_unregister(struct ring *ring, unsigned block);

/* Sockets. Sends carry MSG_NOSIGNAL; with MSG_WAITALL the kernel goes on until all is sent (or
 * received), and a cancelled one answers the short count. */
void ring_recv(struct ring *ring, struct ring_op *op, int fd, void *buf, size_t len, int flags);
void ring_recvmsg(struct ring *ring, struct ring_op *op, int fd, struct msghdr *msg, int flags);
void ring_send(struct ring *ring, struct ring_op *op, int fd, const void *buf, size_t len,
               int flags);
void ring_sendmsg(struct ring *ring, struct ring_op *op, int fd, const struct msghdr *msg,
                  int flags);
/* poll(2) events of one fd, once; result: the revents. */
void ring_poll(struct ring *ring, struct ring_op *op, int fd, unsigned events);

/* Files. `rw_flags` are RWF_* of preadv2(2); `count` up to IOV_MAX; results may be short. */
void ring_read(struct ring *ring, struct ring_op *op, int fd, void *buf, unsigned len,
               uint64_t offset, int rw_flags);
void ring_write(struct ring *ring, struct ring_op *op, int fd, const void *buf, unsigned len,
                uint64_t offset, int rw_flags);
void ring_readv(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
                unsigned count, uint64_t offset, int rw_flags);
void ring_writev(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
                 unsigned count, uint64_t offset, int rw_flags);
void ring_fsync(struct ring *ring, struct ring_op *op, int fd, bool datasync);
void ring_fallocate(struct ring *ring, struct ring_op *op, int fd, int mode, uint64_t offset,
                    uint64_t bytes);
/* Completes with 0 in a later ring_reap(). */
void ring_nop(struct ring *ring, struct ring_op *op);

/*
 * Asks for an early end. done() still comes exactly once, later, with -ECANCELED or with the
 * ordinary result if that was faster. Nothing happens when `op` is not busy.
 */
void ring_cancel(struct ring *ring, struct ring_op *op);

/* Operations started and not yet done. */
unsigned ring_outstanding(const struct ring *ring);
/* Completions that can be reaped without a system call? */
bool ring_ready(const struct ring *ring);
/* Completions that the kernel holds back until ring_enter()? Cheap; for loops that look and spin. */
bool ring_wants_enter(const struct ring *ring);
/* Operations queued and not yet submitted. */
unsigned ring_queued(const struct ring *ring);

#define RING_NO_WAIT UINT64_C(0)
#define RING_FOREVER UINT64_MAX
/*
 * One system call: submits everything queued, collects what is finished and, when nothing is ready
 * to be reaped, sleeps up to `timeout_ns` for the first completion. 0, or negative errno when the
 * ring is broken (interrupts and time-outs are 0).
 */
int ring_enter(struct ring *ring, uint64_t timeout_ns);
/* Calls done() of up to `max` finished operations; returns how many. Not from inside done(). */
unsigned ring_reap(struct ring *ring, unsigned max);

const struct ring_counters *ring_counters(const struct ring *ring);
