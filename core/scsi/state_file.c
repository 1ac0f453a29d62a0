/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of the state directory; see state_file.h. */
#include "scsi/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <unistd.h>

char *state_file_path(const char *state_directory, const char *purpose, const char *target,
                      unsigned lun)
{
    g_autofree char *name = g_strdup_printf("%s,%u", target, lun);

    g_strdelimit(name, "/", '_'); /* no iSCSI name has it */
    return g_build_filename(state_directory, purpose, name, NULL);
}

int state_file_prepare(const char *path)
{
    g_autofree char *directory = g_path_get_dirname(path);

    if (g_mkdir_with_parents(directory, 0700) < 0)
        return -errno;
    return access(directory, W_OK | X_OK) < 0 ? -errno : 0;
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

int state_file_save(const char *path, const uint8_t *data, size_t bytes)
{
    g_autofree char *beside = g_strconcat(path, ".new", NULL);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, data, bytes);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(beside);
        return r;
    }
    return sync_directory_of(path);
}

int state_file_remove(const char *path)
{
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : -errno;
    return sync_directory_of(path);
}

int state_file_load(const char *path, uint8_t *data, size_t most)
{
    size_t bytes = 0;
    ssize_t n = 1;
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
