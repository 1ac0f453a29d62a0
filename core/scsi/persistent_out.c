/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PERSISTENT RESERVE OUT (SPC-4 6.16), RESERVE and RELEASE (SPC-2): from the wire to what the home is
 * asked. A parameter list is taken apart wholly before anything changes.
 */
#include <glib.h>
#include <string.h>

#include "scsi/home.h"
#include "scsi/nexus.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"
#include "scsi/transport_id.h"

#define BASIC_BYTES 24u
#define LIST_MAX    65536u
#define NAMES_MAX   64u

enum scsi_next start_persistent_out(struct scsi_command *cmd)
{
    uint32_t bytes = get_be32(cmd->cdb + 5);

    if (bytes < BASIC_BYTES || bytes > LIST_MAX) {
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    if (!scsi_collecting(cmd, bytes))
        return SCSI_ENDED;
    if (cmd->data_out_bytes < bytes) {
        cmd->data_out_bytes = 0;
        scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = bytes;
    return SCSI_EXECUTE;
}

struct list_reader {
    struct scsi_command *cmd;
    const uint8_t *list;
    uint32_t bytes;
    struct pr_name *names;
    unsigned count;
};

static bool bad_length(struct scsi_command *cmd)
{
    scsi_check_condition(cmd, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
    return false;
}

/* TransportIDs in [at, end of the list). */
static bool take_names(struct list_reader *l, uint32_t at, uint16_t tag, unsigned most)
{
    l->names = g_new0(struct pr_name, most);
    while (at < l->bytes) {
        int used = l->count < most ? transport_id_read(l->list + at, l->bytes - at,
                                                       l->names[l->count].port)
                                   : -1;
        if (used < 0) {
            scsi_bad_list(l->cmd, (uint16_t)at, -1);
            return false;
        }
        l->names[l->count++].tag = tag;
        at += (uint32_t)used;
    }
    return true;
}

/* 24 bytes, and TransportIDs behind them when SPEC_I_PT says so (SPC-4 table 218). */
static bool take_basic(struct list_reader *l, struct pr_request_data *r)
{
    const uint8_t *list = l->list;

    r->key = get_be64(list);
    r->action_key = get_be64(list + 8);
    r->spec_ports = list[20] & 0x08;
    r->all_ports = list[20] & 0x04;
    r->aptpl = list[20] & 0x01;
    if (!r->spec_ports || r->action != PR_REGISTER)
        return l->bytes == BASIC_BYTES || bad_length(l->cmd);
    if (l->bytes < 28 || get_be32(list + 24) != l->bytes - 28)
        return bad_length(l->cmd);
    return take_names(l, 28, l->cmd->nexus->tag, NAMES_MAX);
}

/* SPC-4 table 221; one TransportID, at the target port that it names. */
static bool take_move(struct list_reader *l, struct pr_request_data *r)
{
    const struct scsi_target *target = l->cmd->nexus->target;
    const uint8_t *list = l->list;
    uint16_t port = get_be16(list + 18);

    r->key = get_be64(list);
    r->action_key = get_be64(list + 8);
    r->unregister = list[17] & 0x02;
    r->aptpl = list[17] & 0x01;
    if (get_be32(list + 20) != l->bytes - BASIC_BYTES || l->bytes == BASIC_BYTES)
        return bad_length(l->cmd);
    if (port == 0 || port > target->port_count) {
        scsi_bad_list(l->cmd, 18, -1);
        return false;
    }
    return take_names(l, BASIC_BYTES, target->port_tags[port - 1], 1);
}

void execute_persistent_out(struct scsi_command *cmd)
{
    g_autofree uint8_t *list = g_try_malloc(cmd->data_out_bytes);
    struct list_reader l = { .cmd = cmd, .list = list, .bytes = cmd->data_out_bytes };
    struct pr_request_data r = { .action = cmd->cdb[1] & 0x1f,
                                 .scope = cmd->cdb[2] >> 4,
                                 .type = cmd->cdb[2] & 0x0f };

    if (!list) {
        cmd->status = SCSI_BUSY;
        scsi_finish(cmd);
        return;
    }
    scsi_iov_get(cmd, 0, list, l.bytes);
    if (!(r.action == PR_REGISTER_AND_MOVE ? take_move(&l, &r) : take_basic(&l, &r))) {
        g_free(l.names);
        scsi_finish(cmd);
        return;
    }
    r.name_count = l.count;
    scsi_home_ask(cmd, HOME_PERSISTENT_OUT, &r, l.names);
}

/* ---- RESERVE, RELEASE ---- */

/* No third parties, no extents, no list: RESERVE(10) has them all in byte 1. */
enum scsi_next start_reserve(struct scsi_command *cmd)
{
    bool ten = cmd->cdb[0] & 0x40;

    if (cmd->cdb[1] & 0x1f) {
        scsi_bad_cdb(cmd, 1, 4);
        return SCSI_ENDED;
    }
    if (ten && get_be16(cmd->cdb + 7)) {
        scsi_bad_cdb(cmd, 7, -1);
        return SCSI_ENDED;
    }
    return SCSI_EXECUTE;
}

void execute_reserve(struct scsi_command *cmd)
{
    scsi_home_ask(cmd, HOME_RESERVE, NULL, NULL);
}

void execute_release(struct scsi_command *cmd)
{
    scsi_home_ask(cmd, HOME_RELEASE, NULL, NULL);
}
