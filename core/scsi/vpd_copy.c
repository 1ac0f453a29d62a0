/* SPDX-License-Identifier: BSD-3-Clause */
/* The Third-party Copy page (SPC-4 7.8.17): a list of descriptors that says what copy.h can do. */
#include <string.h>

#include "base/bytes.h"
#include "scsi/copy.h"
#include "scsi/inquiry.h"
#include "scsi/opcode.h"

enum {
    SUPPORTED_COMMANDS = 0x0001,
    PARAMETER_DATA = 0x0004,
    SUPPORTED_DESCRIPTORS = 0x0008,
    SUPPORTED_CSCD_IDS = 0x000c,
    GENERAL_OPERATIONS = 0x8001,
};

/* Head, and zeroes for the rest; returns the place of the next one. */
static int descriptor(uint8_t *data, uint16_t type, uint16_t bytes)
{
    uint16_t padded = (uint16_t)((bytes + 3) & ~3);

    memset(data, 0, 4u + padded);
    put_be16(data, type);
    put_be16(data + 2, padded);
    return 4 + padded;
}

/* One opcode with its service actions, as the table of commands has them. */
static int put_actions(uint8_t *data, uint8_t opcode)
{
    uint8_t count = 0;

    for (unsigned i = 0; i < scsi_opcode_count; i++) {
        if (scsi_opcodes[i].opcode == opcode)
            data[2 + count++] = (uint8_t)scsi_opcodes[i].service_action;
    }
    data[0] = opcode;
    data[1] = count;
    return 2 + count;
}

static int commands(uint8_t *data)
{
    uint8_t list[32] = { 0 };
    int bytes = put_actions(list, 0x83);

    bytes += put_actions(list + bytes, 0x84);
    int next = descriptor(data, SUPPORTED_COMMANDS, (uint16_t)(1 + bytes));
    data[4] = (uint8_t)bytes;
    memcpy(data + 5, list, (size_t)bytes);
    return next;
}

int vpd_third_party_copy(const struct scsi_command *cmd, uint8_t *data)
{
    int at = commands(data);
    uint8_t *d = data + at;

    at += descriptor(d, PARAMETER_DATA, 0x1c);
    put_be16(d + 8, COPY_CSCDS_MAX);
    put_be16(d + 10, COPY_SEGMENTS_MAX);
    put_be32(d + 12, COPY_DESCRIPTORS_MAX);
    d = data + at;
    at += descriptor(d, SUPPORTED_DESCRIPTORS, 4);
    d[4] = 3;
    memcpy(d + 5, (const uint8_t[]){ 0x02, 0x0a, 0xe4 }, 3);
    d = data + at;
    at += descriptor(d, SUPPORTED_CSCD_IDS, 2); /* none beyond the list's own */
    d = data + at;
    at += descriptor(d, GENERAL_OPERATIONS, 0x20);
    put_be32(d + 4, COPY_STATUSES); /* total, maximum identified concurrent copies */
    put_be32(d + 8, COPY_STATUSES);
    put_be32(d + 12, COPY_SEGMENT_BYTES_MAX);
    d[16] = 9; /* data segment granularity: 512 bytes */
    return at;
}
