/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See link.h. A datagram is a header {version, type, bytes} and the body of its type, copied as it
 * lies in memory: keeper and worker run on one machine. They may be of different binaries for a while:
 * bodies only grow at their end. What an older one does not send is zero here, what a newer one sends
 * beyond that is not looked at. Any other change of a body raises the version.
 */
#include "keeper/link.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_VERSION 3
#define LINK_FDS_MAX 4 /* room to see, and close, more descriptors than allowed */

struct link_header {
    uint16_t version;
    uint16_t type;
    uint32_t bytes; /* of the body */
};

struct link_datagram {
    struct link_header header;
    union {
        struct link_connection connection;
        struct link_memfd_get memfd_get;
        struct link_memfd memfd;
        struct link_status status;
        struct link_amend amend;
        struct link_ask ask;
        struct link_fence fence;
        struct link_upgrade upgrade;
        struct link_reload reload;
        struct link_verdict verdict;
        int32_t error;
        uint32_t slot;
        uint32_t deadline_ms;
        char text[LINK_TEXT_MAX];
        uint8_t bytes[1024];
    } body;
};

struct queued_message {
    struct list node;
    struct link_message message; /* owns its fd */
};

enum fd_rule { FD_NEVER, FD_ALWAYS, FD_UNLESS_ERROR, FD_MAYBE };

struct message_rule {
    uint32_t bytes;
    enum fd_rule fd;
    bool known;
};

#define RULE(size, fd_rule)                                                                        \
    {                                                                                              \
        .bytes = (size), .fd = (fd_rule), .known = true                                            \
    }

static const struct message_rule message_rules[] = {
    [LINK_GO] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_CONNECTION] = RULE(sizeof(struct link_connection), FD_ALWAYS),
    [LINK_STOP] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_MEMFD] = RULE(sizeof(struct link_memfd), FD_UNLESS_ERROR),
    [LINK_RELOAD] = RULE(sizeof(struct link_reload), FD_ALWAYS),
    [LINK_COMMIT] = RULE(sizeof(struct link_verdict), FD_NEVER),
    [LINK_RELOAD_FAILED] = RULE(LINK_TEXT_MAX + sizeof(uint32_t), FD_NEVER),
    [LINK_RELOAD_ASK] = RULE(sizeof(struct link_reload), FD_MAYBE),
    [LINK_RELOAD_READY] = RULE(sizeof(struct link_verdict), FD_NEVER),
    [LINK_RELOADED] = RULE(sizeof(struct link_verdict), FD_NEVER),
    [LINK_MEMFD_DROP] = RULE(LINK_NAME_MAX, FD_NEVER),
    [LINK_MEMFD_REMOVE] = RULE(LINK_NAME_MAX, FD_NEVER),
    [LINK_MEMFD_HOLD] = RULE(LINK_NAME_MAX, FD_NEVER),
    [LINK_AFTER] = RULE(3 * sizeof(uint32_t), FD_NEVER),
    [LINK_FREEZE] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_PING] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_PONG] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_FENCE] = RULE(sizeof(struct link_fence), FD_NEVER),
    [LINK_UPGRADE] = RULE(sizeof(struct link_upgrade), FD_NEVER),
    [LINK_EXPORT] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_IMPORT] = RULE(0, FD_ALWAYS),
    [LINK_LET_GO] = RULE(0, FD_NEVER),
    [LINK_GO_ON] = RULE(0, FD_NEVER),
    [LINK_IMAGE] = RULE(0, FD_ALWAYS),
    [LINK_IMPORTED] = RULE(0, FD_NEVER),
    [LINK_STATUS] = RULE(sizeof(struct link_status), FD_NEVER),
    [LINK_PREPARED] = RULE(sizeof(uint64_t), FD_NEVER),
    [LINK_FROZEN] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_FREEZE_FAILED] = RULE(LINK_TEXT_MAX, FD_NEVER),
    [LINK_READY] = RULE(0, FD_NEVER),
    [LINK_FAILED] = RULE(LINK_TEXT_MAX, FD_NEVER),
    [LINK_CLOSED] = RULE(sizeof(uint32_t), FD_NEVER),
    [LINK_MEMFD_GET] = RULE(sizeof(struct link_memfd_get), FD_NEVER),
    [LINK_STOPPED] = RULE(0, FD_NEVER),
    [LINK_AMENDED] = RULE(sizeof(int32_t), FD_NEVER),
    [LINK_STATUS_GET] = RULE(0, FD_NEVER),
    [LINK_AMEND] = RULE(sizeof(struct link_amend), FD_NEVER),
    [LINK_ASK] = RULE(sizeof(struct link_ask), FD_NEVER),
};

