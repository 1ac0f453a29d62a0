/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LOG SENSE and LOG SELECT (SPC-4 6.8, 6.7; pages: SPC-4 7.3, SBC-3 6.4). A table of builders that
 * write parameters. Nothing can be set or saved; what is counted goes on counting.
 */
#include <string.h>

#include "scsi/block_limits.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define CALLS_MAX 4096u /* of the backend, for one look at what is mapped */
#define BINARY    0x03u /* FORMAT AND LINKING: a list that is not a counter */

/* work[]: */
enum { MAPPED, CALLS, ASKED, CUT };

struct page {
    uint8_t code;
    uint8_t flags; /* OP_THIN: only of a thin unit */
    int (*build)(const struct scsi_command *cmd, uint8_t *data);
};

/* The head of a parameter and room for its value, zeroed; returns the value's place. */
static uint8_t *parameter(uint8_t **at, uint16_t code, uint8_t control, uint8_t bytes)
{
    uint8_t *value = *at + 4;

    memset(*at, 0, 4u + bytes);
    put_be16(*at, code);
    (*at)[2] = control;
    (*at)[3] = bytes;
    *at = value + bytes;
    return value;
}

#define SCOPE_DEDICATED 0x01u /* of this unit alone */
#define SCOPE_SHARED    0x02u

static void resource(uint8_t **at, uint16_t code, uint64_t sets, uint8_t scope)
{
    uint8_t *value = parameter(at, code, BINARY, 8);

    put_be32(value, sets > UINT32_MAX ? UINT32_MAX : (uint32_t)sets);
    value[4] = scope;
}

/*
 * Threshold sets (SBC-3 6.4.4): what the storage has left, when it says so, and those that hold a mapped
 * block. Where there were too many extents to look at, what the storage says of itself is nearer.
 */
static int provisioning(const struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_unit *unit = cmd->unit;
    uint8_t *at = data;
    uint64_t set = 1ull << (scsi_threshold_exponent(unit) + unit->block_shift);
    uint64_t used = cmd->work[MAPPED], told = atomic_load(&unit->fill.used);
    uint64_t available = atomic_load(&unit->fill.available);

    if (cmd->work[CUT] && told != SCSI_SPACE_UNKNOWN)
        used = told;
    if (available != SCSI_SPACE_UNKNOWN)
        resource(&at, 0x0001, available / set,
                 atomic_load(&unit->fill.shared) ? SCOPE_SHARED : SCOPE_DEDICATED);
    resource(&at, 0x0002, used / set + (used % set != 0), SCOPE_DEDICATED);
    return (int)(at - data);
}

static int temperature(const struct scsi_command *cmd, uint8_t *data)
{
    uint8_t *at = data;

    parameter(&at, 0x0000, BINARY, 2)[1] = 0xff; /* not known */
    parameter(&at, 0x0001, BINARY, 2)[1] = 0xff;
    return (int)(at - data);
}

static int start_stop_cycles(const struct scsi_command *cmd, uint8_t *data)
{
    uint8_t *at = data;

    memset(parameter(&at, 0x0001, BINARY, 6), ' ', 6);       /* made: nowhere */
    put_be32(parameter(&at, 0x0003, BINARY, 4), UINT32_MAX); /* it bears any number */
    put_be32(parameter(&at, 0x0004, BINARY, 4), atomic_load(&cmd->unit->home.keep.data->starts));
    return (int)(at - data);
}

/* SPC-4 7.3.9. Intervals are microseconds, which parameter 0003h says. */
static int statistics(const struct scsi_command *cmd, uint8_t *data)
{
    uint8_t *at = data, *value = parameter(&at, 0x0001, BINARY, 0x40);
    struct scsi_counters c;

    scsi_unit_counters(cmd->unit, &c);
    const struct scsi_way_counters *read = &c.way[SCSI_COUNT_READ];
    const struct scsi_way_counters *write = &c.way[SCSI_COUNT_WRITE];
    put_be64(value, histogram_count(&read->latency));
    put_be64(value + 8, histogram_count(&write->latency));
    put_be64(value + 16, write->bytes >> cmd->unit->block_shift); /* received */
    put_be64(value + 24, read->bytes >> cmd->unit->block_shift);
    put_be64(value + 32, read->latency.sum_ns / 1000);
    put_be64(value + 40, write->latency.sum_ns / 1000);
    value = parameter(&at, 0x0003, BINARY, 8);
    put_be32(value, 6);
    put_be32(value + 4, 1);
    return (int)(at - data);
}

static int exceptions(const struct scsi_command *cmd, uint8_t *data)
{
    uint8_t *at = data;

    parameter(&at, 0x0000, BINARY, 4)[2] = 0xff; /* none, and no temperature */
    return (int)(at - data);
}

static int supported(const struct scsi_command *cmd, uint8_t *data);

static const struct page pages[] = {
    { 0x00, 0, supported },         { 0x0c, OP_THIN, provisioning }, { 0x0d, 0, temperature },
    { 0x0e, 0, start_stop_cycles }, { 0x19, 0, statistics },         { 0x2f, 0, exceptions },
};

#define PAGE_COUNT (sizeof(pages) / sizeof(pages[0]))

static bool has(const struct scsi_unit *unit, const struct page *page)
{
    return !(page->flags & OP_THIN) || unit->thin;
}

