/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See replace.h. A new file is given the time of its making to the nanosecond: whoever writes into it later, and
 * be it at once and as many bytes, leaves another one, as the kernel's own are those of its last tick (or finer
 * than that, and later). Where the file system keeps no nanoseconds, the text is compared each time.
 */
#include "config/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/file.h"

struct config_replacement {
    char *path, *beside;
    struct stat was;  /* the file, when its text was looked at */
    struct stat made; /* the new one; st_ino 0: its time says nothing */
};

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(&a->st_mtim, &b->st_mtim);
}

/* Why the file is not one that we may rewrite, or NULL; g_free(). */
static char *judge(const char *path, const struct config_seen *seen, const char *expected,
                   size_t expected_length, struct stat *ret_stat)
{
    g_autofree char *now = NULL;
    size_t length = 0;
    if (lstat(path, ret_stat) < 0)
        return g_strdup_printf("%s: %s", path, g_strerror(errno));
    if (!S_ISREG(ret_stat->st_mode) || ret_stat->st_nlink > 1)
        return g_strdup_printf("%s: is managed elsewhere (%s); change it there and reload", path,
                               S_ISREG(ret_stat->st_mode) ? "it has other names" : "no plain file");
    if (!(ret_stat->st_mode & 0222))
        return g_strdup_printf("%s: is managed elsewhere (read-only); change it there and reload",
                               path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW); /* a network's file system asks anew */
    int r = fd < 0 || fstat(fd, ret_stat) < 0 ? -errno : 0;
    bool as_seen = r == 0 && seen->known && same_file(ret_stat, &seen->st) &&
                   same_time(&ret_stat->st_ctim, &seen->st.st_ctim);
    if (r == 0 && !as_seen)
        r = config_file_read_fd(fd, &now, &length);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        return g_strdup_printf("%s: cannot be read: %s", path, g_strerror(-r));
    if (!as_seen && (length != expected_length || memcmp(now, expected, length) != 0))
        return g_strdup_printf("%s: has changed since it was read; reload it first", path);
    return NULL;
}

static int write_all(int fd, const char *text, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = write(fd, text + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

/* *ret_made: zeroed when it has another time than it was given. */
static void set_time(int fd, struct stat *ret_made)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
    clock_gettime(CLOCK_REALTIME, &times[1]);
    if (futimens(fd, times) < 0 || fstat(fd, ret_made) < 0 ||
        !same_time(&ret_made->st_mtim, &times[1]))
        *ret_made = (struct stat){ 0 };
}

/* With the owner and mode of the old one. */
static int write_beside(const char *beside, const struct stat *st, const struct iovec *pieces,
                        unsigned count, struct stat *ret_made)
{
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = 0;
    if (st->st_uid != geteuid() || st->st_gid != getegid())
        r = fchown(fd, st->st_uid, st->st_gid) < 0 ? -errno : 0;
    if (r == 0 && fchmod(fd, st->st_mode & 07777) < 0)
        r = -errno;
    for (unsigned i = 0; i < count && r == 0; i++)
        r = write_all(fd, pieces[i].iov_base, pieces[i].iov_len);
    set_time(fd, ret_made);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    close(fd);
    if (r < 0)
        unlink(beside);
    return r;
}

/* In the same directory, and nobody else's: an administrator may well have a NAME.new there. */
static char *name_beside(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path), *name = g_path_get_basename(path);

    return g_strdup_printf("%s/.%s.holdfastd", directory, name);
}

char *config_replace_prepare(const char *path, const struct config_seen *seen, const char *expected,
                             size_t expected_length, const struct iovec *pieces, unsigned count,
                             struct config_replacement **ret_replacement)
{
    struct stat st, made = { 0 };
    char *why = judge(path, seen, expected, expected_length, &st);
    if (why)
        return why;
    g_autofree char *beside = name_beside(path);
    if (unlink(beside) < 0 && errno != ENOENT) /* of one that did not come to its end */
        return g_strdup_printf("%s: %s", beside, g_strerror(errno));
    int r = write_beside(beside, &st, pieces, count, &made);
    if (r < 0)
        return g_strdup_printf("%s: cannot be written: %s", beside, g_strerror(-r));
    struct config_replacement *c = g_new0(struct config_replacement, 1);
    c->path = g_strdup(path);
    c->beside = g_steal_pointer(&beside);
    c->was = st;
    c->made = made;
    *ret_replacement = c;
    return NULL;
}

static void replacement_free(struct config_replacement *c)
{
    g_free(c->path);
    g_free(c->beside);
    g_free(c);
}

static void sync_directory(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* the name may come later; the text, old or new, is whole */
    close(fd);
}

/* Whoever edits it while disks are being opened does not lose that. */
static bool is_as_it_was(const struct config_replacement *c)
{
    struct stat now;

    return lstat(c->path, &now) == 0 && same_file(&now, &c->was);
}

/* Its time of change is that of the new name. */
static void look(const struct config_replacement *c, struct config_seen *ret_seen)
{
    ret_seen->known = c->made.st_ino != 0 && lstat(c->path, &ret_seen->st) == 0 &&
                      same_file(&ret_seen->st, &c->made);
}

int config_replace_commit(struct config_replacement **replacement, struct config_seen *seen)
{
    struct config_replacement *c = *replacement;
    if (!c)
        return 0;
    if (!is_as_it_was(c))
        return -EBUSY;
    if (rename(c->beside, c->path) < 0)
        return -errno;
    look(c, seen);
    sync_directory(c->path);
    replacement_free(c);
    *replacement = NULL;
    return 0;
}

void config_replace_abandon(struct config_replacement *c)
{
    if (!c)
        return;
    unlink(c->beside);
    replacement_free(c);
}
