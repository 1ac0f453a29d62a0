/* SPDX-License-Identifier: BSD-3-Clause */
/* Data buffers: classes, exhaustion, the queue of those who wait, pages given back. The pool is
 * used from the test's thread before its reactor runs, and on the reactor where turns matter. */
#include "reactor-helper.h"

#include "base/clock.h"
#include "reactor/bufpool.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARENA = ARENA_POOL_FIRST, MIB = 1 << 20 };

struct fixture {
    struct reactor *reactor;
    struct bufpool *pool;
};

static void setup_bytes(struct fixture *f, uint64_t bytes)
{
    int fd = arena_create_fd("pool", bytes);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(arena_map(ARENA, fd, bytes), ==, 0);
    f->reactor = reactor_make(0, 0);
    g_assert_cmpint(bufpool_create(f->reactor, ARENA, &f->pool), ==, 0);
    g_assert_true(f->reactor->pool == f->pool);
    g_assert_cmpuint(bufpool_capacity(f->pool), ==, bytes / MIB * MIB);
}

static void setup(struct fixture *f, gconstpointer data)
{
    setup_bytes(f, 4 * MIB + 4096);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    reactor_stop(f->reactor);
    g_assert_cmpuint(bufpool_used(f->pool), ==, 0);
    f->pool = bufpool_destroy(f->pool);
    reactor_free(f->reactor);
    arena_unmap(ARENA);
}

static uint64_t pages_held(void)
{
    struct stat st;
    g_assert_cmpint(fstat(arena_table[ARENA].fd, &st), ==, 0);
    return (uint64_t)st.st_blocks * 512;
}

static void test_sizes(struct fixture *f, gconstpointer data)
{
    static const struct {
        size_t ask;
        uint32_t get;
    } rows[] = { { 1, 4096 },       { 4096, 4096 },      { 4097, 16384 },
                 { 16384, 16384 },  { 16385, 65536 },    { 65536, 65536 },
                 { 65537, 262144 }, { 262145, 1048576 }, { 1048576, 1048576 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct buf *buf = bufpool_take(f->pool, rows[i].ask);
        g_assert_nonnull(buf);
        g_assert_cmpuint(buf->bytes, ==, rows[i].get);
        g_assert_cmpuint((uintptr_t)buf->data % 4096, ==, 0);
        g_assert_cmpuint(bufpool_used(f->pool), ==, rows[i].get);
        g_assert_cmpuint(counters_of(f->reactor).buffer_bytes, ==, rows[i].get);
        g_assert_true(arena_ptr(buf_arena_ref(buf)) == buf->data);
        memset(buf->data, 0xaa, buf->bytes);
        g_assert_null(buf_unref(buf));
        g_assert_cmpuint(bufpool_used(f->pool), ==, 0);
    }
    g_assert_null(bufpool_take(f->pool, 0));
    g_assert_null(bufpool_take(f->pool, MIB + 1));
    g_assert_null(buf_unref(NULL));
}

static void test_references(struct fixture *f, gconstpointer data)
{
    struct buf *buf = bufpool_take(f->pool, 100);
    g_assert_true(buf_ref(buf) == buf);
    buf_unref(buf);
    g_assert_cmpuint(bufpool_used(f->pool), ==, 4096);
    g_assert_true(bufpool_find(f->pool, buf->data + 4095) == buf);
    g_assert_null(bufpool_find(f->pool, buf->data + 4096));
    g_assert_null(bufpool_find(f->pool, buf));
    uint8_t *data_was = buf->data;
    buf_unref(buf);
    g_assert_null(bufpool_find(f->pool, data_was));
}

/* Takes until there is no more; checks that no two overlap and none leaves the arena. */
static unsigned take_all(struct fixture *f, size_t bytes, struct buf **bufs)
{
    unsigned n = 0;
    g_autofree uint8_t *pages = g_malloc0(4 * 256);
    for (struct buf *buf; (buf = bufpool_take(f->pool, bytes)); n++) {
        uint64_t offset = (uint64_t)(buf->data - arena_table[ARENA].base);
        g_assert_cmpuint(offset + buf->bytes, <=, bufpool_capacity(f->pool));
        for (uint64_t page = offset / 4096; page < (offset + buf->bytes) / 4096; page++)
            g_assert_cmpuint(pages[page]++, ==, 0);
        bufs[n] = buf;
    }
    return n;
}

static void test_exhaustion_of_each_class(struct fixture *f, gconstpointer data)
{
    static const size_t sizes[] = { MIB, 4096, 262144, 16384, 65536 };
    struct buf *bufs[1024];
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        unsigned n = take_all(f, sizes[i], bufs);
        g_assert_cmpuint(n, ==, 4 * MIB / sizes[i]);
        g_assert_cmpuint(bufpool_used(f->pool), ==, bufpool_capacity(f->pool));
        g_assert_null(bufpool_take(f->pool, 1));
        /* In an order of its own, so that lists and bits are mixed up. */
        for (unsigned k = 0; k < n; k++)
            buf_unref(bufs[(k * 7919u) % n]);
        g_assert_cmpuint(bufpool_used(f->pool), ==, 0);
    }
}