static const struct message_rule *rule_of(unsigned type)
{
    if (type >= G_N_ELEMENTS(message_rules) || !message_rules[type].known)
        return NULL;
    return &message_rules[type];
}

/* The body of a message inside the public struct. */
static void *message_body(const struct link_message *m)
{
    return (void *)&m->connection; /* the first of the union */
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int link_pair(int ret_fd[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fd) < 0
               ? -errno
               : 0;
}

void link_init(struct link *link, int fd)
{
    memset(link, 0, sizeof(*link));
    link->fd = fd;
    list_init(&link->outbox);
    list_init(&link->inbox);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void box_clear(struct list *box)
{
    for (struct list *n = list_take(box); n != NULL; n = list_take(box)) {
        struct queued_message *q = list_entry(n, struct queued_message, node);
        close_fd(&q->message.fd);
        g_free(q);
    }
}

void link_deinit(struct link *link)
{
    box_clear(&link->outbox);
    box_clear(&link->inbox);
    link->queued = 0;
    close_fd(&link->fd);
}

/* --- sending --- */

static void attach_fd(struct msghdr *mh, void *control, size_t control_bytes, int fd)
{
    mh->msg_control = control;
    mh->msg_controllen = control_bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(mh);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
}

/* One sendmsg(2); -EAGAIN when the socket is full, -ETOOMANYREFS at the limit of fds in flight. */
static int send_now(struct link *link, const struct link_message *m)
{
    const struct message_rule *rule = rule_of(m->type);
    struct link_header header = { LINK_VERSION, (uint16_t)m->type, rule->bytes };
    struct iovec iov[2] = { { &header, sizeof(header) }, { message_body(m), rule->bytes } };
    struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };

    if (link->fd < 0)
        return -EPIPE;
    if (m->fd >= 0)
        attach_fd(&mh, control.bytes, sizeof(control.bytes), m->fd);
    for (;;) {
        if (sendmsg(link->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno == ECONNRESET || errno == ENOTCONN)
            return -EPIPE;
        if (errno == ENOBUFS || errno == ENOMEM)
            return -ETOOMANYREFS; /* passing shortage: the same answer, try again a little later */
        return -errno;
    }
}

static bool is_transient(int r)
{
    return r == -EAGAIN || r == -ETOOMANYREFS;
}

static bool fd_fits(const struct link_message *m)
{
    const struct message_rule *rule = rule_of(m->type);
    if (rule == NULL)
        return false;
    if (rule->fd == FD_UNLESS_ERROR)
        return (m->fd >= 0) == (m->memfd.error == 0);
    return rule->fd == FD_MAYBE || (m->fd >= 0) == (rule->fd == FD_ALWAYS);
}

static int enqueue(struct link *link, const struct link_message *m)
{
    if (link->queued >= LINK_QUEUE_MAX)
        return -ENOBUFS;
    int fd = -1;
    if (m->fd >= 0) {
        fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
    }
    struct queued_message *q = g_new(struct queued_message, 1);
    q->message = *m;
    q->message.fd = fd;
    list_append(&link->outbox, &q->node);
    link->queued++;
    return 0;
}

int link_send(struct link *link, const struct link_message *m)
{
    if (!fd_fits(m))
        return -EINVAL;
    if (!list_empty(&link->outbox))
        return enqueue(link, m); /* order is kept */
    int r = send_now(link, m);
    if (!is_transient(r))
        return r;
    link->stalled = r == -ETOOMANYREFS;
    return enqueue(link, m);
}

int link_flush(struct link *link)
{
    link->stalled = false;
    while (!list_empty(&link->outbox)) {
        struct queued_message *q = list_entry(link->outbox.next, struct queued_message, node);
        int r = send_now(link, &q->message);
        if (is_transient(r)) {
            link->stalled = r == -ETOOMANYREFS;
            return 0;
        }
        if (r < 0)
            return r;
        list_remove(&q->node);
        link->queued--;
        close_fd(&q->message.fd);
        g_free(q);
    }
    return 0;
}

short link_poll_events(const struct link *link)
{
    return (short)(POLLIN | (list_empty(&link->outbox) || link->stalled ? 0 : POLLOUT));
}

/* --- receiving --- */

/* The first descriptor of the control data; every further one is closed and counted. */
static unsigned collect_fds(struct msghdr *mh, int *ret_fd)
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++, count++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (count == 0)
                *ret_fd = fd;
            else
                close(fd);
        }
    }
    return count;
}

