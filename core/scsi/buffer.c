/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READ BUFFER and WRITE BUFFER (SPC-4 6.17, 6.49): a data buffer and an echo buffer of each unit, with
 * which initiators try the way to it. They lie in the kept memory, which costs nothing before it is
 * written: until then they are not looked at. Who finds them in use by another reactor is BUSY. There is no firmware to be loaded.
 */
#include <string.h>

#include "base/bytes.h"
#include "scsi/nexus.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

enum { MODE_DATA = 0x02, MODE_DESCRIPTOR = 0x03, MODE_ECHO = 0x0a, MODE_ECHO_DESCRIPTOR = 0x0b };

#define BYTES KEEP_BUFFER_BYTES

static uint8_t mode_of(const struct scsi_command *cmd)
{
    return cmd->cdb[1] & 0x1f;
}

static bool take(struct scsi_command *cmd)
{
    if (!atomic_exchange_explicit(&cmd->unit->buffers_taken, true, memory_order_acquire))
        return true;
    cmd->status = SCSI_BUSY;
    return false;
}

static void put_back(struct scsi_command *cmd)
{
    atomic_store_explicit(&cmd->unit->buffers_taken, false, memory_order_release);
}

static int read_buffer(struct scsi_command *cmd, const uint8_t *from, uint32_t bytes, uint8_t *data)
{
    if (!take(cmd))
        return -1;
    memcpy(data, from, bytes);
    put_back(cmd);
    return (int)bytes;
}

static bool is_written(const struct scsi_command *cmd)
{
    return atomic_load_explicit(&cmd->unit->home.keep.data->buffered, memory_order_acquire);
}

static int read_data(struct scsi_command *cmd, uint8_t *data)
{
    uint32_t offset = get_be24(cmd->cdb + 3);

    if (cmd->cdb[2] || offset >= BYTES) {
        scsi_bad_cdb(cmd, cmd->cdb[2] ? 2 : 3, -1);
        return -1;
    }
    if (!is_written(cmd)) {
        memset(data, 0, BYTES - offset);
        return (int)(BYTES - offset);
    }
    return read_buffer(cmd, cmd->unit->home.keep.rare->buffers.data + offset, BYTES - offset, data);
}

/* As much as was written last; another nexus finds what this one has left, and is told so. */
static int read_echo(struct scsi_command *cmd, uint8_t *data)
{
    const struct keep_buffers *b = &cmd->unit->home.keep.rare->buffers;

    if (!is_written(cmd) || b->echo_bytes == 0 || b->echo_bytes > BYTES) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_COMMAND_SEQUENCE);
        return -1;
    }
    if (b->echo_by != cmd->nexus->id) {
        scsi_check_condition(cmd, SENSE_ABORTED_COMMAND, ASC_ECHO_BUFFER_OVERWRITTEN);
        return -1;
    }
    return read_buffer(cmd, b->echo, b->echo_bytes, data);
}

int reply_read_buffer(struct scsi_command *cmd, uint8_t *data)
{
    switch (mode_of(cmd)) {
    case MODE_DATA:
        return read_data(cmd, data);
    case MODE_DESCRIPTOR: /* offsets of any kind; there is buffer 0 alone */
        put_be32(data, cmd->cdb[2] == 0 ? BYTES : 0);
        return 4;
    case MODE_ECHO:
        return read_echo(cmd, data);
    case MODE_ECHO_DESCRIPTOR:
        put_be32(data, 0x01000000u | BYTES); /* EBOS: each nexus is told when it is overwritten */
        return 4;
    default:
        scsi_bad_cdb(cmd, 1, 4);
        return -1;
    }
}

enum scsi_next start_write_buffer(struct scsi_command *cmd)
{
    uint32_t bytes = get_be24(cmd->cdb + 6), offset = get_be24(cmd->cdb + 3);
    bool echo = mode_of(cmd) == MODE_ECHO;

    if (!echo && mode_of(cmd) != MODE_DATA)
        scsi_bad_cdb(cmd, 1, 4);
    else if (!echo && cmd->cdb[2])
        scsi_bad_cdb(cmd, 2, -1);
    else if (!echo && offset > BYTES)
        scsi_bad_cdb(cmd, 3, -1);
    else if (bytes > BYTES - (echo ? 0 : offset) || (echo && bytes == 0))
        scsi_bad_cdb(cmd, 6, -1);
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

/* What is there may be of another unit, which had the place before. */
static void begin_writing(struct scsi_command *cmd, struct keep_buffers *b)
{
    if (is_written(cmd))
        return;
    memset(b, 0, sizeof(*b));
    atomic_store_explicit(&cmd->unit->home.keep.data->buffered, 1, memory_order_release);
}

void execute_write_buffer(struct scsi_command *cmd)
{
    struct keep_buffers *b = &cmd->unit->home.keep.rare->buffers;
    bool echo = mode_of(cmd) == MODE_ECHO;
    uint8_t *to = echo ? b->echo : b->data + get_be24(cmd->cdb + 3);

    if (take(cmd)) {
        begin_writing(cmd, b);
        scsi_iov_get(cmd, 0, to, cmd->data_out_bytes);
        if (echo) {
            b->echo_bytes = cmd->data_out_bytes;
            b->echo_by = cmd->nexus->id;
        }
        put_back(cmd);
    }
    scsi_finish(cmd);
}
