/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * START STOP UNIT (SBC-3 5.25) of a fixed disk: stopped, it answers 02/0402 to everything that
 * needs the medium until it is started (or reset). Power conditions are accepted without effect.
 */
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define START    0x01u
#define LOEJ     0x02u
#define NO_FLUSH 0x04u

enum scsi_next start_start_stop(struct scsi_command *cmd)
{
    if (!(cmd->cdb[4] & 0xf0) && (cmd->cdb[4] & LOEJ)) { /* nothing to load or eject */
        scsi_bad_cdb(cmd, 4, 1);
        return SCSI_ENDED;
    }
    return SCSI_EXECUTE;
}

static void set_stopped(struct scsi_command *cmd, bool stopped)
{
    atomic_store(&cmd->unit->stopped, stopped);
    scsi_unit_kept(cmd->unit);
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
        set_stopped(cmd, true);
    return STEP_DONE;
}

void execute_start_stop(struct scsi_command *cmd)
{
    bool cached = cmd->unit->backend->info.features & BACKEND_FEATURE_VOLATILE_CACHE;

    if (!(cmd->cdb[4] & 0xf0)) {
        if (!(cmd->cdb[4] & (START | NO_FLUSH)) && cached) {
            scsi_steps(cmd, stop_step);
            return;
        }
        set_stopped(cmd, !(cmd->cdb[4] & START));
    }
    scsi_finish(cmd);
}