static bool string_ends(const char *s, size_t max)
{
    return memchr(s, 0, max) != NULL;
}

static bool strings_end(const struct link_message *m)
{
    switch (m->type) {
    case LINK_CONNECTION:
        return string_ends(m->connection.portal, LINK_NAME_MAX) &&
               m->connection.peer.length <= sizeof(struct sockaddr_in6);
    case LINK_MEMFD_GET:
        return string_ends(m->memfd_get.name, LINK_NAME_MAX);
    case LINK_FAILED:
    case LINK_FREEZE_FAILED:
    case LINK_RELOAD_FAILED:
        return string_ends(m->failed.text, LINK_TEXT_MAX);
    case LINK_COMMIT:
    case LINK_RELOAD_READY:
    case LINK_RELOADED:
        return string_ends(m->verdict.text, LINK_TEXT_MAX);
    case LINK_MEMFD_DROP:
    case LINK_MEMFD_REMOVE:
    case LINK_MEMFD_HOLD:
        return string_ends(m->memfd_drop.name, LINK_NAME_MAX);
    case LINK_AMEND:
        return string_ends(m->amend.target, LINK_NAME_MAX);
    case LINK_STATUS:
        return string_ends(m->status.how, LINK_HOW_MAX) &&
               string_ends(m->status.fence.plugin, STATUS_TEXT_MAX) &&
               string_ends(m->status.fence.reason, STATUS_TEXT_MAX) &&
               string_ends(m->status.version, LINK_VERSION_MAX);
    case LINK_ASK:
        return string_ends(m->ask.path, sizeof(m->ask.path));
    case LINK_FENCE:
        return string_ends(m->fence.plugin, LINK_WORD_MAX) &&
               string_ends(m->fence.reason, LINK_WORD_MAX) &&
               string_ends(m->fence.last_error, LINK_WORD_MAX);
    case LINK_UPGRADE:
        return string_ends(m->upgrade.binary, sizeof(m->upgrade.binary)) &&
               string_ends(m->upgrade.why, sizeof(m->upgrade.why)) &&
               string_ends(m->upgrade.keeper_why, sizeof(m->upgrade.keeper_why));
    default:
        return true;
    }
}

/* Checks a datagram of `got` bytes and copies its body out; m->fd is already set. */
static int decode(const struct link_datagram *d, size_t got, struct link_message *m)
{
    if (got < sizeof(d->header) || d->header.version != LINK_VERSION)
        return -EBADMSG;
    const struct message_rule *rule = rule_of(d->header.type);
    if (rule == NULL || got != sizeof(d->header) + d->header.bytes)
        return -EBADMSG;
    m->type = (enum link_type)d->header.type;
    memset(message_body(m), 0, rule->bytes);
    memcpy(message_body(m), &d->body, MIN(rule->bytes, d->header.bytes));
    return fd_fits(m) && strings_end(m) ? 0 : -EBADMSG;
}

