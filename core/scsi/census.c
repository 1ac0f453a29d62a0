/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of all nexuses; see census.h. */
#include "scsi/census.h"

#include <glib.h>
#include <string.h>

#include "base/initiators.h"

static GMutex mutex;
static struct list nexuses = { &nexuses, &nexuses };

void scsi_census_add(struct scsi_nexus *nexus)
{
    g_mutex_lock(&mutex);
    list_append(&nexuses, &nexus->census);
    g_mutex_unlock(&mutex);
}

void scsi_census_remove(struct scsi_nexus *nexus)
{
    g_mutex_lock(&mutex);
    list_remove(&nexus->census);
    g_mutex_unlock(&mutex);
}

static bool is_same(const struct scsi_nexus *nexus, const struct scsi_nexus *other)
{
    const void *guard = other->target->guard;

    return strcmp(other->initiator_name, nexus->initiator_name) == 0 &&
           (!guard || guard == nexus->target->guard) &&
           initiators_same_host(nexus->peer, other->peer);
}

static bool look_at(const struct scsi_nexus *other,
                    bool (*look)(const struct scsi_nexus *, struct scsi_unit *, void *), void *data)
{
    const struct scsi_lun_map *map =
        scsi_lun_map_for(atomic_load_explicit(&other->target->map, memory_order_acquire),
                         other->initiator_name, other->peer);

    for (unsigned i = 0; i < map->count; i++) {
        if (scsi_unit_admits(map->units[i], other->initiator_name, other->peer) &&
            look(other, map->units[i], data))
            return true;
    }
    return false;
}

bool scsi_census_look(const struct scsi_nexus *nexus,
                      bool (*look)(const struct scsi_nexus *other, struct scsi_unit *unit,
                                   void *data),
                      void *data)
{
    bool found = false;

    g_mutex_lock(&mutex);
    list_for_each(pos, &nexuses)
    {
        const struct scsi_nexus *other = list_entry(pos, struct scsi_nexus, census);
        if (other != nexus && is_same(nexus, other) && (found = look_at(other, look, data)))
            break;
    }
    g_mutex_unlock(&mutex);
    return found;
}
