/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the state directory; see state_file.h. While many units are made most of their files are not
 * there: what a directory does not list costs no system call.
 */
#include "scsi/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char *state_file_path(const char *state_directory, const char *purpose, const char *target,
                      unsigned lun)
{
    g_autofree char *name = g_strdup_printf("%s,%u", target, lun);

    g_strdelimit(name, "/", '_'); /* no iSCSI name has it */
    return g_build_filename(state_directory, purpose, name, NULL);
}

/* ---- directories that are known: see state_file_many_begin() ---- */

struct directory {
    bool ready;        /* state_file_prepare() has seen to it */
    bool changed;      /* since it was listed: the list is of no use any more */
    GHashTable *names; /* of its files; NULL: not listed */
};

static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *known; /* path -> struct directory; NULL: not between begin and end */

static void directory_free(gpointer data)
{
    struct directory *d = data;
    g_clear_pointer(&d->names, g_hash_table_unref);
    g_free(d);
}

void state_file_many_begin(void)
{
    pthread_mutex_lock(&known_lock);
    if (!known)
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, directory_free);
    pthread_mutex_unlock(&known_lock);
}

void state_file_many_end(void)
{
    pthread_mutex_lock(&known_lock);
    g_clear_pointer(&known, g_hash_table_unref);
    pthread_mutex_unlock(&known_lock);
}

static struct directory *find_directory(const char *path)
{
    struct directory *d = g_hash_table_lookup(known, path);
    if (!d) {
        d = g_new0(struct directory, 1);
        g_hash_table_insert(known, g_strdup(path), d);
    }
    return d;
}

static void list_names(struct directory *d, const char *path)
{
    const char *name;
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    if (!dir && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        d->changed = true;
        return;
    }
    d->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while (dir && (name = g_dir_read_name(dir)))
        g_hash_table_add(d->names, g_strdup(name));
}

/* It is certain that there is no such file. */
static bool is_absent(const char *path)
{
    bool absent = false;
    pthread_mutex_lock(&known_lock);
    if (known) {
        g_autofree char *parent = g_path_get_dirname(path);
        struct directory *d = find_directory(parent);
        if (!d->names && !d->changed)
            list_names(d, parent);
        absent = !d->changed && !g_hash_table_contains(d->names, path + strlen(parent) + 1);
    }
    pthread_mutex_unlock(&known_lock);
    return absent;
}

static void note_change(const char *path)
{
    pthread_mutex_lock(&known_lock);
    if (known) {
        g_autofree char *parent = g_path_get_dirname(path);
        find_directory(parent)->changed = true;
    }
    pthread_mutex_unlock(&known_lock);
}

static bool is_ready(const char *directory, bool now)
{
    pthread_mutex_lock(&known_lock);
    struct directory *d = known ? find_directory(directory) : NULL;
    bool ready = d && (d->ready |= now);
    pthread_mutex_unlock(&known_lock);
    return ready;
}

/* ---- files ---- */

int state_file_prepare(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);

    if (is_ready(directory, /* now= */ false))
        return 0;
    if (g_mkdir_with_parents(directory, 0700) < 0 || access(directory, W_OK | X_OK) < 0)
        return -errno;
    is_ready(directory, /* now= */ true);
    return 0;
}

static int sync_directory_of(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return r;
}

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int save(const char *path, const uint8_t *data, size_t bytes, bool sync)
{
    g_autofree char *beside = g_strconcat(path, ".new", NULL);
    note_change(path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, data, bytes);
    if (r == 0 && sync && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(beside);
        return r;
    }
    return sync ? sync_directory_of(path) : 0;
}

int state_file_save(const char *path, const uint8_t *data, size_t bytes)
{
    return save(path, data, bytes, /* sync= */ true);
}

int state_file_save_quick(const char *path, const uint8_t *data, size_t bytes)
{
    return save(path, data, bytes, /* sync= */ false);
}

int state_file_remove(const char *path)
{
    if (is_absent(path))
        return 0;
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : -errno;
    return sync_directory_of(path);
}

int state_file_load(const char *path, uint8_t *data, size_t most)
{
    size_t bytes = 0;
    ssize_t n = 1;
    if (is_absent(path))
        return -ENOENT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    while (bytes < most && n > 0) {
        n = read(fd, data + bytes, most - bytes);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            bytes += (size_t)n;
    }
    int r = n < 0 ? -errno : (int)bytes;
    close(fd);
    return r;
}
