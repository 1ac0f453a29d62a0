/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake-worker.h. */
#include "fake-worker.h"

#include "keeper/link.h"
#include "net/position.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOTS 1024

struct fake {
    struct link link;
    int test; /* to the test */
    int memfd;
    int sockets[SLOTS];
    struct link_message held[SLOTS]; /* connections of earlier workers; looked at when told "ready" */
    unsigned held_count;
    bool deaf; /* does not read the link */
};

__attribute__((format(printf, 2, 3))) static void say(struct fake *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *line = g_strdup_vprintf(format, ap);
    va_end(ap);
    if (send(f->test, line, strlen(line), MSG_NOSIGNAL) < 0)
        exit(99); /* the test is over */
}

static void send_link(struct fake *f, struct link_message m)
{
    int r = link_send(&f->link, &m);
    if (r < 0 && r != -EPIPE)
        abort();
}

static void heard_memfd(struct fake *f, const struct link_message *m)
{
    char content[64] = "";

    if (m->fd >= 0) {
        if (pread(m->fd, content, sizeof(content) - 1, 0) < 0)
            abort();
        if (f->memfd >= 0)
            close(f->memfd);
        f->memfd = m->fd;
    }
    say(f, "MEMFD %d %u %s", -m->memfd.error, m->memfd.existed, content);
}

static void heard(struct fake *f, const struct link_message *m)
{
    char peer[ADDRESS_TEXT_MAX];

    switch (m->type) {
    case LINK_GO:
        say(f, "GO");
        break;
    case LINK_CONNECTION:
        if (m->connection.slot >= SLOTS || (fcntl(m->fd, F_GETFL) & O_NONBLOCK) != 0)
            abort();
        f->sockets[m->connection.slot] = m->fd;
        if (m->connection.held) {
            f->held[f->held_count++] = *m;
            break;
        }
        say(f, "CONNECTION %u %s %u %s", m->connection.slot, m->connection.portal,
            m->connection.listener, address_format(&m->connection.peer, peer));
        break;
    case LINK_STOP:
        say(f, "STOP");
        break;
    case LINK_MEMFD:
        heard_memfd(f, m);
        break;
    case LINK_PING:
        send_link(f, (struct link_message){ .type = LINK_PONG, .fd = -1, .ping = m->ping });
        break;
    case LINK_RELOAD: /* it takes its time */
    case LINK_AFTER: /* how the last one died: the same for every test here */
        break;
    default:
        say(f, "unexpected %d", (int)m->type);
        break;
    }
}

/* As the real one, which has no records here: takes what nobody has touched, is done with the rest. */
static void take_over(struct fake *f)
{
    char peer[ADDRESS_TEXT_MAX];
    for (unsigned i = 0; i < f->held_count; i++) {
        const struct link_connection *c = &f->held[i].connection;
        struct socket_position at;
        if (socket_position(f->held[i].fd, &at) == 0 && at.open && at.rx == 0 && at.tx == 0)
            say(f, "CONNECTION %u %s %u %s", c->slot, c->portal, c->listener,
                address_format(&c->peer, peer));
        else
            send_link(f, (struct link_message){
                             .type = LINK_CLOSED, .fd = -1, .closed.slot = c->slot });
    }
    f->held_count = 0;
}

static void send_tombstone(struct fake *f)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)"tombstone", 9 };
    struct msghdr mh = { .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
    int fd = LINK_WORKER_FD_TOMBSTONE;

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    if (sendmsg(f->test, &mh, 0) < 0)
        abort();
}

static void ask_memory(struct fake *f, char **word)
{
    struct link_message m = { .type = LINK_MEMFD_GET, .fd = -1 };
    g_strlcpy(m.memfd_get.name, word[1], LINK_NAME_MAX);
    m.memfd_get.bytes = g_ascii_strtoull(word[2], NULL, 10);
    send_link(f, m);
}

static void close_slot(struct fake *f, unsigned slot)
{
    if (slot < SLOTS && f->sockets[slot] >= 0) {
        shutdown(f->sockets[slot], SHUT_RDWR);
        close(f->sockets[slot]);
        f->sockets[slot] = -1;
    }
    send_link(f, (struct link_message){ .type = LINK_CLOSED, .fd = -1, .closed.slot = slot });
}

