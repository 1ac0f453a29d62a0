/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io_uring behind ring.h. The only file that includes liburing.
 *
 * Life of an operation: op_start() takes a submission entry whose user_data is the ring_op;
 * ring_enter() hands the entries over; ring_reap() copies completions out in small batches, so that
 * a done() that submits finds room, and calls done(). user_data 0 marks the ring's own cancel
 * requests, whose completion nobody waits for.
 *
 * Set-up: one issuer and task work only when we ask (DEFER_TASKRUN), the cheapest mode there is;
 * where the kernel lacks it, cooperative task work. The ring is made disabled and enabled on its
 * thread, which is what binds it to that thread.
 */
#include "reactor/ring.h"

#include "base/list.h"
#include "base/log.h"
#include "reactor/counters.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING_ENTRIES_MAX 8192
#define RING_FILES       4096      /* registered files, bounded by RLIMIT_NOFILE as well */
#define RING_FILE_BIT    (1 << 30) /* marks numbers of registered files */
#define RING_BLOCKS_MAX  16384     /* the kernel's limit of registered buffers */
#define RING_REAP_BATCH  32
#define RING_MISSES      64 /* I/O on a block before it is registered */

struct ring {
    struct list node; /* of all_rings */
    struct io_uring uring;
    unsigned outstanding;
    bool enabled;
    struct ring_counters counters;
    /* Registered files: a stack of free slots. */
    unsigned files, free_files;
    uint16_t *free_slots;
    /* Registered memory. */
    uint8_t *memory;
    uint64_t memory_bytes;
    unsigned memory_shift, blocks;
    uint64_t *registered; /* a bit per block */
    uint8_t *misses;      /* a count per block: I/O that found it not registered */
    bool memory_refused;
};

static struct list all_rings = { &all_rings, &all_rings }; /* of the thread that makes them */

static int setup(struct ring *ring, unsigned entries)
{
    static const unsigned modes[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    };
    const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG;
    int r = -EINVAL;
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]) && r == -EINVAL; i++) {
        struct io_uring_params p = {
            .flags = modes[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
                     IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = entries * 4,
        };
        r = io_uring_queue_init_params(entries, &ring->uring, &p);
    }
    if (r < 0)
        return r;
    if ((ring->uring.features & needed) != needed) {
        io_uring_queue_exit(&ring->uring);
        return -EINVAL;
    }
    return 0;
}

static int setup_files(struct ring *ring)
{
    struct rlimit limit;
    unsigned files = RING_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < files)
        files = (unsigned)limit.rlim_cur;
    ring->free_slots = calloc(files, sizeof(*ring->free_slots));
    if (!ring->free_slots)
        return -ENOMEM;
    int r = io_uring_register_files_sparse(&ring->uring, files);
    if (r < 0)
        return r;
    ring->files = files;
    for (unsigned slot = files; slot-- > 0;)
        ring->free_slots[ring->free_files++] = (uint16_t)slot;
    return 0;
}

