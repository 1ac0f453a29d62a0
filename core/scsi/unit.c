/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a unit: its geometry from the backend, its identity from the configuration. */
#include "scsi/unit.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/initiators.h"
#include "scsi/alua.h"
#include "scsi/block_limits.h"
#include "scsi/ident.h"
#include "scsi/identity.h"
#include "scsi/medium.h"
#include "scsi/sense.h"
#include "scsi/unit_change.h"

static _Atomic uint32_t next_id = 1;

static int check_geometry(const struct backend_info *info)
{
    if (info->block_bytes != 512 && info->block_bytes != 4096)
        return -EINVAL;
    if (info->bytes == 0 || info->bytes % info->block_bytes)
        return -EINVAL;
    return 0;
}

static uint8_t physical_exponent(const struct backend_info *info)
{
    uint8_t exponent = 0;
    while (exponent < 15 &&
           ((uint64_t)info->block_bytes << (exponent + 1)) <= info->physical_block_bytes)
        exponent++;
    return exponent;
}

static uint32_t mode_changeable(const struct backend_info *info)
{
    uint32_t bits = SCSI_MODE_SWP | SCSI_MODE_D_SENSE;
    if (info->features & BACKEND_FEATURE_VOLATILE_CACHE)
        bits |= SCSI_MODE_WCE;
    return bits;
}

void scsi_unit_kept(struct scsi_unit *unit)
{
    struct keep_data *data = unit->home.keep.data;
    uint32_t mode = atomic_load(&unit->mode);

    atomic_store(&data->not_ready, atomic_load(&unit->not_ready));
    if (atomic_exchange(&data->mode, mode) != mode)
        scsi_unit_kept_changed(unit);
}

void scsi_unit_kept_changed(const struct scsi_unit *unit)
{
    if (unit->services && unit->services->kept_changed)
        unit->services->kept_changed(unit->services->user);
}

/* Nothing of it has changed by a worker's death. */
static void take_kept(struct scsi_unit *unit)
{
    struct keep_data *data = unit->home.keep.data;

    if (unit->home.keep.existed) {
        uint32_t changed = atomic_load(&data->mode) & unit->mode_changeable;
        atomic_init(&unit->mode, (unit->mode_default & ~unit->mode_changeable) | changed);
        atomic_init(&unit->not_ready, atomic_load(&data->not_ready) &
                                          (unit->removable ? UNIT_EJECTED : UNIT_STOPPED));
        atomic_init(&unit->atomic_used, atomic_load(&data->atomic_used) != 0);
    }
    scsi_prevent_kept(unit);
    scsi_unit_kept(unit);
}

void scsi_unit_storage_kept(struct scsi_unit *unit)
{
    scsi_keep_set_storage(unit->home.keep.data, &unit->backend->info);
    atomic_store(&unit->home.keep.data->absent, KEEP_THERE);
}

void scsi_unit_forgive(struct scsi_unit *unit)
{
    atomic_store(&unit->home.keep.data->crashes, 0);
}

void scsi_unit_set_absent(struct scsi_unit *unit, enum keep_absent why)
{
    atomic_store(&unit->home.keep.data->absent, why);
}

int scsi_unit_create(const struct scsi_unit_config *config, struct backend *backend,
                     struct scsi_unit **ret_unit)
{
    const struct backend_info *info = &backend->info;
    int r = check_geometry(info);
    if (r)
        return r;
    if (config->lun >= SCSI_LUN_LIMIT || config->lanes == 0 ||
        (config->lanes > 1 && !config->services))
        return -EINVAL;
    if (!(config->naa_bytes == 0 || config->naa_bytes == 8 || config->naa_bytes == 16) ||
        !(config->eui_bytes == 0 || config->eui_bytes == 8 || config->eui_bytes == 12 ||
          config->eui_bytes == 16))
        return -EINVAL;

