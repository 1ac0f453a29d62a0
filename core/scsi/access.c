/* SPDX-License-Identifier: BSD-3-Clause */
/* What a nexus is denied on a unit, brought up to date when the unit's access version has moved. */
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "scsi/alua.h"
#include "scsi/home.h"
#include "scsi/nexus.h"
#include "scsi/sense.h"
#include "scsi/unit.h"

static uint32_t version_of(struct scsi_unit *unit)
{
    return atomic_load_explicit(&unit->home.version, memory_order_acquire);
}

static const struct pr_table *table_of(struct scsi_unit *unit)
{
    return atomic_load_explicit(&unit->home.table, memory_order_acquire);
}

static void judge(const struct scsi_nexus *nexus, struct scsi_unit *unit,
                  const struct pr_table *table, struct scsi_nexus_unit *state)
{
    uint32_t reserved_by = atomic_load(&unit->home.reserved_by);

    state->denied = pr_denied(table, pr_find(table, nexus->initiator_port, nexus->tag));
    if (reserved_by && reserved_by != nexus->id)
        state->denied |= DENY_LEGACY;
    state->denied |= scsi_alua_denied(unit, nexus);
}

/* It has come back after the worker died: the reservation is its own again. */
static void claim(const struct scsi_nexus *nexus, struct scsi_unit *unit)
{
    const struct pr_name *owner = &unit->home.restored;
    uint32_t expected = HOME_RESTORED;

    if (owner->port[0] && owner->tag == nexus->tag &&
        strcmp(owner->port, nexus->initiator_port) == 0 &&
        atomic_compare_exchange_strong(&unit->home.reserved_by, &expected, nexus->id))
        atomic_fetch_add(&unit->home.version, 1);
}

void scsi_access_begin(const struct scsi_nexus *nexus, struct scsi_unit *unit,
                       struct scsi_nexus_unit *state)
{
    claim(nexus, unit);
    state->access_version = version_of(unit);
    const struct pr_table *table = table_of(unit);
    state->serial = table ? table->serial : 0;
    judge(nexus, unit, table, state);
}

static uint8_t flag_of(uint16_t asc)
{
    switch (asc) {
    case ASC_RESERVATIONS_PREEMPTED:
        return SCSI_NEXUS_PREEMPTED;
    case ASC_RESERVATIONS_RELEASED:
        return SCSI_NEXUS_RELEASED;
    case ASC_REGISTRATIONS_PREEMPTED:
        return SCSI_NEXUS_UNREGISTERED;
    default:
        return 0;
    }
}

void scsi_access_refresh(const struct scsi_nexus *nexus, struct scsi_unit *unit,
                         struct scsi_nexus_unit *state)
{
    state->access_version = version_of(unit);
    const struct pr_table *table = table_of(unit);
    judge(nexus, unit, table, state);
    if (!table)
        return;
    for (unsigned i = 0; i < table->event_count; i++) {
        const struct pr_event *event = &table->events[i];
        if ((int32_t)(event->serial - state->serial) > 0 && event->name.tag == nexus->tag &&
            strcmp(event->name.port, nexus->initiator_port) == 0)
            state->flags |= flag_of(event->asc);
    }
    atomic_signal_fence(
        memory_order_release); /* whoever goes on after us knows it, or looks again */
    state->serial = table->serial;
}

bool scsi_access_expired(struct scsi_unit *unit)
{
    uint32_t expected = HOME_RESTORED;

    if (atomic_load(&unit->home.reserved_by) != HOME_RESTORED ||
        clock_now_ns() < unit->home.restored_until)
        return false;
    if (atomic_compare_exchange_strong(&unit->home.reserved_by, &expected, 0))
        atomic_fetch_add(&unit->home.version, 1);
    return true;
}
