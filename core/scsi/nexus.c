/* SPDX-License-Identifier: BSD-3-Clause */
/* I_T nexuses: which units they see, and keeping up with a new LUN map. */
#include "scsi/nexus.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "scsi/census.h"
#include "scsi/medium.h"
#include "scsi/nexus_internal.h"
#include "scsi/sense.h"

static _Atomic uint32_t next_id = 1;

static const struct scsi_lun_map *current_map(const struct scsi_nexus *nexus)
{
    return atomic_load_explicit(&nexus->target->map, memory_order_acquire);
}

/* The state kept for this unit under the map before, or NULL. */
static const struct scsi_nexus_unit *find_old(const struct scsi_nexus_unit *old, unsigned count,
                                              const struct scsi_unit *unit)
{
    for (unsigned i = 0; i < count; i++) {
        if (old[i].unit_id == unit->id)
            return &old[i];
    }
    return NULL;
}

/* Rebuilds nexus->units after the published map `top`; whether the set of visible LUNs differs from before. */
static bool look_again(struct scsi_nexus *nexus, const struct scsi_lun_map *top)
{
    const struct scsi_lun_map *map = scsi_lun_map_for(top, nexus->initiator_name, nexus->peer);
    struct scsi_nexus_unit old[SCSI_LUNS_MAX];
    unsigned old_count = nexus->unit_count, old_visible = 0, kept = 0, visible = 0;

    memcpy(old, nexus->units, old_count * sizeof(*old));
    for (unsigned i = 0; i < old_count; i++)
        old_visible += old[i].unit_id != 0;
    for (unsigned i = 0; i < map->count; i++) {
        const struct scsi_unit *unit = map->units[i];
        struct scsi_nexus_unit *state = &nexus->units[i];
        const struct scsi_nexus_unit *before = find_old(old, old_count, unit);

        if (before && scsi_unit_admits(unit, nexus->initiator_name, nexus->peer)) {
            kept += before->lun == map->luns[i];
            *state = *before;
            state->lun = map->luns[i];
            visible++;
            continue;
        }
        *state = (struct scsi_nexus_unit){ .lun = map->luns[i] };
        scsi_access_begin(nexus, map->units[i], state);
        if (scsi_unit_admits(unit, nexus->initiator_name, nexus->peer)) {
            state->unit_id = unit->id;
            state->attention_at =
                atomic_load_explicit(&unit->attentions->head, memory_order_acquire);
            visible++;
        }
    }
    nexus->unit_count = (uint16_t)map->count;
    nexus->map_generation = top->generation;
    nexus->map = map;
    return kept != old_visible || kept != visible;
}

static void set_flag(struct scsi_nexus *nexus, uint8_t flag)
{
    for (unsigned i = 0; i < nexus->unit_count; i++) {
        if (nexus->units[i].unit_id)
            nexus->units[i].flags |= flag;
    }
}

void scsi_nexus_luns_reported(struct scsi_nexus *nexus)
{
    for (unsigned i = 0; i < nexus->unit_count; i++)
        nexus->units[i].flags &= (uint8_t)~SCSI_NEXUS_LUNS_CHANGED;
}

/* Entries that are in use, visible or not: behind them is one of LUN 0, which can only be the first. */
static unsigned count_units(const struct scsi_nexus_unit *units)
{
    unsigned count = units[0].unit_id || units[1].lun ? 1 : 0;

    while (count && count < SCSI_LUNS_MAX && units[count].lun)
        count++;
    return count;
}

static void end_units(struct scsi_nexus *nexus)
{
    if (nexus->unit_count < SCSI_LUNS_MAX && nexus->units[nexus->unit_count].lun)
        nexus->units[nexus->unit_count] = (struct scsi_nexus_unit){ .lun = 0 };
}

const struct scsi_lun_map *scsi_nexus_map(struct scsi_nexus *nexus)
{
    const struct scsi_lun_map *top = current_map(nexus);

    if (__builtin_expect(top->generation != nexus->map_generation, 0)) {
        bool changed = look_again(nexus, top);
        end_units(nexus);
        if (changed)
            set_flag(nexus, SCSI_NEXUS_LUNS_CHANGED);
    }
    return nexus->map;
}

/* 0: a new one. One that an earlier process gave is not given again. */
static uint32_t give_id(uint32_t resumed)
{
    uint32_t id = resumed, next = atomic_load(&next_id);

    if (resumed) {
        while (next <= resumed && !atomic_compare_exchange_weak(&next_id, &next, resumed + 1))
            ;
        return resumed;
    }
    while (id == 0)
        id = atomic_fetch_add(&next_id, 1);
    return id;
}

/* What was pending for a unit is pending still. */
static void resume_unit(struct scsi_nexus *nexus, struct scsi_nexus_unit *state,
                        struct scsi_unit *unit, const struct scsi_nexus_unit *kept, unsigned count)
{
    uint32_t head = atomic_load(&unit->attentions->head);

    for (unsigned i = 0; i < count && state->unit_id; i++) {
        if (!kept[i].unit_id || kept[i].lun != state->lun)
            continue;
        state->flags = kept[i].flags;
        scsi_prevent_resume(unit, state, kept[i].prevents);
        if (head - kept[i].attention_at <= INT32_MAX) /* unless it is a new ring */
            state->attention_at = kept[i].attention_at;
        if ((int32_t)(state->serial - kept[i].serial) > 0) /* unless it is another table */
            state->serial = kept[i].serial;
        scsi_access_refresh(nexus, unit, state);
        return;
    }
}

