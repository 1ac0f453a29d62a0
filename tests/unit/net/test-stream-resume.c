/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parent is the initiator and the keeper: it holds the server's socket and memory, kills the server
 * at random moments, also while it resumes, and starts the next one. Every byte of every answer is
 * checked, and the sum that shows that each message was done once and in order.
 */
#include "toy.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STALL_NS (20 * NS_PER_S)

struct client {
    int fd, server_fd;
    pid_t server;
    int tombstone;
    GRand *random;
    uint32_t sent, received; /* messages */
    uint32_t length_most, window;
    uint64_t sum;
    uint8_t *out, *in;
    uint32_t out_at, out_bytes, in_bytes, in_whole;
    uint32_t lengths[1024];
    uint64_t last_ns;
};

static void connect_pair(struct client *c, int buffer_bytes)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (buffer_bytes)
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    g_assert_no_errno(bind(listener, (struct sockaddr *)&at, sizeof(at)));
    g_assert_no_errno(listen(listener, 1));
    g_assert_no_errno(getsockname(listener, (struct sockaddr *)&at, &length));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (buffer_bytes)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    g_assert_no_errno(connect(c->fd, (struct sockaddr *)&at, sizeof(at)));
    c->server_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(c->server_fd, >=, 0);
    close(listener);
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(c->server_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void start_server(struct client *c, gboolean fresh)
{
    int tombstone[2];

    g_assert_no_errno(pipe2(tombstone, O_CLOEXEC));
    c->server = fork();
    g_assert_cmpint(c->server, >=, 0);
    if (!c->server) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(c->fd);
        close(tombstone[0]);
        toy_serve(c->server_fd, tombstone[1], fresh);
    }
    close(tombstone[1]);
    c->tombstone = tombstone[0];
}

static void end_server(struct client *c, gboolean wait_for_rings)
{
    int status;

    kill(c->server, SIGKILL);
    g_assert_cmpint(waitpid(c->server, &status, 0), ==, c->server);
    if (WIFEXITED(status))
        g_error("the server ended with %d after %u messages", WEXITSTATUS(status), c->received);
    if (wait_for_rings) {
        struct pollfd p = { .fd = c->tombstone };
        g_assert_cmpint(poll(&p, 1, 20000), ==, 1);
    }
    close(c->tombstone);
}

/* Many short ones, some long ones, now and then one of nothing. */
static uint32_t some_length(struct client *c)
{
    switch (g_rand_int_range(c->random, 0, 8)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return (uint32_t)g_rand_int_range(c->random, 1, (int)c->length_most + 1);
    default:
        return (uint32_t)g_rand_int_range(c->random, 1, 3000);
    }
}

static void make_message(struct client *c)
{
    struct toy_head head = { .length = some_length(c), .number = c->sent };

    memcpy(c->out, &head, sizeof(head));
    for (uint32_t i = 0; i < head.length; i++)
        c->out[sizeof(head) + i] = toy_byte(c->sent, i);
    c->lengths[c->sent % G_N_ELEMENTS(c->lengths)] = head.length;
    c->sent++;
    c->out_at = 0;
    c->out_bytes = (uint32_t)sizeof(head) + head.length;
}

static void send_some(struct client *c)
{
    if (c->out_at == c->out_bytes) {
        if (c->sent - c->received >= c->window)
            return;
        make_message(c);
    }
    uint32_t most = (uint32_t)g_rand_int_range(c->random, 1, 100000);
    ssize_t n = send(c->fd, c->out + c->out_at, MIN(most, c->out_bytes - c->out_at), MSG_NOSIGNAL);
    if (n < 0)
        g_assert_cmpint(errno, ==, EAGAIN);
    else
        c->out_at += (uint32_t)n;
}

static void check_answer(struct client *c)
{
    struct toy_head head;

    memcpy(&head, c->in, sizeof(head));
    g_assert_cmpuint(head.number, ==, c->received);
    g_assert_cmpuint(head.length, ==, c->lengths[c->received % G_N_ELEMENTS(c->lengths)]);
    for (uint32_t i = 0; i < head.length; i++)
        if (c->in[sizeof(head) + i] != toy_byte(head.number, i))
            g_error("answer %u of %u bytes is wrong at %u", head.number, head.length, i);
    c->sum = toy_sum(c->sum, head.number, c->in + sizeof(head), head.length);
    g_assert_cmphex(head.sum, ==, c->sum);
    c->received++;
}

