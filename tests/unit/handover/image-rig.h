/* SPDX-License-Identifier: BSD-3-Clause */
/* State memory without a worker: filled in by hand, written into images, and read from them. */
#pragma once

#include "handover/image_export.h"
#include "handover/image_format.h"
#include "handover/image_import.h"

/* Fresh state memory for that many of each, with a layout of that name, and fresh kept memory. */
void memory_begin(uint32_t sessions, uint64_t layout);
void memory_end(void);
/* Two sessions of a worker that holds still: half a PDU received, answers not sent, tasks with and
   without buffers; two units with reservations and all. */
void memory_fill(void);
/* No record is in use. */
bool memory_is_empty(void);

/* g_byte_array_unref(). */
GByteArray *memory_export(void);
/* Into this memory; as image_import(). */
const char *memory_import(const GByteArray *image);

/* The same image with every record passed through `change`, which may put what it likes; then counted
   and summed up again. */
GByteArray *image_changed(const GByteArray *image,
                          void (*change)(struct image_writer *w, const struct image_record *record,
                                         unsigned number, void *data),
                          void *data);
