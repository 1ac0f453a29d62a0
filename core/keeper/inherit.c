/* SPDX-License-Identifier: BSD-3-Clause */
/* See inherit.h. */
#include "keeper/inherit.h"

#include "base/address.h"
#include "base/log.h"
#include "keeper/connections.h"

#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3
#define FDS_MAX  (1u << 20)

static unsigned passed_fds(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid())
        return 0;
    guint64 n = g_ascii_strtoull(count, NULL, 10);
    return n <= FDS_MAX ? (unsigned)n : 0;
}

void inherit_collect(struct inheritance *all)
{
    const char *text = getenv("LISTEN_FDNAMES");
    g_auto(GStrv) names = g_strsplit(text != NULL ? text : "", ":", -1);
    unsigned named = g_strv_length(names);

    *all = (struct inheritance){ .count = passed_fds() };
    all->list = g_new0(struct inherited, all->count);
    for (unsigned i = 0; i < all->count; i++) {
        struct inherited *one = &all->list[i];
        one->fd = FIRST_FD + (int)i;
        one->name = g_strdup(i < named ? names[i] : "");
        one->ours = store_parse_name(one->name, &one->kind, &one->number, &one->more);
        all->any_ours |= one->ours;
        if (fcntl(one->fd, F_SETFD, FD_CLOEXEC) < 0)
            one->fd = -1; /* it was announced, and is not there */
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static int take(struct inherited *one)
{
    int fd = one->fd;
    one->fd = -1;
    return fd;
}

int inherit_take(struct inheritance *all, enum store_kind kind, uint32_t number)
{
    for (unsigned i = 0; i < all->count; i++) {
        struct inherited *one = &all->list[i];
        if (one->fd >= 0 && one->ours && one->kind == kind && one->number == number)
            return take(one);
    }
    return -1;
}

static bool listens_at(int fd, const struct address *wanted)
{
    struct address local;
    int type = 0, on = 0;
    socklen_t type_bytes = sizeof(type), on_bytes = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &on_bytes) == 0 && on &&
           address_local(fd, &local) == 0 && address_equal(&local, wanted);
}

int inherit_take_listener(struct inheritance *all, const struct address *address,
                          uint32_t *ret_number)
{
    for (unsigned i = 0; i < all->count; i++) {
        struct inherited *one = &all->list[i];
        if (one->fd >= 0 && (!one->ours || one->kind == STORE_LISTENER) &&
            listens_at(one->fd, address)) {
            fcntl(one->fd, F_SETFL, fcntl(one->fd, F_GETFL) | O_NONBLOCK);
            if (ret_number != NULL)
                *ret_number = one->ours ? one->number : 0;
            return take(one);
        }
    }
    return -1;
}

uint32_t inherit_last_listener(const struct inheritance *all)
{
    uint32_t last = 0;
    for (unsigned i = 0; i < all->count; i++)
        if (all->list[i].ours && all->list[i].kind == STORE_LISTENER)
            last = MAX(last, all->list[i].number);
    return last;
}

void inherit_end(struct inheritance *all, struct store *store)
{
    for (unsigned i = 0; i < all->count; i++) {
        struct inherited *one = &all->list[i];
        if (one->fd >= 0) {
            if (!one->ours)
                log_warning("keeper",
                            "a socket of the service manager is no portal's, closed name=%s",
                            one->name);
            else
                store_remove_name(store, one->name);
            if (one->ours && one->kind == STORE_CONNECTION)
                connections_close_in_order(one->fd);
            else
                close(one->fd);
        }
        g_free(one->name);
    }
    g_clear_pointer(&all->list, g_free);
    all->count = 0;
}
