/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection. A line is received, handled and answered before the next one is looked at, and
 * nothing is received while an answer has not been taken: a client that sends without reading
 * waits, in its own socket.
 */
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"

#define GROUPS_MAX 64

struct client {
    struct list link; /* control->clients */
    struct control *control;
    int fd;
    guint in_watch, out_watch;
    bool may_change, is_owner;
    bool eof;    /* it sends nothing any more */
    bool ending; /* closed as soon as the answer is taken */
    unsigned mistakes;
    char *in; /* CONTROL_MESSAGE_MAX bytes while something is in it */
    size_t in_bytes;
    GString *out; /* NULL: nothing to send */
    size_t out_sent;
    int sent_fd;       /* a file that a request is about; -1: none */
    struct call *call; /* under way */
    struct turn turn;  /* to handle a line */
    uint64_t heard_ns; /* when the first byte of the message came, or the last answer was taken */
    uint64_t sent_ns;  /* when something of the answer was taken */
};

static void next(struct client *c);

struct client *client_of_link(struct list *link)
{
    return list_entry(link, struct client, link);
}

bool client_is_idle(const struct client *c)
{
    return !c->call && !c->out && !c->in_bytes;
}

uint64_t client_waits_ns(const struct client *c, uint64_t now_ns)
{
    return c->out ? now_ns - c->sent_ns : 0;
}

bool client_may_change(const struct client *c)
{
    return c->may_change;
}

bool client_is_owner(const struct client *c)
{
    return c->is_owner;
}

/* ---- who it is ---- */

static bool in_group(int fd, const struct ucred *peer, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t length = sizeof(groups);
    if (peer->gid == group)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
        return false;
    for (unsigned i = 0; i < length / sizeof(groups[0]); i++)
        if (groups[i] == group)
            return true;
    return false;
}

/* Root, the owner of the socket and its group may change things; whoever else gets in may look. */
static void look_at_peer(struct client *c)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    struct stat st;
    const struct control_services *services = &c->control->services;
    const char *path = services->config(services->user)->daemon.control_socket;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return;
    c->is_owner = c->may_change = peer.uid == 0;
    if (c->is_owner || !path || stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    c->is_owner = peer.uid == st.st_uid;
    c->may_change = c->is_owner || in_group(c->fd, &peer, st.st_gid);
}

/* ---- out ---- */

static gboolean out_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct client *c = data;
    c->out_watch = 0;
    next(c);
    return G_SOURCE_REMOVE;
}

static void out_free(struct client *c)
{
    if (!c->out)
        return;
    c->control->out_bytes -= c->out->len;
    g_string_free(c->out, TRUE);
    c->out = NULL;
    c->out_sent = 0;
}

/* 0: all is sent; -EAGAIN: not all; or another negative errno: the client is gone. */
static int send_out(struct client *c)
{
    while (c->out && c->out_sent < c->out->len) {
        ssize_t n = send(c->fd, c->out->str + c->out_sent, c->out->len - c->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        c->out_sent += (size_t)n;
        c->sent_ns = clock_now_ns();
    }
    out_free(c);
    return 0;
}

void client_answer(struct client *c, GString *line)
{
    uint64_t now = clock_now_ns();
    c->call = NULL;
    c->heard_ns = c->sent_ns = now;
    if (!line) {
        next(c);
        return;
    }
    c->control->out_bytes += line->len;
    c->out = line;
    next(c);
}

bool client_mistake(struct client *c)
{
    return ++c->mistakes < CONTROL_MISTAKES_MAX;
}

/* ---- in ---- */

static char *line_end(const struct client *c)
{
    return c->in ? memchr(c->in, '\n', c->in_bytes) : NULL;
}

/* The line has been handled: what is behind it moves to the front. */
static void in_drop(struct client *c, size_t bytes)
{
    c->in_bytes -= bytes;
    if (c->in_bytes)
        memmove(c->in, c->in + bytes, c->in_bytes);
    else
        g_clear_pointer(&c->in, g_free);
}

static void line_turn(struct turn *turn)
{
    struct client *c = container_of(turn, struct client, turn);
    char *end = line_end(c);
    if (!end)
        return;
    size_t bytes = (size_t)(end - c->in);
    g_autofree char *line = g_strndup(c->in, bytes);
    in_drop(c, bytes + 1);
    struct call *call = call_begin(c, c->control, line, bytes, &c->ending);
    if (!call) /* answered, or nothing to answer; it may even be gone */
        return;
    c->call = call;
    verb_start(call);
}

/* One descriptor is kept, the last one; the kernel closes what finds no room. */
static void take_descriptor(struct client *c, struct msghdr *m)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(m); part; part = CMSG_NXTHDR(m, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
            part->cmsg_len != CMSG_LEN(sizeof(int)))
            continue;
        if (c->sent_fd >= 0)
            close(c->sent_fd);
        memcpy(&c->sent_fd, CMSG_DATA(part), sizeof(int));
    }
}

