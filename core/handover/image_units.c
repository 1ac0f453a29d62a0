/* SPDX-License-Identifier: BSD-3-Clause */
/* The kept memory of units (scsi/keep.h) into an image, and out of it. */
#include <string.h>

#include "base/bytes.h"
#include "handover/image_export.h"
#include "handover/image_format.h"
#include "handover/image_import.h"
#include "scsi/counters.h"
#include "scsi/keep_area.h"

#define COUNTERS_U64 (2u + SCSI_COUNT_WAYS * (2u + HISTOGRAM_BUCKETS))

/* ---- out ---- */

static void put_counters(struct image_writer *w, const struct scsi_counters *lane, unsigned lanes)
{
    uint64_t sum[COUNTERS_U64] = { 0 };
    bool any = false;

    for (unsigned i = 0; i < lanes; i++, lane++) {
        uint64_t *to = sum;
        *to++ += lane->others;
        *to++ += lane->errors;
        for (unsigned way = 0; way < SCSI_COUNT_WAYS; way++) {
            *to++ += lane->way[way].bytes;
            *to++ += lane->way[way].latency.sum_ns;
            for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
                *to++ += lane->way[way].latency.bucket[b];
        }
    }
    for (unsigned i = 0; i < COUNTERS_U64; i++)
        any |= sum[i] != 0;
    if (any)
        image_put(w, IMAGE_UNIT_COUNTERS, 0, sum, sizeof(sum));
}

static void put_reservations(struct image_writer *w, const struct scsi_keep *keep)
{
    struct pr_table *table = scsi_keep_get_table(keep);
    if (!table)
        return;
    g_autofree uint8_t *record = g_malloc(PR_WHOLE_BYTES_MAX);
    image_put(w, IMAGE_UNIT_RESERVATIONS, IMAGE_CRITICAL, record,
              (uint32_t)pr_whole_write(table, record));
    pr_table_free(table);
}

static void put_unit(struct image_writer *w, struct keep_area *area, uint32_t index)
{
    const struct keep_slot *slot = keep_area_slot(area, index);
    const struct keep_data *data = &slot->data;
    struct scsi_keep keep = { .data = (struct keep_data *)data,
                              .rare = keep_area_rare(area, index) };
    struct image_unit to = {
        .lun = slot->lun,
        .mode = data->mode,
        .not_ready = data->not_ready,
        .ring_head = data->attentions.head,
        .sanitized = data->sanitized,
        .prevent_generation = data->prevent_generation,
        .starts = data->starts,
        .clock_set = data->clock_set,
        .thresholds = data->thresholds,
        .atomic_used = data->atomic_used,
        .absent = data->absent,
        .clock_offset = data->clock_offset,
        .sanitized_by = data->sanitized_by,
    };
    struct sanitize_record sanitize;
    struct pr_name owner;

    g_strlcpy(to.target, slot->target, sizeof(to.target));
    memcpy(to.access, (const void *)data->access, sizeof(to.access));
    image_put(w, IMAGE_UNIT, IMAGE_CRITICAL, &to, sizeof(to));
    image_put(w, IMAGE_UNIT_ATTENTIONS, IMAGE_CRITICAL, (const void *)data->attentions.slot,
              sizeof(data->attentions.slot));
    if (scsi_keep_get_owner(&keep, &owner)) {
        struct image_name name = { .tag = owner.tag };
        g_strlcpy(name.port, owner.port, sizeof(name.port));
        image_put(w, IMAGE_UNIT_OWNER, IMAGE_CRITICAL, &name, sizeof(name));
    }
    put_reservations(w, &keep);
    if (scsi_keep_get_sanitize(&keep, &sanitize))
        image_put(w, IMAGE_UNIT_SANITIZE, IMAGE_CRITICAL, &sanitize, sizeof(sanitize));
    if (data->identified)
        image_put(w, IMAGE_UNIT_IDENT, IMAGE_CRITICAL, &keep.rare->ident, sizeof(keep.rare->ident));
    if (data->copied)
        image_put(w, IMAGE_UNIT_COPIES, 0, &keep.rare->copies, sizeof(keep.rare->copies));
    if (data->buffered)
        image_put(w, IMAGE_UNIT_BUFFERS, 0, &keep.rare->buffers, sizeof(keep.rare->buffers));
    if (data->storage.known)
        image_put(w, IMAGE_UNIT_STORAGE, 0, &data->storage, sizeof(data->storage));
    put_counters(w, keep_area_counters(area, index), keep_area_lanes(area));
}

void image_export_units(struct image_writer *w, struct keep_area *area, uint32_t *ret_count)
{
    *ret_count = 0;
    for (uint32_t i = 0; area && i < keep_area_count(area); i++) {
        if (!keep_area_slot(area, i)->used)
            continue;
        put_unit(w, area, i);
        ++*ret_count;
    }
}

/* ---- in ---- */