static void receive_some(struct client *c)
{
    for (unsigned i = 0; i < 16; i++) {
        struct toy_head head;
        bool header = c->in_bytes < sizeof(head);
        uint32_t want = header ? (uint32_t)sizeof(head) : c->in_whole;
        ssize_t n = want > c->in_bytes ? recv(c->fd, c->in + c->in_bytes, want - c->in_bytes, 0) : 0;

        if (n < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            return;
        }
        if (!n && want > c->in_bytes)
            g_error("the connection was closed after %u messages", c->received);
        c->in_bytes += (uint32_t)n;
        c->last_ns = clock_now_ns();
        if (c->in_bytes < want)
            continue;
        if (header) {
            memcpy(&head, c->in, sizeof(head));
            g_assert_cmpuint(head.length, <=, TOY_LENGTH_MAX);
            c->in_whole = (uint32_t)sizeof(head) + head.length;
        }
        if (c->in_bytes == c->in_whole) {
            check_answer(c);
            c->in_bytes = 0;
        }
    }
}

static void talk_until(struct client *c, uint64_t until_ns)
{
    while (clock_now_ns() < until_ns) {
        bool sends = c->out_at < c->out_bytes || c->sent - c->received < c->window;
        struct pollfd p = { .fd = c->fd, .events = (short)(POLLIN | (sends ? POLLOUT : 0)) };

        poll(&p, 1, 1);
        if (p.revents & POLLOUT)
            send_some(c);
        if (p.revents & POLLIN)
            receive_some(c);
        g_assert_cmpuint(clock_now_ns() - c->last_ns, <, STALL_NS);
    }
}

struct setting {
    const char *name;
    unsigned kills;
    uint32_t window;      /* messages without an answer */
    uint32_t length_most;
    int buffer_bytes;     /* of the sockets; 0: the kernel's choice */
    unsigned life_us;     /* a server lives up to so long */
    gboolean wait_for_rings;
};

static const struct setting settings[] = {
    { "short-messages", 60, 200, 3000, 0, 20000, TRUE },
    { "long-messages", 60, 12, TOY_LENGTH_MAX, 0, 20000, TRUE },
    { "many-unread-answers", 40, 900, 60000, 8192, 20000, TRUE },
    { "killed-while-it-resumes", 300, 100, TOY_LENGTH_MAX, 0, 2000, FALSE },
    { "before-the-dead-ring-is-gone", 200, 100, TOY_LENGTH_MAX, 16384, 15000, FALSE },
};

static void test_killed(gconstpointer data)
{
    const struct setting *set = data;
    struct client c = { .length_most = set->length_most, .window = set->window };

    g_assert_cmpint(arena_map(ARENA_STATE, arena_create_fd("toy", sizeof(struct toy_record)),
                              sizeof(struct toy_record)), ==, 0);
    c.random = g_rand_new_with_seed((guint32)g_test_rand_int());
    c.out = g_malloc(sizeof(struct toy_head) + TOY_LENGTH_MAX);
    c.in = g_malloc(sizeof(struct toy_head) + TOY_LENGTH_MAX);
    connect_pair(&c, set->buffer_bytes);
    c.last_ns = clock_now_ns();
    start_server(&c, TRUE);
    talk_until(&c, clock_now_ns() + 50 * NS_PER_MS);
    for (unsigned i = 0; i < set->kills; i++) {
        uint64_t life = (uint64_t)g_rand_int_range(c.random, 0, (int)set->life_us) * 1000;
        talk_until(&c, clock_now_ns() + life);
        end_server(&c, set->wait_for_rings);
        start_server(&c, FALSE);
    }
    c.window = 0; /* the rest of what was begun, and its answers */
    while (c.received < c.sent)
        talk_until(&c, clock_now_ns() + 10 * NS_PER_MS);
    g_test_message("%u messages", c.received);
    g_assert_cmpuint(c.received, >, 0);
    end_server(&c, FALSE);
    close(c.fd);
    close(c.server_fd);
    arena_unmap(ARENA_STATE);
    g_rand_free(c.random);
    g_free(c.out);
    g_free(c.in);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(settings); i++) {
        g_autofree char *name = g_strdup_printf("/net/stream/resume/%s", settings[i].name);
        g_test_add_data_func(name, &settings[i], test_killed);
    }
    return g_test_run();
}
