/* SPDX-License-Identifier: BSD-3-Clause */
/* READ CAPACITY(10) and (16) (SBC-3 5.15, 5.16). */
#include <string.h>

#include "scsi/block_limits.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/transfer.h"

int reply_test_unit_ready(struct scsi_command *cmd, uint8_t *data)
{
    return 0;
}

int reply_read_capacity_10(struct scsi_command *cmd, uint8_t *data)
{
    uint64_t last = atomic_load(&cmd->unit->blocks) - 1;
    bool pmi = cmd->cdb[8] & 1;

    if (!pmi && get_be32(cmd->cdb + 2)) {
        scsi_bad_cdb(cmd, 2, -1);
        return -1;
    }
    put_be32(data, last > UINT32_MAX - 1 ? UINT32_MAX : (uint32_t)last);
    put_be32(data + 4, scsi_block_bytes(cmd));
    return 8;
}

int reply_read_capacity_16(struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_unit *unit = cmd->unit;
    bool pmi = cmd->cdb[14] & 1;

    if (!pmi && get_be64(cmd->cdb + 2)) {
        scsi_bad_cdb(cmd, 2, -1);
        return -1;
    }
    memset(data, 0, 32);
    put_be64(data, atomic_load(&unit->blocks) - 1);
    put_be32(data + 8, scsi_block_bytes(cmd));
    data[13] = unit->physical_exponent;
    if (unit->thin)
        data[14] = 0xc0; /* LBPME, LBPRZ */
    return 32;
}