const char *image_import_unit(struct image_import *in, const struct image_record *record)
{
    struct image_unit from;

    if (!image_take(record, &from, sizeof(from), IMAGE_LEAST_UNIT) || from.target[IMAGE_NAME - 1])
        return "a unit is cut off";
    if (in->keep.data) /* the one before is whole */
        scsi_keep_close(&in->keep);
    if (!in->area)
        return "this worker keeps nothing of units";
    if (scsi_keep_open(&in->keep, in->area, from.target, from.lun) < 0)
        return "out of memory";
    if (!in->keep.area)
        return "there are too many units";
    if (in->keep.existed)
        return "a unit comes twice";
    struct keep_data *data = in->keep.data;
    atomic_store(&data->mode, from.mode);
    atomic_store(&data->not_ready, from.not_ready);
    atomic_store(&data->attentions.head, from.ring_head);
    atomic_store(&data->sanitized, from.sanitized);
    atomic_store(&data->prevent_generation, from.prevent_generation);
    atomic_store(&data->starts, from.starts);
    atomic_store(&data->clock_set, from.clock_set);
    atomic_store(&data->thresholds, from.thresholds);
    atomic_store(&data->atomic_used, from.atomic_used);
    atomic_store(&data->absent, from.absent);
    atomic_store(&data->clock_offset, from.clock_offset);
    atomic_store(&data->sanitized_by, from.sanitized_by);
    for (unsigned i = 0; i < sizeof(from.access); i++)
        atomic_store(&data->access[i], from.access[i]);
    in->units++;
    return NULL;
}

static const char *import_attentions(struct image_import *in, const struct image_record *record)
{
    uint64_t slot[SCSI_UA_SLOTS];

    if (record->bytes != sizeof(slot)) /* another size of ring would be another type */
        return "a ring of unit attentions has another size";
    memcpy(slot, record->body, sizeof(slot));
    for (unsigned i = 0; i < SCSI_UA_SLOTS; i++)
        atomic_store(&in->keep.data->attentions.slot[i], slot[i]);
    return NULL;
}

static const char *import_owner(struct image_import *in, const struct image_record *record)
{
    struct image_name from;
    struct pr_name name;

    if (!image_take(record, &from, sizeof(from), IMAGE_LEAST_NAME) || from.port[IMAGE_PORT - 1])
        return "a name is cut off";
    name.tag = from.tag;
    g_strlcpy(name.port, from.port, sizeof(name.port));
    scsi_keep_owner(&in->keep, &name);
    return NULL;
}

static const char *import_reservations(struct image_import *in, const struct image_record *record)
{
    struct pr_table *table;

    if (pr_whole_read(record->body, record->bytes, &table) < 0)
        return "a table of reservations cannot be read";
    scsi_keep_table(&in->keep, table);
    pr_table_free(table);
    return NULL;
}

static const char *import_sanitize(struct image_import *in, const struct image_record *record)
{
    struct sanitize_record from;

    if (record->bytes != sizeof(from))
        return "the order to sanitize a unit cannot be read";
    memcpy(&from, record->body, sizeof(from));
    scsi_keep_sanitize(&in->keep, &from);
    return NULL;
}

static const char *import_ident(struct image_import *in, const struct image_record *record)
{
    if (record->bytes != sizeof(in->keep.rare->ident))
        return "identifying information cannot be read";
    memcpy(&in->keep.rare->ident, record->body, record->bytes);
    atomic_store(&in->keep.data->identified, 1);
    return NULL;
}

static const char *import_copies(struct image_import *in, const struct image_record *record)
{
    if (record->bytes != sizeof(in->keep.rare->copies))
        return NULL;
    memcpy(&in->keep.rare->copies, record->body, record->bytes);
    atomic_store(&in->keep.data->copied, 1);
    return NULL;
}

static const char *import_storage(struct image_import *in, const struct image_record *record)
{
    struct keep_storage *to = &in->keep.data->storage;

    image_take(record, to, sizeof(*to), sizeof(*to)); /* of another size: it is not known */
    return NULL;
}

static const char *import_buffers(struct image_import *in, const struct image_record *record)
{
    struct keep_buffers *to = &in->keep.rare->buffers;

    if (!image_take(record, to, sizeof(*to), sizeof(*to)))
        return NULL;
    atomic_store(&in->keep.data->buffered, 1);
    return NULL;
}

static const char *import_counters(struct image_import *in, const struct image_record *record)
{
    struct scsi_counters *to = scsi_keep_counters(&in->keep);
    uint64_t from[COUNTERS_U64], *at = from;

    if (!image_take(record, from, sizeof(from), 0))
        return NULL;
    to->others = *at++;
    to->errors = *at++;
    for (unsigned way = 0; way < SCSI_COUNT_WAYS; way++) {
        to->way[way].bytes = *at++;
        to->way[way].latency.sum_ns = *at++;
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            to->way[way].latency.bucket[b] = *at++;
    }
    return NULL;
}

const char *image_import_of_unit(struct image_import *in, const struct image_record *record)
{
    if (!in->keep.data)
        return "something of a unit comes before it";
    switch (record->type) {
    case IMAGE_UNIT_ATTENTIONS:
        return import_attentions(in, record);
    case IMAGE_UNIT_OWNER:
        return import_owner(in, record);
    case IMAGE_UNIT_RESERVATIONS:
        return import_reservations(in, record);
    case IMAGE_UNIT_SANITIZE:
        return import_sanitize(in, record);
    case IMAGE_UNIT_IDENT:
        return import_ident(in, record);
    case IMAGE_UNIT_COPIES:
        return import_copies(in, record);
    case IMAGE_UNIT_BUFFERS:
        return import_buffers(in, record);
    case IMAGE_UNIT_STORAGE:
        return import_storage(in, record);
    default:
        return import_counters(in, record);
    }
}