static int receive_now(struct link *link, struct link_message *ret_message)
{
    struct link_datagram d;
    struct iovec iov = { &d, sizeof(d) };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(LINK_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr mh = { .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes) };
    ssize_t n;

    if (link->fd < 0)
        return -EPIPE;
    do
        n = recvmsg(link->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;

    struct link_message m = { .fd = -1 };
    unsigned fds = collect_fds(&mh, &m.fd);
    if (n == 0 && fds == 0)
        return -EPIPE;
    int r = fds > 1 || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? -EBADMSG
                                                                      : decode(&d, (size_t)n, &m);
    if (r < 0) {
        close_fd(&m.fd);
        return r;
    }
    *ret_message = m;
    return 1;
}

int link_receive(struct link *link, struct link_message *ret_message)
{
    struct list *n = list_take(&link->inbox);
    if (n == NULL)
        return receive_now(link, ret_message);
    struct queued_message *q = list_entry(n, struct queued_message, node);
    *ret_message = q->message;
    g_free(q);
    return 1;
}

bool link_has_inbox(const struct link *link)
{
    return !list_empty(&link->inbox);
}

/* --- asking for memory --- */

static int link_wait(struct link *link, uint64_t deadline_ns)
{
    uint64_t now = clock_now_ns();
    if (now >= deadline_ns)
        return -ETIMEDOUT;
    uint64_t ms = (deadline_ns - now) / NS_PER_MS + 1;
    if (link->stalled && ms > LINK_STALL_RETRY_MS)
        ms = LINK_STALL_RETRY_MS;
    struct pollfd p = { .fd = link->fd, .events = link_poll_events(link) };
    if (poll(&p, 1, (int)MIN(ms, 60000)) < 0 && errno != EINTR)
        return -errno;
    return link_flush(link);
}

static int set_aside(struct link *link, unsigned *aside, struct link_message *m)
{
    if ((*aside)++ >= LINK_QUEUE_MAX) {
        close_fd(&m->fd);
        return -ENOBUFS;
    }
    struct queued_message *q = g_new(struct queued_message, 1);
    q->message = *m;
    list_append(&link->inbox, &q->node);
    return 0;
}

int link_get_memfd(struct link *link, const char *name, uint64_t bytes, int timeout_ms, int *ret_fd,
                   bool *ret_existed, uint32_t *ret_number)
{
    static uint32_t last_id;
    uint64_t deadline = clock_now_ns() + (uint64_t)MAX(timeout_ms, 0) * NS_PER_MS;
    struct link_message m = { .type = LINK_MEMFD_GET, .fd = -1 };
    uint32_t id = ++last_id;
    unsigned aside = 0;

    if (strlen(name) >= LINK_NAME_MAX)
        return -ENAMETOOLONG;
    m.memfd_get.bytes = bytes;
    m.memfd_get.id = id;
    g_strlcpy(m.memfd_get.name, name, LINK_NAME_MAX);
    int r = link_send(link, &m);
    while (r == 0) {
        r = receive_now(link, &m);
        if (r == 0) {
            r = link_wait(link, deadline);
        } else if (r > 0 && m.type != LINK_MEMFD) {
            r = set_aside(link, &aside, &m);
        } else if (r > 0 && m.memfd.id != id) {
            close_fd(&m.fd); /* the late answer to a question that has timed out */
            r = 0;
        }
    }
    if (r < 0)
        return r;
    if (m.memfd.error != 0)
        return m.memfd.error < 0 ? m.memfd.error : -EPROTO;
    *ret_fd = m.fd;
    if (ret_existed != NULL)
        *ret_existed = m.memfd.existed != 0;
    if (ret_number != NULL)
        *ret_number = m.memfd.number;
    return 0;
}
