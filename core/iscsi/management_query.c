/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions that look and change nothing (RFC 7144 6.3, 6.4): is a command in the task set, is any,
 * is a unit attention pending. "Function succeeded" is yes, "function complete" is no.
 */
#include "base/bytes.h"
#include "iscsi/management.h"
#include "scsi/nexus.h"

/* Additional response information of QUERY ASYNCHRONOUS EVENT (SAM-5): how many are pending (0: not
   said), the sense key, ASC and ASCQ. */
#define KEY_UNIT_ATTENTION 0x06

static bool in_task_set(const struct task *t, uint64_t lun)
{
    return t->kind == TASK_SCSI && t->state != TASK_FREE && t->state != TASK_HELD &&
           t->state != TASK_ANSWER && t->state != TASK_ORPHAN &&
           management_same_lun(t->cmd.lun, lun);
}

static uint8_t query_task(struct task *t, uint64_t lun)
{
    const uint8_t *h = management_request(t);
    struct task *x = task_find(t->session, get_be32(h + ISCSI_TMF_REFERENCED_TAG));
    if (x && x->kind != TASK_SCSI)
        return ISCSI_TMF_RSP_REJECTED;
    if (x)
        return in_task_set(x, lun) ? ISCSI_TMF_RSP_SUCCEEDED : ISCSI_TMF_RSP_COMPLETE;
    management_take_number(t, get_be32(h + ISCSI_TMF_REF_CMD_SN));
    return ISCSI_TMF_RSP_COMPLETE;
}

static uint8_t query_task_set(const struct session *s, uint64_t lun)
{
    for (uint16_t i = 0; i < s->task_count && s->free_count < s->task_count; i++)
        if (in_task_set(&s->tasks[i], lun))
            return ISCSI_TMF_RSP_SUCCEEDED;
    return ISCSI_TMF_RSP_COMPLETE;
}

static uint8_t query_attention(struct task *t, uint64_t lun)
{
    struct scsi_nexus *nexus = t->session->nexus;
    uint8_t *information = t->bhs + ISCSI_TMF_INFORMATION;
    if (!scsi_nexus_attention(nexus, scsi_nexus_unit_at(nexus, lun), /* take= */ false,
                              information + 1, information + 2))
        return ISCSI_TMF_RSP_COMPLETE;
    information[0] = KEY_UNIT_ATTENTION;
    return ISCSI_TMF_RSP_SUCCEEDED;
}

void management_query(struct task *t, uint8_t function)
{
    uint64_t lun = get_be64(management_request(t) + ISCSI_BHS_LUN);
    switch (function) {
    case ISCSI_TMF_QUERY_TASK:
        t->response = query_task(t, lun);
        break;
    case ISCSI_TMF_QUERY_TASK_SET:
        t->response = query_task_set(t->session, lun);
        break;
    default:
        t->response = query_attention(t, lun);
        break;
    }
}
