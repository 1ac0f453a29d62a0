/* SPDX-License-Identifier: BSD-3-Clause */
/* Giving way and standing still; see turns.h. The lists go through scratch_waiter, which waits for nothing
   meanwhile. */
#include "scsi/turns.h"

#include "reactor/reactor.h"
#include "scsi/opcode.h"
#include "scsi/scratch.h"
#include "scsi/step.h"

/* This reactor's. */
static __thread struct list waiting, standing;
static __thread struct reactor_task go_on;
static __thread bool still;
static __thread unsigned standing_count;

static struct scsi_command *take(struct list *list)
{
    struct list *link = list_take(list);
    struct scsi_command *cmd;

    if (!link)
        return NULL;
    cmd = list_entry(link, struct scsi_command, scratch_waiter.link);
    cmd->leave = NULL;
    return cmd;
}

static void go_on_run(struct reactor_task *task)
{
    struct scsi_command *cmd;
    struct list batch;

    (void)task;
    list_init(&batch);
    list_splice(&batch, &waiting);
    while ((cmd = take(&batch)))
        scsi_steps_go_on(cmd);
}

static bool leave_waiting(struct scsi_command *cmd)
{
    list_remove(&cmd->scratch_waiter.link);
    cmd->leave = NULL;
    return true;
}

void scsi_give_way(struct scsi_command *cmd)
{
    if (!waiting.next) {
        list_init(&waiting);
        reactor_task_init(&go_on, go_on_run);
    }
    list_append(&waiting, &cmd->scratch_waiter.link);
    cmd->leave = leave_waiting;
    reactor_defer(reactor_current(), &go_on);
}

/* ---- standing still ---- */

bool scsi_standing(void)
{
    return still;
}

static bool leave_standing(struct scsi_command *cmd)
{
    standing_count--;
    return leave_waiting(cmd);
}

void scsi_stand(struct scsi_command *cmd)
{
    scsi_scratch_put(cmd);
    if (!standing.next)
        list_init(&standing);
    list_append(&standing, &cmd->scratch_waiter.link);
    cmd->leave = leave_standing;
    standing_count++;
}

void scsi_stand_still(bool on)
{
    struct scsi_command *cmd;
    struct list batch;

    still = on;
    if (on || !standing.next)
        return;
    list_init(&batch);
    list_splice(&batch, &standing);
    while ((cmd = take(&batch))) {
        standing_count--;
        cmd->opcode->execute(cmd);
    }
}

unsigned scsi_standing_count(void)
{
    return standing_count;
}