int ring_create(unsigned entries, struct ring **ret_ring)
{
    struct ring *ring = calloc(1, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    if (entries > RING_ENTRIES_MAX)
        entries = RING_ENTRIES_MAX;
    int r = setup(ring, entries ? entries : 1);
    if (r < 0) {
        free(ring);
        return r;
    }
    list_append(&all_rings, &ring->node);
    r = setup_files(ring);
    if (r < 0) {
        ring_destroy(ring);
        return r;
    }
    *ret_ring = ring;
    return 0;
}

int ring_enable(struct ring *ring)
{
    /* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
    if (syscall(__NR_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
                0) < 0)
        return -errno;
    /* Saves the look-up of the ring's descriptor in each call; it works without, too. */
    (void)io_uring_register_ring_fd(&ring->uring);
    ring->enabled = true;
    return 0;
}

void ring_leave(struct ring *ring)
{
    if (ring->uring.enter_ring_fd != ring->uring.ring_fd)
        (void)io_uring_unregister_ring_fd(&ring->uring);
}

struct ring *ring_destroy(struct ring *ring)
{
    if (!ring)
        return NULL;
    list_remove(&ring->node);
    io_uring_queue_exit(&ring->uring);
    free(ring->free_slots);
    free(ring->registered);
    free(ring->misses);
    free(ring);
    return NULL;
}

void ring_unmap_all(void)
{
    list_for_each(n, &all_rings) {
        const struct io_uring *uring = &list_entry(n, struct ring, node)->uring;
        munmap(uring->sq.sqes, uring->sq.ring_entries * sizeof(struct io_uring_sqe));
        munmap(uring->sq.ring_ptr, uring->sq.ring_sz);
        if (uring->cq.ring_ptr != uring->sq.ring_ptr)
            munmap(uring->cq.ring_ptr, uring->cq.ring_sz);
    }
}

/* ---- registered files ---- */

int ring_hold(struct ring *ring, int fd)
{
    int slot = ring_file_add(ring, fd);
    return slot == fd ? -ENOSPC : 0;
}

int ring_file_add(struct ring *ring, int fd)
{
    if (fd < 0 || !ring->free_files)
        return fd;
    unsigned slot = ring->free_slots[ring->free_files - 1];
    if (io_uring_register_files_update(&ring->uring, slot, &fd, 1) != 1)
        return fd;
    ring->free_files--;
    return (int)slot | RING_FILE_BIT;
}

void ring_file_remove(struct ring *ring, int ring_fd)
{
    if (ring_fd < RING_FILE_BIT)
        return;
    int slot = ring_fd & ~RING_FILE_BIT, none = -1;
    (void)io_uring_register_files_update(&ring->uring, (unsigned)slot, &none, 1);
    ring->free_slots[ring->free_files++] = (uint16_t)slot;
}

/* ---- registered memory ---- */

int ring_memory_set(struct ring *ring, void *base, uint64_t bytes, unsigned shift)
{
    uint64_t blocks = bytes >> shift;
    if (ring->memory)
        return -EEXIST;
    if (blocks > RING_BLOCKS_MAX)
        blocks = RING_BLOCKS_MAX;
    if (!blocks)
        return -EINVAL;
    uint64_t *bits = calloc((blocks + 63) / 64, sizeof(*bits));
    uint8_t *misses = calloc(blocks, sizeof(*misses));
    int r = -ENOMEM;
    if (bits && misses)
        r = io_uring_register_buffers_sparse(&ring->uring, (unsigned)blocks);
    if (r < 0) {
        free(bits);
        free(misses);
        return r;
    }
    ring->registered = bits;
    ring->misses = misses;
    ring->memory = base;
    ring->memory_bytes = blocks << shift;
    ring->memory_shift = shift;
    ring->blocks = (unsigned)blocks;
    return 0;
}

static int memory_update(struct ring *ring, unsigned block, void *base, size_t bytes)
{
    struct iovec iov = { .iov_base = base, .iov_len = bytes };
    __u64 tag = 0;
    int r = io_uring_register_buffers_update_tag(&ring->uring, block, &iov, &tag, 1);
    return r == 1 ? 0 : r < 0 ? r : -EINVAL;
}

static bool registered(const struct ring *ring, uint64_t block)
{
    return ring->registered[block / 64] >> block % 64 & 1;
}

int ring_memory_register(struct ring *ring, unsigned block)
{
    if (block >= ring->blocks)
        return -ERANGE;
    size_t bytes = (size_t)1 << ring->memory_shift;
    int r =
        memory_update(ring, block, ring->memory + ((uint64_t)block << ring->memory_shift), bytes);
    if (r == 0)
        ring->registered[block / 64] |= UINT64_C(1) << block % 64;
    return r;
}

void ring_memory_unregister(struct ring *ring, unsigned block)
{
    if (block >= ring->blocks || !registered(ring, block))
        return;
    ring->registered[block / 64] &= ~(UINT64_C(1) << block % 64);
    ring->misses[block] = 0;
    (void)memory_update(ring, block, NULL, 0);
}

/* A block in use that is not registered: is it worth it by now? */
static __attribute__((noinline)) bool memory_missed(struct ring *ring, unsigned block)
{
    if (ring->memory_refused || ++ring->misses[block] < RING_MISSES)
        return false;
    ring->misses[block] = 0;
    ring->memory_refused = ring_memory_register(ring, block) < 0;
    return !ring->memory_refused;
}

/* The registered block that holds all of [address, address + bytes), or -1. */
static int memory_block(struct ring *ring, const void *address, size_t bytes)
{
    uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)ring->memory);
    if (offset >= ring->memory_bytes || !bytes || bytes > ring->memory_bytes - offset)
        return -1;
    uint64_t block = offset >> ring->memory_shift;
    if ((offset + bytes - 1) >> ring->memory_shift != block)
        return -1;
    return registered(ring, block) || memory_missed(ring, (unsigned)block) ? (int)block : -1;
}

