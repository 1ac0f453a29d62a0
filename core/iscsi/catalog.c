/* SPDX-License-Identifier: BSD-3-Clause */
#include "iscsi/catalog.h"

#include <string.h>

#include "base/initiators.h"

const struct catalog_target *catalog_find(const struct catalog *catalog, const char *name)
{
    for (unsigned i = 0; i < catalog->target_count; i++)
        if (!strcmp(catalog->targets[i].name, name))
            return &catalog->targets[i];
    return NULL;
}

bool catalog_on_portal(const struct catalog_target *target, uint16_t tag)
{
    for (unsigned i = 0; i < target->portal_count; i++)
        if (target->portals[i]->tag == tag)
            return true;
    return false;
}

bool catalog_admits(const struct catalog_target *target, const char *initiator, const char *peer)
{
    return !target->initiators || initiators_match(target->initiators, initiator, peer);
}
