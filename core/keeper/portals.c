/* SPDX-License-Identifier: BSD-3-Clause */
/* See portals.h. */
#include "keeper/portals.h"

#include "base/log.h"
#include "keeper/dying.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

static int set_option(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Accepted sockets inherit it. That the kernel may give less is said by system_check(). */
static void set_buffer(int fd, int name, uint32_t bytes)
{
    int value = (int)bytes;
    if (bytes && setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)) < 0)
        log_warning("portal", "cannot set the size of socket buffers: %s", g_strerror(errno));
}

static int listener_bind(const struct address *a, const struct config_daemon *daemon, int *ret_fd)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (r == 0 && a->any.sa_family == AF_INET6)
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY); /* "[::]" and "0.0.0.0" side by side */
    if (r == 0 && bind(fd, &a->any, a->length) < 0)
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    set_buffer(fd, SO_RCVBUF, daemon->socket_receive_buffer);
    set_buffer(fd, SO_SNDBUF, daemon->socket_send_buffer);
    *ret_fd = fd;
    return 0;
}

static void listener_problem(const struct portal_listener *l, const char *what, int r,
                             struct config_problems *problems)
{
    const struct config_listen *listen = &l->portal->listen[l->index];
    char text[ADDRESS_TEXT_MAX];
    config_problem_error(problems, listen->node, "portal %s: cannot %s %s: %s", l->portal->name,
                         what, address_format(&listen->address, text), g_strerror(-r));
}

static const struct portal_listener *find_address(const struct portals *portals,
                                                  const struct address *address)
{
    for (unsigned i = 0; portals && i < portals->count; i++) {
        const struct portal_listener *l = &portals->listeners[i];
        if (address_equal(&l->portal->listen[l->index].address, address))
            return l;
    }
    return NULL;
}

static int listener_open(struct portal_listener *l, const struct config_daemon *daemon,
                         const struct portals *before)
{
    const struct address *address = &l->portal->listen[l->index].address;
    const struct portal_listener *old = find_address(before, address);

    if (!old)
        return listener_bind(address, daemon, &l->fd);
    l->fd = old->fd;
    l->number = old->number; /* what has come through it names it so, also in the store */
    l->shared = true;
    set_buffer(l->fd, SO_RCVBUF, daemon->socket_receive_buffer);
    set_buffer(l->fd, SO_SNDBUF, daemon->socket_send_buffer);
    return 0;
}

static void listener_keep(struct portals *portals, struct portal_listener *l, bool inherited)
{
    if (l->stored == NULL)
        l->stored = store_keep(portals->store, STORE_LISTENER, l->number, 0, l->fd, inherited);
}

int portals_bind(struct portals *portals, const struct config *config, const struct portals *before,
                 struct inheritance *inherited, struct store *store,
                 struct config_problems *problems)
{
    static uint32_t last_number;
    const uint64_t since_ns = clock_now_ns();
    unsigned total = 0, failed = 0;

    if (inherited != NULL) /* connections name them by their numbers, also in the store */
        last_number = MAX(last_number, inherit_last_listener(inherited));
    for (unsigned i = 0; i < config->portal_count; i++)
        total += config->portals[i].listen_count;
    *portals = (struct portals){ .listeners = g_new0(struct portal_listener, total),
                                 .store = store,
                                 .backlog = (int)config->daemon.listen_backlog };
    for (unsigned i = 0; i < config->portal_count; i++) {
        for (unsigned j = 0; j < config->portals[i].listen_count; j++) {
            struct portal_listener *l = &portals->listeners[portals->count++];
            *l = (struct portal_listener){ .fd = -1, .portal = &config->portals[i], .index = j };
            if (inherited != NULL)
                l->fd = inherit_take_listener(inherited, &l->portal->listen[j].address, &l->number);
            int r = 0;
            bool known = l->number != 0; /* to the service manager, under this number */
            if (!known)
                l->number = ++last_number;
            if (l->fd >= 0) {
                listener_keep(portals, l, known);
            } else {
                do {
                    r = listener_open(l, &config->daemon, before);
                } while (r == -EADDRINUSE && inherited != NULL && dying_wait(since_ns));
            }
            if (r < 0) {
                listener_problem(l, "bind", r, problems);
                failed++;
            }
        }
    }
    if (failed == 0)
        return 0;
    portals_close(portals);
    return -EINVAL;
}

void portals_replace(struct portals *portals, struct portals *next)
{
    for (unsigned i = 0; i < next->count; i++) {
        struct portal_listener *l = &next->listeners[i];
        if (!l->shared)
            continue;
        for (unsigned j = 0; j < portals->count; j++)
            if (portals->listeners[j].fd == l->fd) {
                portals->listeners[j].shared = true;
                l->stored = g_steal_pointer(&portals->listeners[j].stored);
            }
        l->shared = false;
    }
    portals_close(portals);
    *portals = *next;
    *next = (struct portals){ 0 };
}

const struct portal_listener *portals_find(const struct portals *portals, uint32_t number)
{
    for (unsigned i = 0; i < portals->count; i++)
        if (portals->listeners[i].number == number)
            return &portals->listeners[i];
    return NULL;
}

int portals_listen(struct portals *portals, struct config_problems *problems)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < portals->count; i++) {
        struct portal_listener *l = &portals->listeners[i];
        if (listen(l->fd, portals->backlog) < 0) {
            listener_problem(l, "listen on", -errno, problems);
            failed++;
        } else if (!l->shared) { /* else it is kept already, under its number of before */
            listener_keep(portals, l, /* inherited= */ false);
        }
    }
    return failed == 0 ? 0 : -EINVAL;
}

void portals_close(struct portals *portals)
{
    for (unsigned i = 0; i < portals->count; i++) {
        portals->listeners[i].stored = store_let_go(portals->store, portals->listeners[i].stored);
        if (portals->listeners[i].fd >= 0 && !portals->listeners[i].shared)
            close(portals->listeners[i].fd);
    }
    g_clear_pointer(&portals->listeners, g_free);
    portals->count = 0;
}

char *portals_describe(const struct portals *portals)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < portals->count; i++) {
        const struct portal_listener *l = &portals->listeners[i];
        char text[ADDRESS_TEXT_MAX];
        if (l->index == 0)
            g_string_append_printf(s, "%s%s=", i == 0 ? "" : " ", l->portal->name);
        else
            g_string_append_c(s, ',');
        g_string_append(s, address_format(&l->portal->listen[l->index].address, text));
    }
    return g_string_free(s, FALSE);
}
