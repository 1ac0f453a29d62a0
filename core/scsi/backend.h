/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a logical unit needs from storage. core/plugin implements it over <holdfast/handler.h>.
 *
 * Thread: every call but create and free is made on a data reactor, several reactors at a time.
 * `submit` cannot fail: the outcome is in io->result, and io->done comes exactly once, on the
 * reactor that submitted, from within `submit` or later.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "base/arena.h"

enum backend_op {
    BACKEND_READ,
    BACKEND_WRITE,
    BACKEND_FLUSH, /* everything answered before is on stable storage */
    BACKEND_UNMAP, /* offset, length; reads return zeroes afterwards if FEATURE_ZEROES_UNMAPPED */
    BACKEND_WRITE_ZEROES, /* offset, length; BACKEND_IO_UNMAP allows deallocation */
    BACKEND_BLOCK_STATUS, /* result in `extent` */
    BACKEND_COMPARE_AND_WRITE, /* iov: length bytes to compare, then length bytes to write;
                                  -EILSEQ: they differ, nothing is written */
};

#define BACKEND_IO_FUA   1 /* write: on stable storage before done */
#define BACKEND_IO_UNMAP 2 /* write zeroes: may deallocate */
#define BACKEND_IO_UNASKED 4 /* of the unit itself: no command waits for it */

struct backend_extent {
    uint64_t length; /* bytes from io->offset on that share `mapped`; at least one block */
    uint8_t mapped;
};

struct backend_io {
    void (*done)(struct backend_io *io); /* in */
    const struct iovec *iov;             /* in; READ, WRITE, COMPARE_AND_WRITE; valid until done */
    uint32_t iov_count;
    uint8_t op; /* enum backend_op */
    uint8_t flags;
    uint64_t offset; /* bytes, whole blocks */
    uint64_t length; /* bytes, whole blocks, > 0 but for FLUSH (0) */
    int result; /* out: 0 or negative errno (ENOSPC, EIO, EREMOTEIO, ETIMEDOUT, ECANCELED …) */
    struct backend_extent extent; /* out */
    uint64_t room[24];            /* the implementer's own between submit and done */
};

#define BACKEND_FEATURE_READ_ONLY       0x01u
#define BACKEND_FEATURE_FUA             0x02u /* without it the unit flushes after the write */
#define BACKEND_FEATURE_UNMAP           0x04u
#define BACKEND_FEATURE_WRITE_ZEROES    0x08u /* without it the unit writes zeroes itself */
#define BACKEND_FEATURE_ZEROES_UNMAPPED 0x10u /* an unmapped block reads as zeroes (LBPRZ) */
#define BACKEND_FEATURE_VOLATILE_CACHE  0x20u /* answered writes may be lost until a flush (WCE) */
#define BACKEND_FEATURE_BLOCK_STATUS    0x40u
#define BACKEND_FEATURE_IMMEDIATE       0x80u /* done always comes from within submit */
#define BACKEND_FEATURE_COMPARE_AND_WRITE 0x100u /* without it the unit reads and compares itself */

struct backend_info {
    uint64_t bytes;       /* size; multiple of block_bytes */
    uint32_t block_bytes; /* logical block, 512 or 4096 */
    uint32_t physical_block_bytes;
    uint32_t optimal_io_bytes;        /* 0: unknown */
    uint32_t max_io_bytes;            /* of one READ or WRITE; 0: any */
    uint32_t unmap_granularity_bytes; /* 0: one logical block */
    uint32_t features;                /* BACKEND_FEATURE_* */
    uint32_t store_arena; /* not 0: byte o of the unit is at arena_ref_make(store_arena, o), and may
                             be sent from there (RAM) */
    uint8_t rotational;
};

struct backend;

struct backend_ops {
    void (*submit)(struct backend *backend, struct backend_io *io);
    void (*kick)(struct backend *backend); /* once after a batch of submits; NULL: not wanted */
    void (*cancel)(struct backend *backend, struct backend_io *io); /* a hint; done still comes */
};

struct backend {
    const struct backend_ops *ops;
    struct backend_info
        info;            /* changes only on the control thread, followed by scsi_unit_changed() */
    const char *product; /* the handler's name, for logs and INQUIRY; never NULL */
};