/* Page 00h, or with subpage FFh every page with its subpages. */
static int supported(const struct scsi_command *cmd, uint8_t *data)
{
    bool subpages = cmd->cdb[3] == 0xff;
    int at = 0;

    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (!has(cmd->unit, &pages[i]))
            continue;
        data[at++] = pages[i].code;
        if (subpages)
            data[at++] = 0x00;
        if (subpages && pages[i].code == 0x00) {
            data[at++] = 0x00;
            data[at++] = 0xff;
        }
    }
    return at;
}

/* NULL: status is set. */
static const struct page *find(struct scsi_command *cmd)
{
    uint8_t code = cmd->cdb[2] & 0x3f, subpage = cmd->cdb[3];

    for (unsigned i = 0; i < PAGE_COUNT; i++) {
        if (pages[i].code != code || !has(cmd->unit, &pages[i]))
            continue;
        if (subpage == 0 || (code == 0 && subpage == 0xff))
            return &pages[i];
        scsi_bad_cdb(cmd, 3, -1);
        return NULL;
    }
    scsi_bad_cdb(cmd, 2, 5);
    return NULL;
}

/* Parameters from the pointer on. Its value may be beyond the last code: then there are none. */
static int skip(const uint8_t *parameters, int bytes, uint16_t from)
{
    int at = 0;

    while (at < bytes && get_be16(parameters + at) < from)
        at += 4 + parameters[at + 3];
    return at;
}

static void answer(struct scsi_command *cmd)
{
    uint8_t data[REPLY_MAX];
    const struct page *page = find(cmd);
    uint16_t from = get_be16(cmd->cdb + 5), allocation = get_be16(cmd->cdb + 7);
    int bytes = page->build(cmd, data + 4), skipped = 0;

    if (from && page->code == 0x00)
        skipped = -1;
    else if (from)
        skipped = skip(data + 4, bytes, from);
    if (skipped < 0 || (from && skipped == bytes)) {
        scsi_bad_cdb(cmd, 5, -1);
        return;
    }
    bytes -= skipped;
    memmove(data + 4, data + 4 + skipped, (size_t)bytes);
    data[0] = (uint8_t)(0x80 | (cmd->cdb[3] ? 0x40 : 0) | page->code); /* DS, SPF */
    data[1] = cmd->cdb[3];
    put_be16(data + 2, (uint16_t)bytes);
    scsi_sending(cmd, (uint32_t)bytes + 4 < allocation ? (uint32_t)bytes + 4 : allocation);
    scsi_iov_put(cmd, 0, data, cmd->data_in_bytes);
}

/* Sums up what is mapped, extent by extent; what was not reached in so many calls counts as mapped. */
static int mapped_step(struct scsi_command *cmd)
{
    uint64_t end = atomic_load(&cmd->unit->blocks) << cmd->unit->block_shift;

    if (cmd->work[ASKED] && cmd->io.result == 0) {
        uint64_t bytes = cmd->io.extent.length ? cmd->io.extent.length : scsi_block_bytes(cmd);
        if (bytes > end - cmd->cursor)
            bytes = end - cmd->cursor;
        cmd->work[MAPPED] += cmd->io.extent.mapped ? bytes : 0;
        cmd->cursor += bytes;
    }
    bool stop = cmd->io.result < 0 || cmd->work[CALLS]++ >= CALLS_MAX ||
                !(cmd->unit->backend->info.features & BACKEND_FEATURE_BLOCK_STATUS);
    cmd->work[CUT] = stop;
    if (stop)
        cmd->work[MAPPED] += end - cmd->cursor;
    if (stop || cmd->cursor >= end)
        return STEP_DONE;
    cmd->work[ASKED] = 1;
    scsi_step_io(cmd, BACKEND_BLOCK_STATUS, cmd->cursor, end - cmd->cursor, NULL, 0, 0);
    return STEP_WAIT;
}

static int provisioning_step(struct scsi_command *cmd)
{
    int r = mapped_step(cmd);

    if (r == STEP_DONE)
        answer(cmd);
    return r;
}

enum scsi_next start_log_sense(struct scsi_command *cmd)
{
    uint32_t most = get_be16(cmd->cdb + 7);

    if (cmd->cdb[1] & 0x03) { /* SP, PPC */
        scsi_bad_cdb(cmd, 1, cmd->cdb[1] & 0x01 ? 0 : 1);
        return SCSI_ENDED;
    }
    if (!find(cmd))
        return SCSI_ENDED;
    if (most > REPLY_MAX)
        most = REPLY_MAX;
    cmd->buffer_bytes = scsi_in_limit(cmd) < most ? scsi_in_limit(cmd) : most;
    return SCSI_EXECUTE;
}

void execute_log_sense(struct scsi_command *cmd)
{
    if ((cmd->cdb[2] & 0x3f) == 0x0c) {
        scsi_steps(cmd, provisioning_step);
        return;
    }
    answer(cmd);
    scsi_finish(cmd);
}

/* Values that could be set there are none. PCR and threshold values of all pages: nothing happens. */
enum scsi_next start_log_select(struct scsi_command *cmd)
{
    if (cmd->cdb[1] & 0x01) /* SP */
        scsi_bad_cdb(cmd, 1, 0);
    else if (get_be16(cmd->cdb + 7))
        scsi_bad_cdb(cmd, 7, -1);
    else if ((cmd->cdb[2] & 0x3f) || cmd->cdb[3])
        scsi_bad_cdb(cmd, 2, 5);
    return cmd->status == SCSI_GOOD ? SCSI_EXECUTE : SCSI_ENDED;
}

void execute_nothing(struct scsi_command *cmd)
{
    scsi_finish(cmd);
}
