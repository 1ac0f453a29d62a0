/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame of an image: records one after the other, counted and summed up; see image.h. */
#include "handover/image.h"

#include <string.h>

#include "base/crc32c.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "bodies are written as they lie in memory");

struct end {
    uint64_t records; /* before this one */
    uint32_t crc, unused;
};

#define PADDED(n) (((uint64_t)(n) + 7) & ~UINT64_C(7))

void image_writer_init(struct image_writer *w)
{
    static const uint64_t magic = IMAGE_MAGIC;

    w->bytes = g_byte_array_new();
    w->records = 0;
    g_byte_array_append(w->bytes, (const uint8_t *)&magic, sizeof(magic));
}

void image_put_with(struct image_writer *w, uint16_t type, uint16_t flags, const void *body,
                    uint32_t bytes, const void *rest, uint32_t rest_bytes)
{
    static const uint8_t zeroes[8];
    const struct image_tlv tlv = { type, flags, bytes + rest_bytes };

    g_byte_array_append(w->bytes, (const uint8_t *)&tlv, sizeof(tlv));
    if (bytes)
        g_byte_array_append(w->bytes, body, bytes);
    if (rest_bytes)
        g_byte_array_append(w->bytes, rest, rest_bytes);
    g_byte_array_append(w->bytes, zeroes, (guint)(PADDED(tlv.bytes) - tlv.bytes));
    w->records++;
}

void image_put(struct image_writer *w, uint16_t type, uint16_t flags, const void *body,
               uint32_t bytes)
{
    image_put_with(w, type, flags, body, bytes, NULL, 0);
}

GByteArray *image_finish(struct image_writer *w)
{
    const struct end end = { .records = w->records,
                             .crc = crc32c(CRC32C_START, w->bytes->data, w->bytes->len) };

    image_put(w, IMAGE_END, IMAGE_CRITICAL, &end, sizeof(end));
    return w->bytes;
}

/* The record at r->at; false: it does not fit. */
static bool look(const struct image_reader *r, struct image_record *ret, const uint8_t **ret_next)
{
    struct image_tlv tlv;
    size_t left = (size_t)(r->end - r->at);

    if (left < sizeof(tlv))
        return false;
    memcpy(&tlv, r->at, sizeof(tlv));
    if (PADDED(tlv.bytes) > left - sizeof(tlv))
        return false;
    *ret = (struct image_record){ tlv.type, tlv.flags, tlv.bytes, r->at + sizeof(tlv) };
    *ret_next = ret->body + PADDED(tlv.bytes);
    return true;
}

const char *image_open(struct image_reader *r, const void *image, size_t bytes)
{
    const uint64_t magic = IMAGE_MAGIC;
    struct image_record record;
    const uint8_t *next;
    uint64_t records = 0;
    struct end end;

    if (bytes < sizeof(magic) || bytes > IMAGE_BYTES_MAX || memcmp(image, &magic, sizeof(magic)))
        return "it is no image";
    *r = (struct image_reader){ (const uint8_t *)image + sizeof(magic),
                                (const uint8_t *)image + bytes };
    struct image_reader walk = *r;
    for (; look(&walk, &record, &next); walk.at = next, records++) {
        if (record.type != IMAGE_END)
            continue;
        if (next != walk.end || record.flags != IMAGE_CRITICAL ||
            !image_take(&record, &end, sizeof(end), sizeof(end)) || end.records != records ||
            end.unused)
            return "its end is not where it should be";
        if (end.crc != crc32c(CRC32C_START, image, (size_t)(walk.at - (const uint8_t *)image)))
            return "its check sum is wrong";
        r->end = walk.at;
        return NULL;
    }
    return "it is cut off";
}

bool image_next(struct image_reader *r, struct image_record *ret_record)
{
    return look(r, ret_record, &r->at);
}

bool image_take(const struct image_record *record, void *to, size_t known, size_t least)
{
    size_t n = record->bytes < known ? record->bytes : known;

    if (record->bytes < least)
        return false;
    memset(to, 0, known);
    memcpy(to, record->body, n);
    return true;
}
