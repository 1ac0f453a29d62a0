/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes of the configuration under running sessions: pauses, another backend, other masks, one unit in
 * place of another. All on the control thread; reactors see atomic words and pointers.
 */
#include "scsi/unit_change.h"

#include <glib.h>

#include "base/log.h"
#include "scsi/state_file.h"
#include "scsi/unit.h"

void scsi_unit_pause(struct scsi_unit *unit)
{
    atomic_fetch_or(&unit->not_ready, UNIT_PAUSED);
}

void scsi_unit_resume(struct scsi_unit *unit)
{
    atomic_fetch_and(&unit->not_ready, ~UNIT_PAUSED);
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
}
