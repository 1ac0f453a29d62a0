/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SANITIZE: the command, its beginning (saved before it is answered) and its end. See sanitize.h; the
 * work itself is in sanitize_job.c, what the next worker finds in sanitize_resume.c.
 *
 * CRYPTO ERASE has no key to change here; it makes what was stored unreadable by erasing it.
 */
#include "scsi/sanitize.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sanitize_save.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define IMMED 0x80u
#define AUSE  0x20u

/* ---- refusing ---- */

void scsi_sanitize_cause(struct scsi_unit *unit, struct scsi_cause *cause)
{
    cause->key = SENSE_NOT_READY;
    cause->asc = ASC_SANITIZE_IN_PROGRESS;
    cause->specific[0] = 0x80; /* SKSV: the progress (SPC-4 4.5.2.4.4) */
    put_be16(cause->specific + 1, (uint16_t)atomic_load(&unit->sanitize.progress));
}

void scsi_sanitizing(struct scsi_command *cmd)
{
    struct scsi_cause cause = { 0 };

    scsi_sanitize_cause(cmd->unit, &cause);
    scsi_check(cmd, &cause);
}

/* ---- beginning and end ---- */

/* A command that waits for the end, or for the beginning. */
struct asked {
    struct reactor_message message;
    struct scsi_unit *unit;
    struct scsi_command *cmd; /* its reactor's; NULL: aborted */
    struct reactor *reactor;
    struct sanitize_record record;
    bool immediate;
    bool rests; /* its reactor's: the command does nothing any more but wait for the job */
    struct reactor_message resting;
    uint64_t id; /* of the command */
    int result;
};

static _Thread_local unsigned rest_count; /* of this reactor */

unsigned scsi_sanitize_resting(void)
{
    return rest_count;
}

static void stop_resting(struct asked *a)
{
    rest_count -= a->rests;
    a->rests = false;
}

static bool leave(struct scsi_command *cmd)
{
    struct asked *a = cmd->left;
    stop_resting(a);
    a->cmd = NULL;
    return true;
}

/* Runs on that reactor: now, when it is this one. */
static void go(struct asked *a, struct reactor *reactor, void (*run)(struct reactor_message *))
{
    a->message.run = run;
    if (reactor == reactor_current())
        run(&a->message);
    else
        reactor_post(reactor, &a->message);
}

static void conclude(struct reactor_message *message)
{
    struct asked *a = container_of(message, struct asked, message);
    struct scsi_command *cmd = a->cmd;
    int result = a->result;

    stop_resting(a);
    g_free(a);
    if (!cmd)
        return;
    cmd->parked = false;
    cmd->leave = NULL;
    if (result == -EAGAIN)
        cmd->status = SCSI_BUSY;
    else if (result < 0)
        scsi_check_condition(cmd, SENSE_MEDIUM_ERROR, ASC_SANITIZE_FAILED);
    scsi_finish(cmd);
}

static void rest_run(struct reactor_message *message)
{
    struct asked *a = container_of(message, struct asked, resting);

    if (!a->cmd)
        return;
    a->rests = true;
    rest_count++;
}

/* The job is kept, and that it is this command's: whoever goes on with them answers it. conclude() comes
   later, by the same way. */
static void rest(struct asked *a)
{
    a->resting.run = rest_run;
    if (a->reactor == reactor_current())
        rest_run(&a->resting);
    else
        reactor_post(a->reactor, &a->resting);
}

static void answer(struct scsi_unit *unit, int result)
{
    struct asked *a = unit->sanitize.asked;

    unit->sanitize.asked = NULL;
    if (!a)
        return;
    a->result = result;
    go(a, a->reactor, conclude);
}

/* Commands are let in again, or meet the failure. */
static void let_in(struct scsi_unit *unit, bool failed)
{
    if (failed)
        atomic_fetch_or(&unit->not_ready, UNIT_SANITIZE_FAILED);
    atomic_fetch_and(&unit->not_ready, ~UNIT_SANITIZING);
    atomic_fetch_sub(&unit->ranges.exclusive, 1);
}