static void test_larger_piece_rather_than_nothing(struct fixture *f, gconstpointer data)
{
    struct buf *big[16];
    for (unsigned i = 0; i < 15; i++)
        big[i] = bufpool_take(f->pool, 262144);
    struct buf *small = bufpool_take(f->pool, 4096);
    g_assert_nonnull(small);
    g_assert_cmpuint(small->bytes, ==, 262144);
    g_assert_null(bufpool_take(f->pool, 4096));
    buf_unref(small);
    for (unsigned i = 0; i < 15; i++)
        buf_unref(big[i]);
}

static void test_random_use_keeps_contents_apart(struct fixture *f, gconstpointer data)
{
    enum { N = 300 };
    struct buf *bufs[N] = { NULL };
    for (unsigned step = 0; step < 40000; step++) {
        unsigned i = (unsigned)g_test_rand_int_range(0, N);
        if (bufs[i]) {
            g_assert_cmpuint(bufs[i]->data[0], ==, (uint8_t)i);
            g_assert_cmpuint(bufs[i]->data[bufs[i]->bytes - 1], ==, (uint8_t)(i + 1));
            g_assert_true(bufpool_find(f->pool, bufs[i]->data + bufs[i]->bytes / 2) == bufs[i]);
            bufs[i] = buf_unref(bufs[i]);
        } else if ((bufs[i] = bufpool_take(f->pool, (size_t)1 << g_test_rand_int_range(0, 21)))) {
            bufs[i]->data[0] = (uint8_t)i;
            bufs[i]->data[bufs[i]->bytes - 1] = (uint8_t)(i + 1);
        }
    }
    for (unsigned i = 0; i < N; i++)
        buf_unref(bufs[i]);
}

/* ---- waiting ---- */

enum { WAITERS = 6 };

struct wait_test {
    struct fixture *f;
    struct buf *held[4];
    struct waiting {
        struct bufpool_waiter waiter;
        struct buf *got;
        unsigned rank;
    } waiting[WAITERS];
};

static unsigned served;

static void served_one(struct bufpool_waiter *waiter, struct buf *buf)
{
    struct waiting *w = container_of(waiter, struct waiting, waiter);
    g_assert_null(w->got);
    g_assert_nonnull(buf);
    w->got = buf;
    w->rank = ++served;
}

static void take_everything_and_wait(void *data)
{
    static const size_t sizes[WAITERS] = { 4096, MIB, 4096, 65536, 4096, MIB };
    struct wait_test *t = data;
    for (unsigned i = 0; i < 4; i++)
        g_assert_nonnull(t->held[i] = bufpool_take(t->f->pool, MIB));
    for (unsigned i = 0; i < WAITERS; i++) {
        bufpool_waiter_init(&t->waiting[i].waiter, served_one);
        bufpool_wait(t->f->pool, &t->waiting[i].waiter, sizes[i]);
    }
}

static void give_back_one(void *data)
{
    struct wait_test *t = data;
    for (unsigned i = 0; i < 4; i++) {
        if (t->held[i]) {
            t->held[i] = buf_unref(t->held[i]);
            break;
        }
    }
    g_assert_null(bufpool_take(t->f->pool, 1)); /* others were first */
}

static void cancel_second(void *data)
{
    struct wait_test *t = data;
    bufpool_wait_cancel(t->f->pool, &t->waiting[1].waiter);
    bufpool_wait_cancel(t->f->pool, &t->waiting[1].waiter);
}

static void give_back_all(void *data)
{
    struct wait_test *t = data;
    for (unsigned i = 0; i < 4; i++)
        t->held[i] = buf_unref(t->held[i]);
    for (unsigned i = 0; i < WAITERS; i++)
        t->waiting[i].got = buf_unref(t->waiting[i].got);
}

