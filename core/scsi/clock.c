/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * REPORT TIMESTAMP and SET TIMESTAMP (SPC-4 6.37, 6.46). A unit goes by the machine's clock until an
 * initiator sets another time; the difference is in the kept memory, gone with a power loss.
 */
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define LIST_BYTES 12u
#define LIMIT_MS   (1ull << 48)

enum { ORIGIN_SET = 2, ORIGIN_OTHER = 3 };

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void put_be48(uint8_t *to, uint64_t value)
{
    put_be16(to, (uint16_t)(value >> 32));
    put_be32(to + 2, (uint32_t)value);
}

int reply_timestamp(struct scsi_command *cmd, uint8_t *data)
{
    struct keep_data *keep = cmd->unit->home.keep.data;
    bool set = atomic_load(&keep->clock_set);

    memset(data, 0, 12);
    put_be16(data, 10);
    data[2] = set ? ORIGIN_SET : ORIGIN_OTHER;
    put_be48(data + 4, (now_ms() + atomic_load(&keep->clock_offset)) % LIMIT_MS);
    return 12;
}

enum scsi_next start_set_timestamp(struct scsi_command *cmd)
{
    uint32_t bytes = get_be32(cmd->cdb + 6);

    if (bytes == 0)
        return SCSI_EXECUTE;
    if (!scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (bytes != LIST_BYTES || cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

void execute_set_timestamp(struct scsi_command *cmd)
{
    struct keep_data *keep = cmd->unit->home.keep.data;
    uint8_t list[LIST_BYTES];

    if (cmd->data_out_bytes) {
        scsi_iov_get(cmd, 0, list, sizeof(list));
        uint64_t wanted = (uint64_t)get_be16(list + 4) << 32 | get_be32(list + 6);
        bool again = scsi_once_change(cmd);
        atomic_store(&keep->clock_offset, wanted - now_ms());
        atomic_store(&keep->clock_set, 1);
        scsi_once_tell(cmd, again, ASC_TIMESTAMP_CHANGED);
    }
    scsi_finish(cmd);
}
