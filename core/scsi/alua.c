/* SPDX-License-Identifier: BSD-3-Clause */
/* REPORT and SET TARGET PORT GROUPS (SPC-4 6.36, 6.45), and what the states deny. */
#include "scsi/alua.h"

#include <string.h>

#include "scsi/nexus.h"
#include "scsi/once.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"

#define SUPPORTED_STATES 0x0fu /* unavailable, standby, non-optimized, optimized */
#define LIST_MAX         (4u + 4u * SCSI_PORTS_MAX)

enum { NOT_CHANGED = 0, BY_SET = 1, IMPLICIT = 2 };

static _Atomic uint8_t *slot(const struct scsi_unit *unit, unsigned port)
{
    return &unit->home.keep.data->access[port];
}

/* The low half is the state, the high one how it came to it. */
static uint8_t state_of(const struct scsi_unit *unit, unsigned port)
{
    return atomic_load(slot(unit, port)) & 0x0f;
}

void scsi_alua_init(struct scsi_unit *unit, const struct scsi_unit_config *config)
{
    if (unit->home.keep.existed)
        return;
    for (unsigned i = 0; i < SCSI_PORTS_MAX; i++)
        atomic_init(slot(unit, i),
                    config->access_states ? config->access_states[i] : ACCESS_OPTIMIZED);
}

static bool set(struct scsi_unit *unit, unsigned port, uint8_t state, uint8_t how)
{
    uint8_t before = atomic_exchange(slot(unit, port), (uint8_t)(how << 4 | state));

    return (before & 0x0f) != state;
}

static void changed(struct scsi_unit *unit)
{
    atomic_fetch_add(&unit->home.version, 1);
    scsi_unit_attention(unit, NULL, ASC_ACCESS_STATE_CHANGED >> 8, ASC_ACCESS_STATE_CHANGED & 0xff);
}

void scsi_unit_set_access_state(struct scsi_unit *unit, unsigned port, enum scsi_access_state state)
{
    if (set(unit, port, (uint8_t)state, IMPLICIT))
        changed(unit);
}

uint8_t scsi_alua_denied(const struct scsi_unit *unit, const struct scsi_nexus *nexus)
{
    if (nexus->relative_port == 0)
        return 0;
    switch (state_of(unit, nexus->relative_port - 1u)) {
    case ACCESS_STANDBY:
        return DENY_STANDBY;
    case ACCESS_UNAVAILABLE:
        return DENY_STANDBY | DENY_UNAVAILABLE;
    default:
        return 0;
    }
}

void scsi_alua_refuse(struct scsi_command *cmd)
{
    uint8_t state = state_of(cmd->unit, cmd->nexus->relative_port - 1u);

    scsi_check_condition(cmd, SENSE_NOT_READY,
                         state == ACCESS_UNAVAILABLE ? ASC_PORT_UNAVAILABLE : ASC_PORT_STANDBY);
}

int reply_report_port_groups(struct scsi_command *cmd, uint8_t *data)
{
    const struct scsi_target *target = cmd->nexus->target;
    bool extended = cmd->cdb[1] >> 5 == 1;
    uint32_t at = 4;

    if (cmd->cdb[1] >> 5 > 1) {
        scsi_bad_cdb(cmd, 1, 7);
        return -1;
    }
    if (extended) {
        memset(data + at, 0, 4);
        data[at] = 0x10; /* format type 1; no time given for transitions */
        at += 4;
    }
    for (unsigned i = 0; i < target->port_count; i++) {
        uint8_t *d = data + at;
        memset(d, 0, 12);
        d[0] = state_of(cmd->unit, i);
        d[1] = SUPPORTED_STATES;
        put_be16(d + 2, target->port_tags[i]);
        d[5] = atomic_load(slot(cmd->unit, i)) >> 4;
        d[7] = 1; /* one target port a group */
        put_be16(d + 10, (uint16_t)(i + 1));
        at += 12;
    }
    put_be32(data, at - 4);
    return (int)at;
}

enum scsi_next start_set_port_groups(struct scsi_command *cmd)
{
    uint32_t bytes = get_be32(cmd->cdb + 6);

    if (bytes == 0)
        return SCSI_EXECUTE;
    if (!scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (bytes < 4 || bytes % 4 || bytes > LIST_MAX || cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

/* Index of the port with the tag, or -1. */
static int find_port(const struct scsi_command *cmd, uint16_t tag)
{
    return (int)scsi_target_port(cmd->nexus->target, tag) - 1;
}

static bool check_list(struct scsi_command *cmd, const uint8_t *list, uint32_t bytes)
{
    for (uint32_t at = 4; at < bytes; at += 4) {
        if ((list[at] & 0x0f) > ACCESS_UNAVAILABLE) {
            scsi_bad_list(cmd, (uint16_t)at, 3);
            return false;
        }
        if (find_port(cmd, get_be16(list + at + 2)) < 0) {
            scsi_bad_list(cmd, (uint16_t)(at + 2), -1);
            return false;
        }
    }
    return true;
}

static void set_all(struct scsi_command *cmd, const uint8_t *list, uint32_t bytes)
{
    bool again = scsi_noted(cmd) == NOTE_BEGUN, any = false;

    for (uint32_t at = 4; at < bytes; at += 4) {
        unsigned port = (unsigned)find_port(cmd, get_be16(list + at + 2));
        if (state_of(cmd->unit, port) != (list[at] & 0x0f))
            scsi_once_change(cmd);
        any |= set(cmd->unit, port, list[at] & 0x0f, BY_SET);
    }
    if (!any && !again)
        return;
    atomic_fetch_add(&cmd->unit->home.version, 1);
    scsi_once_tell(cmd, again, ASC_ACCESS_STATE_CHANGED);
}

void execute_set_port_groups(struct scsi_command *cmd)
{
    uint8_t list[LIST_MAX];
    uint32_t bytes = cmd->data_out_bytes;

    scsi_iov_get(cmd, 0, list, bytes);
    if (check_list(cmd, list, bytes))
        set_all(cmd, list, bytes);
    scsi_finish(cmd);
}
