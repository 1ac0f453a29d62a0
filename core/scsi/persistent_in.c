/* SPDX-License-Identifier: BSD-3-Clause */
/* PERSISTENT RESERVE IN (SPC-4 6.15), read from the published table. */
#include <string.h>

#include "scsi/home.h"
#include "scsi/nexus.h"
#include "scsi/opcode.h"
#include "scsi/sense.h"
#include "scsi/step.h"
#include "scsi/transfer.h"
#include "scsi/transport_id.h"

enum { READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES, READ_FULL_STATUS };

static const struct pr_table empty = { .holder = -1 };

static uint32_t allocation(const struct scsi_command *cmd)
{
    return get_be16(cmd->cdb + 7);
}

enum scsi_next start_persistent_in(struct scsi_command *cmd)
{
    uint32_t limit = scsi_in_limit(cmd);

    /* Under RESERVE there are none, not even for its holder (SPC-2 5.5.1). */
    if (atomic_load(&cmd->unit->home.reserved_by) && !scsi_access_expired(cmd->unit)) {
        scsi_conflict(cmd);
        return SCSI_ENDED;
    }
    cmd->buffer_bytes = allocation(cmd) < limit ? allocation(cmd) : limit;
    return SCSI_EXECUTE;
}

/* PRGENERATION and ADDITIONAL LENGTH; the latter is never cut to the allocation length. */
static uint32_t put_header(struct scsi_command *cmd, const struct pr_table *t, uint32_t bytes)
{
    uint8_t header[8];

    put_be32(header, t->generation);
    put_be32(header + 4, bytes);
    scsi_iov_put(cmd, 0, header, sizeof(header));
    return 8 + bytes;
}

static uint32_t put_keys(struct scsi_command *cmd, const struct pr_table *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        uint8_t key[8];
        put_be64(key, t->registrations[i].key);
        scsi_iov_put(cmd, 8 + i * 8, key, sizeof(key));
    }
    return put_header(cmd, t, t->count * 8);
}

static uint32_t put_reservation(struct scsi_command *cmd, const struct pr_table *t)
{
    uint8_t d[16] = { 0 };

    if (t->type == PR_NONE)
        return put_header(cmd, t, 0);
    if (t->holder >= 0)
        put_be64(d, t->registrations[t->holder].key);
    d[13] = t->type; /* scope 0: the logical unit */
    scsi_iov_put(cmd, 8, d, sizeof(d));
    return put_header(cmd, t, sizeof(d));
}

static uint32_t put_capabilities(struct scsi_command *cmd, const struct pr_table *t)
{
    bool persist = cmd->unit->home.can_persist;
    uint8_t d[8] = { 0, 8 };

    d[2] = 0x0c | (persist ? 0x01 : 0);  /* SIP_C, ATP_C, PTPL_C */
    d[3] = 0x90 | (t->aptpl ? 0x01 : 0); /* TMV, ALLOW COMMANDS 001b, PTPL_A */
    d[4] = 0xea;                         /* WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX */
    d[5] = 0x01;                         /* EX_AC_AR */
    scsi_iov_put(cmd, 0, d, sizeof(d));
    return sizeof(d);
}

static uint32_t put_full_status(struct scsi_command *cmd, const struct pr_table *t)
{
    uint32_t at = 8;

    for (unsigned i = 0; i < t->count; i++) {
        const struct pr_registration *r = &t->registrations[i];
        uint8_t d[24 + TRANSPORT_ID_BYTES_MAX] = { 0 };
        put_be64(d, r->key);
        if (pr_is_holder(t, (int)i)) {
            d[12] = 0x01; /* R_HOLDER */
            d[13] = t->type;
        }
        put_be16(d + 18, scsi_target_port(cmd->nexus->target, r->name.tag));
        unsigned bytes = transport_id_write(d + 24, r->name.port);
        put_be32(d + 20, bytes);
        scsi_iov_put(cmd, at, d, 24 + bytes);
        at += 24 + bytes;
    }
    return put_header(cmd, t, at - 8);
}

void execute_persistent_in(struct scsi_command *cmd)
{
    const struct pr_table *t = atomic_load_explicit(&cmd->unit->home.table, memory_order_acquire);
    uint32_t bytes = 0;

    if (!t)
        t = &empty;
    switch (cmd->cdb[1] & 0x1f) {
    case READ_KEYS:
        bytes = put_keys(cmd, t);
        break;
    case READ_RESERVATION:
        bytes = put_reservation(cmd, t);
        break;
    case REPORT_CAPABILITIES:
        bytes = put_capabilities(cmd, t);
        break;
    case READ_FULL_STATUS:
        bytes = put_full_status(cmd, t);
        break;
    }
    scsi_sending(cmd, bytes < allocation(cmd) ? bytes : allocation(cmd));
    scsi_finish(cmd);
}
