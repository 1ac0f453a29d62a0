/* SPDX-License-Identifier: BSD-3-Clause */
/* READ DEFECT DATA(10) and (12) (SBC-3 5.17): a disk of memory or files has no defects to list. */
#include <string.h>

#include "scsi/opcode.h"

int reply_read_defects_10(struct scsi_command *cmd, uint8_t *data)
{
    memset(data, 0, 4);
    data[1] = cmd->cdb[2] & 0x1f; /* the lists and the format that were asked for */
    return 4;
}

int reply_read_defects_12(struct scsi_command *cmd, uint8_t *data)
{
    memset(data, 0, 8);
    data[1] = cmd->cdb[1] & 0x1f;
    return 8;
}
