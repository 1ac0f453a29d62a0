/* SPDX-License-Identifier: BSD-3-Clause */
/* See control_socket.h. */
#include "keeper/control_socket.h"

#include "base/log.h"
#include "keeper/dying.h"

#include <errno.h>
#include <glib.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t fill_address(const char *path, struct sockaddr_un *a)
{
    memset(a, 0, sizeof(*a));
    a->sun_family = AF_UNIX;
    g_strlcpy(a->sun_path, path,
              sizeof(a->sun_path)); /* the configuration's reader knows its limit */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a->sun_path) + 1);
}

/* 0: nothing is in the way any more. */
static int clear_the_way(const char *path)
{
    struct sockaddr_un a;
    struct stat st;
    socklen_t length = fill_address(path, &a);

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST; /* whatever it is, it is not ours */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, (struct sockaddr *)&a, length) < 0 ? -errno : 0;
    close(fd);
    if (r != -ECONNREFUSED)
        return -EADDRINUSE;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* The workers of a keeper that was killed listen there, too. */
static int clear_the_way_soon(const char *path)
{
    const uint64_t since_ns = clock_now_ns();
    int r;

    do {
        r = clear_the_way(path);
    } while (r == -EADDRINUSE && dying_wait(since_ns));
    return r;
}

static void make_directory(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    g_mkdir_with_parents(directory, 0755); /* when it cannot be, bind(2) says why */
}

/* Those that may change things: the group of the user the daemon runs as. */
static int give_to_group(const char *path, const char *user)
{
    const struct passwd *pw = user != NULL && geteuid() == 0 ? getpwnam(user) : NULL;

    if (pw != NULL && lchown(path, (uid_t)-1, pw->pw_gid) < 0)
        return -errno;
    return chmod(path, 0660) < 0 ? -errno : 0;
}

static int bind_and_listen(struct control_socket *s, const char *user)
{
    struct sockaddr_un a;
    struct stat st;
    socklen_t length = fill_address(s->path, &a);

    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -errno;
    mode_t before = umask(0177);
    int r = bind(s->fd, (struct sockaddr *)&a, length) < 0 ? -errno : 0;
    umask(before);
    if (r < 0)
        return r;
    if (lstat(s->path, &st) == 0) {
        s->device = st.st_dev;
        s->inode = st.st_ino;
    }
    r = give_to_group(s->path, user);
    return r == 0 && listen(s->fd, CONTROL_SOCKET_BACKLOG) < 0 ? -errno : r;
}

static const char *why(int r)
{
    switch (r) {
    case -EEXIST:
        return "there is something else that is not a socket";
    case -EADDRINUSE:
        return "another process listens there";
    default:
        return g_strerror(-r);
    }
}

/* It is at this path, and the path is still there. */
static bool is_at(int fd, const char *path)
{
    struct sockaddr_un wanted, is;
    struct stat st;
    socklen_t length = sizeof(is);

    memset(&is, 0, sizeof(is));
    fill_address(path, &wanted);
    return getsockname(fd, (struct sockaddr *)&is, &length) == 0 && is.sun_family == AF_UNIX &&
           strcmp(is.sun_path, wanted.sun_path) == 0 && lstat(path, &st) == 0 &&
           S_ISSOCK(st.st_mode);
}

static void keep(struct control_socket *s, bool inherited)
{
    s->stored = store_keep(s->store, STORE_CONTROL, 0, 0, s->fd, inherited);
}

static bool go_on_with(struct control_socket *s, int fd)
{
    struct stat st;

    if (fd < 0)
        return false;
    if (!is_at(fd, s->path) || lstat(s->path, &st) < 0) {
        store_remove_name(s->store, "control.0");
        close(fd);
        return false;
    }
    s->fd = fd;
    s->device = st.st_dev;
    s->inode = st.st_ino;
    keep(s, /* inherited= */ true);
    return true;
}

bool control_socket_open(struct control_socket *s, const struct config *config,
                         struct inheritance *inherited, struct store *store)
{
    const struct config_daemon *d = &config->daemon;

    *s = (struct control_socket){ .fd = -1, .store = store };
    if (d->control_socket == NULL)
        return true;
    s->path = g_strdup(d->control_socket);
    if (go_on_with(s, inherit_take(inherited, STORE_CONTROL, 0)))
        return true;
    make_directory(s->path);
    int r = clear_the_way_soon(s->path);
    if (r == 0)
        r = bind_and_listen(s, d->user);
    if (r == 0) {
        keep(s, /* inherited= */ false);
        return true;
    }
    const struct config_node *asked = config_node_get(d->node, "control-socket");
    if (asked != NULL)
        log_error("control", "%s:%u:%u: no control socket path=%s error=\"%s\"",
                  config_node_file(asked), config_node_line(asked), asked->column, s->path, why(r));
    else
        log_warning("control", "no control socket, holdfastctl cannot be used path=%s error=\"%s\"",
                    s->path, why(r));
    control_socket_close(s);
    return asked == NULL;
}

void control_socket_close(struct control_socket *s)
{
    struct stat st;

    s->stored = store_let_go(s->store, s->stored);
    if (s->fd >= 0) {
        if (!s->leaving && s->inode != 0 && lstat(s->path, &st) == 0 && st.st_dev == s->device &&
            st.st_ino == s->inode)
            unlink(s->path);
        close(s->fd);
    }
    s->fd = -1;
    g_clear_pointer(&s->path, g_free);
}
