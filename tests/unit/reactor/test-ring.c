/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring: every operation answers exactly once, whatever is cancelled, full or closed. */
#include "ring-helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_pair(int fds[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
}

static void test_receive_waits_for_data(void)
{
    struct ring *ring = ring_for_test(8);
    struct test_op recv;
    char buf[8] = "";
    int fds[2];
    make_pair(fds);
    ring_recv(ring, &test_op_init(&recv)->op, fds[0], buf, 3, RING_POLL_FIRST);
    g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
    g_assert_cmpuint(ring_reap(ring, 64), ==, 0);
    g_assert_true(ring_op_busy(&recv.op));
    g_assert_cmpint(write(fds[1], "abcde", 5), ==, 5);
    g_assert_cmpint(finish(ring, &recv), ==, 3);
    g_assert_true(recv.more_data);
    g_assert_cmpstr(buf, ==, "abc");
    g_assert_false(ring_op_busy(&recv.op));
    g_assert_cmpuint(ring_outstanding(ring), ==, 0);
    ring_destroy(ring);
    close(fds[0]);
    close(fds[1]);
}

static void test_gathered_send_survives_overwritten_scratch(void)
{
    /* iovecs and msghdr are scribbled over right after submission, while the send still waits for
     * room in the socket: the kernel must have its own copy. */
    enum { PIECE = 1 << 18, PIECES = 16 };
    struct ring *ring = ring_for_test(8);
    g_autofree uint8_t *data = g_malloc(PIECE * PIECES), *got = g_malloc(PIECE * PIECES);
    struct iovec iov[PIECES];
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = PIECES };
    struct test_op send;
    size_t have = 0;
    int fds[2];
    for (size_t i = 0; i < PIECE * PIECES; i++)
        data[i] = (uint8_t)(i * 131 >> 7);
    for (unsigned i = 0; i < PIECES; i++)
        iov[i] = (struct iovec){ data + (size_t)i * PIECE, PIECE };
    make_pair(fds);
    ring_sendmsg(ring, &test_op_init(&send)->op, fds[0], &msg, MSG_WAITALL);
    g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
    g_assert_cmpuint(send.done, ==, 0);
    memset(iov, 0xff, sizeof(iov));
    memset(&msg, 0xff, sizeof(msg));
    while (have < PIECE * PIECES) {
        ssize_t n = recv(fds[1], got + have, PIECE * PIECES - have, MSG_DONTWAIT);
        have += n > 0 ? (size_t)n : 0;
        g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
        ring_reap(ring, 64);
        g_assert_true(!send.done || send.result == PIECE * PIECES);
    }
    g_assert_cmpint(finish(ring, &send), ==, PIECE * PIECES);
    g_assert_cmpint(memcmp(data, got, PIECE * PIECES), ==, 0);
    ring_destroy(ring);
    close(fds[0]);
    close(fds[1]);
}

