/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any change to an image, with the check sum made right again: {record u8, offset u16, value u32}
 * changes four bytes of a record's body or, from offset FF00 on, the record as a whole: left out, doubled,
 * cut, of another type. Either all of it is taken over and can be written down again, or nothing is.
 */
#include <string.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "image-rig.h"

#define CHANGE_BYTES 7u
#define WHOLE        0xff00u

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\x00\x00\x08\x00\x00\x00\x01"),
    FUZZ_SEED("\x01\x01\x00\xff\xff\xff\xff\x0a\xff\x00\x00\x00\x00\x00"),
    FUZZ_SEED("\x10\xff\x01\x00\x00\x00\x00\x20\xff\x02\x00\x00\x00\x10"),
    FUZZ_SEED("\x6d\x00\x0a\xff\xff\xff\x59"), /* a place far outside the window */
    FUZZ_SEED("\x30\x00\x08\x00\x00\x10\x00\x31\xff\x03\x00\x00\x00\x22"),
    { NULL, 0 },
};

const struct fuzz_seed fuzz_words[] = {
    FUZZ_SEED("\xff\xff\xff\xff"),
    FUZZ_SEED("\xff\x00"),
    FUZZ_SEED("\xff\x01"),
    FUZZ_SEED("\xff\x02"),
    FUZZ_SEED("\xff\x03"),
    FUZZ_SEED("\x00\x00\x00\x00"),
    { NULL, 0 },
};

struct changes {
    const uint8_t *data;
    size_t size;
};

static void change(struct image_writer *w, const struct image_record *record, unsigned number,
                   void *data)
{
    const struct changes *c = data;
    g_autofree uint8_t *body = g_memdup2(record->body, record->bytes);
    uint16_t type = record->type, flags = record->flags;
    uint32_t bytes = record->bytes, copies = 1;

    for (size_t at = 0; at + CHANGE_BYTES <= c->size; at += CHANGE_BYTES) {
        const uint8_t *p = c->data + at;
        uint32_t offset = get_be16(p + 1), value = get_be32(p + 3);
        if (p[0] != (uint8_t)number)
            continue;
        if (offset < WHOLE) {
            for (unsigned i = 0; i < 4 && offset + i < record->bytes; i++)
                body[offset + i] = (uint8_t)(value >> (8 * i));
        } else if ((offset & 3) == 0) {
            copies = value & 3;
        } else if ((offset & 3) == 1) {
            bytes = bytes ? value % (bytes + 1) : 0;
        } else if ((offset & 3) == 2) {
            type = (uint16_t)value;
        } else {
            flags = (uint16_t)value;
        }
    }
    while (copies--)
        image_put(w, type, flags, body, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static GByteArray *image;
    struct changes changes = { data, size };

    if (!image) {
        memory_begin(4, 1);
        memory_fill();
        image = memory_export();
        memory_begin(4, 2);
    }
    GByteArray *changed = image_changed(image, change, &changes);
    if (memory_import(changed)) {
        g_assert_true(memory_is_empty());
    } else {
        g_byte_array_unref(memory_export());
        memory_begin(4, 2);
    }
    g_byte_array_unref(changed);

    /* And as it comes. */
    GByteArray *raw = g_byte_array_append(g_byte_array_new(), data, (guint)size);
    g_assert_nonnull(memory_import(raw));
    g_byte_array_unref(raw);
    return 0;
}
