/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accepting. The keeper keeps the descriptor and sends the worker a copy of it. Each listener gets a
 * bounded number of connections a turn, so no portal starves another one or the link.
 *
 * Three things make it pause, and the kernel's backlog holds what comes meanwhile: no worker is
 * ready, the link's queue is long, the system is short of memory or descriptors.
 */
#include "keeper/state.h"
#include "keeper/system.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPTS_A_TURN    64
#define LINK_QUEUE_LONG   256 /* messages */
#define SHORTAGE_PAUSE    (100 * NS_PER_MS)
#define REFUSED_LOG_EVERY (10 * NS_PER_S)

static void accept_ready(struct keeper *k, struct source *s, uint32_t events);

static void reserve_open(struct keeper *k)
{
    if (k->reserve_fd < 0)
        k->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* As many connections as the configuration and our limit of open files allow. */
static uint32_t connections_limit(const struct keeper *k)
{
    const struct config *config = k->config;
    uint64_t max = system_files_needed(config) - SYSTEM_FDS_FOR_OTHER_USES;
    uint64_t fds = system_raise_files(config);

    if (fds >= system_files_needed(config))
        return (uint32_t)max;
    return (uint32_t)(fds > 2 * SYSTEM_FDS_FOR_OTHER_USES ? fds - SYSTEM_FDS_FOR_OTHER_USES
                                                          : fds / 2);
}

static void acceptors_new(struct keeper *k)
{
    k->acceptors = g_new0(struct source, k->portals.count);
    for (unsigned i = 0; i < k->portals.count; i++)
        k->acceptors[i] = (struct source){ .ready = accept_ready, .fd = -1 };
}

void accept_change_limit(struct keeper *k)
{
    connections_set_max(&k->connections, connections_limit(k));
}

void accept_init(struct keeper *k)
{
    connections_init(&k->connections, connections_limit(k), &k->store);
    k->reserve_fd = -1;
    reserve_open(k);
    acceptors_new(k);
}

static void accept_switch(struct keeper *k, bool on)
{
    if (k->accepting == on)
        return;
    for (unsigned i = 0; i < k->portals.count; i++)
        source_watch(k, &k->acceptors[i], k->portals.listeners[i].fd, on ? EPOLLIN : 0);
    k->accepting = on;
}

void accept_change(struct keeper *k, struct portals *portals)
{
    accept_switch(k, false);
    portals_replace(&k->portals, portals);
    g_free(k->acceptors);
    acceptors_new(k);
    accept_update(k);
}

void accept_update(struct keeper *k)
{
    accept_switch(k, k->worker.state == WORKER_READY && !k->stopping && !k->leaving &&
                         k->upgrade != UPGRADE_FREEZING && k->accept_pause_ns == 0 &&
                         k->worker.link.queued < LINK_QUEUE_LONG);
}

static void log_refused(struct keeper *k, uint64_t now_ns)
{
    if (k->refused == 0 || now_ns < k->refused_log_ns)
        return;
    log_warning("accept", "connections turned away count=%" PRIu64 " open=%u limit=%u", k->refused,
                k->connections.used, k->connections.max);
    k->refused = 0;
    k->refused_log_ns = now_ns + REFUSED_LOG_EVERY;
}

uint64_t accept_tick(struct keeper *k, uint64_t now_ns)
{
    log_refused(k, now_ns);
    if (k->accept_pause_ns != 0 && now_ns >= k->accept_pause_ns)
        k->accept_pause_ns = 0;
    accept_update(k);
    uint64_t pause = k->accept_pause_ns == 0 ? UINT64_MAX : k->accept_pause_ns;
    return MIN(pause, k->refused == 0 ? UINT64_MAX : k->refused_log_ns);
}

void accept_deinit(struct keeper *k)
{
    accept_switch(k, false);
    portals_close(&k->portals);
    g_clear_pointer(&k->acceptors, g_free);
    if (k->reserve_fd >= 0)
        close(k->reserve_fd);
    k->reserve_fd = -1;
}

static void count_refused(struct keeper *k)
{
    k->refused++;
    k->status.refused++;
}

static void refuse(struct keeper *k, int fd)
{
    close(fd);
    count_refused(k);
}

static int tell_worker(struct keeper *k, uint32_t slot, int fd, uint32_t listener,
                       const struct address *peer, bool held)
{
    const struct portal_listener *l = portals_find(&k->portals, listener);
    struct link_message m = { .type = LINK_CONNECTION, .fd = fd };

    m.connection.slot = slot;
    m.connection.listener = l ? l->index : 0;
    m.connection.held = held;
    if (l) /* its portal may have been removed since */
        g_strlcpy(m.connection.portal, l->portal->name, sizeof(m.connection.portal));
    m.connection.peer = *peer;
    return link_send(&k->worker.link, &m);
}

/* Keeps the connection and tells the worker. */
static void hand_over(struct keeper *k, uint32_t listener, int fd, const struct address *peer)
{
    uint32_t slot;
    int on = 1;

    if (connections_add(&k->connections, fd, listener, k->worker.generation, &slot) < 0) {
        refuse(k, fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int r = tell_worker(k, slot, fd, listener, peer, /* held= */ false);
    /* A link that is gone: its worker is, too, and the next one gets this connection. */
    if (r < 0 && r != -EPIPE) {
        connections_close(&k->connections, slot, k->worker.generation);
        count_refused(k);
    }
}

static bool offer(void *user, uint32_t slot, int fd, uint32_t listener)
{
    struct keeper *k = user;
    struct address peer;
    return address_peer(fd, &peer) == 0 &&
           tell_worker(k, slot, fd, listener, &peer, /* held= */ false) == 0;
}

static bool offer_held(void *user, uint32_t slot, int fd, uint32_t listener)
{
    struct keeper *k = user;
    struct address peer;
    /* A peer that is gone: the worker still has to hear of the connection, to end its session. */
    if (address_peer(fd, &peer) < 0)
        peer = (struct address){ .length = 0 };
    return tell_worker(k, slot, fd, listener, &peer, /* held= */ true) == 0;
}

uint32_t accept_hand_over(struct keeper *k)
{
    uint32_t taken = connections_hand_over(&k->connections, k->worker.generation, offer_held, k);
    supervise_link_update(k);
    return taken;
}

uint32_t accept_pass_on(struct keeper *k)
{
    uint32_t closed = connections_pass_on(&k->connections, k->worker.generation, offer, k);
    supervise_link_update(k);
    return closed;
}

/* No descriptor is left: give up the reserve to turn one connection away, then wait a little. */
static void shortage(struct keeper *k, int listener, int error)
{
    uint64_t now = clock_now_ns();

    if ((error == EMFILE || error == ENFILE) && k->reserve_fd >= 0) {
        close(k->reserve_fd);
        k->reserve_fd = -1;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            refuse(k, fd);
        reserve_open(k);
    }
    k->accept_pause_ns = now + SHORTAGE_PAUSE;
    if (now < k->shortage_log_ns)
        return;
    log_warning("accept", "cannot accept: %s", g_strerror(error));
    k->shortage_log_ns = now + REFUSED_LOG_EVERY;
}

/* Errors that belong to the one connection that was about to be accepted (accept(2)). */
static bool is_of_the_connection(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPERM:
        return true;
    default:
        return false;
    }
}

static void accept_ready(struct keeper *k, struct source *s, uint32_t events)
{
    uint32_t listener = k->portals.listeners[s - k->acceptors].number;

    for (int i = 0; i < ACCEPTS_A_TURN && k->worker.link.queued < LINK_QUEUE_LONG; i++) {
        struct address peer = { .length = sizeof(peer.v6) };
        /* A blocking socket: io_uring answers EAGAIN on others instead of waiting. */
        int fd = accept4(s->fd, &peer.any, &peer.length, SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(k, listener, fd, &peer);
        } else if (!is_of_the_connection(errno)) {
            if (errno != EAGAIN)
                shortage(k, s->fd, errno);
            break;
        }
    }
    supervise_link_update(k);
    accept_update(k);
}
