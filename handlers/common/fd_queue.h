/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The queue of a handler whose LUN is one file descriptor, file or block device: reads, writes, fsync
 * and fallocate go to the reactor's own ring. The handler embeds struct fd_lun at the start of its
 * handle, and gives the functions below as its operations. Nothing is allocated for an I/O, but for
 * direct I/O with buffers that the device cannot take, which goes through a copy.
 */
#pragma once

#include <holdfast/handler.h>

struct fd_lun {
    const struct hf_host *host;
    int fd;
    uint32_t block_bytes;
    uint32_t align;                 /* of memory and lengths for O_DIRECT; 0: buffered */
    uint32_t can_punch;             /* FALLOC_FL_PUNCH_HOLE works and leaves zeroes */
    _Atomic uint32_t no_zero_range; /* FALLOC_FL_ZERO_RANGE was refused: zeroes are written */
};

/* hf_handler_ops.io_bytes */
#define FD_IO_BYTES 512u

int32_t fd_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                      struct hf_error *error);
void fd_queue_submit(void *queue, struct hf_io *io);
void fd_queue_cancel(void *queue, struct hf_io *io);
void fd_queue_close(void *queue);
