/* SPDX-License-Identifier: BSD-3-Clause */
/* What opening a file and opening a block device have in common. */
#pragma once

#include <holdfast/handler.h>

/*
 * Takes the descriptor for this process alone (LUNs that are read only share it): an open file
 * description lock over all of it, which also QEMU looks at, and a flock(). Takes away O_NONBLOCK,
 * with which it was opened so that a FIFO could not hold it up. 0, or -EBUSY with host->fail().
 */
int32_t fd_lock(const struct hf_host *host, int fd, const char *path, uint32_t read_only,
                struct hf_error *error);
/*
 * What O_DIRECT asks of memory and lengths, and of offsets, in bytes. Where the kernel does not tell,
 * 4096 for memory and `fallback` for offsets.
 */
void fd_direct_alignment(int fd, uint32_t fallback, uint32_t *ret_memory, uint32_t *ret_offset);
