/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holdfast plugin API: storage handlers (kind HF_KIND_HANDLER, files NAME.so).
 *
 * One open() for each LUN that uses the handler. A handler has one of two shapes:
 *
 *   blocking   pread(), pwrite(), flush() and so on, called on a pool of threads: they may wait.
 *              SERIAL: one call a LUN at a time. PARALLEL: any number at a time.
 *   queue      submit() on a data reactor; never waits. The answer comes by host->complete(), from
 *              within submit() or later. One queue for each reactor that serves the LUN, so a queue
 *              needs no lock; what queues share in the handle does.
 *
 * Requests are always legal: offset and length are whole blocks inside the LUN (but for FLUSH, which
 * has none), length is above 0, a read-only LUN gets no writes, an operation that needs a
 * feature comes only when the feature is declared. What is not declared is emulated by the daemon
 * (FUA by a flush, write zeroes by writes) or not offered to initiators. No CDB ever comes here.
 *
 * Errors of an I/O are negative errno; the ones that an initiator can tell apart are -ENOSPC (space
 * allocation failed), -EROFS, -EREMOTEIO (the medium), -ETIMEDOUT, -ECANCELED, -EAGAIN and -EBUSY
 * (try again); any other is reported as a failure of the medium or the device.
 *
 * Order and durability: I/Os may be done in any order. A FLUSH covers every I/O that was completed
 * before the FLUSH was submitted. Writes that overlap each other are not ordered.
 */
#ifndef HOLDFAST_HANDLER_H
#define HOLDFAST_HANDLER_H

#include <holdfast/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- the LUN */

#define HF_FEATURE_FUA               0x01u /* writes with HF_IO_FUA are stable when answered */
#define HF_FEATURE_UNMAP             0x02u
#define HF_FEATURE_WRITE_ZEROES      0x04u
#define HF_FEATURE_ZEROES_UNMAPPED   0x08u /* what was unmapped reads as zeroes */
#define HF_FEATURE_VOLATILE_CACHE    0x10u /* answered writes may be lost until a flush; without
                                              it no flush ever comes */
#define HF_FEATURE_BLOCK_STATUS      0x20u
#define HF_FEATURE_READ_ONLY         0x40u /* cannot be written, whatever the configuration says */
#define HF_FEATURE_IMMEDIATE         0x80u /* queue: every READ and WRITE completes within submit() */
#define HF_FEATURE_COMPARE_AND_WRITE 0x100u /* does HF_OP_COMPARE_AND_WRITE atomically. A daemon of
                                               API 1.0 makes the command atomic itself and never
                                               sends the operation. */

/* How to open; the daemon's, valid during open(). */
struct hf_open {
    uint32_t size;
    uint32_t read_only;    /* 1: no write will come; the backing object need not be writable */
    const char *target;    /* name of the target, for messages */
    uint64_t lun_number;
    struct hf_lun *lun;    /* for host functions; valid until close() returns */
    uint32_t block_bytes;  /* the configuration asks for this logical block, 512 or 4096, and open()
                              must give it or fail; 0: the handler chooses, 512 if it has no wish */
    uint32_t reserved;
};

/* What was opened. open() gets it zeroed, with size set, and fills it. */
struct hf_lun_info {
    uint32_t size;
    uint32_t features;             /* HF_FEATURE_* */
    uint64_t bytes;                /* the LUN's size; a multiple of block_bytes, above 0 */
    uint32_t block_bytes;          /* logical block: 512 or 4096 */
    uint32_t physical_block_bytes; /* a power of two, at least block_bytes; 0: block_bytes */
    uint32_t optimal_io_bytes;     /* 0: unknown */
    uint32_t max_io_bytes;         /* of one READ or WRITE, a multiple of block_bytes; 0: any */
    uint32_t unmap_granularity_bytes; /* 0: block_bytes */
    uint32_t rotational;           /* 1: seeks cost time */
    /*
     * Set store_valid to 1 when byte N of the LUN is byte N of the memory behind store_fd
     * (a memfd): the daemon maps it and may send reads from it without asking. The daemon duplicates
     * the descriptor.
     */
    uint32_t store_valid;
    int32_t store_fd;
};

