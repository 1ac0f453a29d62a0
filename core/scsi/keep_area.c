/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of all units; see keep_area.h. */
#include "scsi/keep_area.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scsi/counters.h"

#define AREA_MAGIC   UINT64_C(0x686f6c646b656570)
#define AREA_VERSION 4u
#define PAGE         4096u
#define ROUND(n)     (((n) + PAGE - 1) / PAGE * (uint64_t)PAGE)
#define RARE_STRIDE  ROUND(sizeof(struct keep_rare))
#define SLOTS_BYTES  ROUND((uint64_t)SCSI_KEEP_UNITS_MAX * sizeof(struct keep_slot))
#define COUNTERS_AT  (PAGE + SLOTS_BYTES + SCSI_KEEP_UNITS_MAX * RARE_STRIDE)

struct area_head {
    uint64_t magic, layout;
    uint32_t count; /* slots from here on were never taken */
    uint32_t lanes; /* for which there are counters */
    _Atomic uint32_t crashed;
};

struct keep_area {
    uint8_t *base;
    uint64_t bytes;
    unsigned lanes;
    GHashTable *by_name; /* "target/lun" -> slot + 1 */
    bool open[SCSI_KEEP_UNITS_MAX];
};

uint64_t scsi_keep_layout(void)
{
    return (uint64_t)AREA_VERSION << 56 ^ (uint64_t)sizeof(struct keep_slot) << 28 ^
           sizeof(struct keep_rare);
}

static struct area_head *head_of(const struct keep_area *area)
{
    return (struct area_head *)area->base;
}

struct keep_slot *keep_area_slot(struct keep_area *area, uint32_t slot)
{
    return (struct keep_slot *)(area->base + PAGE) + slot;
}

struct keep_rare *keep_area_rare(struct keep_area *area, uint32_t slot)
{
    return (struct keep_rare *)(area->base + PAGE + SLOTS_BYTES + slot * RARE_STRIDE);
}

struct scsi_counters *keep_area_counters(struct keep_area *area, uint32_t slot)
{
    return (struct scsi_counters *)(area->base + COUNTERS_AT) + (uint64_t)slot * area->lanes;
}

uint32_t keep_area_count(const struct keep_area *area)
{
    return head_of(area)->count;
}

unsigned keep_area_lanes(const struct keep_area *area)
{
    return area->lanes;
}

void keep_area_clear(struct keep_area *area)
{
    madvise(area->base, area->bytes, MADV_REMOVE);
    *head_of(area) = (struct area_head){ .magic = AREA_MAGIC,
                                         .layout = scsi_keep_layout(),
                                         .lanes = area->lanes };
    g_hash_table_remove_all(area->by_name);
}

static char *name_of(const char *target, unsigned lun)
{
    return g_strdup_printf("%s/%u", target, lun);
}

static void index_slots(struct keep_area *area)
{
    for (uint32_t i = 0; i < keep_area_count(area); i++) {
        struct keep_slot *slot = keep_area_slot(area, i);
        slot->target[ISCSI_NAME_MAX] = '\0';
        if (atomic_load(&slot->used))
            g_hash_table_insert(area->by_name, name_of(slot->target, slot->lun),
                                GUINT_TO_POINTER(i + 1));
    }
}

/* They are another worker's as long as it had as many lanes. */
static void check_counters(struct keep_area *area)
{
    struct area_head *head = head_of(area);

    if (head->lanes != area->lanes)
        madvise(area->base + COUNTERS_AT, area->bytes - COUNTERS_AT, MADV_REMOVE);
    head->lanes = area->lanes;
}

/* One with other lanes has another name: both may be in use while a worker follows another. */
void scsi_keep_area_name(unsigned lanes, char name[static SCSI_KEEP_NAME_MAX])
{
    g_snprintf(name, SCSI_KEEP_NAME_MAX, "keep:units:%016llx:%u",
               (unsigned long long)scsi_keep_layout(), lanes);
}

static int map(const struct scsi_services *services, uint64_t bytes, unsigned lanes,
               uint8_t **ret_base, bool *ret_existed)
{
    char name[SCSI_KEEP_NAME_MAX];
    int fd;
    scsi_keep_area_name(lanes, name);
    int r = services->memfd_get(services->user, name, bytes, &fd, ret_existed);
    if (r < 0)
        return r;
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    r = base == MAP_FAILED ? -errno : 0;
    close(fd);
    *ret_base = base;
    return r;
}

bool scsi_keep_area_has(const struct keep_area *area, const char *target, unsigned lun)
{
    g_autofree char *name = name_of(target, lun);

    return area && g_hash_table_contains(area->by_name, name);
}

uint32_t scsi_keep_area_mark(const struct keep_area *area, const char *target, unsigned lun)
{
    g_autofree char *name = name_of(target, lun);

    return area ? GPOINTER_TO_UINT(g_hash_table_lookup(area->by_name, name)) : 0;
}