static void nothing(void *data)
{
}

static void start_waiting(struct fixture *f, struct wait_test *t)
{
    served = 0;
    t->f = f;
    g_assert_cmpint(reactor_start(f->reactor), ==, 0);
    on_reactor(f->reactor, take_everything_and_wait, t);
    on_reactor(f->reactor, nothing, NULL);
    g_assert_cmpuint(served, ==, 0);
}

static void test_waiters_are_served_in_order(struct fixture *f, gconstpointer data)
{
    struct wait_test t = { NULL };
    start_waiting(f, &t);
    on_reactor(f->reactor, give_back_one, &t);
    on_reactor(f->reactor, nothing, NULL);
    /* 4K fits; the megabyte behind it does not and holds up the small ones behind it. */
    g_assert_cmpuint(served, ==, 1);
    g_assert_cmpuint(t.waiting[0].rank, ==, 1);
    on_reactor(f->reactor, give_back_one, &t);
    on_reactor(f->reactor, nothing, NULL);
    /* The megabyte, then 4K from the first superblock; 64K needs a superblock of its own. */
    g_assert_cmpuint(served, ==, 3);
    g_assert_cmpuint(t.waiting[1].rank, ==, 2);
    g_assert_cmpuint(t.waiting[2].rank, ==, 3);
    on_reactor(f->reactor, give_back_all, &t);
    on_reactor(f->reactor, nothing, NULL);
    g_assert_cmpuint(served, ==, WAITERS);
    for (unsigned i = 0; i < WAITERS; i++)
        g_assert_cmpuint(t.waiting[i].rank, ==, i + 1);
    g_assert_cmpuint(counters_of(f->reactor).buffer_waits, ==, WAITERS);
    on_reactor(f->reactor, give_back_all, &t);
}

static void test_leaving_the_queue_lets_the_next_pass(struct fixture *f, gconstpointer data)
{
    struct wait_test t = { NULL };
    start_waiting(f, &t);
    on_reactor(f->reactor, give_back_one, &t);
    on_reactor(f->reactor, nothing, NULL);
    g_assert_cmpuint(served, ==, 1);
    on_reactor(f->reactor, cancel_second, &t);
    on_reactor(f->reactor, nothing, NULL);
    g_assert_cmpuint(served, ==, 2); /* the 4K behind it, from the superblock of the first */
    g_assert_nonnull(t.waiting[2].got);
    on_reactor(f->reactor, give_back_all, &t);
    on_reactor(f->reactor, nothing, NULL);
    g_assert_cmpuint(served, ==, WAITERS - 1);
    g_assert_null(t.waiting[1].got);
    on_reactor(f->reactor, give_back_all, &t);
}

static void test_waiting_without_need_is_served_soon(struct fixture *f, gconstpointer data)
{
    struct wait_test t = { .f = f };
    struct waiting *w = &t.waiting[0];
    served = 0;
    bufpool_waiter_init(&w->waiter, served_one);
    bufpool_wait(f->pool, &w->waiter, 4096);
    g_assert_null(w->got); /* never from inside */
    g_assert_cmpint(reactor_start(f->reactor), ==, 0);
    on_reactor(f->reactor, nothing, NULL);
    on_reactor(f->reactor, nothing, NULL);
    g_assert_nonnull(w->got);
    on_reactor(f->reactor, give_back_all, &t);
}

/* ---- pages ---- */

static void test_idle_memory_is_untouched_and_given_back(struct fixture *f, gconstpointer data)
{
    struct buf *bufs[1024];
    g_assert_cmpuint(pages_held(), ==, 0);
    struct buf *one = bufpool_take(f->pool, 4096);
    memset(one->data, 1, 4096);
    g_assert_cmpuint(pages_held(), ==, 4096);
    buf_unref(one);
    unsigned n = take_all(f, 65536, bufs);
    for (unsigned i = 0; i < n; i++)
        memset(bufs[i]->data, 2, bufs[i]->bytes);
    g_assert_cmpuint(pages_held(), ==, 4 * MIB);
    for (unsigned i = 1; i < n; i++)
        buf_unref(bufs[i]);
    bufpool_trim(f->pool);
    g_assert_cmpuint(pages_held(), ==, MIB); /* the one in use stays whole */
    g_assert_cmpuint(bufs[0]->data[65535], ==, 2);
    g_assert_cmpuint(counters_of(f->reactor).buffer_trims, ==, 3);
    buf_unref(bufs[0]);
    bufpool_trim(f->pool);
    g_assert_cmpuint(pages_held(), ==, 0);
    g_assert_cmpuint(timer_wheel_next(&f->reactor->timers), ==, TIMER_NEVER);
}

