/* SPDX-License-Identifier: BSD-3-Clause */
/* Sense data in both formats, and what a backend's errno means to an initiator. */
#include "scsi/sense.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "scsi/command.h"
#include "scsi/unit.h"

/* SPC-4 4.5.3 */
static unsigned format_fixed(const struct scsi_cause *cause, uint8_t *sense)
{
    memset(sense, 0, 18);
    sense[0] = 0x70;
    sense[2] = cause->key;
    if (cause->has_information && cause->information <= UINT32_MAX) {
        sense[0] |= 0x80; /* VALID */
        put_be32(sense + 3, (uint32_t)cause->information);
    }
    sense[7] = 10;
    put_be32(sense + 8, cause->has_command ? cause->command : 0);
    put_be16(sense + 12, cause->asc);
    memcpy(sense + 15, cause->specific, 3);
    return 18;
}

/* SPC-4 4.5.2 */
static unsigned format_descriptors(const struct scsi_cause *cause, uint8_t *sense)
{
    unsigned at = 8;

    memset(sense, 0, 8);
    sense[0] = 0x72;
    sense[1] = cause->key;
    put_be16(sense + 2, cause->asc);
    if (cause->has_information) {
        uint8_t *d = sense + at;
        memset(d, 0, 12);
        d[0] = 0x00; /* information */
        d[1] = 0x0a;
        d[2] = 0x80;
        put_be64(d + 4, cause->information);
        at += 12;
    }
    if (cause->has_command) {
        uint8_t *d = sense + at;
        memset(d, 0, 12);
        d[0] = 0x01; /* command-specific information */
        d[1] = 0x0a;
        put_be64(d + 4, cause->command);
        at += 12;
    }
    if (cause->specific[0] & 0x80) {
        uint8_t *d = sense + at;
        memset(d, 0, 8);
        d[0] = 0x02; /* sense key specific */
        d[1] = 0x06;
        memcpy(d + 4, cause->specific, 3);
        at += 8;
    }
    sense[7] = (uint8_t)(at - 8);
    return at;
}

unsigned sense_format(const struct scsi_cause *cause, bool descriptor, uint8_t *ret_sense)
{
    return descriptor ? format_descriptors(cause, ret_sense) : format_fixed(cause, ret_sense);
}

void sense_field(struct scsi_cause *cause, bool in_cdb, uint16_t byte, int bit)
{
    cause->specific[0] = 0x80 | (in_cdb ? 0x40 : 0);
    if (bit >= 0)
        cause->specific[0] |= (uint8_t)(0x08 | (bit & 7)); /* BPV */
    put_be16(cause->specific + 1, byte);
}

void scsi_check(struct scsi_command *cmd, const struct scsi_cause *cause)
{
    bool descriptor = cmd->unit && (atomic_load_explicit(&cmd->unit->mode, memory_order_relaxed) &
                                    SCSI_MODE_D_SENSE);

    cmd->status = SCSI_CHECK_CONDITION;
    cmd->sense_bytes = (uint8_t)sense_format(cause, descriptor, cmd->sense);
    cmd->data_in_bytes = 0;
    cmd->mapped = 0;
    cmd->transfer_length = cmd->data_out_bytes;
}

void scsi_check_condition(struct scsi_command *cmd, uint8_t key, uint16_t asc)
{
    struct scsi_cause cause = { .key = key, .asc = asc };
    scsi_check(cmd, &cause);
}

void scsi_bad_cdb(struct scsi_command *cmd, uint16_t byte, int bit)
{
    struct scsi_cause cause = { .key = SENSE_ILLEGAL_REQUEST, .asc = ASC_INVALID_FIELD_IN_CDB };
    sense_field(&cause, true, byte, bit);
    scsi_check(cmd, &cause);
}

void scsi_bad_list(struct scsi_command *cmd, uint16_t byte, int bit)
{
    struct scsi_cause cause = { .key = SENSE_ILLEGAL_REQUEST, .asc = ASC_INVALID_FIELD_IN_LIST };
    sense_field(&cause, false, byte, bit);
    scsi_check(cmd, &cause);
}

void scsi_conflict(struct scsi_command *cmd)
{
    scsi_status(cmd, SCSI_RESERVATION_CONFLICT);
}

void scsi_status(struct scsi_command *cmd, uint8_t status)
{
    cmd->status = status;
    cmd->sense_bytes = 0;
    cmd->data_in_bytes = 0;
    cmd->mapped = 0;
    cmd->transfer_length = cmd->data_out_bytes;
}

/* What was wrong, in the order of how often it is seen. EAGAIN and ENOMEM are BUSY: try again. */
void scsi_io_error(struct scsi_command *cmd, int error, bool writing, uint64_t lba)
{
    struct scsi_cause cause = { .key = SENSE_HARDWARE_ERROR, .asc = ASC_INTERNAL_FAILURE };

    switch (-error) {
    case EIO:
    case ENODATA:
    case EILSEQ:
    case EBADMSG:
        cause.key = SENSE_MEDIUM_ERROR;
        cause.asc = writing ? ASC_WRITE_ERROR : ASC_UNRECOVERED_READ_ERROR;
        cause.has_information = true;
        cause.information = lba;
        break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        cause.key = SENSE_DATA_PROTECT;
        cause.asc = ASC_SPACE_ALLOCATION_FAILED;
        break;
    case EROFS:
    case EPERM:
    case EACCES:
        cause.key = SENSE_DATA_PROTECT;
        cause.asc = ASC_WRITE_PROTECTED;
        break;
    case ETIMEDOUT:
        cause.key = SENSE_ABORTED_COMMAND;
        cause.asc = ASC_COMMAND_TIMEOUT;
        break;
    case ECANCELED:
        cause.key = SENSE_ABORTED_COMMAND;
        cause.asc = ASC_NONE;
        break;
    case EAGAIN:
    case ENOMEM:
        scsi_check(cmd, &cause);
        cmd->status = SCSI_BUSY;
        cmd->sense_bytes = 0;
        return;
    default:
        break;
    }
    scsi_check(cmd, &cause);
}