void sanitize_keep_out(struct scsi_unit *unit)
{
    atomic_fetch_add(&unit->ranges.exclusive, 1);
    atomic_fetch_and(&unit->not_ready, ~UNIT_SANITIZE_FAILED);
    atomic_fetch_or(&unit->not_ready, UNIT_SANITIZING);
}

static void forget(struct scsi_unit *unit)
{
    g_clear_pointer(&unit->sanitize.record, g_free);
}

static void end_saved(struct scsi_unit *unit, int result)
{
    bool failed = unit->sanitize.record && unit->sanitize.record->failed;

    let_in(unit, failed);
    answer(unit, failed ? -EIO : 0);
}

void sanitize_ended(struct scsi_unit *unit, int result)
{
    if (result < 0) {
        log_error("scsi", "sanitize has failed target=%s lun=%u error=\"%s\"", unit->target_name,
                  unit->lun, g_strerror(-result));
        unit->sanitize.record->failed = true;
    } else {
        log_notice("scsi", "sanitize is done target=%s lun=%u", unit->target_name, unit->lun);
        forget(unit);
    }
    sanitize_save(unit, end_saved);
}

static void begin_saved(struct scsi_unit *unit, int result)
{
    struct asked *a = unit->sanitize.asked;

    if (result < 0) { /* what could be forgotten is not begun */
        forget(unit);
        scsi_keep_sanitize(&unit->home.keep, NULL);
        let_in(unit, false);
        answer(unit, result);
        return;
    }
    log_notice("scsi", "sanitize begins target=%s lun=%u action=%u", unit->target_name, unit->lun,
               unit->sanitize.record->action);
    if (a && a->immediate)
        answer(unit, 0);
    else if (a)
        rest(a);
    sanitize_begin(unit, 0);
}

static void arrive(struct reactor_message *message)
{
    struct asked *a = container_of(message, struct asked, message);
    struct scsi_unit *unit = a->unit;

    unit->sanitize.asked = a;
    forget(unit);
    unit->sanitize.record = g_memdup2(&a->record, sizeof(a->record));
    atomic_store(&unit->sanitize.exit_allowed, a->record.exit_allowed);
    atomic_store(&unit->sanitize.progress, 0);
    atomic_store(&unit->home.keep.data->sanitized, 0);
    atomic_store(&unit->home.keep.data->sanitized_by, a->id);
    sanitize_save(unit, begin_saved);
}

/* ---- a hold ---- */

struct hold {
    struct reactor_message message;
    struct scsi_unit *unit;
    bool held;
};

static void hold_run(struct reactor_message *message)
{
    struct hold *h = container_of(message, struct hold, message);
    struct scsi_unit *unit = h->unit;

    if (h->held) {
        unit->sanitize.held = true;
        sanitize_stop(unit);
        answer(unit, -EAGAIN);
    } else {
        sanitize_go_on(unit);
    }
    g_free(h);
}

void scsi_sanitize_hold(struct scsi_unit *unit, bool held)
{
    struct hold *h = g_new0(struct hold, 1);

    *h = (struct hold){ .message.run = hold_run, .unit = unit, .held = held };
    reactor_post(scsi_unit_reactor(unit, 0), &h->message);
}

/* ---- the command ---- */

static bool bad(struct scsi_command *cmd, uint16_t byte)
{
    scsi_bad_cdb(cmd, byte, -1);
    return false;
}

