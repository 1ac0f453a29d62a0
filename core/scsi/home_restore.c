/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a unit finds when it is opened. After the death of a worker the keep memory has everything, after an
 * orderly stop it is filled from a file (stopped.h), after a power loss a file has what APTPL asked for. A crash may lie between the writing of the
 * two: the one with the higher sequence counts, and the file is made to agree with it.
 */
#include <errno.h>
#include <glib.h>

#include "base/clock.h"
#include "base/log.h"
#include "scsi/home.h"
#include "scsi/state_file.h"
#include "scsi/stopped.h"
#include "scsi/unit.h"

#define RESTORED_NS (60 * NS_PER_S)

static void find_place(struct scsi_unit *unit, const char *target)
{
    static _Atomic bool said;
    struct scsi_home *home = &unit->home;
    const struct scsi_services *services = unit->services;

    if (!services || !services->state_directory)
        return;
    home->path = state_file_path(services->state_directory, "reservations", target, unit->lun);
    int r = state_file_prepare(home->path);
    home->can_persist = r == 0;
    if (r < 0 && !atomic_exchange(&said, true))
        log_notice("scsi", "reservations cannot outlive a power loss directory=%s error=\"%s\"",
                   services->state_directory, g_strerror(-r));
}

static struct pr_table *load_file(const struct scsi_home *home)
{
    struct pr_table *table = NULL;

    if (!home->path)
        return NULL;
    int r = pr_file_load(home->path, &table);
    if (r < 0 && r != -ENOENT)
        log_error("scsi", "saved reservations cannot be read file=%s error=\"%s\"", home->path,
                  g_strerror(-r));
    return table;
}

static struct pr_table *newer(struct pr_table *kept, struct pr_table *saved)
{
    if (kept && saved && (int64_t)(saved->sequence - kept->sequence) > 0)
        return saved;
    return kept ? kept : saved;
}

static void make_file_agree(const struct scsi_home *home, const struct pr_table *table,
                            const struct pr_table *saved)
{
    int r = 0;

    if (!home->can_persist)
        return;
    if (table && table->aptpl && (!saved || saved->sequence != table->sequence))
        r = pr_file_save(home->path, table);
    else if (saved && (!table || !table->aptpl))
        r = state_file_remove(home->path);
    if (r < 0)
        log_error("scsi", "a reservation cannot be saved file=%s error=\"%s\"", home->path,
                  g_strerror(-r));
}

static void restore_table(struct scsi_home *home)
{
    struct pr_table *kept = home->keep.existed ? scsi_keep_get_table(&home->keep) : NULL;
    struct pr_table *saved = load_file(home), *table;

    if (saved && !home->keep.existed)
        saved->generation = 0; /* power on (SPC-4 6.15.2) */
    table = newer(kept, saved);
    make_file_agree(home, table, saved);
    if (table) {
        if (table->serial == 0)
            table->serial = 1; /* of a worker that kept no events */
        scsi_keep_table(&home->keep, table);
    }
    if (table != kept)
        pr_table_free(kept);
    if (table != saved)
        pr_table_free(saved);
    atomic_init(&home->table, table);
}

static void restore_owner(struct scsi_home *home)
{
    if (!home->keep.existed || !scsi_keep_get_owner(&home->keep, &home->restored))
        return;
    atomic_init(&home->reserved_by, HOME_RESTORED);
    home->restored_until = clock_now_ns() + RESTORED_NS;
}

int scsi_home_init(struct scsi_unit *unit, const struct scsi_unit_config *config)
{
    struct scsi_home *home = &unit->home;

    list_init(&home->queue);
    atomic_init(&home->version, 1);
    int r = 0;
    if (config->replaces)
        scsi_keep_move(&home->keep, &config->replaces->home.keep);
    else
        r = scsi_keep_open(&home->keep, unit->services ? unit->services->area : NULL,
                           config->target_name, unit->lun);
    if (r < 0)
        return r;
    if (!home->keep.existed && unit->services)
        home->keep.existed = scsi_stopped_load(unit->services->state_directory, config->target_name,
                                               unit->lun, &home->keep);
    if (home->keep.existed)
        scsi_unit_kept_changed(unit); /* the file that was read is gone, or as old as its writer */
    unit->attentions = &home->keep.data->attentions;
    if (home->keep.existed && !config->replaces)
        scsi_attentions_resume(unit->attentions);
    find_place(unit, config->target_name);
    restore_table(home);
    restore_owner(home);
    return 0;
}

void scsi_home_deinit(struct scsi_unit *unit)
{
    pr_table_free(atomic_load(&unit->home.table));
    scsi_keep_close(&unit->home.keep);
    g_free(unit->home.path);
}
