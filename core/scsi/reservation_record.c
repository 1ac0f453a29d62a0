/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving and loading reservation tables; see reservation_record.h. */
#include "scsi/reservation_record.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "scsi/state_file.h"

/*
 *  0 magic 4 | version 4 | bytes of all 4 | CRC32C of all but these four bytes 4 |
 * 16 sequence 8 | generation 4 | holder + 1, 2 | registrations 2 | type 1 | APTPL 1 | by 6 |
 * 40 for each registration: key 8 | tag 2 | length of the name 2 | name
 */
#define MAGIC        0x48465052u /* "HFPR" */
#define VERSION      1
#define HEADER_BYTES 40u
#define CRC_AT       12u

static uint32_t check_sum(const uint8_t *record, size_t bytes)
{
    static const uint8_t nothing[4];
    uint32_t crc = crc32c(0, record, CRC_AT);
    crc = crc32c(crc, nothing, sizeof(nothing));
    return crc32c(crc, record + CRC_AT + 4, bytes - CRC_AT - 4);
}

size_t pr_record_write(const struct pr_table *table, uint8_t *to)
{
    size_t at = HEADER_BYTES;

    memset(to, 0, HEADER_BYTES);
    put_be32(to, MAGIC);
    put_be32(to + 4, VERSION);
    put_be64(to + 16, table->sequence);
    put_be32(to + 24, table->generation);
    put_be16(to + 28, (uint16_t)(table->holder + 1));
    put_be16(to + 30, (uint16_t)table->count);
    to[32] = table->type;
    to[33] = table->aptpl;
    put_be16(to + 34, (uint16_t)(table->by >> 32));
    put_be32(to + 36, (uint32_t)table->by);
    for (unsigned i = 0; i < table->count; i++) {
        const struct pr_registration *r = &table->registrations[i];
        size_t bytes = strlen(r->name.port);
        put_be64(to + at, r->key);
        put_be16(to + at + 8, r->name.tag);
        put_be16(to + at + 10, (uint16_t)bytes);
        memcpy(to + at + 12, r->name.port, bytes);
        at += 12 + bytes;
    }
    put_be32(to + 8, (uint32_t)at);
    put_be32(to + CRC_AT, check_sum(to, at));
    return at;
}

static bool read_registration(const uint8_t *from, size_t end, size_t *at, struct pr_registration *r)
{
    if (end - *at < 12)
        return false;
    size_t bytes = get_be16(from + *at + 10);
    if (bytes == 0 || bytes >= PR_PORT_MAX || end - *at - 12 < bytes)
        return false;
    r->key = get_be64(from + *at);
    r->name.tag = get_be16(from + *at + 8);
    memcpy(r->name.port, from + *at + 12, bytes);
    *at += 12 + bytes;
    return r->key != 0 && strlen(r->name.port) == bytes;
}

static bool consistent(const struct pr_table *t)
{
    if (t->type == PR_NONE || pr_all_registrants(t->type))
        return t->holder == -1 && (t->type == PR_NONE || t->count);
    return t->type <= PR_EXCLUSIVE_ACCESS_REGISTRANTS && t->holder >= 0 &&
           (unsigned)t->holder < t->count;
}

int pr_record_read(const uint8_t *from, size_t bytes, struct pr_table **ret_table)
{
    if (bytes < HEADER_BYTES || get_be32(from) != MAGIC)
        return -EBADMSG;
    size_t end = get_be32(from + 8), at = HEADER_BYTES;
    if (end < HEADER_BYTES || end > bytes || get_be32(from + CRC_AT) != check_sum(from, end))
        return -EBADMSG;
    if (get_be32(from + 4) != VERSION)
        return -ENOTSUP;
    unsigned count = get_be16(from + 30);
    if (count > PR_REGISTRATIONS_MAX)
        return -EBADMSG;

    struct pr_table *t = pr_table_new();
    t->sequence = get_be64(from + 16);
    t->generation = get_be32(from + 24);
    t->holder = (int)get_be16(from + 28) - 1;
    t->type = from[32];
    t->aptpl = from[33];
    t->by = (uint64_t)get_be16(from + 34) << 32 | get_be32(from + 36);
    t->registrations = g_new0(struct pr_registration, count);
    bool good = true;
    for (; good && t->count < count; t->count++)
        good = read_registration(from, end, &at, &t->registrations[t->count]);
    if (!good || at != end || !consistent(t)) {
        pr_table_free(t);
        return -EBADMSG;
    }
    *ret_table = t;
    return 0;
}

