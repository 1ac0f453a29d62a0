/* SPDX-License-Identifier: BSD-3-Clause */
/* See harness.h. */
#include "harness.h"

#include "base/clock.h"
#include "keeper/keeper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int r;
    do
        r = poll(&p, 1, HARNESS_TIMEOUT_MS);
    while (r < 0 && errno == EINTR);
    g_assert_cmpint(r, ==, 1);
}

unsigned free_port(void)
{
    struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&a, &length), ==, 0);
    close(fd);
    return ntohs(a.sin6_port);
}

static void listen_for_workers(struct host *h)
{
    static unsigned count;
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    snprintf(h->name, sizeof(h->name), "holdfast-test-%d-%u", getpid(), count++);
    memcpy(a.sun_path + 1, h->name, strlen(h->name));
    h->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(h->listener, (struct sockaddr *)&a,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(h->name))),
                    ==, 0);
    g_assert_cmpint(listen(h->listener, 16), ==, 0);
}

/* In the child: never returns. */
static void be_keeper(struct host *h, const char *yaml)
{
    struct config *config = NULL;
    struct config_problems *problems = config_problems_new();
    int fd = open(h->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fd, STDERR_FILENO);
    if (config_parse(yaml, strlen(yaml), "test.yaml", &config, problems) < 0) {
        config_problems_print(problems, stderr);
        _exit(90);
    }
    config->daemon.spare_worker = h->spare_worker;
    config->daemon.watchdog_ns = h->watchdog_ms * NS_PER_MS;
    config->daemon.control_socket = NULL; /* other tests' subjects */
    config->daemon.state_directory = "/dev/null/none";
    struct keeper_args args = { .config = config,
                                .text = h->name,
                                .text_bytes = strlen(h->name),
                                .file = "test.yaml",
                                .stop_timeout_ms = h->stop_timeout_ms };
    int code = keeper_run(&args);
    config_free(config);
    config_problems_free(problems);
    _exit(code);
}

void host_start(struct host *h, const char *daemon)
{
    unsigned port = h->port != 0 ? h->port : free_port();

    *h = (struct host){ .worker = -1,
                        .port = port,
                        .watchdog_ms = h->watchdog_ms,
                        .spare_worker = h->spare_worker,
                        .stop_timeout_ms = h->stop_timeout_ms };
    listen_for_workers(h);
    h->log = g_strdup_printf("%s/%s.log", g_get_tmp_dir(), h->name);
    g_autofree char *yaml =
        g_strdup_printf("version: 1\n"
                        "portals:\n"
                        "  san: { listen: [\"127.0.0.1:%u\", \"[::1]:%u\"] }\n"
                        "targets: {}\n%s%s",
                        port, port, daemon != NULL ? "daemon: " : "", daemon != NULL ? daemon : "");
    h->keeper = fork();
    g_assert_cmpint(h->keeper, >=, 0);
    if (h->keeper == 0)
        be_keeper(h, yaml);
}

char *host_expect(struct host *h, const char *pattern)
{
    char line[512];
    wait_readable(h->worker);
    ssize_t n = recv(h->worker, line, sizeof(line) - 1, 0);
    g_assert_cmpint(n, >=, 0);
    line[n] = 0;
    if (!g_pattern_match_simple(pattern, line))
        g_error("the worker says '%s', not '%s'", line, pattern);
    return g_strdup(line);
}

void host_tell(struct host *h, const char *line)
{
    g_assert_cmpint(send(h->worker, line, strlen(line), MSG_NOSIGNAL), ==, (gssize)strlen(line));
}

bool host_is_silent(struct host *h)
{
    struct pollfd p = { .fd = h->worker, .events = POLLIN };
    return poll(&p, 1, 0) == 0;
}

void host_expect_worker(struct host *h, unsigned generation)
{
    g_autofree char *hello = g_strdup_printf("hello %u test.yaml", generation);
    wait_readable(h->listener);
    if (h->worker >= 0)
        close(h->worker);
    h->worker = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(h->worker, >=, 0);
    g_free(host_expect(h, hello));
}

