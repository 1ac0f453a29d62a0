/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-4 6.42, 6.27). A unit of memory or files has no
 * parts to test: every self-test is good at once. There are no diagnostic pages but the list of them.
 */
#include <string.h>

#include "base/bytes.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"

enum scsi_next start_send_diagnostic(struct scsi_command *cmd)
{
    uint8_t code = cmd->cdb[1] >> 5;
    bool self_test = cmd->cdb[1] & 0x04;

    if (code == 3 || code == 7 || (self_test && code))
        scsi_bad_cdb(cmd, 1, 7);
    else if (get_be16(cmd->cdb + 3))
        scsi_bad_cdb(cmd, 3, -1);
    return cmd->status == SCSI_GOOD ? SCSI_EXECUTE : SCSI_ENDED;
}

int reply_diagnostic_results(struct scsi_command *cmd, uint8_t *data)
{
    bool by_code = cmd->cdb[1] & 0x01;

    if (by_code && cmd->cdb[2]) {
        scsi_bad_cdb(cmd, 2, -1);
        return -1;
    }
    memset(data, 0, 5); /* page 00h: it is the only one */
    put_be16(data + 2, 1);
    return 5;
}
