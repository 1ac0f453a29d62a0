/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-4 6.42, 6.27). A unit of memory or files has no
 * parts to test: every self-test is good at once. There are no diagnostic pages but the list of them.
 */
#include <string.h>

#include "base/bytes.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define PAGE_BYTES                                                                                 \
    4u /* page 00h: "list the pages", with its answer in RECEIVE DIAGNOSTIC RESULTS */

enum scsi_next start_send_diagnostic(struct scsi_command *cmd)
{
    uint8_t code = cmd->cdb[1] >> 5;
    bool self_test = cmd->cdb[1] & 0x04, has_page = cmd->cdb[1] & 0x10;
    uint32_t bytes = get_be16(cmd->cdb + 3);

    if (code == 3 || code == 7 || (self_test && code))
        scsi_bad_cdb(cmd, 1, 7);
    else if (bytes && (bytes != PAGE_BYTES || !has_page))
        scsi_bad_cdb(cmd, 3, -1);
    if (cmd->status != SCSI_GOOD || !scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

void execute_send_diagnostic(struct scsi_command *cmd)
{
    uint8_t page[PAGE_BYTES] = { 0 };

    scsi_iov_get(cmd, 0, page, cmd->data_out_bytes);
    if (page[0])
        scsi_bad_list(cmd, 0, -1);
    else if (get_be16(page + 2))
        scsi_bad_list(cmd, 2, -1);
    scsi_finish(cmd);
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
