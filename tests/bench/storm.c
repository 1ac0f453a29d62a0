/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A login storm: every connect at once, each with its own InitiatorName, both login stages, then
 * all sessions are held and their pings answered. Two lines: what logged in and how long it took,
 * and after the hold what was lost meanwhile.
 */
#include "load.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORM_LIMIT_S 20

static struct conn *conns;
static unsigned open_conns, logged_in, failed, lost;
static uint64_t *took; /* ns from connect to the last answer, of those logged in */
static char first_fault[160];

static void drop(struct conn *c)
{
    if (c->state == LOGIN_DONE)
        lost++;
    else
        failed++;
    if (!first_fault[0])
        snprintf(first_fault, sizeof(first_fault), "%s", c->fault);
    c->state = LOGIN_FAILED;
    open_conns--;
    close(c->fd);
    c->fd = -1;
}

static void watch(int poller, struct conn *c, int how)
{
    struct epoll_event e = { .events = EPOLLIN | (tx_pending(c) ? EPOLLOUT : 0), .data.ptr = c };

    if (how == EPOLL_CTL_MOD && c->want_write == tx_pending(c))
        return;
    c->want_write = tx_pending(c);
    epoll_ctl(poller, how, c->fd, &e);
}

static void event(int poller, struct conn *c, uint32_t events)
{
    bool done = c->state == LOGIN_DONE;
    int fault = 0;
    socklen_t bytes = sizeof(fault);

    if (events & EPOLLERR && !getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &fault, &bytes) && fault) {
        fail(c, "%s", strerror(fault));
        drop(c);
        return;
    }
    if (((events & (EPOLLIN | EPOLLHUP)) && !receive_some(c, false)) || !tx_flush(c)) {
        drop(c);
        return;
    }
    watch(poller, c, EPOLL_CTL_MOD);
    if (!done && c->state == LOGIN_DONE)
        took[logged_in++] = clock_now_ns() - c->started;
}

static void poll_until(int poller, uint64_t end, bool all_in)
{
    struct epoll_event events[256];

    while (open_conns && !(all_in && logged_in + failed == opt.storm)) {
        uint64_t now = clock_now_ns(), next = hostile_turn(now);
        int n;

        if (now >= end)
            return;
        next = next < end ? next : end;
        n = epoll_wait(poller, events, 256, (int)((next - now) / NS_PER_MS) + 1);
        for (int i = 0; i < n; i++)
            event(poller, events[i].data.ptr, events[i].events);
    }
}

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void open_all(int poller)
{
    for (unsigned i = 0; i < opt.storm; i++) {
        struct conn *c = &conns[i];
        int r;

        conn_init(c, i);
        c->started = clock_now_ns();
        open_conns++;
        r = conn_connect(c, false);
        if (r < 0) {
            fail(c, "connect: %s", strerror(-r));
            drop(c);
            continue;
        }
        login_start(c);
        watch(poller, c, EPOLL_CTL_ADD);
    }
}

void files_limit(unsigned sockets)
{
    struct rlimit files = { .rlim_cur = sockets + 64, .rlim_max = sockets + 64 };
    struct rlimit old;

    if (getrlimit(RLIMIT_NOFILE, &old) || old.rlim_cur < files.rlim_cur) {
        if (old.rlim_max > files.rlim_max)
            files.rlim_max = old.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int storm_run(void)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);
    uint64_t begin;

    files_limit(opt.storm + opt.silent + opt.drip);
    hostile_open();
    conns = calloc(opt.storm, sizeof(*conns));
    took = calloc(opt.storm, sizeof(*took));
    if (!conns || !took || poller < 0)
        abort();
    begin = clock_now_ns();
    open_all(poller);
    poll_until(poller, begin + STORM_LIMIT_S * NS_PER_S, true);
    qsort(took, logged_in, sizeof(*took), order);
    printf("storm=%u logged_in=%u failed=%u ms=%.1f", opt.storm, logged_in, opt.storm - logged_in,
           (double)(clock_now_ns() - begin) / (double)NS_PER_MS);
    if (logged_in)
        printf(" p50_ms=%.1f p99_ms=%.1f", (double)took[logged_in / 2] / (double)NS_PER_MS,
               (double)took[logged_in * 99 / 100] / (double)NS_PER_MS);
    printf("\n");
    fflush(stdout);
    if (first_fault[0])
        fprintf(stderr, "load: %s\n", first_fault);
    if (opt.hold > 0) {
        poll_until(poller, clock_now_ns() + (uint64_t)(opt.hold * (double)NS_PER_S), false);
        printf("held_s=%.1f lost=%u\n", opt.hold, lost);
    }
    hostile_close();
    for (unsigned i = 0; i < opt.storm; i++)
        conn_free(&conns[i]);
    free(conns);
    free(took);
    close(poller);
    return logged_in == opt.storm && !lost ? 0 : 1;
}