static bool check_cdb(struct scsi_command *cmd)
{
    uint8_t action = cmd->cdb[1] & 0x1f;
    uint32_t bytes = get_be16(cmd->cdb + 7), block = scsi_block_bytes(cmd);

    if (cmd->cdb[1] & 0x40)
        return bad(cmd, 1);
    for (uint16_t i = 2; i < 7; i++) {
        if (cmd->cdb[i])
            return bad(cmd, i);
    }
    if (action == SANITIZE_OVERWRITE ? bytes < 5 || bytes > block + 4 : bytes != 0)
        return bad(cmd, 7);
    if (atomic_load(&cmd->unit->not_ready) & UNIT_EJECTED) {
        scsi_check_condition(cmd, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
        return false;
    }
    return true;
}

enum scsi_next start_sanitize(struct scsi_command *cmd)
{
    uint32_t bytes = get_be16(cmd->cdb + 7);

    if (!check_cdb(cmd) || !scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

/* OVERWRITE's list, SBC-3 table 97. */
static bool take_list(struct scsi_command *cmd, struct sanitize_record *record)
{
    uint8_t header[4];

    scsi_iov_get(cmd, 0, header, sizeof(header));
    uint32_t bytes = get_be16(header + 2);
    record->invert = header[0] & 0x80;
    record->count = header[0] & 0x1f;
    if ((header[0] & 0x60) || record->count == 0) {
        scsi_bad_list(cmd, 0, header[0] & 0x60 ? 6 : 4);
        return false;
    }
    if (bytes == 0 || bytes > scsi_block_bytes(cmd) || bytes != cmd->data_out_bytes - 4) {
        scsi_bad_list(cmd, 2, -1);
        return false;
    }
    record->pattern_bytes = (uint16_t)bytes;
    scsi_iov_get(cmd, 4, record->pattern, bytes);
    return true;
}

static struct asked *ask(struct scsi_command *cmd)
{
    struct asked *a = g_try_new0(struct asked, 1);

    if (!a) {
        cmd->status = SCSI_BUSY;
        scsi_finish(cmd);
        return NULL;
    }
    a->unit = cmd->unit;
    a->cmd = cmd;
    a->reactor = reactor_current();
    a->immediate = cmd->cdb[1] & IMMED;
    a->id = cmd->id & SCSI_ID_MASK;
    a->record.action = cmd->cdb[1] & 0x1f;
    a->record.exit_allowed = cmd->cdb[1] & AUSE;
    return a;
}

static void park(struct asked *a)
{
    a->cmd->parked = true;
    a->cmd->leave = leave;
    a->cmd->left = a;
}

/* It has the whole unit alone: nothing else runs on it now. */
void execute_sanitize(struct scsi_command *cmd)
{
    struct asked *a = ask(cmd);

    if (!a)
        return;
    if (a->record.action == SANITIZE_OVERWRITE && !take_list(cmd, &a->record)) {
        g_free(a);
        scsi_finish(cmd);
        return;
    }
    park(a);
    sanitize_keep_out(cmd->unit);
    go(a, scsi_unit_reactor(cmd->unit, 0), arrive);
}

static void rejoin_run(struct reactor_message *message)
{
    struct asked *a = container_of(message, struct asked, message);
    struct scsi_unit *unit = a->unit;
    const struct sanitize_record *record = unit->sanitize.record;
    bool runs = record && !record->failed;

    if (runs && !a->immediate && !unit->sanitize.asked) {
        unit->sanitize.asked = a;
        rest(a);
        return;
    }
    a->result = runs || !record ? 0 : -EIO;
    go(a, a->reactor, conclude);
}

void scsi_sanitize_rejoin(struct scsi_command *cmd)
{
    struct asked *a = ask(cmd);

    if (!a)
        return;
    park(a);
    go(a, scsi_unit_reactor(cmd->unit, 0), rejoin_run);
}

/* EXIT FAILURE MODE. The mark is taken back by itself: forgotten, it would only come again. */
static void exit_saved(struct scsi_unit *unit, int result)
{
}

static void exit_run(struct reactor_message *message)
{
    struct asked *a = container_of(message, struct asked, message);
    struct scsi_unit *unit = a->unit;

    if (!unit->sanitize.asked && unit->sanitize.record && unit->sanitize.record->failed) {
        forget(unit);
        atomic_fetch_and(&unit->not_ready, ~UNIT_SANITIZE_FAILED);
        sanitize_save(unit, exit_saved);
    }
    go(a, a->reactor, conclude);
}

void execute_sanitize_exit(struct scsi_command *cmd)
{
    bool failed = atomic_load(&cmd->unit->not_ready) & UNIT_SANITIZE_FAILED;

    if (!failed || !atomic_load(&cmd->unit->sanitize.exit_allowed)) {
        if (failed) /* only when the one that failed allowed it */
            scsi_bad_cdb(cmd, 1, 4);
        scsi_finish(cmd);
        return;
    }
    struct asked *a = ask(cmd);
    if (!a)
        return;
    park(a);
    go(a, scsi_unit_reactor(cmd->unit, 0), exit_run);
}
