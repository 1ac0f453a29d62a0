/* SPDX-License-Identifier: BSD-3-Clause */
/* The link's codec: what fits is passed with its descriptor, what does not fit leaves nothing open. */
#include "keeper/link.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    g_assert_nonnull(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    g_assert_cmpint(fstat(a, &x), ==, 0);
    g_assert_cmpint(fstat(b, &y), ==, 0);
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void make_links(struct link *a, struct link *b)
{
    int fd[2];
    g_assert_cmpint(link_pair(fd), ==, 0);
    link_init(a, fd[0]);
    link_init(b, fd[1]);
}

static void test_every_message_arrives_as_sent(void)
{
    unsigned before = open_fds();
    struct link a, b;
    struct link_message m = { .type = LINK_CONNECTION }, got;
    int file = memfd_create("test", MFD_CLOEXEC);

    make_links(&a, &b);
    m.fd = file;
    m.connection.slot = 77;
    m.connection.listener = 3;
    g_strlcpy(m.connection.portal, "san", LINK_NAME_MAX);
    g_assert_cmpint(address_parse("[2001:db8::1]:3261", &m.connection.peer), ==, 0);
    g_assert_cmpint(link_send(&a, &m), ==, 0);
    g_assert_cmpint(link_receive(&b, &got), ==, 1);
    g_assert_cmpint(got.type, ==, LINK_CONNECTION);
    g_assert_cmpuint(got.connection.slot, ==, 77);
    g_assert_cmpuint(got.connection.listener, ==, 3);
    g_assert_cmpstr(got.connection.portal, ==, "san");
    g_assert_true(address_equal(&got.connection.peer, &m.connection.peer));
    g_assert_cmpint(got.fd, !=, file);
    g_assert_true(same_file(got.fd, file));
    g_assert_cmpint(fcntl(got.fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    close(got.fd);

    m = (struct link_message){ .type = LINK_FAILED, .fd = -1 };
    g_strlcpy(m.failed.text, "LUN 0 cannot be opened", LINK_TEXT_MAX);
    g_assert_cmpint(link_send(&b, &m), ==, 0);
    m = (struct link_message){ .type = LINK_CLOSED, .fd = -1, .closed.slot = 9 };
    g_assert_cmpint(link_send(&b, &m), ==, 0);
    g_assert_cmpint(link_receive(&a, &got), ==, 1);
    g_assert_cmpstr(got.failed.text, ==, "LUN 0 cannot be opened");
    g_assert_cmpint(link_receive(&a, &got), ==, 1);
    g_assert_cmpuint(got.closed.slot, ==, 9);
    g_assert_cmpint(got.fd, ==, -1);
    g_assert_cmpint(link_receive(&a, &got), ==, 0);

    link_deinit(&b);
    g_assert_cmpint(link_receive(&a, &got), ==, -EPIPE);
    link_deinit(&a);
    close(file);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_a_message_with_the_wrong_descriptor_is_not_sent(void)
{
    struct link a, b;
    struct link_message m = { .type = LINK_CONNECTION, .fd = -1 };

    make_links(&a, &b);
    g_assert_cmpint(link_send(&a, &m), ==, -EINVAL);
    m = (struct link_message){ .type = LINK_GO, .fd = a.fd };
    g_assert_cmpint(link_send(&a, &m), ==, -EINVAL);
    m = (struct link_message){ .type = (enum link_type)99, .fd = -1 };
    g_assert_cmpint(link_send(&a, &m), ==, -EINVAL);
    g_assert_cmpint(link_receive(&b, &m), ==, 0);
    link_deinit(&a);
    link_deinit(&b);
}

/* A raw datagram with any number of descriptors, as a confused or hostile worker could send it. */
static void send_raw(int fd, const void *data, size_t bytes, unsigned n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)data, bytes };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

    g_assert_cmpuint(n_fds, <=, 8);
    if (n_fds > 0) {
        mh.msg_control = control.bytes;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
    }
    g_assert_cmpint(sendmsg(fd, &mh, 0), ==, (ssize_t)bytes);
}

struct raw {
    uint16_t version, type;
    uint32_t bytes;
    uint8_t body[2048];
};

static void expect_refused(size_t bytes, uint16_t version, uint16_t type, uint32_t claimed,
                           uint8_t fill, unsigned n_fds)
{
    unsigned before = open_fds();
    struct link a, b;
    struct link_message got;
    struct raw raw = { version, type, claimed, { 0 } };

    make_links(&a, &b);
    memset(raw.body, fill, sizeof(raw.body));
    send_raw(a.fd, &raw, bytes, n_fds);
    g_assert_cmpint(link_receive(&b, &got), ==, -EBADMSG);
    link_deinit(&a);
    link_deinit(&b);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_a_malformed_datagram_is_refused_and_leaks_nothing(void)
{
    const uint32_t connection = sizeof(struct link_connection), get = sizeof(struct link_memfd_get);

    expect_refused(3, 3, LINK_GO, 0, 0, 0); /* part of a header */
    expect_refused(8, 1, LINK_GO, 0, 0, 0); /* another version */
    expect_refused(8, 3, 0, 0, 0, 0);
    expect_refused(8, 3, 39, 0, 0, 0); /* a hole in the numbers */
    expect_refused(8, 3, 60000, 0, 0, 0);
    expect_refused(8 + 2, 3, LINK_CLOSED, 4, 0, 0);    /* a part of its body */
    expect_refused(8 + 8, 3, LINK_CLOSED, 4, 0, 0);    /* too long, and lies */
    expect_refused(8 + 2000, 3, LINK_CLOSED, 4, 0, 0); /* larger than any message */
    expect_refused(8, 3, LINK_GO, 0, 0, 1);            /* a descriptor nobody asked for */
    expect_refused(8 + connection, 3, LINK_CONNECTION, connection, 0,
                   0); /* the descriptor is missing */
    expect_refused(8 + connection, 3, LINK_CONNECTION, connection, 0, 2);
    expect_refused(8 + connection, 3, LINK_CONNECTION, connection, 0,
                   8); /* more than there is room for */
    expect_refused(8 + connection, 3, LINK_CONNECTION, connection, 'x',
                   1); /* a string without an end */
    expect_refused(8 + get, 3, LINK_MEMFD_GET, get, 'x', 0);
    expect_refused(8 + LINK_TEXT_MAX, 3, LINK_FAILED, LINK_TEXT_MAX, 'x', 0);
}

static void expect_slot(uint32_t claimed, uint8_t fill, uint32_t slot)
{
    struct link a, b;
    struct link_message got;
    struct raw raw = { 3, LINK_CLOSED, claimed, { 0 } };

    make_links(&a, &b);
    memset(raw.body, fill, claimed);
    send_raw(a.fd, &raw, 8 + claimed, 0);
    memset(&got, 0xff, sizeof(got));
    g_assert_cmpint(link_receive(&b, &got), ==, 1);
    g_assert_cmpuint(got.closed.slot, ==, slot);
    link_deinit(&a);
    link_deinit(&b);
}

static void test_a_body_of_another_binary_may_be_shorter_or_longer(void)
{
    expect_slot(0, 0x11, 0);
    expect_slot(2, 0x11, 0x1111);
    expect_slot(4, 0x11, 0x11111111);
    expect_slot(1000, 0x11, 0x11111111);
}

static void test_a_peer_that_does_not_read_costs_bounded_memory(void)
{
    unsigned before = open_fds(), sent = 0, got = 0;
    struct link a, b;
    struct link_message m = { .type = LINK_CLOSED, .fd = -1 };
    int r;

    make_links(&a, &b);
    for (r = 0; r == 0 && sent < 10 * LINK_QUEUE_MAX; sent++) {
        m.closed.slot = sent;
        r = link_send(&a, &m);
    }
    sent--; /* the last one was refused */
    g_assert_cmpint(r, ==, -ENOBUFS);
    g_assert_cmpuint(a.queued, ==, LINK_QUEUE_MAX);
    g_assert_cmpint(link_poll_events(&a), ==, POLLIN | POLLOUT);

    while (got < sent) { /* nothing is lost and the order is kept */
        r = link_receive(&b, &m);
        g_assert_cmpint(r, >=, 0);
        if (r == 0)
            g_assert_cmpint(link_flush(&a), ==, 0);
        else
            g_assert_cmpuint(m.closed.slot, ==, got++);
    }
    g_assert_cmpint(link_receive(&b, &m), ==, 0);
    g_assert_cmpint(link_poll_events(&a), ==, POLLIN);
    link_deinit(&a);
    link_deinit(&b);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_queued_descriptors_survive_their_sender_and_are_not_leaked(void)
{
    unsigned before = open_fds(), sent = 0;
    struct link a, b;
    struct link_message m = { .type = LINK_RELOAD }, got;
    int file = memfd_create("test", MFD_CLOEXEC);

    make_links(&a, &b);
    for (m.fd = file; a.queued < 3; sent++)
        g_assert_cmpint(link_send(&a, &m), ==, 0);
    for (unsigned i = 0; i < sent - 1; i++) {
        g_assert_cmpint(link_flush(&a), ==, 0);
        g_assert_cmpint(link_receive(&b, &got), ==, 1);
        g_assert_true(same_file(got.fd, file));
        close(got.fd);
    }
    while (a.queued == 0) /* leave some in the socket and some in the queue */
        g_assert_cmpint(link_send(&a, &m), ==, 0);
    close(file);
    link_deinit(&a);
    link_deinit(&a);
    link_deinit(&b);
    g_assert_cmpuint(open_fds(), ==, before);
}

static gpointer answer_memfd(gpointer data)
{
    struct link *keeper = data;
    struct link_message m, answer = { .type = LINK_GO, .fd = -1 };
    int r;

    while ((r = link_receive(keeper, &m)) == 0)
        g_usleep(1000);
    g_assert_cmpint(r, ==, 1);
    g_assert_cmpint(m.type, ==, LINK_MEMFD_GET);
    g_assert_cmpstr(m.memfd_get.name, ==, "lun:iqn.x/0");
    g_assert_cmpint(link_send(keeper, &answer), ==, 0); /* comes in between */
    answer = (struct link_message){ .type = LINK_MEMFD, .fd = memfd_create("other", MFD_CLOEXEC) };
    answer.memfd.id = m.memfd_get.id - 1; /* a late answer */
    g_assert_cmpint(link_send(keeper, &answer), ==, 0);
    close(answer.fd);
    answer.fd = memfd_create("right", MFD_CLOEXEC);
    answer.memfd = (struct link_memfd){ m.memfd_get.bytes, m.memfd_get.id, 0, 1 };
    g_assert_cmpint(ftruncate(answer.fd, (off_t)m.memfd_get.bytes), ==, 0);
    g_assert_cmpint(link_send(keeper, &answer), ==, 0);
    close(answer.fd);
    return NULL;
}

static void test_asking_for_memory_keeps_other_messages(void)
{
    unsigned before = open_fds();
    struct link keeper, worker;
    struct link_message m;
    struct stat st;
    bool existed = false;
    int fd = -1;

    make_links(&keeper, &worker);
    GThread *t = g_thread_new("keeper", answer_memfd, &keeper);
    g_assert_cmpint(link_get_memfd(&worker, "lun:iqn.x/0", 12288, 10000, &fd, &existed, NULL), ==, 0);
    g_thread_join(t);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 12288);
    g_assert_true(existed);
    close(fd);
    g_assert_true(link_has_inbox(&worker));
    g_assert_cmpint(link_receive(&worker, &m), ==, 1);
    g_assert_cmpint(m.type, ==, LINK_GO);
    g_assert_false(link_has_inbox(&worker));

    fd = -1;
    g_assert_cmpint(link_get_memfd(&worker, "never answered", 1, 20, &fd, NULL, NULL), ==, -ETIMEDOUT);
    link_deinit(&keeper);
    g_assert_cmpint(link_get_memfd(&worker, "nobody there", 1, 10000, &fd, NULL, NULL), ==, -EPIPE);
    g_assert_cmpint(fd, ==, -1);
    link_deinit(&worker);
    g_assert_cmpuint(open_fds(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keeper/link/every-message-arrives-as-sent",
                    test_every_message_arrives_as_sent);
    g_test_add_func("/keeper/link/a-message-with-the-wrong-descriptor-is-not-sent",
                    test_a_message_with_the_wrong_descriptor_is_not_sent);
    g_test_add_func("/keeper/link/a-malformed-datagram-is-refused-and-leaks-nothing",
                    test_a_malformed_datagram_is_refused_and_leaks_nothing);
    g_test_add_func("/keeper/link/a-body-of-another-binary-may-be-shorter-or-longer",
                    test_a_body_of_another_binary_may_be_shorter_or_longer);
    g_test_add_func("/keeper/link/a-peer-that-does-not-read-costs-bounded-memory",
                    test_a_peer_that_does_not_read_costs_bounded_memory);
    g_test_add_func("/keeper/link/queued-descriptors-survive-their-sender-and-are-not-leaked",
                    test_queued_descriptors_survive_their_sender_and_are_not_leaked);
    g_test_add_func("/keeper/link/asking-for-memory-keeps-other-messages",
                    test_asking_for_memory_keeps_other_messages);
    return g_test_run();
}