/* ---- its events ---- */

/*
 * 0 magic 4 | CRC32C of all behind it 4 | bytes of all 4 | serial of the table 4 | events 4 |
 * 20 for each event: serial 4 | asc 2 | tag 2 | length of the name 2 | name
 */
#define EVENTS_MAGIC  0x48465045u /* "HFPE" */
#define EVENTS_HEADER 20u

static size_t write_events(const struct pr_table *table, uint8_t *to)
{
    size_t at = EVENTS_HEADER;

    for (unsigned i = 0; i < table->event_count; i++) {
        const struct pr_event *e = &table->events[i];
        size_t bytes = strlen(e->name.port);
        put_be32(to + at, e->serial);
        put_be16(to + at + 4, e->asc);
        put_be16(to + at + 6, e->name.tag);
        put_be16(to + at + 8, (uint16_t)bytes);
        memcpy(to + at + 10, e->name.port, bytes);
        at += 10 + bytes;
    }
    put_be32(to, EVENTS_MAGIC);
    put_be32(to + 8, (uint32_t)at);
    put_be32(to + 12, table->serial);
    put_be32(to + 16, table->event_count);
    put_be32(to + 4, crc32c(0, to + 8, at - 8));
    return at;
}

static bool read_event(const uint8_t *from, size_t end, size_t *at, struct pr_event *e)
{
    if (end - *at < 10)
        return false;
    size_t bytes = get_be16(from + *at + 8);
    if (bytes == 0 || bytes >= PR_PORT_MAX || end - *at - 10 < bytes)
        return false;
    e->serial = get_be32(from + *at);
    e->asc = get_be16(from + *at + 4);
    e->name.tag = get_be16(from + *at + 6);
    memcpy(e->name.port, from + *at + 10, bytes);
    *at += 10 + bytes;
    return true;
}

static void read_events(const uint8_t *from, size_t bytes, struct pr_table *table)
{
    if (bytes < EVENTS_HEADER || get_be32(from) != EVENTS_MAGIC)
        return;
    size_t end = get_be32(from + 8), at = EVENTS_HEADER;
    unsigned count = get_be32(from + 16);
    if (end < EVENTS_HEADER || end > bytes || count > PR_EVENTS_MAX ||
        get_be32(from + 4) != crc32c(0, from + 8, end - 8))
        return;
    table->serial = get_be32(from + 12);
    table->events = g_new0(struct pr_event, count);
    while (table->event_count < count &&
           read_event(from, end, &at, &table->events[table->event_count]))
        table->event_count++;
}

size_t pr_whole_write(const struct pr_table *table, uint8_t *to)
{
    size_t bytes = pr_record_write(table, to);

    return bytes + write_events(table, to + bytes);
}

int pr_whole_read(const uint8_t *from, size_t bytes, struct pr_table **ret_table)
{
    int r = pr_record_read(from, bytes, ret_table);

    if (r == 0) {
        size_t end = get_be32(from + 8);
        read_events(from + end, bytes - end, *ret_table);
    }
    return r;
}

/* ---- the file ---- */

int pr_file_save(const char *path, const struct pr_table *table)
{
    g_autofree uint8_t *record = g_malloc(PR_WHOLE_BYTES_MAX);

    return state_file_save(path, record, pr_whole_write(table, record));
}

int pr_file_load(const char *path, struct pr_table **ret_table)
{
    g_autofree uint8_t *record = g_malloc(PR_WHOLE_BYTES_MAX);
    int bytes = state_file_load(path, record, PR_WHOLE_BYTES_MAX);

    return bytes < 0 ? bytes : pr_whole_read(record, (size_t)bytes, ret_table);
}
