/* SPDX-License-Identifier: BSD-3-Clause */
/* See notify.h. By hand, because sd_pid_notify_with_fds(3) waits while the manager's queue is full. */
#include "keeper/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *manager(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to;

    if (path == NULL || (path[0] != '/' && path[0] != '@') || path[1] == 0 ||
        strlen(path) >= sizeof(to.sun_path))
        return NULL;
    return path;
}

bool notify_available(void)
{
    return manager() != NULL;
}

static int send_to(struct msghdr *mh)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -EAGAIN;
    int r = sendmsg(fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
    close(fd);
    /* Too many descriptors on their way, or no memory: it is a matter of time, too. */
    return r == -ETOOMANYREFS || r == -ENOBUFS || r == -ENOMEM || r == -EINTR ? -EAGAIN : r;
}

int notify_send_fd(const char *text, int fd)
{
    const char *path = manager();
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct iovec iov = { (void *)text, strlen(text) };
    struct msghdr mh = { .msg_name = &to, .msg_iov = &iov, .msg_iovlen = 1 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };

    if (path == NULL)
        return -ENOENT;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = 0; /* the abstract name space */
    mh.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0) {
        mh.msg_control = control.bytes;
        mh.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return send_to(&mh);
}

void notify_send(const char *text)
{
    notify_send_fd(text, -1);
}

/* WATCHDOG_USEC, when it is for this process; half of it, as sd_watchdog_enabled(3) says. */
static uint64_t watchdog_ns(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (usec == NULL || (pid != NULL && strtoull(pid, NULL, 10) != (unsigned long long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10) * 1000 / 2;
}

uint64_t notify_tick(uint64_t now_ns)
{
    static uint64_t next_ns;
    uint64_t every = watchdog_ns();

    if (every == 0)
        return UINT64_MAX;
    if (now_ns >= next_ns) {
        notify_send("WATCHDOG=1");
        next_ns = now_ns + every;
    }
    return next_ns;
}
