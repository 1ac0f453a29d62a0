/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FastAbort (RFC 7143 4.2.3.4): an initiator that hears AsyncEvent 5 stops sending data for what ends. The
 * transfer tags of ended tasks need not be kept for it: data for a task that is gone is read and forgotten.
 */
#include "iscsi/management.h"

static bool affected(const struct task *t, const struct connection *c, const struct scsi_unit *unit,
                     const uint64_t *lun)
{
    return t->kind == TASK_SCSI && t->conn == c && t->started && t->state != TASK_FREE &&
           t->state != TASK_ANSWER && t->state != TASK_ORPHAN && (!unit || t->cmd.unit == unit) &&
           (!lun || management_same_lun(t->cmd.lun, *lun));
}

/* No task before it has the connection tell of the same LUN. */
static bool first_of_its_lun(const struct task *t, const struct scsi_unit *unit,
                             const uint64_t *lun)
{
    for (const struct task *before = t->session->tasks; before < t; before++)
        if (affected(before, t->conn, unit, lun) &&
            management_same_lun(before->cmd.lun, t->cmd.lun))
            return false;
    return true;
}

void management_tell(struct session *s, const struct connection *except,
                     const struct scsi_unit *unit, const uint64_t *lun)
{
    if (s->params.task_reporting != ISCSI_REPORTING_FAST_ABORT || s->closing)
        return;
    for (uint16_t i = 0; i < s->task_count; i++) {
        const struct task *t = &s->tasks[i];
        struct connection *c = t->state == TASK_FREE ? NULL : t->conn;
        if (c && c != except && c->state == CONNECTION_FULL && affected(t, c, unit, lun) &&
            first_of_its_lun(t, unit, lun))
            async_tasks_end(c, t->cmd.lun);
    }
}
