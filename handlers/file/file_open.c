/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening the file of a LUN. A missing file is made, sparse, with the configured size, and is on disk
 * before the LUN is. An existing one keeps its size unless `grow` says otherwise, and never
 * shrinks. Nothing is changed before the lock is held.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_open.h"
#include "file.h"

static int32_t fail(struct hf_error *error, const char *path, const char *what)
{
    int code = errno;
    return file_host->fail(error, code, "%s: %s%s", path, what, strerror(code));
}

/* The new name survives a power cut, too. */
static int sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int r = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    free(copy);
    return r;
}

static int32_t create(const struct file_config *c, int flags, int *ret_fd, struct hf_error *error)
{
    int32_t r;
    /* with O_DIRECT, a file system that has none makes the file and then refuses to open it */
    int fd = open(c->path, (flags & ~O_DIRECT) | O_CREAT | O_EXCL, 0600);
    if (fd < 0 && errno == EEXIST) /* it was not there a moment ago */
        return file_host->fail(error, ENOENT, "%s: a symbolic link to a file that is not there",
                               c->path);
    if (fd < 0)
        return fail(error, c->path, "cannot be created: ");
    if ((!c->direct || fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT) == 0) &&
        ftruncate(fd, (off_t)c->bytes) == 0 && fsync(fd) == 0 && sync_directory(c->path) == 0) {
        *ret_fd = fd;
        return 0;
    }
    r = fail(error, c->path, "cannot be created: ");
    unlink(c->path);
    close(fd);
    return r;
}

static int32_t open_or_create(const struct file_config *c, const struct hf_open *how, int *ret_fd,
                              struct hf_error *error)
{
    int flags = (how->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    flags |= c->direct ? O_DIRECT : 0;
    int fd = open(c->path, flags);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (errno == EINVAL && c->direct)
        return file_host->fail(error, EINVAL, "%s: its file system has no direct I/O", c->path);
    if (errno != ENOENT || how->read_only)
        return fail(error, c->path, "");
    if (!c->bytes)
        return file_host->fail(error, ENOENT,
                               "%s: there is no such file, and no size to create it with", c->path);
    return create(c, flags, ret_fd, error);
}

int32_t file_grow(int fd, const struct file_config *c, uint64_t now_bytes, struct hf_error *error)
{
    unsigned long long now = now_bytes, wanted = c->bytes;
    if (wanted < now)
        return file_host->fail(error, EINVAL,
                               "%s: has %llu bytes, more than size (%llu); files are never shrunk: "
                               "truncate it first",
                               c->path, now, wanted);
    if (wanted > now && !c->grow)
        return file_host->fail(
            error, EINVAL, "%s: has %llu bytes, less than size (%llu); grow: yes makes it larger",
            c->path, now, wanted);
    if (wanted > now && (ftruncate(fd, (off_t)wanted) < 0 || fsync(fd) < 0))
        return fail(error, c->path, "cannot be made larger: ");
    return 0;
}

static int32_t check_size(struct file_lun *lun, const struct file_config *c,
                          const struct hf_open *how, struct hf_error *error)
{
    struct stat st;
    uint64_t bytes;
    if (fstat(lun->fd.fd, &st) < 0)
        return fail(error, c->path, "");
    if (!S_ISREG(st.st_mode))
        return file_host->fail(
            error, EINVAL, "%s: not a regular file (block devices are for handler block)", c->path);
    bytes = (uint64_t)st.st_size;
    if (c->bytes && bytes != c->bytes) {
        int32_t r =
            how->read_only && bytes < c->bytes
                ? file_host->fail(error, EROFS, "%s: a read-only file is not made larger", c->path)
                : file_grow(lun->fd.fd, c, bytes, error);
        if (r < 0)
            return r;
        bytes = c->bytes;
    }
    lun->info.bytes = bytes - bytes % lun->info.block_bytes;
    if (lun->info.bytes == 0)
        return file_host->fail(error, EINVAL, "%s: is smaller than one block", c->path);
    if (bytes != lun->info.bytes)
        file_host->log(
            file_host, HF_LOG_WARNING,
            "the last bytes are no whole block and not served path=%s bytes=%llu block=%u", c->path,
            (unsigned long long)(bytes - lun->info.bytes), lun->info.block_bytes);
    return 0;
}

static int32_t check_direct(struct file_lun *lun, const struct file_config *c,
                            struct hf_error *error)
{
    uint32_t memory, offset;
    if (!c->direct)
        return 0;
    fd_direct_alignment(lun->fd.fd, 512, &memory, &offset);
    if (offset > lun->info.block_bytes)
        return file_host->fail(
            error, EINVAL, "%s: direct I/O needs blocks of %u bytes here (the LUN's block-size)",
            c->path, offset);
    lun->fd.align = memory > offset ? memory : offset;
    return 0;
}

/* Beyond the end (of the file: it may have bytes behind the last block) a hole changes nothing, so asking
   is free. */
static uint32_t can_punch(const struct file_lun *lun, off_t end)
{
    return fallocate(lun->fd.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, end, 4096) == 0;
}

static void fill_info(struct file_lun *lun, const struct hf_open *how)
{
    struct stat st;
    uint32_t features = HF_FEATURE_VOLATILE_CACHE | HF_FEATURE_FUA | HF_FEATURE_BLOCK_STATUS;
    int known = fstat(lun->fd.fd, &st) == 0;
    if (!how->read_only) {
        features |= HF_FEATURE_WRITE_ZEROES;
        lun->fd.can_punch = known && can_punch(lun, st.st_size);
    }
    if (lun->fd.can_punch)
        features |= HF_FEATURE_UNMAP | HF_FEATURE_ZEROES_UNMAPPED;
    lun->info.features = features;
    lun->info.physical_block_bytes = 4096;
    if (known && st.st_blksize >= 4096 && st.st_blksize <= 65536 &&
        (st.st_blksize & (st.st_blksize - 1)) == 0)
        lun->info.unmap_granularity_bytes = (uint32_t)st.st_blksize;
}

int32_t file_open(struct file_lun *lun, const struct file_config *c, const struct hf_open *how,
                  struct hf_error *error)
{
    lun->info.block_bytes = how->block_bytes ? how->block_bytes : 512;
    if (c->bytes % lun->info.block_bytes)
        return file_host->fail(error, EINVAL, "%s: size is not a multiple of the block size %u",
                               c->path, lun->info.block_bytes);
    int32_t r = open_or_create(c, how, &lun->fd.fd, error);
    if (r == 0)
        r = fd_lock(file_host, lun->fd.fd, c->path, how->read_only, error);
    if (r == 0)
        r = check_size(lun, c, how, error);
    if (r == 0)
        r = check_direct(lun, c, error);
    if (r < 0)
        return r;
    lun->fd.block_bytes = lun->info.block_bytes;
    fill_info(lun, how);
    return 0;
}