static void test_scattered_receive_takes_all(void)
{
    struct ring *ring = ring_for_test(8);
    char a[5] = "", b[7] = "";
    struct iovec iov[2] = { { a, 4 }, { b, 6 } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    struct test_op recv, send;
    int fds[2];
    make_pair(fds);
    ring_recvmsg(ring, &test_op_init(&recv)->op, fds[0], &msg, MSG_WAITALL);
    ring_send(ring, &test_op_init(&send)->op, fds[1], "01234", 5, 0);
    g_assert_cmpint(finish(ring, &send), ==, 5);
    g_assert_cmpuint(recv.done, ==, 0);
    ring_send(ring, &test_op_init(&send)->op, fds[1], "56789", 5, 0);
    g_assert_cmpint(finish(ring, &recv), ==, 10);
    g_assert_cmpstr(a, ==, "0123");
    g_assert_cmpstr(b, ==, "456789");
    drain(ring);
    ring_destroy(ring);
    close(fds[0]);
    close(fds[1]);
}

static void test_send_to_closed_peer_is_epipe(void)
{
    struct ring *ring = ring_for_test(8);
    struct test_op send;
    int fds[2];
    make_pair(fds);
    close(fds[1]);
    ring_send(ring, &test_op_init(&send)->op, fds[0], "x", 1, 0); /* SIGPIPE would end us */
    g_assert_cmpint(finish(ring, &send), ==, -EPIPE);
    ring_destroy(ring);
    close(fds[0]);
}

static void test_files(void)
{
    struct ring *ring = ring_for_test(8);
    int fd = memfd_create("test", MFD_CLOEXEC);
    char a[] = "hello ", b[] = "world", got[12] = "", c[7] = "", d[6] = "";
    struct iovec out[2] = { { a, 6 }, { b, 5 } }, in[2] = { { c, 6 }, { d, 5 } };
    struct test_op t;
    struct stat st;
    ring_writev(ring, &test_op_init(&t)->op, fd, out, 2, 100, RWF_DSYNC);
    g_assert_cmpint(finish(ring, &t), ==, 11);
    ring_readv(ring, &test_op_init(&t)->op, fd, in, 2, 100, 0);
    g_assert_cmpint(finish(ring, &t), ==, 11);
    g_assert_cmpstr(c, ==, "hello ");
    g_assert_cmpstr(d, ==, "world");
    ring_write(ring, &test_op_init(&t)->op, fd, "W", 1, 106, RWF_DSYNC);
    g_assert_cmpint(finish(ring, &t), ==, 1);
    struct iovec one = { got, 11 };
    ring_readv(ring, &test_op_init(&t)->op, fd, &one, 1, 100, 0);
    g_assert_cmpint(finish(ring, &t), ==, 11);
    g_assert_cmpstr(got, ==, "hello World");
    ring_fsync(ring, &test_op_init(&t)->op, fd, /* datasync= */ true);
    g_assert_cmpint(finish(ring, &t), ==, 0);
    ring_fallocate(ring, &test_op_init(&t)->op, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100,
                   5);
    g_assert_cmpint(finish(ring, &t), ==, 0);
    ring_fallocate(ring, &test_op_init(&t)->op, fd, 0, 0, 8192);
    g_assert_cmpint(finish(ring, &t), ==, 0);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 8192);
    ring_read(ring, &test_op_init(&t)->op, fd, got, 11, 100, 0);
    g_assert_cmpint(finish(ring, &t), ==, 11);
    g_assert_cmpint(memcmp(got, "\0\0\0\0\0 World", 11), ==, 0);
    ring_read(ring, &test_op_init(&t)->op, -1, got, 11, 100, 0);
    g_assert_cmpint(finish(ring, &t), ==, -EBADF);
    ring_destroy(ring);
    close(fd);
}

static void test_poll(void)
{
    struct ring *ring = ring_for_test(8);
    struct test_op t;
    int fds[2];
    make_pair(fds);
    ring_poll(ring, &test_op_init(&t)->op, fds[0], POLLIN);
    g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
    g_assert_cmpuint(t.done, ==, 0);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    g_assert_cmpint(finish(ring, &t) & POLLIN, ==, POLLIN);
    ring_destroy(ring);
    close(fds[0]);
    close(fds[1]);
}

