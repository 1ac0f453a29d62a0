/* SPDX-License-Identifier: BSD-3-Clause */
/* See state_lock.h. */
#include "keeper/state_lock.h"

#include "base/log.h"
#include "keeper/dying.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The worker has to write there, who may be somebody else. */
static void make_directory(const struct config_daemon *d)
{
    g_autofree char *above = g_path_get_dirname(d->state_directory);
    const struct passwd *pw = d->user != NULL && geteuid() == 0 ? getpwnam(d->user) : NULL;

    if (g_mkdir_with_parents(above, 0755) < 0 || mkdir(d->state_directory, 0700) < 0 || pw == NULL)
        return; /* open(2) says why */
    if (lchown(d->state_directory, pw->pw_uid, pw->pw_gid) < 0)
        log_warning("keeper", "the state directory stays root's state-directory=%s error=\"%s\"",
                    d->state_directory, g_strerror(errno));
}

/* Of the process that has locked what `fd` is; 0: the kernel does not say. */
static int holder_of(int fd)
{
    g_autofree char *text = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0 || !g_file_get_contents("/proc/locks", &text, NULL, NULL))
        return 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        unsigned major, minor;
        unsigned long inode;
        int pid;
        if (sscanf(*line, "%*s FLOCK %*s WRITE %d %x:%x:%lu", &pid, &major, &minor, &inode) == 4 &&
            makedev(major, minor) == st.st_dev && inode == st.st_ino && pid > 0)
            return pid;
    }
    return 0;
}

static void complain(const struct config_daemon *d, int fd)
{
    const struct config_node *asked = config_node_get(d->node, "state-directory");
    g_autofree char *place = asked != NULL ? g_strdup_printf("%s:%u:%u: ", config_node_file(asked),
                                                             config_node_line(asked), asked->column)
                                           : g_strdup("");
    int pid = holder_of(fd);
    g_autofree char *holder = pid != 0 ? g_strdup_printf(" (process %d)", pid) : g_strdup("");

    log_error("keeper", "%sanother holdfastd%s has the state directory %s; each needs its own",
              place, holder, d->state_directory);
}

static int lock(int fd)
{
    const uint64_t since_ns = clock_now_ns();
    int r;

    do {
        r = flock(fd, LOCK_EX | LOCK_NB);
    } while (r < 0 && errno == EWOULDBLOCK && dying_wait(since_ns));
    return r;
}

bool state_lock_take(const struct config *config, int *ret_fd)
{
    const struct config_daemon *d = &config->daemon;
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = open(d->state_directory, flags);

    *ret_fd = -1;
    if (fd < 0 && errno == ENOENT) {
        make_directory(d);
        fd = open(d->state_directory, flags);
    }
    if (fd < 0) {
        if (errno != ENOENT && errno != ENOTDIR) /* else nothing is kept; the worker says so */
            log_warning("keeper", "the state directory cannot be locked path=%s error=\"%s\"",
                        d->state_directory, g_strerror(errno));
        return true;
    }
    if (lock(fd) == 0) {
        *ret_fd = fd;
        return true;
    }
    bool taken = errno == EWOULDBLOCK;
    if (taken)
        complain(d, fd);
    else
        log_warning("keeper", "the state directory cannot be locked path=%s error=\"%s\"",
                    d->state_directory, g_strerror(errno));
    close(fd);
    return !taken;
}
