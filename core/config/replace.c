/* SPDX-License-Identifier: BSD-3-Clause */
/* See replace.h. */
#include "config/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"

struct config_replacement {
    char *path, *beside;
    struct stat was; /* the file, when its text was looked at */
};

/* Why the file is not one that we may rewrite, or NULL; g_free(). */
static char *judge(const char *path, const char *expected, size_t expected_length,
                   struct stat *ret_stat)
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
    int r = config_file_read(path, &now, &length);
    if (r < 0)
        return g_strdup_printf("%s: cannot be read: %s", path, g_strerror(-r));
    if (length != expected_length || memcmp(now, expected, length) != 0)
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
    return fsync(fd) < 0 ? -errno : 0;
}

/* With the owner and mode of the old one. */
static int write_beside(const char *beside, const struct stat *st, const char *text, size_t length)
{
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = 0;
    if (st->st_uid != geteuid() || st->st_gid != getegid())
        r = fchown(fd, st->st_uid, st->st_gid) < 0 ? -errno : 0;
    if (r == 0 && fchmod(fd, st->st_mode & 07777) < 0)
        r = -errno;
    if (r == 0)
        r = write_all(fd, text, length);
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

char *config_replace_prepare(const char *path, const char *expected, size_t expected_length,
                             const char *text, size_t length,
                             struct config_replacement **ret_replacement)
{
    struct stat st;
    char *why = judge(path, expected, expected_length, &st);
    if (why)
        return why;
    g_autofree char *beside = name_beside(path);
    if (unlink(beside) < 0 && errno != ENOENT) /* of one that did not come to its end */
        return g_strdup_printf("%s: %s", beside, g_strerror(errno));
    int r = write_beside(beside, &st, text, length);
    if (r < 0)
        return g_strdup_printf("%s: cannot be written: %s", beside, g_strerror(-r));
    struct config_replacement *c = g_new0(struct config_replacement, 1);
    c->path = g_strdup(path);
    c->beside = g_steal_pointer(&beside);
    c->was = st;
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

    return lstat(c->path, &now) == 0 && now.st_dev == c->was.st_dev &&
           now.st_ino == c->was.st_ino && now.st_size == c->was.st_size &&
           now.st_mtim.tv_sec == c->was.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == c->was.st_mtim.tv_nsec;
}

int config_replace_commit(struct config_replacement **replacement)
{
    struct config_replacement *c = *replacement;
    if (!c)
        return 0;
    if (!is_as_it_was(c))
        return -EBUSY;
    if (rename(c->beside, c->path) < 0)
        return -errno;
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
