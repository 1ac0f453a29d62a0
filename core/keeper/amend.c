/* SPDX-License-Identifier: BSD-3-Clause */
/* See amend.h. */
#include "keeper/amend.h"

#include "base/log.h"
#include "config/amend.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int amend_size(struct keeper *k, const struct link_amend *amend)
{
    struct stat st;
    char *text = NULL;
    size_t bytes = 0;
    int fd = -1;

    int before = keeper_config(k);
    if (before < 0)
        return before;
    if (fstat(before, &st) < 0)
        return -errno;
    if (st.st_size == 0)
        return -ENOENT;
    char *old = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, before, 0);
    if (old == MAP_FAILED)
        return -errno;
    int r = config_amend_size(old, (size_t)st.st_size, amend->target, amend->lun, amend->bytes,
                              &text, &bytes);
    munmap(old, (size_t)st.st_size);
    if (r == 0)
        r = config_seal(text, bytes, &fd);
    g_free(text);
    if (r < 0)
        return r;
    keeper_config_forget(k);
    k->config_fd = fd;
    resume_config_changed(k);
    record_write(k);
    log_info("keeper", "size changed for workers to come target=%s lun=%u bytes=%" PRIu64,
             amend->target, amend->lun, amend->bytes);
    return 0;
}
