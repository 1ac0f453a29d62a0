/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * START STOP UNIT (SBC-3 5.25). A fixed disk that is stopped answers 02/0402 to everything that needs
 * the medium until it is started (or reset). A removable one is ejected and loaded instead; to
 * start and to stop it is nothing. Power conditions are accepted without effect.
 */
#include "scsi/medium.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define START    0x01u
#define LOEJ     0x02u
#define NO_FLUSH 0x04u

/* The bit of not_ready that it sets or clears; 0: it does nothing. */
static uint32_t bit_of(const struct scsi_command *cmd)
{
    if (cmd->cdb[4] & 0xf0) /* a power condition */
        return 0;
    if (!cmd->unit->removable)
        return UNIT_STOPPED;
    return cmd->cdb[4] & LOEJ ? UNIT_EJECTED : 0;
}

static bool is_set(const struct scsi_command *cmd, uint32_t bit)
{
    return atomic_load(&cmd->unit->not_ready) & bit;
}

/* Starting is always allowed, without a power condition (SBC-3 table 13). */
bool harmless_start_stop(const struct scsi_command *cmd)
{
    return (cmd->cdb[4] & (0xf0 | START)) == START;
}

enum scsi_next start_start_stop(struct scsi_command *cmd)
{
    uint32_t bit = bit_of(cmd);
    bool start = cmd->cdb[4] & START;

    if (bit == UNIT_STOPPED && (cmd->cdb[4] & LOEJ)) { /* nothing to load or eject */
        scsi_bad_cdb(cmd, 4, 1);
        return SCSI_ENDED;
    }
    /* Prevented: the medium neither leaves nor comes. */
    if (bit == UNIT_EJECTED && scsi_prevented(cmd->unit) && start == is_set(cmd, bit)) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED);
        return SCSI_ENDED;
    }
    return SCSI_EXECUTE;
}

static void set(struct scsi_command *cmd, uint32_t bit)
{
    struct scsi_unit *unit = cmd->unit;

    if (!(cmd->cdb[4] & START)) {
        atomic_fetch_or(&unit->not_ready, bit);
        scsi_unit_kept(unit);
        return;
    }
    bool again = scsi_noted(cmd) == NOTE_BEGUN;
    if (is_set(cmd, bit & UNIT_EJECTED))
        scsi_once_change(cmd);
    uint32_t before = atomic_fetch_and(&unit->not_ready, ~bit);
    if (before & bit)
        atomic_fetch_add(&unit->home.keep.data->starts, 1);
    scsi_unit_kept(unit);
    if (again || (before & bit & UNIT_EJECTED))
        scsi_once_tell(cmd, again, ASC_MEDIUM_MAY_HAVE_CHANGED);
}

static int stop_step(struct scsi_command *cmd)
{
    if (cmd->work[0]++ == 0) {
        scsi_step_io(cmd, BACKEND_FLUSH, 0, 0, NULL, 0, 0);
        return STEP_WAIT;
    }
    if (cmd->io.result < 0)
        scsi_io_error(cmd, cmd->io.result, /* writing= */ true, 0);
    else
        set(cmd, bit_of(cmd));
    return STEP_DONE;
}

void execute_start_stop(struct scsi_command *cmd)
{
    bool cached = cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE;
    uint32_t bit = bit_of(cmd);

    if (bit && !(cmd->cdb[4] & (START | NO_FLUSH)) && cached) {
        scsi_steps(cmd, stop_step);
        return;
    }
    if (bit)
        set(cmd, bit);
    scsi_finish(cmd);
}