static void test_timer_trims_after_long_idling(struct fixture *f, gconstpointer data)
{
    struct buf *buf = bufpool_take(f->pool, MIB);
    memset(buf->data, 1, MIB);
    buf_unref(buf);
    uint64_t start = f->reactor->now_ns, next = timer_wheel_next(&f->reactor->timers);
    g_assert_cmpuint(next, !=, TIMER_NEVER);
    g_assert_cmpuint(next - start, >=, NS_PER_S);
    f->reactor->now_ns = next;
    timer_wheel_run(&f->reactor->timers, next);
    g_assert_cmpuint(pages_held(), ==, 0);
    g_assert_cmpuint(timer_wheel_next(&f->reactor->timers), ==, TIMER_NEVER);
}

/* ---- file I/O through the pool: registered by use, still right after a trim ---- */

struct io_test {
    struct fixture *f;
    struct ring_op op;
    struct buf *buf;
    int fd;
    unsigned step, steps;
    sem_t done;
};

static void io_next(struct ring_op *op, int result)
{
    struct io_test *t = container_of(op, struct io_test, op);
    struct ring *ring = t->f->reactor->ring;
    uint8_t mark = (uint8_t)(t->step / 2);
    if (t->step)
        g_assert_cmpint(result, ==, 4096);
    if (t->step && t->step % 2 == 0)
        for (unsigned i = 0; i < 4096; i++)
            g_assert_cmpuint(t->buf->data[i], ==, (uint8_t)(mark - 1));
    if (t->step == t->steps) {
        t->buf = buf_unref(t->buf);
        bufpool_trim(t->f->pool);
        sem_post(&t->done);
        return;
    }
    memset(t->buf->data, t->step % 2 ? 0xff : mark, 4096);
    struct iovec iov = { t->buf->data, 4096 };
    if (t->step++ % 2 == 0)
        ring_writev(ring, op, t->fd, &iov, 1, 0, 0);
    else
        ring_readv(ring, op, t->fd, &iov, 1, 0, 0);
}

static void io_start(void *data)
{
    struct io_test *t = data;
    t->step = 0;
    t->steps = 400;
    t->buf = bufpool_take(t->f->pool, 4096);
    ring_op_init(&t->op, io_next);
    io_next(&t->op, 0);
}

static void test_file_io_gets_registered_and_survives_trim(struct fixture *f, gconstpointer data)
{
    struct io_test t = { .f = f, .fd = memfd_create("file", MFD_CLOEXEC) };
    sem_init(&t.done, 0, 0);
    g_assert_cmpint(reactor_start(f->reactor), ==, 0);
    for (unsigned round = 1; round <= 3; round++) {
        on_reactor(f->reactor, io_start, &t);
        wait_signal(&t.done);
        g_assert_cmpuint(counters_of(f->reactor).fixed, >=, round * 300);
        g_assert_cmpuint(pages_held(), ==, 0);
    }
    close(t.fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test)                                                                            \
    g_test_add("/reactor/bufpool/" name, struct fixture, NULL, setup, test, teardown)
    ADD("sizes", test_sizes);
    ADD("references", test_references);
    ADD("exhaustion-of-each-class", test_exhaustion_of_each_class);
    ADD("larger-piece-rather-than-nothing", test_larger_piece_rather_than_nothing);
    ADD("random-use-keeps-contents-apart", test_random_use_keeps_contents_apart);
    ADD("waiters-are-served-in-order", test_waiters_are_served_in_order);
    ADD("leaving-the-queue-lets-the-next-pass", test_leaving_the_queue_lets_the_next_pass);
    ADD("waiting-without-need-is-served-soon", test_waiting_without_need_is_served_soon);
    ADD("idle-memory-is-untouched-and-given-back", test_idle_memory_is_untouched_and_given_back);
    ADD("timer-trims-after-long-idling", test_timer_trims_after_long_idling);
    ADD("file-io-gets-registered-and-survives-trim",
        test_file_io_gets_registered_and_survives_trim);
    return g_test_run();
}
