/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ends of a copy. A CSCD descriptor names a unit by one of its own designators (VPD page 83h). It
 * may be a unit of the session's target that the session sees, or one of another target where the same
 * initiator has a session, too (census.h): it copies nothing that it could not read and write itself.
 */
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "scsi/census.h"
#include "scsi/copy.h"
#include "scsi/home.h"
#include "scsi/nexus_internal.h"
#include "scsi/step.h"
#include "scsi/unit.h"

#define NUL 0x20u

enum { TYPE_T10 = 1, TYPE_EUI64, TYPE_NAA };

struct wanted {
    const uint8_t *descriptor;
    struct copy_end *end;
};

static bool equal(const uint8_t *descriptor, const void *value, size_t bytes)
{
    return bytes && descriptor[7] == bytes && memcmp(descriptor + 8, value, bytes) == 0;
}

static bool is_named(const uint8_t *descriptor, const struct scsi_unit *unit)
{
    char t10[SCSI_VENDOR_MAX + SCSI_SERIAL_MAX + 1];

    switch (descriptor[5] & 0x3f) { /* association 0 and the designator type */
    case TYPE_NAA:
        return equal(descriptor, unit->naa, unit->naa_bytes);
    case TYPE_EUI64:
        return equal(descriptor, unit->eui, unit->eui_bytes);
    case TYPE_T10:
        g_snprintf(t10, sizeof(t10), "%s%s", unit->vendor, unit->serial);
        return equal(descriptor, t10, strlen(t10));
    default:
        return false;
    }
}

/* What the piece's sender is called there. */
static void take(struct copy_end *end, const struct scsi_nexus *nexus, struct scsi_unit *unit)
{
    end->unit = unit;
    end->nexus = (struct scsi_nexus){ .target = nexus->target,
                                      .id = nexus->id,
                                      .relative_port = nexus->relative_port,
                                      .tag = nexus->tag,
                                      .initiator_port = end->port };
    g_strlcpy(end->port, nexus->initiator_port, sizeof(end->port));
    end->access = (struct scsi_nexus_unit){ .unit_id = unit->id };
    scsi_access_begin(&end->nexus, unit, &end->access);
}

static bool look(const struct scsi_nexus *other, struct scsi_unit *unit, void *data)
{
    struct wanted *wanted = data;

    if (!is_named(wanted->descriptor, unit))
        return false;
    take(wanted->end, other, unit);
    return true;
}

bool copy_find(const struct scsi_command *cmd, unsigned index, struct copy_end *ret_end)
{
    uint8_t d[COPY_CSCD];
    struct scsi_nexus *nexus = cmd->nexus;
    const struct scsi_lun_map *map = scsi_nexus_map(nexus);

    scsi_iov_get(cmd, COPY_HEADER + index * COPY_CSCD, d, sizeof(d));
    if ((d[1] & NUL) || (d[1] & 0x1f) || d[7] > 20)
        return false;
    for (unsigned i = 0; i < map->count; i++) {
        if (nexus->units[i].unit_id && is_named(d, map->units[i])) {
            take(ret_end, nexus, map->units[i]);
            return true;
        }
    }
    return scsi_census_look(nexus, look, &(struct wanted){ d, ret_end });
}