struct keep_data *scsi_keep_area_find(struct keep_area *area, const char *target, unsigned lun)
{
    uint32_t found = scsi_keep_area_mark(area, target, lun);

    return found ? &keep_area_slot(area, found - 1)->data : NULL;
}

_Atomic uint32_t *scsi_keep_area_crashed(struct keep_area *area)
{
    return area ? &head_of(area)->crashed : NULL;
}

struct keep_data *scsi_keep_area_at(struct keep_area *area, uint32_t at,
                                    char target[static SCSI_KEEP_TARGET_MAX], unsigned *ret_lun)
{
    if (at >= keep_area_count(area))
        return NULL;
    struct keep_slot *slot = keep_area_slot(area, at);
    if (!atomic_load(&slot->used))
        return NULL;
    g_strlcpy(target, slot->target, SCSI_KEEP_TARGET_MAX);
    *ret_lun = slot->lun;
    return &slot->data;
}

int scsi_keep_area_open(const struct scsi_services *services, unsigned lanes,
                        struct keep_area **ret_area)
{
    uint8_t *base;
    bool existed;
    uint64_t bytes =
        COUNTERS_AT + ROUND((uint64_t)SCSI_KEEP_UNITS_MAX * lanes * sizeof(struct scsi_counters));
    int r = services->memfd_get ? map(services, bytes, lanes, &base, &existed) : -ENOENT;
    if (r < 0)
        return r;
    struct keep_area *area = g_new0(struct keep_area, 1);
    area->base = base;
    area->bytes = bytes;
    area->lanes = lanes;
    area->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct area_head *head = head_of(area);
    if (existed && head->magic == AREA_MAGIC && head->layout == scsi_keep_layout() &&
        head->count <= SCSI_KEEP_UNITS_MAX)
        index_slots(area);
    else
        *head = (struct area_head){ .magic = AREA_MAGIC, .layout = scsi_keep_layout() };
    check_counters(area);
    *ret_area = area;
    return 0;
}

void scsi_keep_area_look_again(struct keep_area *area)
{
    if (!area)
        return;
    g_hash_table_remove_all(area->by_name);
    if (keep_area_count(area) <= SCSI_KEEP_UNITS_MAX)
        index_slots(area);
    else
        keep_area_clear(area);
}

struct keep_area *scsi_keep_area_free(struct keep_area *area)
{
    if (!area)
        return NULL;
    munmap(area->base, area->bytes);
    g_hash_table_unref(area->by_name);
    g_free(area);
    return NULL;
}

/* One that no unit has open is forgotten. */
static int reuse(struct keep_area *area)
{
    for (uint32_t i = 0; i < SCSI_KEEP_UNITS_MAX; i++) {
        struct keep_slot *slot = keep_area_slot(area, i);
        if (area->open[i])
            continue;
        g_autofree char *name = name_of(slot->target, slot->lun);
        g_hash_table_remove(area->by_name, name);
        atomic_store(&slot->used, 0);
        return (int)i;
    }
    return -ENOSPC;
}

int keep_area_take(struct keep_area *area, const char *target, unsigned lun, bool *ret_existed)
{
    struct area_head *head = head_of(area);
    g_autofree char *name = name_of(target, lun);
    uint32_t found = GPOINTER_TO_UINT(g_hash_table_lookup(area->by_name, name));
    int at = found                               ? (int)found - 1
             : head->count < SCSI_KEEP_UNITS_MAX ? (int)head->count
                                                 : reuse(area);
    if (at < 0)
        return at;
    if (area->open[at])
        return -EBUSY;
    if (!found) {
        struct keep_slot *slot = keep_area_slot(area, (uint32_t)at);
        atomic_store(&slot->used, 0);
        if ((uint32_t)at < head->count) /* another unit's once */
            memset(keep_area_counters(area, (uint32_t)at), 0,
                   area->lanes * sizeof(struct scsi_counters));
        slot->lun = lun;
        g_strlcpy(slot->target, target, sizeof(slot->target));
        if ((uint32_t)at == head->count)
            head->count++;
        g_hash_table_insert(area->by_name, g_steal_pointer(&name), GUINT_TO_POINTER(at + 1));
    }
    area->open[at] = true;
    *ret_existed = found != 0;
    return at;
}

void keep_area_used(struct keep_area *area, uint32_t slot)
{
    atomic_store(&keep_area_slot(area, slot)->used, 1);
}

void keep_area_forget(struct keep_area *area, uint32_t at)
{
    struct keep_slot *slot = keep_area_slot(area, at);
    g_autofree char *name = name_of(slot->target, slot->lun);

    atomic_store(&slot->used, 0);
    g_hash_table_remove(area->by_name, name);
    slot->target[0] = '\0';
}

void keep_area_leave(struct keep_area *area, uint32_t slot)
{
    area->open[slot] = false;
}

struct keep_rare *keep_rare_new(void)
{
    void *p = mmap(NULL, RARE_STRIDE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void keep_rare_free(struct keep_rare *rare)
{
    if (rare)
        munmap(rare, RARE_STRIDE);
}
