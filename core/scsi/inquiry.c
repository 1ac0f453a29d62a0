/* SPDX-License-Identifier: BSD-3-Clause */
/* INQUIRY (SPC-4 6.6): a fixed, unprotected block device of SPC-4. */
#include "scsi/inquiry.h"

#include <string.h>

#include "base/bytes.h"
#include "scsi/nexus.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/unit.h"

#define STANDARD_BYTES 96
#define VERSION_SPC4   6 /* 7 (SPC-5) makes initiators check what we do not have */

/* Version descriptors, SPC-4 table 143. */
#define VERSION_SAM5     0x00a0
#define VERSION_SPC4_ANY 0x0460
#define VERSION_SBC3_ANY 0x04c0

static int standard(const struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_unit *unit = cmd->unit;

    memset(data, 0, STANDARD_BYTES);
    data[2] = VERSION_SPC4;
    data[3] = 0x12; /* HISUP, response data format 2 */
    data[4] = STANDARD_BYTES - 5;
    data[5] = 0x38; /* TPGS: implicit and explicit; 3PC */
    data[7] = 0x02; /* CMDQUE */
    if (!unit) {
        data[5] = 0;
        data[0] = 0x7f; /* peripheral qualifier 3: no unit can be here */
        memset(data + 8, ' ', 28);
        return STANDARD_BYTES;
    }
    if (unit->removable)
        data[1] = 0x80; /* RMB */
    memcpy(data + 8, unit->vendor, SCSI_VENDOR_MAX);
    memcpy(data + 16, unit->product, SCSI_PRODUCT_MAX);
    memcpy(data + 32, unit->revision, SCSI_REVISION_MAX);
    put_be16(data + 58, VERSION_SAM5);
    put_be16(data + 60, VERSION_SPC4_ANY);
    put_be16(data + 62, VERSION_SBC3_ANY);
    put_be16(data + 64, cmd->nexus->version_descriptor);
    return STANDARD_BYTES;
}

int reply_inquiry(struct scsi_command *cmd, uint8_t *data)
{
    bool evpd = cmd->cdb[1] & 0x01;
    int bytes;

    if (cmd->cdb[1] & 0x02) { /* CMDDT, obsolete */
        scsi_bad_cdb(cmd, 1, 1);
        return -1;
    }
    if (!evpd) {
        if (cmd->cdb[2] == 0)
            return standard(cmd, data);
        scsi_bad_cdb(cmd, 2, -1);
        return -1;
    }
    if (!cmd->unit) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_LUN_NOT_SUPPORTED);
        return -1;
    }
    bytes = vpd_page(cmd, cmd->cdb[2], data);
    if (bytes < 0)
        scsi_bad_cdb(cmd, 2, -1);
    return bytes;
}