/* ---- starting ---- */

static void __attribute__((noreturn)) broken(const char *what, int err)
{
    log_error("ring", "%s error=\"%s\"", what, strerror(err < 0 ? -err : err));
    abort();
}

static __attribute__((noinline)) struct io_uring_sqe *entry_when_full(struct ring *ring)
{
    struct io_uring_sqe *sqe;
    counter_add(&ring->counters.full, 1);
    for (;;) {
        counter_add(&ring->counters.enters, 1);
        int r = io_uring_submit_and_get_events(&ring->uring);
        sqe = io_uring_get_sqe(&ring->uring);
        if (sqe)
            return sqe;
        /* No memory for requests, or interrupted: the entries are still queued, once more. */
        if (r < 0 && r != -EAGAIN && r != -EBUSY && r != -EINTR && r != -ENOMEM)
            broken("submission refused", r);
        sched_yield();
    }
}

static inline struct io_uring_sqe *entry(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    return __builtin_expect(!sqe, 0) ? entry_when_full(ring) : sqe;
}

static inline struct io_uring_sqe *op_start(struct ring *ring, struct ring_op *op)
{
    if (__builtin_expect(op->busy, 0))
        broken("operation started twice", EBUSY);
    op->busy = 1;
    ring->outstanding++;
    counter_add(&ring->counters.started, 1);
    return entry(ring);
}

/* After the prep call, which has cleared these fields. */
static inline void op_finish(struct io_uring_sqe *sqe, struct ring_op *op, int fd)
{
    if (fd >= RING_FILE_BIT) {
        sqe->fd = fd & ~RING_FILE_BIT;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    io_uring_sqe_set_data(sqe, op);
}

void ring_recv(struct ring *ring, struct ring_op *op, int fd, void *buf, size_t len, int flags)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_recv(sqe, fd, buf, len, flags & ~RING_POLL_FIRST);
    if (flags & RING_POLL_FIRST)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    op_finish(sqe, op, fd);
}

void ring_recvmsg(struct ring *ring, struct ring_op *op, int fd, struct msghdr *msg, int flags)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_recvmsg(sqe, fd, msg, (unsigned)(flags & ~RING_POLL_FIRST));
    if (flags & RING_POLL_FIRST)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    op_finish(sqe, op, fd);
}

void ring_send(struct ring *ring, struct ring_op *op, int fd, const void *buf, size_t len,
               int flags)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_send(sqe, fd, buf, len, flags | MSG_NOSIGNAL);
    op_finish(sqe, op, fd);
}

void ring_sendmsg(struct ring *ring, struct ring_op *op, int fd, const struct msghdr *msg,
                  int flags)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_sendmsg(sqe, fd, msg, (unsigned)flags | MSG_NOSIGNAL);
    op_finish(sqe, op, fd);
}

void ring_poll(struct ring *ring, struct ring_op *op, int fd, unsigned events)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_poll_add(sqe, fd, events);
    op_finish(sqe, op, fd);
}

void ring_read(struct ring *ring, struct ring_op *op, int fd, void *buf, unsigned len,
               uint64_t offset, int rw_flags)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    int block = memory_block(ring, buf, len);
    if (block >= 0) {
        io_uring_prep_read_fixed(sqe, fd, buf, len, offset, block);
        counter_add(&ring->counters.fixed, 1);
    } else {
        io_uring_prep_read(sqe, fd, buf, len, offset);
    }
    sqe->rw_flags = rw_flags;
    op_finish(sqe, op, fd);
}

void ring_write(struct ring *ring, struct ring_op *op, int fd, const void *buf, unsigned len,
                uint64_t offset, int rw_flags)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    int block = memory_block(ring, buf, len);
    if (block >= 0) {
        io_uring_prep_write_fixed(sqe, fd, buf, len, offset, block);
        counter_add(&ring->counters.fixed, 1);
    } else {
        io_uring_prep_write(sqe, fd, buf, len, offset);
    }
    sqe->rw_flags = rw_flags;
    op_finish(sqe, op, fd);
}

void ring_readv(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
                unsigned count, uint64_t offset, int rw_flags)
{
    if (count == 1 && iov->iov_len <= INT32_MAX) {
        ring_read(ring, op, fd, iov->iov_base, (unsigned)iov->iov_len, offset, rw_flags);
        return;
    }
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_readv2(sqe, fd, iov, count, offset, rw_flags);
    op_finish(sqe, op, fd);
}