static ssize_t receive(struct client *c)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } room;
    struct iovec part = { c->in + c->in_bytes, CONTROL_MESSAGE_MAX - c->in_bytes };
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = room.bytes,
                        .msg_controllen = sizeof(room.bytes) };
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n >= 0)
        take_descriptor(c, &m);
    return n;
}

int client_take_fd(struct client *c)
{
    int fd = c->sent_fd;
    c->sent_fd = -1;
    return fd;
}

static gboolean in_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct client *c = data;
    if (!c->in)
        c->in = g_malloc(CONTROL_MESSAGE_MAX);
    ssize_t n = receive(c);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    c->in_watch = 0;
    if (n < 0) {
        client_close(c);
        return G_SOURCE_REMOVE;
    }
    if (!c->in_bytes)
        c->heard_ns = clock_now_ns();
    c->eof = n == 0;
    c->in_bytes += (size_t)n;
    list_remove(&c->link); /* the one heard last comes last */
    list_append(&c->control->clients, &c->link);
    next(c);
    return G_SOURCE_REMOVE;
}

static guint watch(struct client *c, GIOCondition condition, GUnixFDSourceFunc function)
{
    GSource *source = g_unix_fd_source_new(c->fd, condition);
    g_source_set_priority(source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(source, G_SOURCE_FUNC(function), c, NULL);
    guint id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}

/* What it waits for now. May close it. */
static void next(struct client *c)
{
    int r = send_out(c);
    if (r == -EAGAIN) {
        if (!c->out_watch)
            c->out_watch = watch(c, G_IO_OUT | G_IO_HUP | G_IO_ERR, out_ready);
        return;
    }
    if (r < 0 || (c->ending && !c->call)) {
        client_close(c);
        return;
    }
    if (c->call)
        return;
    if (line_end(c)) {
        turn_queue(c->control, &c->turn);
    } else if (c->eof) {
        client_close(c);
    } else if (c->in_bytes == CONTROL_MESSAGE_MAX) {
        c->ending = true;
        client_answer(c, message_error(NULL, RPC_REQUEST, "the message is too long"));
    } else if (!c->in_watch) {
        if (!c->in_bytes)
            g_clear_pointer(&c->in, g_free);
        c->in_watch = watch(c, G_IO_IN | G_IO_HUP | G_IO_ERR, in_ready);
    }
}

/* ---- life ---- */

void client_check(struct client *c, uint64_t now_ns)
{
    if (c->out) {
        if (now_ns - c->sent_ns > CONTROL_SEND_MS * NS_PER_MS)
            client_close(c);
    } else if (!c->call && list_empty(&c->turn.link)) {
        uint64_t limit = c->in_bytes ? CONTROL_RECEIVE_MS : CONTROL_IDLE_MS;
        if (now_ns - c->heard_ns > limit * NS_PER_MS)
            client_close(c);
    }
}

struct client *client_new(struct control *control, int fd)
{
    struct client *c = g_new0(struct client, 1);
    c->control = control;
    c->fd = fd;
    c->sent_fd = -1;
    look_at_peer(c);
    c->heard_ns = clock_now_ns();
    turn_init(&c->turn, line_turn);
    list_append(&control->clients, &c->link);
    control->client_count++;
    control->count.clients++;
    next(c);
    return c;
}

void client_close(struct client *c)
{
    struct control *control = c->control;
    if (c->in_watch)
        g_source_remove(c->in_watch);
    if (c->out_watch)
        g_source_remove(c->out_watch);
    turn_cancel(&c->turn);
    if (c->call)
        call_abandon(c->call);
    out_free(c);
    close(c->fd);
    if (c->sent_fd >= 0)
        close(c->sent_fd);
    g_free(c->in);
    list_remove(&c->link);
    control->client_count--;
    g_free(c);
}