static void read_slot(struct fake *f, unsigned slot)
{
    char text[64] = "";
    if (read(f->sockets[slot], text, sizeof(text) - 1) < 0)
        abort();
    say(f, "READ %s", text);
}

static void do_failed(struct fake *f, char **word)
{
    struct link_message m = { .type = LINK_FAILED, .fd = -1 };
    g_strlcpy(m.failed.text, word[1], LINK_TEXT_MAX);
    send_link(f, m);
}

static void obey(struct fake *f, const char *line)
{
    g_auto(GStrv) word = g_strsplit(line, " ", 3);

    if (g_str_equal(word[0], "ready")) {
        take_over(f);
        send_link(f, (struct link_message){ .type = LINK_READY, .fd = -1 });
    } else if (g_str_equal(word[0], "stopped"))
        send_link(f, (struct link_message){ .type = LINK_STOPPED, .fd = -1 });
    else if (g_str_equal(word[0], "nonsense"))
        send_link(f, (struct link_message){ .type = LINK_GO, .fd = -1 });
    else if (g_str_equal(word[0], "failed"))
        do_failed(f, word);
    else if (g_str_equal(word[0], "closed"))
        close_slot(f, (unsigned)atoi(word[1]));
    else if (g_str_equal(word[0], "read"))
        read_slot(f, (unsigned)atoi(word[1]));
    else if (g_str_equal(word[0], "get"))
        ask_memory(f, word);
    else if (g_str_equal(word[0], "fill") && pwrite(f->memfd, word[1], strlen(word[1]), 0) < 0)
        abort();
    else if (g_str_equal(word[0], "say") &&
             write(f->sockets[atoi(word[1])], word[2], strlen(word[2])) < 0)
        abort();
    else if (g_str_equal(word[0], "tombstone"))
        send_tombstone(f);
    else if (g_str_equal(word[0], "prepared"))
        send_link(f, (struct link_message){ .type = LINK_PREPARED, .fd = -1 });
    else if (g_str_equal(word[0], "nothing-lasts") &&
             write(LINK_WORKER_FD_TOMBSTONE, LINK_NOTHING_LASTS, 1) != 1)
        abort();
    else if (g_str_equal(word[0], "deaf"))
        f->deaf = true;
    else if (g_str_equal(word[0], "hear"))
        f->deaf = false;
    else if (g_str_equal(word[0], "exit"))
        _exit(atoi(word[1]));
    else if (g_str_equal(word[0], "abort"))
        raise(SIGTRAP);
    else if (g_str_equal(word[0], "killed"))
        raise(SIGKILL);
}

static int connect_test(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    ssize_t n = read(LINK_WORKER_FD_CONFIG, to.sun_path + 1, sizeof(to.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (n <= 0 || connect(fd, (struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0)
        exit(98);
    return fd;
}

static void hear_link(struct fake *f)
{
    struct link_message m;
    int r = link_receive(&f->link, &m);
    if (r == 1) {
        heard(f, &m);
    } else if (r < 0) {
        say(f, "END");
        exit(97);
    }
}

static void hear_test(struct fake *f)
{
    char line[512];
    ssize_t n = recv(f->test, line, sizeof(line) - 1, 0);
    if (n <= 0)
        exit(99);
    line[n] = 0;
    obey(f, line);
}

int fake_worker_run(int argc, char **argv)
{
    static struct fake f = { .memfd = -1 };

    if (argc != 4 || !g_str_equal(argv[1], "--worker"))
        return 96;
    for (int fd = LINK_WORKER_FD_CONFIG + 1; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return 94; /* a descriptor that is not ours came through */
    }
    memset(f.sockets, -1, sizeof(f.sockets));
    link_init(&f.link, LINK_WORKER_FD_LINK);
    f.test = connect_test();
    say(&f, "hello %s %s", argv[2], argv[3]);
    for (;;) {
        struct pollfd p[2] = { { .fd = f.deaf ? -1 : f.link.fd,
                                 .events = link_poll_events(&f.link) },
                               { .fd = f.test, .events = POLLIN } };
        if (poll(p, 2, -1) < 0)
            return 95;
        if ((p[0].revents & POLLOUT) != 0)
            link_flush(&f.link);
        if (p[0].revents != 0)
            hear_link(&f);
        if (p[1].revents != 0)
            hear_test(&f);
    }
}
