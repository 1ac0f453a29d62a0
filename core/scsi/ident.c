/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT and SET IDENTIFYING INFORMATION; see ident.h. */
#include "scsi/ident.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "reactor/pool.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/state_file.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define MAGIC   0x48464944u
#define VERSION 1

enum { TYPE_INFO = 0x00, TYPE_TEXT = 0x02, TYPE_SUPPORTED = 0x7f };

static uint8_t type_of(const struct scsi_command *cmd)
{
    return cmd->cdb[10] >> 1;
}

static uint32_t check_sum(const struct ident_record *record)
{
    struct ident_record copy = *record;

    copy.crc = 0;
    return crc32c(CRC32C_START, &copy, sizeof(copy));
}

static bool is_whole(const struct ident_record *r)
{
    return r->magic == MAGIC && r->version == VERSION && r->crc == check_sum(r) &&
           r->info_bytes <= IDENT_INFO_MAX && r->text_bytes <= IDENT_TEXT_MAX;
}

/* ---- where it is ---- */

void scsi_ident_init(struct scsi_unit *unit, const struct scsi_unit_config *config)
{
    const struct scsi_services *services = unit->services;
    struct ident_record record;

    if (!services || !services->state_directory)
        return;
    unit->ident_path =
        state_file_path(services->state_directory, "identity", config->target_name, unit->lun);
    if (unit->home.keep.existed)
        return;
    int bytes = state_file_load(unit->ident_path, (uint8_t *)&record, sizeof(record));
    if (bytes == (int)sizeof(record) && is_whole(&record)) {
        unit->home.keep.rare->ident = record;
        atomic_store(&unit->home.keep.data->identified, 1);
    } else if (bytes != -ENOENT) {
        log_error("scsi", "identifying information cannot be read file=%s", unit->ident_path);
    }
}

void scsi_ident_deinit(struct scsi_unit *unit)
{
    g_free(unit->ident_path);
}

static void get(struct scsi_unit *unit, struct ident_record *ret_record)
{
    if (atomic_load(&unit->home.keep.data->identified))
        *ret_record = unit->home.keep.rare->ident;
    else
        memset(ret_record, 0, sizeof(*ret_record));
}

/* ---- REPORT ---- */

static int put(uint8_t *data, const uint8_t *from, uint16_t bytes)
{
    put_be16(data, 0);
    put_be16(data + 2, bytes);
    memcpy(data + 4, from, bytes);
    return 4 + bytes;
}

/* Types and what each may hold. */
static int put_supported(uint8_t *data)
{
    memset(data, 0, 12);
    put_be16(data + 2, 8);
    data[4] = TYPE_INFO << 1;
    put_be16(data + 6, IDENT_INFO_MAX);
    data[8] = TYPE_TEXT << 1;
    put_be16(data + 10, IDENT_TEXT_MAX);
    return 12;
}

int reply_identifying(struct scsi_command *cmd, uint8_t *data)
{
    struct ident_record record;

    if (atomic_load(&cmd->unit->ident_saving)) { /* it is being changed */
        cmd->status = SCSI_BUSY;
        return -1;
    }
    get(cmd->unit, &record);
    switch (type_of(cmd)) {
    case TYPE_INFO:
        return put(data, record.info, record.info_bytes);
    case TYPE_TEXT:
        return put(data, record.text, record.text_bytes);
    case TYPE_SUPPORTED:
        return put_supported(data);
    default:
        scsi_bad_cdb(cmd, 10, 7);
        return -1;
    }
}

/* ---- SET ---- */

struct saving {
    struct pool_job job;
    struct scsi_command *cmd;
    struct ident_record record;
    bool again;
    int result;
};

enum scsi_next start_set_identifying(struct scsi_command *cmd)
{
    uint32_t bytes = get_be32(cmd->cdb + 6);
    uint8_t type = type_of(cmd);

    if (type != TYPE_INFO && type != TYPE_TEXT) {
        scsi_bad_cdb(cmd, 10, 7);
        return SCSI_ENDED;
    }
    if (bytes > (type == TYPE_INFO ? IDENT_INFO_MAX : IDENT_TEXT_MAX)) {
        scsi_bad_cdb(cmd, 6, -1);
        return SCSI_ENDED;
    }
    if (!scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

/* Text ends with a NUL and is UTF-8 (SPC-4 6.44.3); false: status is set. */
static bool take_list(struct scsi_command *cmd, struct ident_record *record)
{
    uint16_t bytes = (uint16_t)cmd->data_out_bytes;

    if (type_of(cmd) == TYPE_INFO) {
        record->info_bytes = bytes;
        scsi_iov_get(cmd, 0, record->info, bytes);
        return true;
    }
    record->text_bytes = bytes;
    scsi_iov_get(cmd, 0, record->text, bytes);
    if (bytes == 0 || (record->text[bytes - 1] == '\0' &&
                       g_utf8_validate((const char *)record->text, bytes - 1, NULL)))
        return true;
    scsi_bad_list(cmd, (uint16_t)(bytes - 1), -1);
    return false;
}

static void save_run(struct pool_job *job)
{
    struct saving *s = container_of(job, struct saving, job);
    const char *path = s->cmd->unit->ident_path;
    bool empty = s->record.info_bytes == 0 && s->record.text_bytes == 0;

    if (path)
        s->result = empty ? state_file_remove(path) : state_file_prepare(path);
    if (path && !empty && s->result == 0)
        s->result = state_file_save(path, (const uint8_t *)&s->record, sizeof(s->record));
}

static void save_done(struct pool_job *job)
{
    struct saving *s = container_of(job, struct saving, job);
    struct scsi_command *cmd = s->cmd;
    struct scsi_unit *unit = cmd->unit;

    if (s->result < 0) {
        log_error("scsi", "identifying information cannot be saved file=%s error=\"%s\"",
                  unit->ident_path, g_strerror(-s->result));
        scsi_check_condition(cmd, SENSE_HARDWARE_ERROR, ASC_INTERNAL_FAILURE);
    } else {
        unit->home.keep.rare->ident = s->record;
        atomic_store(&unit->home.keep.data->identified, 1);
        scsi_once_tell(cmd, s->again, ASC_IDENTIFIER_CHANGED);
    }
    atomic_store(&unit->ident_saving, false);
    g_free(s);
    cmd->parked = false;
    scsi_finish(cmd);
}

static void busy(struct scsi_command *cmd)
{
    cmd->status = SCSI_BUSY;
    scsi_finish(cmd);
}

/* Saved first; the memory follows, so that a crash in between leaves it unanswered, to be done again. */
void execute_set_identifying(struct scsi_command *cmd)
{
    const struct scsi_services *services = cmd->unit->services;

    if (atomic_exchange(&cmd->unit->ident_saving, true)) {
        busy(cmd);
        return;
    }
    struct saving *s = g_try_new0(struct saving, 1);
    if (s)
        get(cmd->unit, &s->record);
    if (!s || !take_list(cmd, &s->record)) {
        atomic_store(&cmd->unit->ident_saving, false);
        if (s)
            scsi_finish(cmd);
        else
            busy(cmd);
        g_free(s);
        return;
    }
    s->record.magic = MAGIC;
    s->record.version = VERSION;
    s->record.crc = check_sum(&s->record);
    s->cmd = cmd;
    s->again = scsi_once_change(cmd);
    s->job = (struct pool_job){ .run = save_run, .done = save_done, .reactor = reactor_current() };
    cmd->parked = true; /* it ends by itself, and soon */
    if (services && services->pool) {
        pool_submit(services->pool, &s->job);
        return;
    }
    save_run(&s->job);
    save_done(&s->job);
}