void host_ready_worker(struct host *h, unsigned generation)
{
    host_expect_worker(h, generation);
    g_free(host_expect(h, "GO"));
    host_tell(h, "ready");
    g_autofree char *line = g_strdup_printf("ready generation=%u ", generation);
    host_expect_log(h, line);
}

void host_expect_worker_end(struct host *h)
{
    char byte;
    do
        wait_readable(h->worker);
    while (recv(h->worker, &byte, 1, 0) > 0);
    close(h->worker);
    h->worker = -1;
}

int host_take_tombstone(struct host *h)
{
    char text[16];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { text, sizeof(text) };
    struct msghdr mh = { .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes) };
    int fd;

    host_tell(h, "tombstone");
    g_assert_cmpint(recvmsg(h->worker, &mh, MSG_CMSG_CLOEXEC), ==, 9);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(int));
    return fd;
}

void host_signal(struct host *h, int signal)
{
    g_assert_cmpint(kill(h->keeper, signal), ==, 0);
}

void host_expect_exit(struct host *h, int code)
{
    int status = 0;
    pid_t pid = 0;

    for (int i = 0; i < HARNESS_TIMEOUT_MS && pid == 0; i++) {
        pid = waitpid(h->keeper, &status, WNOHANG);
        if (pid == 0)
            g_usleep(1000);
    }
    g_assert_cmpint(pid, ==, h->keeper);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, code);
    if (h->worker >= 0)
        close(h->worker);
    close(h->listener);
    g_unlink(h->log);
    g_clear_pointer(&h->log, g_free);
}

unsigned host_log_count(struct host *h, const char *text)
{
    g_autofree char *all = NULL;
    unsigned n = 0;
    if (!g_file_get_contents(h->log, &all, NULL, NULL))
        return 0;
    for (char *p = strstr(all, text); p != NULL; p = strstr(p + 1, text))
        n++;
    return n;
}

void host_expect_log(struct host *h, const char *text)
{
    for (int i = 0; i < HARNESS_TIMEOUT_MS; i++) {
        if (host_log_count(h, text) > 0)
            return;
        g_usleep(1000);
    }
    g_autofree char *all = NULL;
    g_file_get_contents(h->log, &all, NULL, NULL);
    g_error("no '%s' in the log:\n%s", text, all);
}

int peer_connect(const struct host *h, bool v6)
{
    struct sockaddr_in a4 = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)h->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)h->port),
                               .sin6_addr = in6addr_loopback };
    int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = v6 ? connect(fd, (struct sockaddr *)&a6, sizeof(a6))
               : connect(fd, (struct sockaddr *)&a4, sizeof(a4));

    if (r < 0) {
        g_assert_cmpint(errno, ==, ECONNREFUSED);
        close(fd);
        return -1;
    }
    return fd;
}

unsigned host_expect_connection(struct host *h, unsigned listener)
{
    const char *pattern =
        listener == 0 ? "CONNECTION * san 0 127.0.0.1:*" : "CONNECTION * san 1 ?::1?:*";
    g_autofree char *line = host_expect(h, pattern);
    return (unsigned)g_ascii_strtoull(line + strlen("CONNECTION "), NULL, 10);
}

void peer_expect_data(int fd, const char *text)
{
    char got[256] = "";
    wait_readable(fd);
    g_assert_cmpint(recv(fd, got, sizeof(got) - 1, 0), ==, (gssize)strlen(text));
    g_assert_cmpstr(got, ==, text);
}

void peer_expect_end(int fd)
{
    char byte;
    wait_readable(fd);
    g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
}

void peer_expect_no_reset(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    g_assert_cmpint(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), ==, 0);
    g_assert_cmpint(error, ==, 0);
}

bool peer_is_held(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };
    return poll(&p, 1, 0) == 0;
}

void host_stop(struct host *h)
{
    host_signal(h, SIGTERM);
    g_free(host_expect(h, "STOP"));
    host_tell(h, "stopped");
    host_tell(h, "exit 0");
    host_expect_exit(h, 0);
}
