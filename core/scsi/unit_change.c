/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of the configuration under running sessions: holds, another backend, other masks, one unit in
 * place of another. All on the control thread; reactors see atomic words and pointers.
 */
#include "scsi/unit_change.h"

#include <glib.h>
#include <string.h>

#include "base/log.h"
#include "scsi/state_file.h"
#include "scsi/stopped.h"
#include "scsi/target.h"
#include "scsi/unit.h"

void scsi_unit_hold(struct scsi_unit *unit, struct scsi_target *target)
{
    atomic_fetch_or(&unit->not_ready, UNIT_HELD);
    atomic_fetch_add(&target->holds, 1);
}

void scsi_unit_release(struct scsi_unit *unit, struct scsi_target *target)
{
    atomic_fetch_and(&unit->not_ready, ~UNIT_HELD);
    atomic_fetch_sub(&target->holds, 1);
}

bool scsi_unit_alike(const struct scsi_unit *a, const struct backend_info *a_info,
                     const struct scsi_unit *b)
{
    const struct backend_info *b_info = &b->backend->info;

    return !strcmp(a->vendor, b->vendor) && !strcmp(a->product, b->product) &&
           !strcmp(a->revision, b->revision) && !strcmp(a->serial, b->serial) &&
           a->physical_exponent == b->physical_exponent && a->read_only == b->read_only &&
           a->removable == b->removable && a->thin == b->thin && a->compare_max == b->compare_max &&
           a->atomic_max == b->atomic_max && a->mode_changeable == b->mode_changeable &&
           a_info->optimal_io_bytes == b_info->optimal_io_bytes &&
           a_info->max_io_bytes == b_info->max_io_bytes &&
           a_info->unmap_granularity_bytes == b_info->unmap_granularity_bytes &&
           a_info->rotational == b_info->rotational;
}

void scsi_unit_set_backend(struct scsi_unit *unit, struct backend *backend)
{
    unit->backend = backend;
    for (unsigned i = 0; i < unit->lane_count; i++)
        unit->lanes[i].backend = backend;
}

char **scsi_unit_set_initiators(struct scsi_unit *unit, const char *const *initiators)
{
    return atomic_exchange(&unit->initiators, g_strdupv((char **)initiators));
}

/* A nexus has looked at the reservations of the unit before: it must look at these. */
void scsi_unit_take_over(struct scsi_unit *unit, const struct scsi_unit *before)
{
    struct pr_table *table = atomic_load(&unit->home.table),
                    *old = atomic_load(&before->home.table);
    uint32_t owner = atomic_load(&before->home.reserved_by);

    atomic_store(&unit->home.version, atomic_load(&before->home.version) + 1);
    if (table && old)
        table->serial = old->serial;
    atomic_store(&unit->home.reserved_by, owner);
    if (owner == HOME_RESTORED) {
        unit->home.restored = before->home.restored;
        unit->home.restored_until = before->home.restored_until;
    }
    atomic_store(&unit->prevents, atomic_load(&before->prevents));
}

static void remove_file(const char *path)
{
    int r = path ? state_file_remove(path) : 0;

    if (r < 0)
        log_error("scsi", "what is left of a disk cannot be removed file=%s error=\"%s\"", path,
                  g_strerror(-r));
}

void scsi_unit_forget(struct scsi_unit *unit)
{
    scsi_keep_forget(&unit->home.keep);
    remove_file(unit->home.path);
    remove_file(unit->sanitize.path);
    remove_file(unit->ident_path);
    scsi_stopped_forget(unit);
}
