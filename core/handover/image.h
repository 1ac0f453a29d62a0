/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The image: the state of a worker for one that keeps it in another layout, that is, of another
 * version. When both keep it alike, the memory itself is handed on and there is no image.
 *
 * A sequence of records {type, flags, bytes} with a body, padded to 8 bytes: IMAGE_HEAD first,
 * IMAGE_END with the number of records and a check sum last. Nesting is by order: a task is one of
 * the last session, its buffers are the last task's.
 *
 * What versions owe each other:
 *   - a body only grows at its end; a reader takes what it knows and has zeroes for what is missing
 *   - a new meaning gets a new type; a type that the reader does not know is passed over, unless its
 *     writer has marked it IMAGE_CRITICAL: then the import is refused, and the old worker goes on
 *   - integers are little endian, bodies have no padding and no pointers
 *
 * Buffers do not travel: the pools are handed on as they are, and an arena_ref means the same in both
 * workers. What lies in the state arena itself does travel, as bytes.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_MAGIC     UINT64_C(0x3147414d49464448) /* "HDFIMAG1" */
#define IMAGE_VERSION   1u
#define IMAGE_OLDEST    1u /* versions before this one cannot read what is written here */
#define IMAGE_CRITICAL  1u /* image_tlv.flags */
#define IMAGE_BYTES_MAX (UINT64_C(1) << 32)

enum image_type {
    IMAGE_HEAD = 1,
    IMAGE_END = 2,
    /* of a unit */
    IMAGE_UNIT = 16,
    IMAGE_UNIT_ATTENTIONS = 17,   /* u64 each: the ring */
    IMAGE_UNIT_OWNER = 18,        /* RESERVE(6): struct image_name */
    IMAGE_UNIT_RESERVATIONS = 19, /* a record of reservation_record.h */
    IMAGE_UNIT_SANITIZE = 20,     /* struct sanitize_record, which has a version of its own */
    IMAGE_UNIT_COPIES = 22,  /* struct copy_statuses; another size: nobody asks for them any more */
    IMAGE_UNIT_IDENT = 23,   /* struct ident_record */
    IMAGE_UNIT_BUFFERS = 24, /* struct keep_buffers; another size: they are empty again */
    IMAGE_UNIT_STORAGE = 25, /* struct keep_storage; a shorter one: nothing is known */
    IMAGE_UNIT_COUNTERS = 21, /* u64 each: others, errors; then by way: bytes, sum, buckets */
    /* of a session */
    IMAGE_SESSION = 32,
    IMAGE_NEXUS_UNIT = 33,
    IMAGE_TASK = 34,
    IMAGE_TASK_TRANSFER = 35,
    IMAGE_TASK_BUFFER = 36,
    IMAGE_TASK_SMALL = 37,       /* bytes */
    IMAGE_SESSION_COUNTERS = 38, /* u64 each, as in struct session_counters */
    /* of a connection */
    IMAGE_CONNECTION = 48,
    IMAGE_WINDOW = 49, /* struct image_window, then the bytes */
    IMAGE_SEND = 50,
};

struct image_tlv {
    uint16_t type, flags;
    uint32_t bytes; /* of the body, without the padding */
};

struct image_writer {
    GByteArray *bytes;
    uint64_t records;
};

void image_writer_init(struct image_writer *w);
void image_put(struct image_writer *w, uint16_t type, uint16_t flags, const void *body,
               uint32_t bytes);
/* A body in two parts. */
void image_put_with(struct image_writer *w, uint16_t type, uint16_t flags, const void *body,
                    uint32_t bytes, const void *rest, uint32_t rest_bytes);
/* IMAGE_END; the image is the caller's. */
GByteArray *image_finish(struct image_writer *w);

struct image_record {
    uint16_t type, flags;
    uint32_t bytes;
    const uint8_t *body; /* not aligned */
};

struct image_reader {
    const uint8_t *at, *end;
};

/* Checks the frame: length of every record, their number, the check sum. NULL, or what is wrong. */
const char *image_open(struct image_reader *r, const void *image, size_t bytes);
/* The next record before IMAGE_END; false: there is none. */
bool image_next(struct image_reader *r, struct image_record *ret_record);
/* Copies as much of the body as `to` has; the rest of `to` is zero. False: less than `least`. */
bool image_take(const struct image_record *record, void *to, size_t known, size_t least);
