/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The medium of a unit: why it is not ready, PREVENT ALLOW MEDIUM REMOVAL (SBC-3 5.12). Who prevents
 * is counted in one word together with a generation; a reset begins a new generation, and what a
 * nexus remembers of an older one counts no more.
 */
#include "scsi/medium.h"

#include "scsi/nexus_internal.h"
#include "scsi/opcode.h"
#include "scsi/sanitize.h"
#include "scsi/sense.h"
#include "scsi/step.h"

bool scsi_ready(struct scsi_command *cmd, uint32_t not_ready)
{
    uint16_t flags = cmd->opcode->flags;

    if ((not_ready & UNIT_SANITIZING) && !(flags & OP_ALWAYS)) {
        scsi_sanitizing(cmd);
        return false;
    }
    if (!(flags & OP_MEDIUM))
        return true;
    if (not_ready & UNIT_SANITIZE_FAILED)
        scsi_check_condition(cmd, SENSE_MEDIUM_ERROR, ASC_SANITIZE_FAILED);
    else if (not_ready & UNIT_EJECTED)
        scsi_check_condition(cmd, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    else if (not_ready & UNIT_STOPPED)
        scsi_check_condition(cmd, SENSE_NOT_READY, ASC_INITIALIZING_COMMAND_REQUIRED);
    return cmd->status == SCSI_GOOD;
}

static uint32_t generation_of(uint64_t prevents)
{
    return (uint32_t)(prevents >> 32);
}

void scsi_prevent_allow(struct scsi_unit *unit, struct scsi_nexus_unit *state, bool prevent)
{
    uint64_t now = atomic_load(&unit->prevents), then;

    if (!state)
        return;
    do {
        bool counted = state->prevents == generation_of(now) + 1;
        then = prevent && !counted ? now + 1 : !prevent && counted ? now - 1 : now;
    } while (!atomic_compare_exchange_weak(&unit->prevents, &now, then));
    state->prevents = prevent ? generation_of(now) + 1 : 0;
}

void scsi_prevent_kept(struct scsi_unit *unit)
{
    uint32_t generation = atomic_load(&unit->home.keep.data->prevent_generation);

    atomic_store(&unit->prevents, (uint64_t)generation << 32);
}

void scsi_prevent_resume(struct scsi_unit *unit, struct scsi_nexus_unit *state, uint32_t kept)
{
    if (kept == generation_of(atomic_load(&unit->prevents)) + 1)
        scsi_prevent_allow(unit, state, true);
}

bool scsi_prevented(const struct scsi_unit *unit)
{
    return (uint32_t)atomic_load(&unit->prevents) != 0;
}

void scsi_prevent_nobody(struct scsi_unit *unit)
{
    uint64_t now = atomic_load(&unit->prevents);

    while (!atomic_compare_exchange_weak(&unit->prevents, &now,
                                         (uint64_t)(generation_of(now) + 1) << 32))
        ;
    atomic_store(&unit->home.keep.data->prevent_generation, generation_of(now) + 1);
}

/* Allowing is always allowed; preventing changes something (SPC-4 table 66). */
bool harmless_prevent_allow(const struct scsi_command *cmd)
{
    return !(cmd->cdb[4] & 0x03);
}

enum scsi_next start_prevent_allow(struct scsi_command *cmd)
{
    if (cmd->cdb[4] & 0x02) { /* the changer's, obsolete */
        scsi_bad_cdb(cmd, 4, 1);
        return SCSI_ENDED;
    }
    return SCSI_EXECUTE;
}

void execute_prevent_allow(struct scsi_command *cmd)
{
    scsi_prevent_allow(cmd->unit, scsi_nexus_state(cmd->nexus, cmd->unit), cmd->cdb[4] & 0x01);
    scsi_finish(cmd);
}