/* ------------------------------------------------------------------------------------- one I/O */

#define HF_OP_READ              1u
#define HF_OP_WRITE             2u
#define HF_OP_FLUSH             3u /* VOLATILE_CACHE */
#define HF_OP_UNMAP             4u /* UNMAP: contents are undefined or, ZEROES_UNMAPPED, zero */
#define HF_OP_WRITE_ZEROES      5u /* WRITE_ZEROES */
#define HF_OP_BLOCK_STATUS      6u /* BLOCK_STATUS: sets extent_bytes and extent_mapped */
#define HF_OP_COMPARE_AND_WRITE 7u /* iov holds length bytes to compare, then length bytes to
                                      write; -EILSEQ: they differ */

#define HF_IO_FUA   1u /* WRITE, WRITE_ZEROES: on stable storage before it is completed (only with
                          HF_FEATURE_FUA) */
#define HF_IO_UNMAP 2u /* WRITE_ZEROES: may free the space */

/* The daemon's. Valid from submit() until the I/O is completed. */
struct hf_io {
    uint32_t size;
    uint32_t op;              /* HF_OP_* */
    uint32_t flags;           /* HF_IO_* */
    uint32_t iov_count;
    uint64_t id;              /* its name in host->complete(); never used again */
    uint64_t offset;          /* bytes from the start of the LUN */
    uint64_t length;          /* bytes; FLUSH: 0 */
    const struct iovec *iov;  /* READ, WRITE: length bytes in all, valid until completed. Elements
                                 usually are pages; no alignment of their starts and lengths is promised */
    void *room;               /* io_bytes bytes of the handler's own, 16-byte aligned, not zeroed */
    /* BLOCK_STATUS, set by the handler before it completes. */
    uint64_t extent_bytes;    /* bytes from offset on with the same extent_mapped; whole blocks, at
                                 least one; beyond offset + length is allowed */
    uint32_t extent_mapped;   /* 1: data, 0: a hole */
    uint32_t reserved;
};

/*
 * An I/O for the LUN below, in a handler of the queue shape that wraps another. It lies in memory of the
 * plugin, usually hf_io.room, and is as legal as those that come down from the daemon: whole blocks
 * inside the lower LUN, and only what its features declare. Everything stays valid until done().
 */
struct hf_lower_io {
    uint32_t size;            /* sizeof(struct hf_lower_io) */
    uint32_t op;              /* HF_OP_*, not COMPARE_AND_WRITE */
    uint32_t flags;           /* HF_IO_* */
    uint32_t iov_count;
    const struct iovec *iov;
    uint64_t offset, length;
    /* The plugin's: called once, on the queue's reactor, from within lower_submit() or later. The
       hf_io above must not be completed before. */
    void (*done)(struct hf_lower_io *io, int32_t result);
    uint64_t extent_bytes;    /* BLOCK_STATUS: the answer */
    uint32_t extent_mapped;
    uint32_t reserved;
    uint64_t room[40];        /* the daemon's */
};

/* Blocking handlers: the same answer. */
struct hf_extent {
    uint32_t size;
    uint32_t mapped;
    uint64_t bytes;
};

#define HF_SPACE_USED      1u /* used_bytes is known */
#define HF_SPACE_AVAILABLE 2u /* available_bytes is known */
#define HF_SPACE_SHARED    4u /* what is available others may take as well */

/* How much room there is in the storage. Since API 1.2. */
struct hf_space {
    uint32_t size;
    uint32_t known;           /* HF_SPACE_* */
    uint64_t used_bytes;      /* that the LUN takes up */
    uint64_t available_bytes; /* that are left for it to grow into */
};

/* --------------------------------------------------------------------------------- the handler */

#define HF_SHAPE_QUEUE             1u
#define HF_SHAPE_BLOCKING_SERIAL   2u
#define HF_SHAPE_BLOCKING_PARALLEL 3u

#define HF_IO_BYTES_MAX    4096u
#define HF_QUEUE_DEPTH_MAX 1024u

