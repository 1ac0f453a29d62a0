/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status and sense data (SPC-4 4.5). A cause is written once, as sense key, additional sense code
 * and optional fields; the format, fixed or descriptor, follows the unit's D_SENSE bit.
 *
 * Every function here sets cmd->status to CHECK CONDITION (or what its name says) and cancels data
 * that was meant to be sent. Reactor of the command.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scsi_command;

enum scsi_status {
    SCSI_GOOD = 0x00,
    SCSI_CHECK_CONDITION = 0x02,
    SCSI_BUSY = 0x08,
    SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28,
    SCSI_TASK_ABORTED = 0x40,
};

enum scsi_sense_key {
    SENSE_NO_SENSE = 0x0,
    SENSE_NOT_READY = 0x2,
    SENSE_MEDIUM_ERROR = 0x3,
    SENSE_HARDWARE_ERROR = 0x4,
    SENSE_ILLEGAL_REQUEST = 0x5,
    SENSE_UNIT_ATTENTION = 0x6,
    SENSE_DATA_PROTECT = 0x7,
    SENSE_COPY_ABORTED = 0xa,
    SENSE_ABORTED_COMMAND = 0xb,
    SENSE_MISCOMPARE = 0xe,
};

/* Additional sense code and qualifier in one number, as the documents print them. */
enum scsi_asc {
    ASC_NONE = 0x0000,
    ASC_OPERATION_IN_PROGRESS = 0x0016,
    ASC_INITIALIZING_COMMAND_REQUIRED = 0x0402,
    ASC_PORT_STANDBY = 0x040b,
    ASC_PORT_UNAVAILABLE = 0x040c,
    ASC_SANITIZE_IN_PROGRESS = 0x041b,
    ASC_UNREACHABLE_COPY_TARGET = 0x0804,
    ASC_WRITE_ERROR = 0x0c00,
    ASC_THIRD_PARTY_FAILURE = 0x0d01,
    ASC_COPY_TARGET_NOT_REACHABLE = 0x0d02,
    ASC_INVALID_FIELD_IN_INFORMATION_UNIT = 0x0e03,
    ASC_UNRECOVERED_READ_ERROR = 0x1100,
    ASC_PARAMETER_LIST_LENGTH = 0x1a00,
    ASC_MISCOMPARE = 0x1d00,
    ASC_INVALID_OPCODE = 0x2000,
    ASC_LBA_OUT_OF_RANGE = 0x2100,
    ASC_INVALID_FIELD_IN_CDB = 0x2400,
    ASC_LUN_NOT_SUPPORTED = 0x2500,
    ASC_INVALID_FIELD_IN_LIST = 0x2600,
    ASC_INVALID_RELEASE = 0x2604,
    ASC_TOO_MANY_CSCDS = 0x2606,
    ASC_CSCD_TYPE = 0x2607,
    ASC_TOO_MANY_SEGMENTS = 0x2608,
    ASC_SEGMENT_TYPE = 0x2609,
    ASC_UNEXPECTED_INEXACT_SEGMENT = 0x260a,
    ASC_INLINE_DATA = 0x260b,
    ASC_WRITE_PROTECTED = 0x2700,
    ASC_SOFTWARE_WRITE_PROTECTED = 0x2702,
    ASC_SPACE_ALLOCATION_FAILED = 0x2707,
    ASC_MEDIUM_MAY_HAVE_CHANGED = 0x2800,
    ASC_POWER_ON = 0x2900,
    ASC_BUS_RESET = 0x2902,
    ASC_DEVICE_RESET = 0x2903,
    ASC_NEXUS_LOSS = 0x2907,
    ASC_MODE_PARAMETERS_CHANGED = 0x2a01,
    ASC_RESERVATIONS_PREEMPTED = 0x2a03,
    ASC_RESERVATIONS_RELEASED = 0x2a04,
    ASC_REGISTRATIONS_PREEMPTED = 0x2a05,
    ASC_ACCESS_STATE_CHANGED = 0x2a06,
    ASC_CAPACITY_CHANGED = 0x2a09,
    ASC_TIMESTAMP_CHANGED = 0x2a10,
    ASC_COMMAND_SEQUENCE = 0x2c00,
    ASC_COMMAND_TIMEOUT = 0x2e02,
    ASC_SANITIZE_FAILED = 0x3103,
    ASC_SOFT_THRESHOLD_REACHED = 0x3807,
    ASC_SAVING_NOT_SUPPORTED = 0x3900,
    ASC_MEDIUM_NOT_PRESENT = 0x3a00,
    ASC_INQUIRY_CHANGED = 0x3f03,
    ASC_IDENTIFIER_CHANGED = 0x3f05,
    ASC_LUNS_CHANGED = 0x3f0e,
    ASC_ECHO_BUFFER_OVERWRITTEN = 0x3f0f,
    ASC_INTERNAL_FAILURE = 0x4400,
    ASC_INVALID_MESSAGE = 0x4900,
    ASC_REMOVAL_PREVENTED = 0x5302,
    ASC_INSUFFICIENT_REGISTRATIONS = 0x5504,
};

struct scsi_cause {
    uint8_t key;  /* enum scsi_sense_key */
    uint16_t asc; /* enum scsi_asc */
    bool has_information;
    uint64_t information;
    bool has_command; /* command-specific information */
    uint32_t command;
    uint8_t specific[3]; /* sense-key specific; byte 0 bit 7 (SKSV) says that it is there */
};

/* Bytes written, at most SCSI_SENSE_MAX (18 fixed; 8 to 40 descriptor). */
unsigned sense_format(const struct scsi_cause *cause, bool descriptor, uint8_t *ret_sense);
/* The field pointer for ILLEGAL REQUEST (SPC-4 4.5.2.4.2); bit < 0: the whole byte. */
void sense_field(struct scsi_cause *cause, bool in_cdb, uint16_t byte, int bit);

void scsi_check(struct scsi_command *cmd, const struct scsi_cause *cause);
void scsi_check_condition(struct scsi_command *cmd, uint8_t key, uint16_t asc);
/* INVALID FIELD IN CDB / IN PARAMETER LIST with its place. */
void scsi_bad_cdb(struct scsi_command *cmd, uint16_t byte, int bit);
void scsi_bad_list(struct scsi_command *cmd, uint16_t byte, int bit);
/* RESERVATION CONFLICT. */
void scsi_conflict(struct scsi_command *cmd);
/* A status without sense data. */
void scsi_status(struct scsi_command *cmd, uint8_t status);
/* From a backend's negative errno; `lba` is where that I/O began. */
void scsi_io_error(struct scsi_command *cmd, int error, bool writing, uint64_t lba);