    struct scsi_unit *unit = g_new0(struct scsi_unit, 1);
    unit->backend = backend;
    unit->id = config->replaces ? config->replaces->id : atomic_fetch_add(&next_id, 1);
    unit->lun = config->lun;
    unit->block_shift = info->block_bytes == 512 ? 9 : 12;
    unit->physical_exponent = physical_exponent(info);
    unit->read_only = config->read_only || (info->features & BACKEND_FEATURE_READ_ONLY);
    /* Thin is promised only with zeroes after an unmap: then every way to unmap reads the same. */
    unit->thin = (info->features & BACKEND_FEATURE_UNMAP) &&
                 (info->features & BACKEND_FEATURE_ZEROES_UNMAPPED);
    unit->removable = config->removable;
    unit->compare_max = config->compare_max ? config->compare_max : 255;
    /* Memory knows no half-written state that an initiator could meet: what a crash of the process
       interrupts was not answered and is written again. Other storage makes no such promise. */
    unit->atomic_max =
        config->has_store || info->store_arena ? ATOMIC_BYTES_MAX >> unit->block_shift : 0;
    unit->mode_changeable = mode_changeable(info);
    unit->mode_default = info->features & BACKEND_FEATURE_VOLATILE_CACHE ? SCSI_MODE_WCE : 0;
    unit->target_name = g_strdup(config->target_name);
    atomic_init(&unit->initiators, g_strdupv((char **)config->initiators));
    identity_fill(unit, config);
    atomic_init(&unit->blocks, info->bytes >> unit->block_shift);
    atomic_init(&unit->mode, unit->mode_default);
    atomic_init(&unit->not_ready, 0);
    atomic_init(&unit->prevents, 0);

    scsi_ranges_init(&unit->ranges);
    unit->services = config->services;

    unit->lane_count = config->lanes;
    unit->lanes = aligned_alloc(64, sizeof(struct scsi_lane) * config->lanes);
    if (!unit->lanes) {
        scsi_unit_free(unit);
        return -ENOMEM;
    }
    memset(unit->lanes, 0, sizeof(struct scsi_lane) * config->lanes);
    for (unsigned i = 0; i < config->lanes; i++) {
        list_init(&unit->lanes[i].commands);
        list_init(&unit->lanes[i].drains);
        list_init(&unit->lanes[i].range_visitors);
        unit->lanes[i].backend = backend;
    }
    r = scsi_home_init(unit, config);
    if (r == 0)
        r = scsi_counters_create(unit);
    if (r == 0) {
        take_kept(unit);
        scsi_alua_init(unit, config);
        scsi_ident_init(unit, config);
        scsi_sanitize_init(unit, config);
        scsi_space_init(unit);
        if (config->replaces)
            scsi_unit_take_over(unit, config->replaces);
    }
    if (r < 0) {
        scsi_unit_free(unit);
        return r;
    }
    *ret_unit = unit;
    return 0;
}

struct scsi_unit *scsi_unit_free(struct scsi_unit *unit)
{
    if (!unit)
        return NULL;
    scsi_sanitize_deinit(unit);
    scsi_ident_deinit(unit);
    scsi_home_deinit(unit);
    free(unit->lanes);
    free(unit->counters_memory);
    g_strfreev(atomic_load(&unit->initiators));
    g_free(unit->target_name);
    g_free(unit);
    return NULL;
}

bool scsi_unit_admits(const struct scsi_unit *unit, const char *initiator, const char *peer)
{
    char **initiators = atomic_load_explicit(&unit->initiators, memory_order_acquire);

    return !initiators || initiators_match((const char *const *)initiators, initiator, peer);
}

void scsi_unit_changed(struct scsi_unit *unit, enum scsi_unit_change what)
{
    uint16_t asc = ASC_INQUIRY_CHANGED;

    if (what == SCSI_UNIT_CAPACITY) {
        asc = ASC_CAPACITY_CHANGED;
        atomic_store_explicit(&unit->blocks, unit->backend->info.bytes >> unit->block_shift,
                              memory_order_release);
        scsi_keep_set_storage(unit->home.keep.data, &unit->backend->info);
    }
    scsi_unit_attention(unit, NULL, (uint8_t)(asc >> 8), (uint8_t)asc);
}

static void reset(struct scsi_unit *unit)
{
    atomic_store(&unit->mode, unit->mode_default);
    atomic_fetch_and(&unit->not_ready, ~UNIT_STOPPED); /* an ejected medium stays where it is */
    scsi_prevent_nobody(unit);
    scsi_unit_kept(unit);
    scsi_home_drop(unit, 0);
}

static uint16_t asc_of(bool target_reset)
{
    return target_reset ? ASC_BUS_RESET : ASC_DEVICE_RESET;
}

void scsi_unit_reset(struct scsi_unit *unit, bool target_reset)
{
    uint16_t asc = asc_of(target_reset);

    reset(unit);
    scsi_unit_attention(unit, NULL, (uint8_t)(asc >> 8), (uint8_t)asc);
}

void scsi_unit_reset_again(struct scsi_unit *unit, bool target_reset, uint32_t since)
{
    if (scsi_attention_raised(unit, since, asc_of(target_reset), 0))
        return; /* it was the last step */
    scsi_unit_reset(unit, target_reset);
}
