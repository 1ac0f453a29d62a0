/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT LUNS, REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS (SPC-4). */
#include <string.h>

#include "base/bytes.h"
#include "scsi/nexus_internal.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"

_Static_assert(8 + 8 * SCSI_LUNS_MAX <= REPLY_MAX, "REPORT LUNS fits a reply");

/* SPC-4 6.33; also clears REPORTED LUNS DATA HAS CHANGED for this nexus everywhere. */
int reply_report_luns(struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_lun_map *map = scsi_nexus_map(cmd->nexus);
    uint32_t bytes = 0;

    memset(data, 0, 8);
    switch (cmd->cdb[2]) {
    case 0x00: /* all but well known */
    case 0x02: /* all */
        for (unsigned i = 0; i < map->count; i++) {
            if (!cmd->nexus->units[i].unit_id)
                continue;
            put_be64(data + 8 + bytes, scsi_lun_encode(map->luns[i]));
            bytes += 8;
        }
        break;
    case 0x01: /* well known: there is none */
        break;
    default:
        scsi_bad_cdb(cmd, 2, -1);
        return -1;
    }
    put_be32(data, bytes);
    scsi_nexus_luns_reported(cmd->nexus);
    return (int)(8 + bytes);
}

static bool available(const struct scsi_command *cmd, const struct scsi_opcode *row)
{
    return row && scsi_opcode_exists(row, cmd->unit);
}

/* The command timeouts descriptor, SPC-4 6.35.4. */
static unsigned put_timeouts(uint8_t *data, const struct scsi_opcode *row)
{
    memset(data, 0, 12);
    put_be16(data, 0x000a);
    put_be32(data + 4, row->nominal_s);
    put_be32(data + 8, row->recommended_s);
    return 12;
}

static int all_opcodes(struct scsi_command *cmd, uint8_t *data, bool timeouts)
{
    unsigned at = 4;

    for (unsigned i = 0; i < scsi_opcode_count; i++) {
        const struct scsi_opcode *row = &scsi_opcodes[i];
        uint8_t *d = data + at;

        if (!available(cmd, row) || at + 20 > REPLY_MAX)
            continue;
        memset(d, 0, 8);
        d[0] = row->opcode;
        if (row->service_action != SA_NONE) {
            put_be16(d + 2, row->service_action);
            d[5] = 0x01; /* SERVACTV */
        }
        if (timeouts)
            d[5] |= 0x02; /* CTDP */
        put_be16(d + 6, row->cdb_bytes);
        at += 8;
        if (timeouts)
            at += put_timeouts(data + at, row);
    }
    put_be32(data, at - 4);
    return (int)at;
}

static int one_opcode(const struct scsi_command *cmd, uint8_t *data, const struct scsi_opcode *row,
                      bool timeouts)
{
    unsigned at = 4;

    memset(data, 0, 4);
    if (!available(cmd, row)) {
        data[1] = 0x01; /* not supported */
        return 4;
    }
    data[1] = 0x03; /* as in the standard */
    put_be16(data + 2, row->cdb_bytes);
    memcpy(data + at, row->usage, row->cdb_bytes);
    at += row->cdb_bytes;
    if (timeouts) {
        data[1] |= 0x80; /* CTDP */
        at += put_timeouts(data + at, row);
    }
    return (int)at;
}

int reply_report_opcodes(struct scsi_command *cmd, uint8_t *data)
{
    uint8_t opcode = cmd->cdb[3], probe[2] = { opcode, 0 };
    uint16_t action = get_be16(cmd->cdb + 4);
    bool timeouts = cmd->cdb[2] & 0x80, known;
    const struct scsi_opcode *plain = scsi_opcode_lookup(opcode, SA_NONE);

    scsi_opcode_find(probe, &known);
    switch (cmd->cdb[2] & 0x07) {
    case 0:
        return all_opcodes(cmd, data, timeouts);
    case 1: /* a command without service actions */
        if (known && !plain)
            break;
        return one_opcode(cmd, data, plain, timeouts);
    case 2: /* a command with service actions */
        if (plain)
            break;
        return one_opcode(cmd, data, scsi_opcode_lookup(opcode, action), timeouts);
    case 3: /* either; without one, the service action must be 0 */
        if (plain)
            return one_opcode(cmd, data, action ? NULL : plain, timeouts);
        return one_opcode(cmd, data, scsi_opcode_lookup(opcode, action), timeouts);
    default:
        break;
    }
    scsi_bad_cdb(cmd, 2, 2);
    return -1;
}

#define ISCSI_LEVEL_2 0x0962 /* version descriptor */

/* What the transport implements: ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET; at protocol
   level 2 and above also QUERY TASK, QUERY ASYNCHRONOUS EVENT, QUERY TASK SET, I_T NEXUS RESET (RFC 7144
   4.1). */
int reply_report_tmfs(struct scsi_command *cmd, uint8_t *data)
{
    bool extended = cmd->cdb[2] & 0x80; /* REPD */
    bool level_2 = cmd->nexus->version_descriptor >= 0x0962;

    memset(data, 0, 16);
    data[0] = 0xd8; /* ATS 80h, ATSS 40h, CTSS 10h, LURS 08h */
    if (level_2) {
        data[0] |= 0x04; /* QTS */
        data[1] = 0x07;  /* QAES, QTSS, ITNRS */
    }
    if (!extended)
        return 4;
    data[3] = 0x0c;
    return 16;
}
