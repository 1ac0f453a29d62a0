/* SPDX-License-Identifier: BSD-3-Clause */
/* SANITIZE remembers: saving, and what a worker finds that begins after another, or after a power loss. */
#include <errno.h>
#include <glib.h>
#include <semaphore.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "reactor/pool.h"
#include "scsi/sanitize_save.h"
#include "scsi/state_file.h"

#define MAGIC   0x4846535au
#define VERSION 1

/* ---- records ---- */

static uint32_t check_sum(const struct sanitize_record *record)
{
    struct sanitize_record copy = *record;

    copy.crc = 0;
    return crc32c(CRC32C_START, &copy, sizeof(copy));
}

static void seal(struct sanitize_record *record)
{
    record->magic = MAGIC;
    record->version = VERSION;
    record->crc = check_sum(record);
}

static bool is_whole(const struct sanitize_record *record)
{
    bool overwrite = record->action == SANITIZE_OVERWRITE;

    return record->magic == MAGIC && record->version == VERSION &&
           record->crc == check_sum(record) && record->action >= SANITIZE_OVERWRITE &&
           record->action <= SANITIZE_CRYPTO_ERASE && record->count < 32 &&
           (!overwrite || (record->count && record->pattern_bytes &&
                           record->pattern_bytes <= sizeof(record->pattern)));
}

/* ---- saving ---- */

struct saving {
    struct pool_job job;
    struct scsi_unit *unit;
    struct sanitize_record record;
    int result;
    void (*then)(struct scsi_unit *unit, int result);
};

static void save_run(struct pool_job *job)
{
    struct saving *s = container_of(job, struct saving, job);
    const char *path = s->unit->sanitize.path;

    s->result = s->record.action
                    ? state_file_save(path, (const uint8_t *)&s->record, sizeof(s->record))
                    : state_file_remove(path);
}

static void save_done(struct pool_job *job)
{
    struct saving *s = container_of(job, struct saving, job);
    struct scsi_unit *unit = s->unit;
    void (*then)(struct scsi_unit *, int) = s->then;
    int result = s->result;

    if (result < 0)
        log_error("scsi", "the state of a sanitize cannot be saved file=%s error=\"%s\"",
                  unit->sanitize.path, g_strerror(-result));
    g_free(s);
    then(unit, result);
}

void sanitize_save(struct scsi_unit *unit, void (*then)(struct scsi_unit *unit, int result))
{
    const struct scsi_services *services = unit->services;

    if (unit->sanitize.record)
        seal(unit->sanitize.record);
    scsi_keep_sanitize(&unit->home.keep, unit->sanitize.record);
    if (!unit->sanitize.path) {
        then(unit, 0);
        return;
    }
    struct saving *s = g_new0(struct saving, 1);
    s->unit = unit;
    if (unit->sanitize.record)
        s->record = *unit->sanitize.record;
    s->then = then;
    s->job = (struct pool_job){ .run = save_run, .done = save_done };
    s->job.reactor = scsi_unit_reactor(unit, 0);
    if (services->pool) {
        pool_submit(services->pool, &s->job);
        return;
    }
    save_run(&s->job);
    save_done(&s->job);
}

/* ---- what was left ---- */

/*
 * By a worker that died, then also how far it was; or in the file. The keep memory is written before
 * the file at the beginning and at the end, and commands are let in after both: so an unfinished
 * record counts wherever it is, but for a file that is left over when the memory says it is done.
 */
static bool find_unfinished(struct scsi_unit *unit, uint64_t *ret_done)
{
    struct scsi_keep *keep = &unit->home.keep;
    struct sanitize_record record;

    *ret_done = 0;
    if (keep->existed) {
        bool there = scsi_keep_get_sanitize(keep, &record);
        if (there && is_whole(&record)) {
            *ret_done = atomic_load(&keep->data->sanitized);
            unit->sanitize.record = g_memdup2(&record, sizeof(record));
            return true;
        }
        if (!there && (!unit->sanitize.path || state_file_remove(unit->sanitize.path) == 0))
            return false;
    }
    int bytes = unit->sanitize.path
                    ? state_file_load(unit->sanitize.path, (uint8_t *)&record, sizeof(record))
                    : -ENOENT;
    if (bytes == (int)sizeof(record) && is_whole(&record)) {
        scsi_keep_sanitize(keep, &record);
        unit->sanitize.record = g_memdup2(&record, sizeof(record));
        return true;
    }
    if (bytes != -ENOENT)
        log_error("scsi", "the state of a sanitize cannot be read file=%s", unit->sanitize.path);
    return false;
}

struct resume {
    struct reactor_message message;
    struct scsi_unit *unit;
    uint64_t done;
};

static void resume_run(struct reactor_message *message)
{
    struct resume *r = container_of(message, struct resume, message);

    log_notice("scsi", "sanitize goes on target=%s lun=%u", r->unit->target_name, r->unit->lun);
    sanitize_begin(r->unit, r->done);
    g_free(r);
}

static void find_place(struct scsi_unit *unit, const char *target)
{
    const struct scsi_services *services = unit->services;

    if (!services || !services->state_directory)
        return;
    unit->sanitize.path =
        state_file_path(services->state_directory, "sanitize", target, unit->lun);
    if (state_file_prepare(unit->sanitize.path) < 0) {
        g_free(unit->sanitize.path);
        unit->sanitize.path = NULL;
    }
}

void scsi_sanitize_init(struct scsi_unit *unit, const struct scsi_unit_config *config)
{
    uint64_t done = 0;

    unit->sanitize.rate = config->sanitize_rate;
    find_place(unit, config->target_name);
    if (!find_unfinished(unit, &done) || unit->read_only)
        return;
    atomic_store(&unit->sanitize.exit_allowed, unit->sanitize.record->exit_allowed);
    if (unit->sanitize.record->failed) {
        atomic_fetch_or(&unit->not_ready, UNIT_SANITIZE_FAILED);
        return;
    }
    sanitize_keep_out(unit);
    struct resume *r = g_new0(struct resume, 1);
    r->unit = unit;
    r->done = done;
    r->message.run = resume_run;
    reactor_post(scsi_unit_reactor(unit, 0), &r->message);
}

void scsi_sanitize_deinit(struct scsi_unit *unit)
{
    g_free(unit->sanitize.job); /* stopped */
    g_free(unit->sanitize.asked);
    g_free(unit->sanitize.record);
    g_free(unit->sanitize.path);
}

struct quiesce {
    struct reactor_message message;
    struct scsi_unit *unit;
    sem_t done;
};

static void quiesce_run(struct reactor_message *message)
{
    struct quiesce *q = container_of(message, struct quiesce, message);

    sanitize_stop(q->unit);
    scsi_settle_stop(q->unit, &q->done);
}

void scsi_unit_quiesce(struct scsi_unit *unit)
{
    struct quiesce q = { .message.run = quiesce_run, .unit = unit };

    if (!unit->services) {
        sanitize_stop(unit);
        return;
    }
    sem_init(&q.done, 0, 0);
    reactor_post(scsi_unit_reactor(unit, 0), &q.message);
    while (sem_wait(&q.done) < 0)
        ;
    sem_destroy(&q.done);
}
