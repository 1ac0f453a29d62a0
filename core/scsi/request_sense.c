/* SPDX-License-Identifier: BSD-3-Clause */
/* REQUEST SENSE (SPC-4 6.39): what the next command would be told, in the format that DESC asks. */
#include "scsi/nexus.h"
#include "scsi/opcode.h"
#include "scsi/sanitize.h"
#include "scsi/once.h"
#include "scsi/sense.h"
#include "scsi/unit.h"

static void not_ready(struct scsi_unit *unit, struct scsi_cause *cause)
{
    uint32_t bits = atomic_load(&unit->not_ready);

    if (bits)
        cause->key = SENSE_NOT_READY;
    if (bits & UNIT_SANITIZING) {
        scsi_sanitize_cause(unit, cause);
    } else if (bits & UNIT_SANITIZE_FAILED) {
        cause->key = SENSE_MEDIUM_ERROR;
        cause->asc = ASC_SANITIZE_FAILED;
    } else if (bits & UNIT_EJECTED) {
        cause->asc = ASC_MEDIUM_NOT_PRESENT;
    } else if (bits & UNIT_STOPPED) {
        cause->asc = ASC_INITIALIZING_COMMAND_REQUIRED;
    }
}

int reply_request_sense(struct scsi_command *cmd, uint8_t *data)
{
    struct scsi_cause cause = { .key = SENSE_NO_SENSE, .asc = ASC_NONE };
    bool descriptor = cmd->cdb[1] & 0x01;
    uint8_t asc, ascq;

    if (!cmd->unit) {
        cause.key = SENSE_ILLEGAL_REQUEST;
        cause.asc = ASC_LUN_NOT_SUPPORTED;
    } else if (scsi_noted(cmd) == NOTE_ATTENTION) { /* taken by a worker that died */
        scsi_once_attention(cmd);
        cmd->status = SCSI_GOOD;
        cmd->sense_bytes = 0;
        cause.key = SENSE_UNIT_ATTENTION;
        cause.asc = (uint16_t)cmd->kept->word;
    } else if (scsi_nexus_attention(cmd->nexus, cmd->unit, /* take= */ false, &asc, &ascq)) {
        scsi_note(cmd, NOTE_ATTENTION, (uint64_t)(asc << 8 | ascq));
        scsi_nexus_attention(cmd->nexus, cmd->unit, /* take= */ true, &asc, &ascq);
        cause.key = SENSE_UNIT_ATTENTION;
        cause.asc = (uint16_t)(asc << 8 | ascq);
    } else {
        not_ready(cmd->unit, &cause);
    }
    return (int)sense_format(&cause, descriptor, data);
}
