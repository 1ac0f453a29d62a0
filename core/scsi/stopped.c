/* SPDX-License-Identifier: BSD-3-Clause */
/* See stopped.h. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "scsi/state_file.h"
#include "scsi/stopped.h"
#include "scsi/unit.h"

/*
 *  0 magic 4 | version 4 | bytes of all 4 | CRC32C of all behind it 4 | boot id 36 |
 * 52 mode 4 | owner: tag 2, length of the name 2, name | table, as in reservation_record.h, or nothing
 */
#define MAGIC        0x48465354u /* "HFST" */
#define VERSION      1
#define BOOT_AT      16u
#define BOOT_BYTES   36u
#define MODE_AT      52u
#define HEADER_BYTES 60u
#define BYTES_MAX    (HEADER_BYTES + PR_PORT_MAX + PR_RECORD_BYTES_MAX)

static bool boot_id(uint8_t to[static BOOT_BYTES])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    bool got = fd >= 0 && read(fd, to, BOOT_BYTES) == BOOT_BYTES;

    if (fd >= 0)
        close(fd);
    return got;
}

static char *path_of(const char *state_directory, const char *target, unsigned lun)
{
    return state_file_path(state_directory, "stopped", target, lun);
}

/* 0: there is nothing that the next start would not find by itself. */
static size_t compose(const struct scsi_unit *unit, uint8_t *to)
{
    const struct scsi_keep *keep = &unit->home.keep;
    struct pr_name owner = { 0 };
    bool owned = scsi_keep_get_owner(keep, &owner);
    size_t at = HEADER_BYTES, name = owned ? strlen(owner.port) : 0;
    uint32_t mode = atomic_load(&unit->mode);
    struct pr_table *table = scsi_keep_get_table(keep);

    if (!owned && mode == unit->mode_default && (!table || !table->count)) {
        pr_table_free(table);
        return 0;
    }
    memset(to, 0, HEADER_BYTES);
    put_be32(to, MAGIC);
    put_be32(to + 4, VERSION);
    put_be32(to + MODE_AT, mode);
    put_be16(to + MODE_AT + 4, owner.tag);
    put_be16(to + MODE_AT + 6, (uint16_t)name);
    memcpy(to + at, owner.port, name);
    at += name;
    if (table)
        at += pr_record_write(table, to + at);
    pr_table_free(table);
    put_be32(to + 8, (uint32_t)at);
    if (!boot_id(to + BOOT_AT))
        return 0;
    put_be32(to + 12, crc32c(0, to + BOOT_AT, at - BOOT_AT));
    return at;
}

void scsi_stopped_save(const struct scsi_unit *unit)
{
    const struct scsi_services *services = unit->services;
    g_autofree uint8_t *record = g_malloc(BYTES_MAX);
    size_t bytes = services && services->state_directory ? compose(unit, record) : 0;

    if (!bytes)
        return;
    g_autofree char *path = path_of(services->state_directory, unit->target_name, unit->lun);
    int r = state_file_prepare(path);
    if (r == 0)
        r = state_file_save(path, record, bytes);
    if (r < 0)
        log_error("scsi", "what initiators have set up is not kept file=%s error=\"%s\"", path,
                  g_strerror(-r));
}

static bool is_sound(const uint8_t *record, size_t bytes)
{
    uint8_t now[BOOT_BYTES];

    return bytes >= HEADER_BYTES && get_be32(record) == MAGIC && get_be32(record + 4) == VERSION &&
           get_be32(record + 8) == bytes &&
           get_be32(record + 12) == crc32c(0, record + BOOT_AT, bytes - BOOT_AT) && boot_id(now) &&
           memcmp(now, record + BOOT_AT, BOOT_BYTES) == 0 &&
           get_be16(record + MODE_AT + 6) < PR_PORT_MAX &&
           HEADER_BYTES + get_be16(record + MODE_AT + 6) <= bytes;
}

static void take(const uint8_t *record, size_t bytes, struct scsi_keep *keep)
{
    size_t name = get_be16(record + MODE_AT + 6), at = HEADER_BYTES + name;
    struct pr_name owner = { .tag = get_be16(record + MODE_AT + 4) };
    struct pr_table *table = NULL;
    bool read;

    atomic_store(&keep->data->mode, get_be32(record + MODE_AT));
    memcpy(owner.port, record + HEADER_BYTES, name);
    if (name)
        scsi_keep_owner(keep, &owner);
    read = bytes > at && pr_record_read(record + at, bytes - at, &table) == 0;
    if (read) {
        table->by = 0; /* the numbers of commands begin anew */
        scsi_keep_table(keep, table);
        pr_table_free(table);
    }
}

bool scsi_stopped_load(const char *state_directory, const char *target, unsigned lun,
                       struct scsi_keep *keep)
{
    if (!state_directory)
        return false;
    g_autofree char *path = path_of(state_directory, target, lun);
    g_autofree uint8_t *record = g_malloc(BYTES_MAX);
    int bytes = state_file_load(path, record, BYTES_MAX);
    if (bytes < 0)
        return false;
    bool sound = is_sound(record, (size_t)bytes);
    int r = state_file_remove(path); /* before it is used: never twice */
    if (r < 0)
        log_error("scsi", "not taken over, it cannot be taken away file=%s error=\"%s\"", path,
                  g_strerror(-r));
    if (!sound || r < 0)
        return false;
    take(record, (size_t)bytes, keep);
    log_info("scsi", "goes on with what initiators have set up before the stop target=%s lun=%u",
             target, lun);
    return true;
}

/* ---- while the worker runs ---- */

uint64_t scsi_stopped_version(const struct scsi_unit *unit)
{
    struct keep_data *data = unit->home.keep.data;

    return (uint64_t)atomic_load(&data->table_at) << 32 ^
           (uint64_t)atomic_load(&data->owner.sequence) << 8 ^ atomic_load(&data->mode);
}

bool scsi_stopped_is_empty(const struct scsi_unit *unit)
{
    struct keep_data *data = unit->home.keep.data;

    return atomic_load(&data->table_at) == 0 && atomic_load(&data->owner.sequence) == 0 &&
           atomic_load(&data->mode) == unit->mode_default;
}

void scsi_stopped_forget(const struct scsi_unit *unit)
{
    if (!unit->services || !unit->services->state_directory)
        return;
    g_autofree char *path = path_of(unit->services->state_directory, unit->target_name, unit->lun);
    state_file_remove(path);
}

static void copy_run(struct reactor_message *message)
{
    struct scsi_stopped_copy *copy = container_of(message, struct scsi_stopped_copy, message);

    copy->version = scsi_stopped_version(copy->unit);
    copy->bytes = compose(copy->unit, copy->record);
    copy->done(copy);
}

void scsi_stopped_copy(struct scsi_stopped_copy *copy, const struct scsi_unit *unit)
{
    copy->unit = unit;
    copy->path = path_of(unit->services->state_directory, unit->target_name, unit->lun);
    copy->record = g_malloc(BYTES_MAX);
    copy->message.run = copy_run;
    reactor_post(scsi_unit_reactor(unit, 0), &copy->message);
}

int scsi_stopped_copy_end(struct scsi_stopped_copy *copy, bool write)
{
    int r = 0;

    if (write && copy->bytes)
        r = state_file_prepare(copy->path);
    if (write && r == 0)
        r = copy->bytes ? state_file_save_quick(copy->path, copy->record, copy->bytes)
                        : state_file_remove(copy->path);
    g_clear_pointer(&copy->path, g_free);
    g_clear_pointer(&copy->record, g_free);
    return r;
}
