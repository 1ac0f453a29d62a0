/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One measurement: log in, warm up, count, drain, check, one line of figures. The commands that
 * one receive completed are issued again in one send. Exit code 0 only without any error.
 */
#include "load.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SUB_BITS 6 /* buckets of 1/64 of a power of two: 1.6 % */

struct figures fig;
uint8_t *payload;

static uint64_t histogram[64 << SUB_BITS];
static int poller = -1;
static unsigned polled; /* connections that wait for room to send */
static volatile sig_atomic_t enough, interval_over;

void figures_latency(uint64_t ns)
{
    unsigned top = ns >> SUB_BITS ? 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS : 0;
    uint64_t at = top ? ((uint64_t)top << SUB_BITS) + (ns >> top) : ns;

    histogram[at]++;
}

static double percentile_us(double share)
{
    uint64_t seen = 0, wanted = (uint64_t)((double)fig.commands * share);

    for (uint64_t i = 0; i < sizeof(histogram) / sizeof(*histogram); i++) {
        seen += histogram[i];
        if (seen > wanted) {
            uint64_t top = i >> SUB_BITS;

            top = top ? top - 1 : 0;
            return (double)((i - (top << SUB_BITS)) << top) / 1000;
        }
    }
    return 0;
}

/* User and system time of the processes in --cpu-of with all their threads, in microseconds. */
static double cpu_us(void)
{
    char *list = opt.cpu_of ? strdup(opt.cpu_of) : NULL, *save = NULL;
    double ticks = 0;

    for (char *pid = list ? strtok_r(list, ",", &save) : NULL; pid;
         pid = strtok_r(NULL, ",", &save)) {
        char path[64], line[1024];
        unsigned long user = 0, sys = 0;
        char *at;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
        f = fopen(path, "r");
        at = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
        if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                          &sys) != 2) {
            fprintf(stderr, "load: process %s is gone\n", pid);
            fig.errors++;
        }
        if (f)
            fclose(f);
        ticks += (double)(user + sys);
    }
    free(list);
    return ticks * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static void watch(struct conn *c)
{
    struct epoll_event e = { .events = EPOLLIN | (tx_pending(c) ? EPOLLOUT : 0), .data.ptr = c };

    if (c->want_write == tx_pending(c))
        return;
    polled += tx_pending(c) ? 1 : -1u;
    c->want_write = tx_pending(c);
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

bool load_flush(struct conn *c)
{
    if (!tx_flush(c))
        return false;
    watch(c);
    return true;
}

static bool turn(struct conn *c, bool wait)
{
    if (!receive_some(c, wait))
        return false;
    fig.now = clock_now_ns();
    session_issue(c);
    return load_flush(c);
}

/* SIGUSR2 ends an interval: a line with what was done since the last one. */
static void interval(void)
{
    static uint64_t commands, since;
    double seconds = (double)(fig.now - since) / (double)NS_PER_S;

    interval_over = 0;
    if (since)
        printf("interval iops=%.0f seconds=%.3f\n", (double)(fig.commands - commands) / seconds, seconds);
    fflush(stdout);
    commands = fig.commands;
    since = fig.now;
}

/* Runs until `end` or SIGTERM, or, once nothing is issued any more, until every command has come back. */
static bool run_until(struct conn *conns, uint64_t end)
{
    uint64_t last = fig.now;

    for (;;) {
        struct epoll_event events[64];
        int n = 1;

        if (opt.connections == 1 && !polled && !opt.rate) {
            events[0].data.ptr = conns;
        } else {
            n = epoll_wait(poller, events, 64, opt.poll ? 0 : opt.rate ? pace_wait_ms() : 1000);
            if (n < 0 && errno != EINTR)
                return fail(conns, "epoll_wait: %s", strerror(errno));
        }
        fig.now = clock_now_ns();
        for (int i = 0; i < n; i++)
            if (!turn(events[i].data.ptr, opt.connections == 1 && !polled && !opt.rate))
                return fail(conns, "%s", ((struct conn *)events[i].data.ptr)->fault);
        if (n > 0)
            last = fig.now;
        else if (fig.now - last > STALL_NS)
            return fail(conns, "no answer for %u s", (unsigned)(STALL_NS / NS_PER_S));
        fig.now = clock_now_ns();
        if (!pace_turn())
            return fail(conns, "a connection cannot be written to");
        if (interval_over)
            interval();
        if (end && (fig.now >= end || enough))
            return true;
        if (!end) {
            unsigned busy = 0;

            for (unsigned i = 0; i < opt.connections; i++)
                busy += opt.depth - conns[i].idle_tasks;
            if (!busy)
                return true;
        }
    }
}

static bool kick_all(struct conn *conns)
{
    fig.now = clock_now_ns();
    for (unsigned i = 0; i < opt.connections; i++) {
        session_issue(&conns[i]);
        if (!load_flush(&conns[i]))
            return fail(conns, "%s", conns[i].fault);
    }
    return true;
}

static bool start_all(struct conn *conns)
{
    for (unsigned i = 0; i < opt.connections; i++) {
        struct conn *c = &conns[i];
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

        conn_init(c, i);
        if (!conn_login(c) || !session_prepare(c))
            return fail(conns, "%s", c->fault);
        workload_init(c);
        if (c->slots < 2 * opt.depth)
            return fail(conns, "the LUN, or --range, is too small");
        epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
    }
    return true;
}

static bool measure(struct conn *conns)
{
    uint64_t begin, checked = 0;
    double seconds, cpu;

    pace_begin(conns);
    if (!kick_all(conns) ||
        !run_until(conns, fig.now + (uint64_t)(opt.warmup * (double)NS_PER_S) + 1))
        return false;
    cpu = cpu_us();
    begin = clock_now_ns();
    fig.measuring = true;
    if (opt.verify) { /* for those who want to know when all is under way */
        puts("running");
        fflush(stdout);
    }
    if (!run_until(conns, begin + (uint64_t)(opt.seconds * (double)NS_PER_S)))
        return false;
    fig.measuring = false;
    seconds = (double)(clock_now_ns() - begin) / (double)NS_PER_S;
    cpu = cpu_us() - cpu;
    fig.running = false;
    if (!run_until(conns, 0))
        return false;
    if (opt.verify) {
        fig.running = fig.checking = true;
        if (!kick_all(conns) || !run_until(conns, 0))
            return false;
    }
    pause_print();
    for (unsigned i = 0; i < opt.connections; i++)
        checked += conns[i].checked;
    printf("iops=%.0f mbps=%.1f p50_us=%.1f p99_us=%.1f commands=%llu seconds=%.3f",
           (double)fig.commands / seconds, (double)fig.bytes / seconds / 1e6, percentile_us(0.5),
           percentile_us(0.99), (unsigned long long)fig.commands, seconds);
    if (opt.cpu_of && fig.commands)
        printf(" cpu_us=%.3f cpu_share=%.4f", cpu / (double)fig.commands, cpu / 1e6 / seconds);
    if (opt.verify)
        printf(" checked=%llu", (unsigned long long)checked);
    return true;
}

static void on_enough(int number)
{
    if (number == SIGUSR2)
        interval_over = 1;
    else
        enough = 1;
}

bool load_enough(void)
{
    return enough;
}

int main(int argc, char **argv)
{
    struct conn *conns;
    bool good;

    options_parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_enough);
    signal(SIGUSR2, on_enough);
    pause_init();
    if (opt.storm)
        return storm_run();
    if (opt.comeback) {
        opt.verify = true;
        return comeback_run();
    }
    conns = calloc(opt.connections, sizeof(*conns));
    payload = malloc(PAYLOAD_BYTES);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || !payload || poller < 0)
        abort();
    for (size_t i = 0; i < PAYLOAD_BYTES; i++)
        payload[i] = (uint8_t)(i * 2654435761u >> 13);
    good = start_all(conns);
    fig.running = true;
    if (good)
        good = opt.fill ? kick_all(conns) && run_until(conns, 0) : measure(conns);
    if (!good) {
        fig.errors += !fig.errors;
        fprintf(stderr, "load: %s\n", conns[0].fault);
    }
    for (unsigned i = 0; good && i < opt.connections; i++)
        session_logout(&conns[i]);
    printf("%serrors=%llu\n", good ? " " : "", (unsigned long long)fig.errors);
    for (unsigned i = 0; i < opt.connections; i++)
        if (conns[i].text)
            conn_free(&conns[i]);
    free(conns);
    free(payload);
    close(poller);
    return fig.errors ? 1 : 0;
}