/* Whether it sees other LUNs than an earlier process had shown it. */
static bool sees_others(const struct scsi_nexus_unit *now, unsigned now_count,
                        const struct scsi_nexus_unit *kept, unsigned kept_count)
{
    unsigned i = 0, k = 0;

    for (;;) {
        while (i < now_count && !now[i].unit_id)
            i++;
        while (k < kept_count && !kept[k].unit_id)
            k++;
        if (i == now_count || k == kept_count)
            return i != now_count || k != kept_count;
        if (now[i++].lun != kept[k++].lun)
            return true;
    }
}

/*
 * nexus->units are those of an earlier process. They are replaced at once: this one may die, too. What is
 * pending is there before what says that it has been seen (attention.c, access.c).
 */
static void resume(struct scsi_nexus *nexus, const struct scsi_lun_map *top)
{
    struct scsi_nexus_unit fresh[SCSI_LUNS_MAX], *kept = nexus->units;
    unsigned kept_count = count_units(kept);

    nexus->units = fresh;
    look_again(nexus, top);
    const struct scsi_lun_map *map = nexus->map;
    for (unsigned i = 0; i < map->count; i++)
        resume_unit(nexus, &fresh[i], map->units[i], kept, kept_count);
    if (sees_others(fresh, map->count, kept, kept_count))
        set_flag(nexus, SCSI_NEXUS_LUNS_CHANGED);
    for (unsigned i = 0; i < map->count && i < kept_count; i++)
        if (kept[i].lun == fresh[i].lun)
            kept[i].flags = fresh[i].flags;
    atomic_signal_fence(memory_order_release);
    memcpy(kept, fresh, map->count * sizeof(*kept));
    nexus->units = kept;
    end_units(nexus);
}

int scsi_nexus_create(const struct scsi_nexus_config *config, struct scsi_nexus **ret_nexus)
{
    struct scsi_nexus *nexus = g_try_new0(struct scsi_nexus, 1);
    if (!nexus)
        return -ENOMEM;
    nexus->units =
        config->units ? config->units : g_try_new0(struct scsi_nexus_unit, SCSI_LUNS_MAX);
    if (!nexus->units) {
        g_free(nexus);
        return -ENOMEM;
    }
    nexus->units_owned = !config->units;
    nexus->target = config->target;
    nexus->id = give_id(config->resumed_id);
    nexus->tag = config->tag;
    nexus->relative_port = scsi_target_port(config->target, config->tag);
    nexus->version_descriptor = config->version_descriptor ? config->version_descriptor : 0x0960;
    nexus->initiator_name = g_strdup(config->initiator_name);
    nexus->initiator_port = g_strdup(config->initiator_port);
    nexus->peer = g_strdup(config->peer);
    if (config->resumed_id)
        resume(nexus, current_map(nexus));
    else
        look_again(nexus, current_map(nexus));
    if (config->announce_reset)
        set_flag(nexus, SCSI_NEXUS_POWER_ON);
    scsi_census_add(nexus);
    *ret_nexus = nexus;
    return 0;
}

struct scsi_nexus *scsi_nexus_free(struct scsi_nexus *nexus)
{
    if (!nexus)
        return NULL;
    scsi_census_remove(nexus);
    g_free(nexus->initiator_name);
    g_free(nexus->initiator_port);
    g_free(nexus->peer);
    if (nexus->units_owned)
        g_free(nexus->units);
    g_free(nexus);
    return NULL;
}

static void let_go(struct scsi_unit *unit, void *data)
{
    struct scsi_nexus *nexus = data;

    if (!unit->services || !atomic_load_explicit(&unit->services->stopping, memory_order_relaxed))
        scsi_home_drop(unit, nexus->id);
    scsi_prevent_allow(unit, scsi_nexus_state(nexus, unit), false);
}

void scsi_nexus_gone(struct scsi_nexus *nexus)
{
    scsi_nexus_each_unit(nexus, let_go, nexus);
}

void scsi_nexus_lost(struct scsi_nexus *nexus)
{
    const struct scsi_lun_map *map = scsi_nexus_map(nexus);

    scsi_nexus_gone(nexus);
    for (unsigned i = 0; i < nexus->unit_count; i++) {
        struct scsi_nexus_unit *state = &nexus->units[i];
        if (!state->unit_id)
            continue;
        state->flags = SCSI_NEXUS_LOST;
        state->attention_at =
            atomic_load_explicit(&map->units[i]->attentions->head, memory_order_acquire);
    }
}

struct scsi_unit *scsi_nexus_unit_at(struct scsi_nexus *nexus, uint64_t wire_lun)
{
    const struct scsi_lun_map *map = scsi_nexus_map(nexus);
    int lun = scsi_lun_decode(wire_lun);
    int at = lun < 0 ? -1 : scsi_lun_map_find(map, (uint16_t)lun);

    return at >= 0 && nexus->units[at].unit_id ? map->units[at] : NULL;
}

bool scsi_nexus_held_slow(struct scsi_nexus *nexus, uint64_t wire_lun)
{
    const struct scsi_unit *unit = scsi_nexus_unit_at(nexus, wire_lun);

    return unit && atomic_load_explicit(&unit->not_ready, memory_order_acquire) & UNIT_HELD;
}

void scsi_nexus_each_unit(struct scsi_nexus *nexus,
                          void (*visit)(struct scsi_unit *unit, void *data), void *data)
{
    const struct scsi_lun_map *map = scsi_nexus_map(nexus);

    for (unsigned i = 0; i < nexus->unit_count; i++) {
        if (nexus->units[i].unit_id)
            visit(map->units[i], data);
    }
}
