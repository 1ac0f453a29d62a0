/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into a worker, it breaks it at one step of an upgrade. HOLDFAST_BREAK is "HOW STEP":
 * how:  abort (SIGABRT), exit (code 3), hang (for ever); for PREPARED also lie (a message of another kind)
 *       and layout (of the state memory: another one)
 * step: start (before main), memory (it asks for memory), prepared (before it says PREPARED),
 *       go (GO has come), ready (before it says READY), after (after it said READY),
 *       trial (the keeper tries the binary for itself), keeper (it has become it, and what it needs to go
 *       on fails)
 */
#include "keeper/link.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct head { /* as link.c sends it */
    uint16_t version, type;
    uint32_t bytes;
};

static char how[16], step[16];

static void here(const char *name)
{
    if (strcmp(step, name))
        return;
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "exit"))
        _exit(3);
    while (!strcmp(how, "hang"))
        pause();
}

static bool is_next_keeper;

int epoll_create1(int flags)
{
    static int (*real)(int);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "epoll_create1");
    errno = EMFILE;
    return is_next_keeper && !strcmp(step, "keeper") ? -1 : real(flags);
}

static void begin_keeper(const char *option)
{
    if (!strcmp(option, "--keeper-trial"))
        here("trial");
    is_next_keeper = !strcmp(option, "-c") && getenv("HOLDFAST_KEEPER");
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *wanted = getenv("HOLDFAST_BREAK");

    if (!wanted || sscanf(wanted, "%15s %15s", how, step) != 2)
        return;
    unsetenv("LD_PRELOAD");
    begin_keeper(argc > 1 ? argv[1] : "");
    here("start");
}

static uint32_t type_of(const struct msghdr *m)
{
    struct head head = { 0 };

    if (m->msg_iovlen && m->msg_iov[0].iov_len >= sizeof(head))
        memcpy(&head, m->msg_iov[0].iov_base, sizeof(head));
    return head.type;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    uint32_t type = fd == LINK_WORKER_FD_LINK ? type_of(m) : 0;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
    if (type == LINK_MEMFD_GET)
        here("memory");
    if (type == LINK_READY)
        here("ready");
    if (type == LINK_PREPARED) {
        here("prepared");
        if (!strcmp(how, "lie") && !strcmp(step, "prepared"))
            ((struct head *)m->msg_iov[0].iov_base)->type = LINK_CLOSED;
        if (!strcmp(how, "layout") && m->msg_iovlen > 1) /* the body of the message */
            ((uint8_t *)m->msg_iov[1].iov_base)[0] ^= 1;
    }
    ssize_t n = real(fd, m, flags);
    if (type == LINK_READY)
        here("after");
    return n;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    static ssize_t (*real)(int, struct msghdr *, int);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "recvmsg");
    ssize_t n = real(fd, m, flags);
    if (n > 0 && fd == LINK_WORKER_FD_LINK && type_of(m) == LINK_GO)
        here("go");
    return n;
}
