/* SPDX-License-Identifier: BSD-3-Clause */
/* State that outlives the worker, of one unit; see keep.h, and keep_area.c for where it lies. */
#include "scsi/keep.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "scsi/keep_area.h"

static void owner_unknown(struct scsi_keep *keep)
{
    keep->data->owner.used = 0;
    atomic_fetch_add(&keep->data->owner.sequence, 1);
}

static void begin(struct keep_data *data)
{
    memset(data, 0, sizeof(*data));
    for (unsigned i = 0; i < SCSI_UA_SLOTS; i++) /* one lap ago: not written yet */
        atomic_init(&data->attentions.slot[i], (uint64_t)(uint16_t)(i - SCSI_UA_SLOTS) << 48);
}

int scsi_keep_open(struct scsi_keep *keep, struct keep_area *area, const char *target, unsigned lun)
{
    int slot = area ? keep_area_take(area, target, lun, &keep->existed) : -ENOENT;

    keep->area = slot >= 0 ? area : NULL;
    if (slot >= 0) {
        keep->slot = (uint32_t)slot;
        keep->data = &keep_area_slot(area, keep->slot)->data;
        keep->rare = keep_area_rare(area, keep->slot);
    } else {
        if (area)
            log_warning("scsi",
                        "a unit's state will not outlive the worker target=%s lun=%u error=\"%s\"",
                        target, lun, g_strerror(-slot));
        keep->existed = false;
        keep->data = g_new0(struct keep_data, 1);
        keep->rare = keep_rare_new();
        if (!keep->rare)
            return -ENOMEM;
    }
    if (!keep->existed)
        begin(keep->data);
    else if (atomic_load(&keep->data->owner.sequence) & 1) /* it died while it was writing */
        owner_unknown(keep);
    if (atomic_load(&keep->data->copied))
        copy_statuses_resume(&keep->rare->copies);
    if (slot >= 0)
        keep_area_used(area, keep->slot);
    return 0;
}

void scsi_keep_close(struct scsi_keep *keep)
{
    if (keep->lent) {
        /* nothing of it is ours any more */
    } else if (keep->area) {
        keep_area_leave(keep->area, keep->slot);
    } else {
        g_free(keep->data);
        keep_rare_free(keep->rare);
    }
    keep->data = NULL;
    keep->rare = NULL;
}

void scsi_keep_move(struct scsi_keep *to, struct scsi_keep *from)
{
    *to = *from;
    to->existed = true;
    from->lent = true;
}

void scsi_keep_forget(struct scsi_keep *keep)
{
    if (keep->area && !keep->lent)
        keep_area_forget(keep->area, keep->slot);
}

struct scsi_counters *scsi_keep_counters(const struct scsi_keep *keep)
{
    return keep->area ? keep_area_counters(keep->area, keep->slot) : NULL;
}

uint32_t scsi_keep_mark(const struct scsi_keep *keep)
{
    return keep->area ? keep->slot + 1 : 0;
}

bool scsi_keep_storage(const struct keep_data *data, struct backend_info *ret_info)
{
    const struct keep_storage *from = &data->storage;

    *ret_info = (struct backend_info){
        .bytes = atomic_load(&from->bytes),
        .block_bytes = from->block_bytes,
        .physical_block_bytes = from->physical_block_bytes,
        .optimal_io_bytes = from->optimal_io_bytes,
        .max_io_bytes = from->max_io_bytes,
        .unmap_granularity_bytes = from->unmap_granularity_bytes,
        .features = from->features,
        .store_arena = from->has_store,
        .rotational = from->rotational != 0,
    };
    return atomic_load(&from->known) == 1;
}

/* A larger size alone is one store; for more than that, nothing is known for a moment. */
void scsi_keep_set_storage(struct keep_data *data, const struct backend_info *info)
{
    struct keep_storage *to = &data->storage;
    struct backend_info is;
    bool known = scsi_keep_storage(data, &is);

    is.bytes = info->bytes;
    is.store_arena = is.store_arena ? info->store_arena : 0;
    if (!known || memcmp(&is, info, sizeof(is)) != 0) {
        atomic_store(&to->known, 0);
        to->block_bytes = info->block_bytes;
        to->physical_block_bytes = info->physical_block_bytes;
        to->optimal_io_bytes = info->optimal_io_bytes;
        to->max_io_bytes = info->max_io_bytes;
        to->unmap_granularity_bytes = info->unmap_granularity_bytes;
        to->features = info->features;
        to->has_store = info->store_arena != 0;
        to->rotational = info->rotational;
    }
    atomic_store(&to->bytes, info->bytes);
    atomic_store(&to->known, 1);
}

static uint32_t place_of(uint32_t at)
{
    return at & 3;
}

void scsi_keep_table(struct scsi_keep *keep, const struct pr_table *table)
{
    struct keep_data *data = keep->data;
    uint32_t at = atomic_load(&data->table_at), count = (at >> 2) + 1;
    uint32_t next = place_of(at) == 1 ? 2 : 1;

    pr_whole_write(table, keep->rare->table[next - 1]);
    keep->rare->table_by[count % KEEP_TABLES_BY] = table->by;
    crash_point("keep");
    atomic_store(&data->table_at, count << 2 | next);
    crash_point("kept");
}

struct pr_table *scsi_keep_get_table(const struct scsi_keep *keep)
{
    struct pr_table *table = NULL;
    uint32_t place = place_of(atomic_load(&keep->data->table_at));

    if (place == 1 || place == 2)
        pr_whole_read(keep->rare->table[place - 1], PR_WHOLE_BYTES_MAX, &table);
    return table;
}

/* The entry behind the last one may be of a table that was not published. */
bool scsi_keep_has(const struct scsi_keep *keep, uint64_t id)
{
    uint32_t count = atomic_load(&keep->data->table_at) >> 2;

    for (uint32_t i = 0; id && i + 1 < KEEP_TABLES_BY && i < count; i++) {
        if (keep->rare->table_by[(count - i) % KEEP_TABLES_BY] == id)
            return true;
    }
    return false;
}

void scsi_keep_owner(struct scsi_keep *keep, const struct pr_name *name)
{
    struct keep_owner *owner = &keep->data->owner;

    atomic_fetch_add(&owner->sequence, 1);
    owner->used = name != NULL;
    if (name)
        owner->name = *name;
    atomic_fetch_add(&owner->sequence, 1);
}

bool scsi_keep_get_owner(const struct scsi_keep *keep, struct pr_name *ret_name)
{
    const struct keep_owner *owner = &keep->data->owner;

    if ((atomic_load(&owner->sequence) & 1) || !owner->used)
        return false;
    *ret_name = owner->name;
    ret_name->port[PR_PORT_MAX - 1] = '\0';
    return true;
}

void scsi_keep_sanitize(struct scsi_keep *keep, const struct sanitize_record *record)
{
    if (record)
        keep->rare->sanitize = *record;
    atomic_store(&keep->data->sanitizing, record != NULL);
}

bool scsi_keep_get_sanitize(const struct scsi_keep *keep, struct sanitize_record *ret_record)
{
    if (!atomic_load(&keep->data->sanitizing))
        return false;
    *ret_record = keep->rare->sanitize;
    return true;
}
