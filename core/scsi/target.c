/* SPDX-License-Identifier: BSD-3-Clause */
/* Targets and their LUN maps; the addresses of LUNs on the wire. */
#include "scsi/target.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/initiators.h"

int scsi_target_create(const char *name, const char *alias, const uint16_t *port_tags,
                       unsigned port_count, struct scsi_target **ret_target)
{
    if (port_count > SCSI_PORTS_MAX)
        return -EINVAL;

    struct scsi_target *target = g_new0(struct scsi_target, 1);
    target->name = g_strdup(name);
    target->alias = g_strdup(alias);
    target->port_count = (uint16_t)port_count;
    if (port_count)
        memcpy(target->port_tags, port_tags, port_count * sizeof(*port_tags));
    struct scsi_lun_map *map = g_malloc0(sizeof(*map));
    scsi_target_publish(target, map);
    *ret_target = target;
    return 0;
}

int scsi_target_set_ports(struct scsi_target *target, const uint16_t *port_tags, unsigned port_count)
{
    if (port_count > SCSI_PORTS_MAX)
        return -EINVAL;
    /* Reactors read them meanwhile, each by itself: first the words, then how many. */
    for (unsigned i = 0; i < port_count; i++)
        __atomic_store_n(&target->port_tags[i], port_tags[i], __ATOMIC_RELAXED);
    __atomic_store_n(&target->port_count, (uint16_t)port_count, __ATOMIC_RELEASE);
    return 0;
}

struct scsi_target *scsi_target_free(struct scsi_target *target)
{
    if (!target)
        return NULL;
    scsi_lun_map_free(atomic_load(&target->map));
    g_free(target->name);
    g_free(target->alias);
    g_free(target);
    return NULL;
}

struct numbered {
    uint16_t lun;
    struct scsi_unit *unit;
};

static int by_lun(const void *a, const void *b)
{
    const struct numbered *left = a, *right = b;
    return (int)left->lun - (int)right->lun;
}

int scsi_lun_map_create(struct scsi_unit *const *units, const uint16_t *luns, unsigned count,
                        struct scsi_lun_map **ret_map)
{
    struct numbered sorted[SCSI_LUNS_MAX];
    struct scsi_lun_map *map = NULL;

    if (count > SCSI_LUNS_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++)
        sorted[i] = (struct numbered){ luns ? luns[i] : units[i]->lun, units[i] };
    qsort(sorted, count, sizeof(*sorted), by_lun);
    for (unsigned i = 1; i < count; i++) {
        if (sorted[i - 1].lun == sorted[i].lun)
            return -EINVAL;
    }
    map = g_try_malloc0(sizeof(*map) + count * (sizeof(*map->units) + sizeof(*map->luns)));
    if (!map)
        return -ENOMEM;
    map->count = count;
    map->luns = (uint16_t *)(map->units + count);
    for (unsigned i = 0; i < count; i++) {
        map->units[i] = sorted[i].unit;
        map->luns[i] = sorted[i].lun;
    }
    *ret_map = map;
    return 0;
}

int scsi_lun_map_add_view(struct scsi_lun_map *map, const char *const *initiators,
                          struct scsi_lun_map *view)
{
    struct scsi_lun_view *views =
        g_try_renew(struct scsi_lun_view, map->views, map->view_count + 1);

    if (!views) {
        scsi_lun_map_free(view);
        return -ENOMEM;
    }
    views[map->view_count++] = (struct scsi_lun_view){ initiators, view };
    map->views = views;
    return 0;
}

struct scsi_lun_map *scsi_lun_map_free(struct scsi_lun_map *map)
{
    if (!map)
        return NULL;
    for (unsigned i = 0; i < map->view_count; i++)
        scsi_lun_map_free(map->views[i].map);
    g_free(map->views);
    g_free(map);
    return NULL;
}

const struct scsi_lun_map *scsi_lun_map_for(const struct scsi_lun_map *map, const char *initiator,
                                            const char *peer)
{
    for (unsigned i = 0; i < map->view_count; i++) {
        if (initiators_match(map->views[i].initiators, initiator, peer))
            return map->views[i].map;
    }
    return map;
}

struct scsi_lun_map *scsi_target_publish(struct scsi_target *target, struct scsi_lun_map *map)
{
    map->generation = ++target->generation;
    return atomic_exchange_explicit(&target->map, map, memory_order_acq_rel);
}

int scsi_lun_map_find(const struct scsi_lun_map *map, uint16_t lun)
{
    /* LUNs usually count from 0 without gaps. */
    if (lun < map->count && map->luns[lun] == lun)
        return lun;
    unsigned low = 0, high = map->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (map->luns[middle] < lun)
            low = middle + 1;
        else
            high = middle;
    }
    return low < map->count && map->luns[low] == lun ? (int)low : -1;
}

struct scsi_unit *scsi_target_unit(const struct scsi_target *target, uint16_t lun)
{
    const struct scsi_lun_map *map = atomic_load_explicit(&target->map, memory_order_acquire);
    int at = scsi_lun_map_find(map, lun);
    return at < 0 ? NULL : map->units[at];
}

uint16_t scsi_target_port(const struct scsi_target *target, uint16_t tag)
{
    for (unsigned i = 0; i < target->port_count; i++) {
        if (target->port_tags[i] == tag)
            return (uint16_t)(i + 1);
    }
    return 0;
}

/* SAM-5 4.7.6: the first level only; the other six bytes must be zero. */
int scsi_lun_decode(uint64_t wire)
{
    if (wire & 0x0000ffffffffffffull)
        return -1;
    uint16_t level = (uint16_t)(wire >> 48);
    switch (level >> 14) {
    case 0: /* peripheral device addressing: bus identifier 0 */
        return level & 0x3f00 ? -1 : level & 0xff;
    case 1: /* flat space addressing */
        return level & 0x3fff;
    default:
        return -1;
    }
}

uint64_t scsi_lun_encode(uint16_t lun)
{
    uint64_t level = lun < 256 ? lun : (uint64_t)(0x4000 | lun);
    return level << 48;
}