static void test_cancel_is_answered_once(void)
{
    enum { N = 200 };
    struct ring *ring = ring_for_test(16);
    struct test_op ops[N], idle;
    char buf[N];
    int fds[2];
    make_pair(fds);
    for (unsigned i = 0; i < N; i++)
        ring_recv(ring, &test_op_init(&ops[i])->op, fds[0], &buf[i], 1, 0);
    g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
    g_assert_cmpuint(ring_outstanding(ring), ==, N);
    for (unsigned i = 0; i < N; i += 2) {
        ring_cancel(ring, &ops[i].op);
        if (i % 4 == 0)
            ring_cancel(ring, &ops[i].op);
    }
    ring_cancel(ring, &test_op_init(&idle)->op); /* not started: nothing happens */
    while (ring_outstanding(ring) > N / 2) {
        g_assert_cmpint(ring_enter(ring, NS_PER_S), ==, 0);
        ring_reap(ring, 7);
    }
    for (unsigned i = 0; i < N; i++) {
        g_assert_cmpuint(ops[i].done, ==, i % 2 == 0);
        if (i % 2 == 0)
            g_assert_cmpint(ops[i].result, ==, -ECANCELED);
    }
    for (unsigned i = 0; i < N / 2; i++)
        g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    drain(ring);
    for (unsigned i = 0; i < N; i++) {
        g_assert_cmpuint(ops[i].done, ==, 1);
        g_assert_cmpint(ops[i].result, ==, i % 2 ? 1 : -ECANCELED);
    }
    g_assert_cmpuint(idle.done, ==, 0);
    ring_destroy(ring);
    close(fds[0]);
    close(fds[1]);
}

static void test_cancel_against_completion_loses_nothing(void)
{
    /* A receive is cancelled while bytes arrive, then started again: every byte arrives once. */
    struct ring *ring = ring_for_test(8);
    struct test_op t;
    unsigned sent = 0, got = 0, cancelled = 0;
    int fds[2];
    make_pair(fds);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t byte = 0, out = (uint8_t)sent;
        ring_recv(ring, &test_op_init(&t)->op, fds[0], &byte, 1, 0);
        if (round % 3 == 0)
            g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
        if (round % 2 == 0) {
            g_assert_cmpint(write(fds[1], &out, 1), ==, 1);
            sent++;
        }
        ring_cancel(ring, &t.op);
        int r = finish(ring, &t);
        if (r == 1) {
            g_assert_cmpuint(byte, ==, (uint8_t)got);
            got++;
        } else {
            g_assert_cmpint(r, ==, -ECANCELED);
            cancelled++;
        }
    }
    while (got < sent) {
        uint8_t byte;
        g_assert_cmpint(recv(fds[0], &byte, 1, MSG_DONTWAIT), ==, 1);
        g_assert_cmpuint(byte, ==, (uint8_t)got);
        got++;
    }
    g_assert_cmpuint(cancelled, >, 0);
    g_assert_cmpuint(ring_outstanding(ring), ==, 0);
    ring_destroy(ring);
    close(fds[0]);
    close(fds[1]);
}

static void test_more_operations_than_entries(void)
{
    enum { N = 5000 };
    struct ring *ring = ring_for_test(4); /* 16 completions: overflows on both sides */
    g_autofree struct test_op *ops = g_new(struct test_op, N);
    for (unsigned i = 0; i < N; i++)
        ring_nop(ring, &test_op_init(&ops[i])->op);
    g_assert_cmpuint(ring_outstanding(ring), ==, N);
    drain(ring);
    for (unsigned i = 0; i < N; i++) {
        g_assert_cmpuint(ops[i].done, ==, 1);
        g_assert_cmpint(ops[i].result, ==, 0);
    }
    g_assert_cmpuint(ring_counters(ring)->full, >, 0);
    g_assert_cmpuint(ring_counters(ring)->started, ==, N);
    g_assert_cmpuint(ring_counters(ring)->completed, ==, N);
    ring_destroy(ring);
}

struct chain {
    struct ring_op op;
    struct ring *ring;
    unsigned left;
};

static void chain_done(struct ring_op *op, int result)
{
    struct chain *c = (struct chain *)op;
    g_assert_cmpint(result, ==, 0);
    if (c->left-- > 1)
        ring_nop(c->ring, op);
}

static void test_operations_restart_themselves(void)
{
    enum { N = 64 };
    struct ring *ring = ring_for_test(4);
    struct chain chains[N];
    for (unsigned i = 0; i < N; i++) {
        chains[i] = (struct chain){ .ring = ring, .left = 100 };
        ring_op_init(&chains[i].op, chain_done);
        ring_nop(ring, &chains[i].op);
    }
    drain(ring);
    for (unsigned i = 0; i < N; i++)
        g_assert_cmpuint(chains[i].left, ==, 0);
    ring_destroy(ring);
}

