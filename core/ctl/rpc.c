/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See rpc.h. The keeper holds the socket, so a connection is made even while there is no worker; a
 * worker that dies ends its connections, and what may be asked twice is then asked again.
 */
#include "ctl/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

#define ANSWER_MAX (1u << 30)
#define DEPTH_MAX  16
#define AGAIN_MS   50

struct attempt {
    const struct rpc *rpc;
    const char *line;
    int file; /* sent with the first byte; -1: none */
    const char *file_name;
    uint64_t deadline_ns;
    char *why;
};

static enum rpc_outcome fail(struct attempt *a, const char *what, int error)
{
    g_free(a->why);
    a->why = error ? g_strdup_printf("%s: %s: %s", a->rpc->socket, what, g_strerror(error))
                   : g_strdup_printf("%s: %s", a->rpc->socket, what);
    return RPC_UNREACHABLE;
}

static int left_ms(const struct attempt *a)
{
    uint64_t now = clock_now_ns();
    return now < a->deadline_ns ? (int)((a->deadline_ns - now) / NS_PER_MS) + 1 : 0;
}

/* 1: ready; 0: the time is over. */
static int wait_for(const struct attempt *a, int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    int r, ms;
    do {
        ms = left_ms(a);
        r = ms ? poll(&p, 1, ms) : 0;
    } while (r < 0 && errno == EINTR);
    return r > 0;
}

/* A descriptor, or negative errno. A full backlog means that nobody accepts at the moment. */
static int open_socket(const struct attempt *a)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(a->rpc->socket) >= sizeof(to.sun_path))
        return -ENAMETOOLONG;
    g_strlcpy(to.sun_path, a->rpc->socket, sizeof(to.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    while (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        if (errno == EINTR || (errno == EAGAIN && left_ms(a))) {
            g_usleep(AGAIN_MS * 1000);
            continue;
        }
        int r = errno == EAGAIN ? -ETIMEDOUT : -errno;
        close(fd);
        return r;
    }
    return fd;
}

static ssize_t send_part(const struct attempt *a, int fd, size_t from, size_t bytes)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } room = { 0 };
    struct iovec part = { (char *)a->line + from, bytes - from };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    if (from == 0 && a->file >= 0) {
        m.msg_control = room.bytes;
        m.msg_controllen = sizeof(room.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &a->file, sizeof(int));
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* 1, 0 when the peer has gone, -ETIMEDOUT. */
static int send_line(const struct attempt *a, int fd)
{
    size_t sent = 0, bytes = strlen(a->line);
    while (sent < bytes) {
        ssize_t n = send_part(a, fd, sent, bytes);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN) {
            if (!wait_for(a, fd, POLLOUT))
                return -ETIMEDOUT;
        } else if (errno != EINTR)
            return 0;
    }
    return 1;
}

static int receive_line(const struct attempt *a, int fd, GString *in)
{
    static char piece[1 << 16];
    while (in->len < ANSWER_MAX) {
        if (!wait_for(a, fd, POLLIN))
            return -ETIMEDOUT;
        ssize_t n = recv(fd, piece, sizeof(piece), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return 0;
        const char *end = memchr(piece, '\n', (size_t)n);
        g_string_append_len(in, piece, end ? end - piece : n);
        if (end)
            return 1;
    }
    return -EMSGSIZE;
}

/* The answer's line; *ret_gone: it went away without an answer. */
static enum rpc_outcome attempt(struct attempt *a, GString *in, bool *ret_gone)
{
    *ret_gone = false;
    int fd = open_socket(a);
    if (fd < 0)
        return fail(a, "the daemon cannot be reached", -fd);
    if (a->file_name && a->file < 0)
        a->file = open(a->file_name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (a->file_name && a->file < 0) {
        a->why = g_strdup_printf("%s: cannot be read: %s", a->file_name, g_strerror(errno));
        close(fd);
        return RPC_REFUSED;
    }
    int r = send_line(a, fd);
    if (r > 0)
        r = receive_line(a, fd, in);
    close(fd);
    if (r > 0)
        return RPC_DONE;
    *ret_gone = r == 0;
    if (r == -ETIMEDOUT)
        return fail(a, "the daemon does not answer", 0);
    return fail(a, r ? "the answer is too long" : "the daemon went away before it answered", 0);
}

static enum rpc_outcome take_answer(struct attempt *a, const GString *in, JsonNode **ret_result)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    if (!json_text_is_sane(in->str, in->len, DEPTH_MAX) ||
        !json_parser_load_from_data(parser, in->str, (gssize)in->len, NULL) ||
        !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        return fail(a, "what listens there does not speak our language", 0);
    JsonObject *answer = json_node_get_object(json_parser_get_root(parser));
    JsonNode *error = json_object_get_member(answer, "error");
    if (error && JSON_NODE_HOLDS_OBJECT(error)) {
        JsonNode *text = json_object_get_member(json_node_get_object(error), "message");
        bool said = text && json_node_get_value_type(text) == G_TYPE_STRING;
        g_free(a->why);
        a->why = g_strdup(said ? json_node_get_string(text) : "refused");
        return RPC_REFUSED;
    }
    JsonNode *result = json_object_get_member(answer, "result");
    if (!result)
        return fail(a, "what listens there does not speak our language", 0);
    *ret_result = json_node_copy(result);
    return RPC_DONE;
}

static char *request_line(const struct rpc_call *call)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer w = { .out = out };
    json_put_open(&w, NULL, '{');
    json_put_string(&w, "jsonrpc", "2.0");
    json_put_u64(&w, "id", 1);
    json_put_string(&w, "method", call->method);
    if (call->params)
        json_put_raw(&w, "params", call->params);
    json_put_close(&w, '}');
    g_string_append_c(out, '\n');
    return g_strdup(out->str);
}

enum rpc_outcome rpc_call(const struct rpc *rpc, const struct rpc_call *call, JsonNode **ret_result,
                          char **ret_why)
{
    g_autofree char *line = request_line(call);
    g_autoptr(GString) in = g_string_new(NULL);
    struct attempt a = { .rpc = rpc,
                         .line = line,
                         .file_name = call->file,
                         .file = -1,
                         .deadline_ns = clock_now_ns() + rpc->timeout_ms * NS_PER_MS };
    bool gone;
    enum rpc_outcome outcome = attempt(&a, in, &gone);
    while (gone && call->repeatable && left_ms(&a)) {
        g_usleep(AGAIN_MS * 1000);
        g_string_truncate(in, 0);
        if (a.file >= 0)
            lseek(a.file, 0, SEEK_SET);
        outcome = attempt(&a, in, &gone);
    }
    if (a.file >= 0)
        close(a.file);
    if (outcome == RPC_DONE)
        outcome = take_answer(&a, in, ret_result);
    if (gone && !call->repeatable)
        fail(&a, "the daemon went away; whether it was done is not known", 0);
    *ret_why = a.why;
    if (outcome == RPC_DONE)
        g_clear_pointer(ret_why, g_free);
    return outcome;
}
