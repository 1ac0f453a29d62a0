/* SPDX-License-Identifier: BSD-3-Clause */
/* See counters.h. */
#include "scsi/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/unit.h"

_Static_assert(sizeof(struct scsi_counters) % 64 == 0, "no two lanes share a cache line");

/* Not set to zero by hand: a unit that nobody uses should not cost memory. */
int scsi_counters_create(struct scsi_unit *unit)
{
    struct scsi_counters *kept = scsi_keep_counters(&unit->home.keep);

    for (unsigned i = 0; kept && i < unit->lane_count; i++)
        unit->lanes[i].counters = kept + i;
    if (kept)
        return 0;
    unit->counters_memory = calloc(unit->lane_count + 1, sizeof(struct scsi_counters));
    if (!unit->counters_memory)
        return -ENOMEM;
    uintptr_t first = ((uintptr_t)unit->counters_memory + 63) & ~(uintptr_t)63;
    for (unsigned i = 0; i < unit->lane_count; i++)
        unit->lanes[i].counters = (struct scsi_counters *)first + i;
    return 0;
}

void scsi_unit_counters(const struct scsi_unit *unit, struct scsi_counters *ret_counters)
{
    memset(ret_counters, 0, sizeof(*ret_counters));
    for (unsigned i = 0; i < unit->lane_count; i++) {
        const struct scsi_counters *lane = unit->lanes[i].counters;
        for (unsigned way = 0; way < SCSI_COUNT_WAYS; way++) {
            ret_counters->way[way].bytes += counter_get(&lane->way[way].bytes);
            histogram_collect(&ret_counters->way[way].latency, &lane->way[way].latency);
        }
        ret_counters->others += counter_get(&lane->others);
        ret_counters->errors += counter_get(&lane->errors);
    }
}
