/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the two files of the faulty handler: wrong.c opens and closes, io.c moves the data. */
#pragma once

#include <holdfast/handler.h>
#include <string.h>

#ifndef FAULT
#define FAULT "none"
#endif
#define IS(fault) (__builtin_strcmp(FAULT, fault) == 0)
/* These answer in kick(), so that there are I/Os under way to cancel; the first is no fault. */
#define IN_KICK (IS("none-but-in-kick") || IS("cancel-answers-twice") || IS("cancel-answers-wrongly"))

struct config {
    const char *path;
    uint64_t bytes;
};

struct disk {
    const struct config *config;
    int fd;
    uint64_t bytes;
    uint32_t block;
    uint32_t saved;
    char *cache; /* NULL: I/O goes to the file */
    _Atomic unsigned queues;
};

/* In hf_io.room. */
struct held {
    struct hf_io *io;
    struct held *next;
    uint64_t id;
};

extern const struct hf_host *host;

int32_t wrong_queue_open(void *handle, struct hf_queue *queue, void **ret_queue,
                         struct hf_error *error);
void wrong_submit(void *queue, struct hf_io *io);
void wrong_kick(void *queue);
void wrong_cancel(void *queue, struct hf_io *io);
void wrong_queue_close(void *queue);

int32_t wrong_pread(void *handle, void *buffer, uint64_t length, uint64_t offset);
int32_t wrong_pwrite(void *handle, const void *buffer, uint64_t length, uint64_t offset,
                     uint32_t flags);
int32_t wrong_flush(void *handle);
int32_t wrong_unmap(void *handle, uint64_t length, uint64_t offset);
int32_t wrong_write_zeroes(void *handle, uint64_t length, uint64_t offset, uint32_t flags);
int32_t wrong_block_status(void *handle, uint64_t length, uint64_t offset,
                           struct hf_extent *ret_extent);
