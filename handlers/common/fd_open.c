/* SPDX-License-Identifier: BSD-3-Clause */
/* See fd_open.h. */
#include "fd_open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int busy(int error)
{
    return error == EAGAIN || error == EACCES || error == EWOULDBLOCK;
}

int32_t fd_lock(const struct hf_host *host, int fd, const char *path, uint32_t read_only,
                struct hf_error *error)
{
    /* Not needed any more; the ring would answer -EAGAIN instead of waiting. */
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return host->fail(error, errno, "%s: %s", path, strerror(errno));
    struct flock whole = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
    int r = fcntl(fd, F_OFD_SETLK, &whole);
    if (r == 0)
        r = flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB);
    if (r == 0)
        return 0;
    if (busy(errno))
        return host->fail(error, EBUSY, "%s: in use: another process or LUN has locked it", path);
    return host->fail(error, errno, "%s: cannot be locked: %s", path, strerror(errno));
}

void fd_direct_alignment(int fd, uint32_t fallback, uint32_t *ret_memory, uint32_t *ret_offset)
{
    *ret_memory = 4096;
    *ret_offset = fallback;
#ifdef STATX_DIOALIGN
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && st.stx_mask & STATX_DIOALIGN &&
        st.stx_dio_offset_align) {
        *ret_memory = st.stx_dio_mem_align;
        *ret_offset = st.stx_dio_offset_align;
    }
#endif
}