void ring_writev(struct ring *ring, struct ring_op *op, int fd, const struct iovec *iov,
                 unsigned count, uint64_t offset, int rw_flags)
{
    if (count == 1 && iov->iov_len <= INT32_MAX) {
        ring_write(ring, op, fd, iov->iov_base, (unsigned)iov->iov_len, offset, rw_flags);
        return;
    }
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_writev2(sqe, fd, iov, count, offset, rw_flags);
    op_finish(sqe, op, fd);
}

void ring_fsync(struct ring *ring, struct ring_op *op, int fd, bool datasync)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_fsync(sqe, fd, datasync ? IORING_FSYNC_DATASYNC : 0);
    op_finish(sqe, op, fd);
}

void ring_fallocate(struct ring *ring, struct ring_op *op, int fd, int mode, uint64_t offset,
                    uint64_t bytes)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_fallocate(sqe, fd, mode, (off_t)offset, (off_t)bytes);
    op_finish(sqe, op, fd);
}

void ring_nop(struct ring *ring, struct ring_op *op)
{
    struct io_uring_sqe *sqe = op_start(ring, op);
    io_uring_prep_nop(sqe);
    op_finish(sqe, op, -1);
}

void ring_cancel(struct ring *ring, struct ring_op *op)
{
    if (!op->busy)
        return;
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_cancel(sqe, op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
}

/* ---- finishing ---- */

bool ring_op_more_data(const struct ring_op *op)
{
    return op->notes & IORING_CQE_F_SOCK_NONEMPTY;
}

unsigned ring_outstanding(const struct ring *ring)
{
    return ring->outstanding;
}

bool ring_ready(const struct ring *ring)
{
    return io_uring_cq_ready(&ring->uring) != 0;
}

bool ring_wants_enter(const struct ring *ring)
{
    return IO_URING_READ_ONCE(*ring->uring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

unsigned ring_queued(const struct ring *ring)
{
    return io_uring_sq_ready(&ring->uring);
}

static int wait_for_one(struct ring *ring, uint64_t timeout_ns)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec t = {
        .tv_sec = (long long)(timeout_ns / 1000000000u),
        .tv_nsec = (long long)(timeout_ns % 1000000000u),
    };
    counter_add(&ring->counters.waits, 1);
    return io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1,
                                            timeout_ns == RING_FOREVER ? NULL : &t, NULL);
}

int ring_enter(struct ring *ring, uint64_t timeout_ns)
{
    int r;
    counter_add(&ring->counters.enters, 1);
    if (timeout_ns == RING_NO_WAIT || ring_ready(ring))
        r = io_uring_submit_and_get_events(&ring->uring);
    else
        r = wait_for_one(ring, timeout_ns);
    if (r >= 0)
        return 0;
    switch (-r) {
    case ETIME:
    case EINTR:
    case EAGAIN:
    case EBUSY:
    case ENOMEM:
        return 0;
    default:
        return r;
    }
}

unsigned ring_reap(struct ring *ring, unsigned max)
{
    unsigned total = 0;
    while (total < max) {
        struct io_uring_cqe *cqes[RING_REAP_BATCH];
        struct {
            struct ring_op *op;
            int result;
            uint32_t flags;
        } batch[RING_REAP_BATCH];
        unsigned want = max - total < RING_REAP_BATCH ? max - total : RING_REAP_BATCH;
        unsigned n = 0, got = io_uring_cq_ready(&ring->uring);
        if (got > want)
            got = want;
        if (!got)
            break;
        got = io_uring_peek_batch_cqe(&ring->uring, cqes, got);
        for (unsigned i = 0; i < got; i++) {
            batch[n].op = io_uring_cqe_get_data(cqes[i]);
            batch[n].result = cqes[i]->res;
            batch[n].flags = cqes[i]->flags;
            n += batch[n].op != NULL;
        }
        io_uring_cq_advance(&ring->uring, got);
        for (unsigned i = 0; i < n; i++) {
            struct ring_op *op = batch[i].op;
            op->busy = 0;
            op->notes = batch[i].flags;
            ring->outstanding--;
            op->done(op, batch[i].result);
        }
        counter_add(&ring->counters.completed, n);
        total += got;
    }
    return total;
}

const struct ring_counters *ring_counters(const struct ring *ring)
{
    return &ring->counters;
}
