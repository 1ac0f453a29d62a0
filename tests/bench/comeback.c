/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that come back: each keeps its commands under way, and when its connection goes, for whatever
 * reason, it connects again at once, logs in as the same initiator port and sends the unanswered
 * commands anew, until SIGTERM. A command that fails, or a byte that is not what was written, ends it.
 *
 * "running" when all are in for the first time; a line "back=N …" each time all are in again after some
 * were out; a last line with the figures.
 */
#include "load.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_NS    (20 * NS_PER_MS) /* after a connect or a login that failed */
#define PATIENCE_NS (60 * NS_PER_S)  /* without an answer on any connection */

static struct conn *conns;
static int poller;
static unsigned in; /* logged in */
static uint64_t out_since, returns, refusals, progress;
static uint64_t *took; /* of this time: from the first connect after the loss to the login */
static unsigned took_count;

static void watch(struct conn *c, int how)
{
    struct epoll_event e = { .events = EPOLLIN | (tx_pending(c) ? EPOLLOUT : 0), .data.ptr = c };

    if (how == EPOLL_CTL_MOD && c->want_write == tx_pending(c))
        return;
    c->want_write = tx_pending(c);
    epoll_ctl(poller, how, c->fd, &e);
}

/* Its connection is gone; false: it was not the connection's fault. */
static bool left(struct conn *c)
{
    if (!c->gone && c->refused_with >> 8 != 3)
        return false;
    refusals += c->refused_with != 0;
    if (c->state == LOGIN_DONE) {
        if (in == opt.connections || !out_since)
            out_since = fig.now;
        in--;
        c->started = 0;
    }
    close(c->fd);
    c->fd = -1;
    c->gone = false;
    c->refused_with = 0;
    c->fault[0] = '\0';
    c->state = LOGIN_SECURITY;
    c->rx = (struct receive){ 0 };
    c->tx.first = c->tx.last = 0;
    c->tx.used = 0;
    c->tsih = 0;
    c->again = fig.now + (c->started ? AGAIN_NS : 0);
    return true;
}

static bool come(struct conn *c)
{
    int r = conn_connect(c, false);

    if (!c->started)
        c->started = fig.now;
    if (r < 0) {
        c->gone = true;
        return left(c);
    }
    login_start(c);
    watch(c, EPOLL_CTL_ADD);
    return true;
}

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void all_in(void)
{
    static bool again;

    if (!again) {
        puts("running");
        again = true;
    } else {
        qsort(took, took_count, sizeof(*took), order);
        printf("back=%u ms=%.1f p99_ms=%.1f\n", took_count, (double)(fig.now - out_since) / 1e6,
               took_count ? (double)took[took_count * 99 / 100] / 1e6 : 0);
    }
    fflush(stdout);
    out_since = 0;
    took_count = 0;
}

static bool arrived(struct conn *c)
{
    if (out_since) {
        returns++;
        if (took_count < opt.connections)
            took[took_count++] = fig.now - c->started;
    }
    if (++in == opt.connections)
        all_in();
    return session_again(c);
}

static bool turn(struct conn *c, uint32_t events)
{
    bool was_in = c->state == LOGIN_DONE;
    int fault = 0;
    socklen_t bytes = sizeof(fault);

    if (events & EPOLLERR && !getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &fault, &bytes) && fault) {
        c->gone = true;
        return fail(c, "%s", strerror(fault)) || left(c);
    }
    if ((events & (EPOLLIN | EPOLLHUP)) && !receive_some(c, false))
        return left(c);
    if (!was_in && c->state == LOGIN_DONE && !arrived(c))
        return left(c);
    if (c->state == LOGIN_DONE)
        session_issue(c);
    if (!tx_flush(c))
        return left(c);
    watch(c, EPOLL_CTL_MOD);
    progress = fig.now;
    return true;
}

static unsigned busy(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < opt.connections; i++)
        n += opt.depth - conns[i].idle_tasks;
    return n;
}

/* Until SIGTERM; without measuring, until no command is under way. All are in then. */
static bool run(void)
{
    struct epoll_event events[256];

    for (progress = fig.now = clock_now_ns();;) {
        int n = epoll_wait(poller, events, 256, 10);

        fig.now = clock_now_ns();
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (!turn(c, events[i].events))
                return fail(&conns[0], "connection %u: %s", c->index, c->fault);
        }
        for (unsigned i = 0; i < opt.connections; i++)
            if (conns[i].fd < 0 && fig.now >= conns[i].again && !come(&conns[i]))
                return fail(&conns[0], "%s", conns[i].fault);
        if (fig.now - progress > PATIENCE_NS)
            return fail(&conns[0], "no answer for a minute, %u sessions are in", in);
        bool over = fig.measuring ? load_enough() : !busy();
        if (over && in == opt.connections)
            return true;
    }
}

static bool issue_all(void)
{
    for (unsigned i = 0; i < opt.connections; i++) {
        session_issue(&conns[i]);
        if (!tx_flush(&conns[i]) && !left(&conns[i]))
            return fail(&conns[0], "%s", conns[i].fault);
        if (conns[i].fd >= 0)
            watch(&conns[i], EPOLL_CTL_MOD);
    }
    return true;
}

static bool start(void)
{
    struct conn *first = &conns[0];

    if (!conn_login(first) || !session_prepare(first))
        return false;
    session_logout(first);
    for (unsigned i = 0; i < opt.connections; i++) {
        struct conn *c = &conns[i];

        if (i == 0)
            conn_free(c);
        conn_init(c, i);
        workload_init(c);
        if (c->slots < 2 * opt.depth)
            return fail(first, "the LUN, or --range, is too small");
        c->again = 0;
    }
    return true;
}

int comeback_run(void)
{
    uint64_t checked = 0;

    conns = calloc(opt.connections, sizeof(*conns));
    took = calloc(opt.connections, sizeof(*took));
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || !took || poller < 0)
        abort();
    conn_init(&conns[0], 0);
    files_limit(opt.connections);
    fig.running = fig.measuring = true;
    bool good = start() && run();
    fig.running = fig.measuring = false;
    good = good && run();
    fig.running = fig.checking = true;
    good = good && issue_all() && run();
    for (unsigned i = 0; i < opt.connections; i++)
        checked += conns[i].checked;
    if (!good) {
        fig.errors += !fig.errors;
        fprintf(stderr, "load: %s\n", conns[0].fault);
    }
    printf("commands=%llu checked=%llu returns=%llu refusals=%llu errors=%llu\n",
           (unsigned long long)fig.commands, (unsigned long long)checked,
           (unsigned long long)returns, (unsigned long long)refusals,
           (unsigned long long)fig.errors);
    for (unsigned i = 0; i < opt.connections; i++)
        if (conns[i].text)
            conn_free(&conns[i]);
    free(conns);
    free(took);
    close(poller);
    return fig.errors ? 1 : 0;
}