static void test_registered_file(void)
{
    struct ring *ring = ring_for_test(8);
    struct test_op t;
    char buf[4] = "";
    int fds[2];
    make_pair(fds);
    int slot = ring_file_add(ring, fds[0]);
    g_assert_cmpint(slot, !=, fds[0]);
    close(fds[0]);
    g_assert_cmpint(write(fds[1], "abc", 3), ==, 3);
    ring_recv(ring, &test_op_init(&t)->op, slot, buf, 3, 0);
    g_assert_cmpint(finish(ring, &t), ==, 3);
    g_assert_cmpstr(buf, ==, "abc");
    ring_file_remove(ring, slot);
    ring_recv(ring, &test_op_init(&t)->op, fds[1], buf, 3, 0);
    g_assert_cmpint(finish(ring, &t), ==, 0); /* the table held the last reference: end of file */
    ring_destroy(ring);
    close(fds[1]);
}

static void test_file_slots_are_reused(void)
{
    struct ring *ring = ring_for_test(8);
    int fd = memfd_create("test", MFD_CLOEXEC);
    for (unsigned i = 0; i < 10000; i++) {
        int slot = ring_file_add(ring, fd);
        g_assert_cmpint(slot, !=, fd);
        ring_file_remove(ring, slot);
    }
    ring_destroy(ring);
    close(fd);
}

static void test_tombstone_hangs_up_after_the_ring(void)
{
    struct ring *ring = NULL;
    struct test_op t;
    char byte;
    int fds[2], other[2];
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    make_pair(other);
    g_assert_cmpint(ring_create(8, &ring), ==, 0);
    g_assert_cmpint(ring_hold(ring, fds[1]), ==, 0);
    close(fds[1]);
    g_assert_cmpint(ring_enable(ring), ==, 0);
    ring_recv(ring, &test_op_init(&t)->op, other[0], &byte, 1, 0);
    g_assert_cmpint(ring_enter(ring, RING_NO_WAIT), ==, 0);
    struct pollfd p = { .fd = fds[0] };
    g_assert_cmpint(poll(&p, 1, 0), ==, 0);
    ring_destroy(ring);
    g_assert_cmpint(poll(&p, 1, 10000), ==, 1);
    g_assert_cmpint(p.revents & POLLHUP, ==, POLLHUP);
    g_assert_cmpuint(t.done, ==, 0);
    close(fds[0]);
    close(other[0]);
    close(other[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reactor/ring/receive-waits-for-data", test_receive_waits_for_data);
    g_test_add_func("/reactor/ring/gathered-send-survives-overwritten-scratch",
                    test_gathered_send_survives_overwritten_scratch);
    g_test_add_func("/reactor/ring/scattered-receive-takes-all", test_scattered_receive_takes_all);
    g_test_add_func("/reactor/ring/send-to-closed-peer-is-epipe",
                    test_send_to_closed_peer_is_epipe);
    g_test_add_func("/reactor/ring/files", test_files);
    g_test_add_func("/reactor/ring/poll", test_poll);
    g_test_add_func("/reactor/ring/cancel-is-answered-once", test_cancel_is_answered_once);
    g_test_add_func("/reactor/ring/cancel-against-completion-loses-nothing",
                    test_cancel_against_completion_loses_nothing);
    g_test_add_func("/reactor/ring/more-operations-than-entries",
                    test_more_operations_than_entries);
    g_test_add_func("/reactor/ring/operations-restart-themselves",
                    test_operations_restart_themselves);
    g_test_add_func("/reactor/ring/registered-file", test_registered_file);
    g_test_add_func("/reactor/ring/file-slots-are-reused", test_file_slots_are_reused);
    g_test_add_func("/reactor/ring/tombstone-hangs-up-after-the-ring",
                    test_tombstone_hangs_up_after_the_ring);
    return g_test_run();
}
