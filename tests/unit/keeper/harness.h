/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A keeper in a child process, a fake worker that the test commands (fake-worker.h), peers that connect
 * to it. Everything waits for events, at most HARNESS_TIMEOUT_MS, and fails the test after that.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define HARNESS_TIMEOUT_MS 30000

struct host {
    int listener; /* where workers call */
    char name[64];
    int worker; /* the line to the newest worker; -1: none */
    pid_t keeper;
    unsigned port;
    bool spare_worker;        /* set before the start: one waits in reserve */
    unsigned watchdog_ms;     /* set before the start; 0: the worker may be deaf for ever */
    unsigned stop_timeout_ms; /* set before the start; 0: as usual */
    char *log;                /* file with what keeper and workers wrote */
};

unsigned free_port(void);
/*
 * Starts a keeper on 127.0.0.1:port and on [::1]:port, a free one when h->port is 0. `daemon` is more
 * YAML for `daemon:` or NULL. `h` is zeroed but for port, spare_worker, watchdog_ms and stop_timeout_ms.
 */
void host_start(struct host *h, const char *daemon);
/* The next worker calls: "hello GENERATION FILE" is checked. */
void host_expect_worker(struct host *h, unsigned generation);
/* The next thing the worker says is this; a trailing `*` stands for any rest. The line: g_free(). */
char *host_expect(struct host *h, const char *pattern);
void host_tell(struct host *h, const char *line);
/* No line of the worker is waiting now. */
bool host_is_silent(struct host *h);
/* host_expect_worker, GO, ready. */
void host_ready_worker(struct host *h, unsigned generation);
/* The worker's line ends (it died), whatever it said before. */
void host_expect_worker_end(struct host *h);
/* Takes the tombstone's write end out of the worker's hand. */
int host_take_tombstone(struct host *h);
void host_signal(struct host *h, int signal);
/* The keeper ends with this code; frees everything. */
void host_expect_exit(struct host *h, int code);
/* It is told to stop, the worker follows, and it ends with 0. */
void host_stop(struct host *h);
/* Waits until the log contains this. */
void host_expect_log(struct host *h, const char *text);
unsigned host_log_count(struct host *h, const char *text);

/* A peer; -1 when refused. */
int peer_connect(const struct host *h, bool v6);
/* The worker (that may be a later one) is told of it: the slot. */
unsigned host_expect_connection(struct host *h, unsigned listener);
void peer_expect_data(int fd, const char *text);
void peer_expect_end(int fd);
/* After the end: no RST came behind the FIN. */
void peer_expect_no_reset(int fd);
/* Neither data nor an end has arrived. */
bool peer_is_held(int fd);
