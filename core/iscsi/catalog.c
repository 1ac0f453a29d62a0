/* SPDX-License-Identifier: BSD-3-Clause */
#include "iscsi/catalog.h"

#include <string.h>

#include "base/hash.h"
#include "base/initiators.h"
#include "iscsi/wire.h"

void catalog_ref(struct catalog *catalog)
{
    if (catalog)
        atomic_fetch_add(&catalog->refs, 1);
}

void catalog_unref(struct catalog *catalog)
{
    if (catalog && atomic_fetch_sub(&catalog->refs, 1) == 1 && catalog->unused)
        catalog->unused(catalog);
}

static const struct catalog_target *search(const struct catalog *catalog, const char *name)
{
    unsigned low = 0, high = catalog->target_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const struct catalog_target *t = catalog->by_name[middle];
        int order = strcmp(name, t->name);
        if (order == 0)
            return t;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct catalog_target *catalog_find(const struct catalog *catalog, const char *name)
{
    if (catalog->by_name)
        return search(catalog, name);
    for (unsigned i = 0; i < catalog->target_count; i++)
        if (!strcmp(catalog->targets[i]->name, name))
            return catalog->targets[i];
    return NULL;
}

bool catalog_on_portal(const struct catalog_target *target, uint16_t tag)
{
    for (unsigned i = 0; i < target->portal_count; i++)
        if (target->portals[i]->tag == tag)
            return true;
    return false;
}

struct iscsi_limits catalog_limits(const struct catalog_target *target, const char *initiator)
{
    struct iscsi_limits limits = target->limits;
    uint64_t hash = hash_bytes(0, initiator, strlen(initiator));
    uint64_t seconds = limits.time2wait + hash % (target->time2wait_spread + 1u);
    limits.time2wait = (uint16_t)(seconds < ISCSI_TIME_MAX ? seconds : ISCSI_TIME_MAX);
    return limits;
}

bool catalog_admits(const struct catalog_target *target, const char *initiator, const char *peer)
{
    return !target->initiators || initiators_match(target->initiators, initiator, peer);
}

bool catalog_discovers(const struct catalog *catalog, const char *initiator, const char *peer)
{
    const char *const *list = catalog->discovery_initiators;
    return !list || initiators_match(list, initiator, peer);
}

static bool came_through(const struct catalog_redirect *r, const struct catalog_portal *portal)
{
    for (unsigned i = 0; i < r->portal_count; i++)
        if (r->portals[i] == portal)
            return true;
    return !r->portal_count;
}

const struct catalog_redirect *catalog_redirect(const struct catalog_target *target,
                                                const struct catalog_portal *portal,
                                                const char *initiator, const char *peer)
{
    for (unsigned i = 0; i < target->redirect_count; i++) {
        const struct catalog_redirect *r = &target->redirects[i];
        if (came_through(r, portal) &&
            (!r->initiators || initiators_match(r->initiators, initiator, peer)))
            return r;
    }
    return NULL;
}