struct hf_handler_ops {
    uint32_t size;        /* sizeof(struct hf_handler_ops) */
    uint32_t shape;       /* HF_SHAPE_* */
    uint32_t io_bytes;    /* queue: what hf_io.room must hold; up to HF_IO_BYTES_MAX */
    uint32_t queue_depth; /* I/Os at a time in one queue (a LUN on one reactor, for both shapes); the
                             rest waits in the daemon. 0: 128; up to HF_QUEUE_DEPTH_MAX */

    /*
     * Checks a configuration beyond the option table, without side effects; also for --check.
     * NULL: nothing to check. Control thread. 0 or negative errno with host->fail().
     */
    int32_t (*validate)(const void *config, struct hf_error *error);
    /*
     * Opens the storage of a LUN; may wait (a pool or control thread). `config` stays valid until
     * close() or until update() has replaced it. 0, *info and *ret_handle, or negative errno with
     * host->fail() naming the object.
     */
    int32_t (*open)(const struct hf_open *how, const void *config, struct hf_lun_info *info,
                    void **ret_handle, struct hf_error *error);
    /*
     * A new configuration in which only HF_CHANGE_LIVE options differ, under running I/O; may wait.
     * What it changes of the info goes through host->lu_changed(). After 0 the old config goes; after a
     * negative errno it is still in force. NULL: close and open.
     */
    int32_t (*update)(void *handle, const void *config, struct hf_error *error);
    /* Before a hand-over to another process, no I/O under way: host->state_put() what open() there
       cannot know. NULL: nothing. */
    int32_t (*save)(void *handle, struct hf_error *error);
    /* Every queue is closed, no I/O is under way. May wait. */
    void (*close)(void *handle);

    /*
     * Blocking shape; on pool threads. pread and pwrite are required; the others as the features
     * say. length and offset are bytes, whole blocks; buffers usually are pages, but no alignment is
     * promised. flags: HF_IO_*. 0 (all of it is done) or negative errno.
     */
    int32_t (*pread)(void *handle, void *buffer, uint64_t length, uint64_t offset);
    int32_t (*pwrite)(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                      uint32_t flags);
    int32_t (*flush)(void *handle);
    int32_t (*unmap)(void *handle, uint64_t length, uint64_t offset);
    int32_t (*write_zeroes)(void *handle, uint64_t length, uint64_t offset, uint32_t flags);
    int32_t (*block_status)(void *handle, uint64_t length, uint64_t offset,
                            struct hf_extent *ret_extent);

    /*
     * Queue shape; on the reactor that the queue belongs to, all but cancel and kick required.
     *
     * queue_open: `queue` is the daemon's name of it, valid until queue_close() returns.
     *     0 and *ret_queue, or negative errno with host->fail(). May not wait.
     * submit: takes the I/O; exactly one host->complete() follows. Cannot fail.
     * kick: the submits of this turn are over: a chance to send them in one go. NULL: not wanted.
     * cancel: a hint that nobody waits for this I/O; it still has to be completed, with
     *     -ECANCELED or its result. NULL: not wanted.
     * queue_close: every I/O of the queue is completed and every ring request done.
     */
    int32_t (*queue_open)(void *handle, struct hf_queue *queue, void **ret_queue,
                          struct hf_error *error);
    void (*submit)(void *queue, struct hf_io *io);
    void (*kick)(void *queue);
    void (*cancel)(void *queue, struct hf_io *io);
    void (*queue_close)(void *queue);

    /* Since API 1.1. The LUN below has announced a change, `info` as its lu_changed() gave it. Any
       thread. What follows for this LUN goes through host->lu_changed(). NULL: nothing. */
    void (*lower_changed)(void *handle, const struct hf_lun_info *info);

    /*
     * Since API 1.2. How much room the LUN takes up and has left: asked now and then, for thresholds,
     * logs and metrics. `ret_space` comes zeroed, with size set. A pool thread, one call a LUN at a
     * time, under running I/O; may wait. 0 or negative errno. NULL: the handler cannot tell.
     */
    int32_t (*space)(void *handle, struct hf_space *ret_space);
};

#ifdef __cplusplus
}
#endif

#endif
