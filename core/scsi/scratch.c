/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scratch buffers of steps. Who waits for one may have what others wait for, who in turn have all the memory:
 * blocks of its own (range.h), or just the data that it is to compare. So one buffer a reactor is kept back
 * for them, and whoever has it ends without asking for more. The others wait in line for it, and the first
 * of them in the pool as well.
 */
#include "scsi/opcode.h"
#include "scsi/scratch.h"
#include "scsi/step.h"

#define REACTORS_MAX 128u

struct reserve {
    bool kept;           /* there is to be one */
    struct buf *buf;     /* NULL: somebody has it */
    struct list waiting; /* by scratch_waiter.link */
    struct bufpool_waiter waiter;
    struct reactor_task task;
} __attribute__((aligned(64)));

static struct reserve reserves[REACTORS_MAX]; /* each its reactor's */

static struct reserve *own(void)
{
    return &reserves[reactor_current()->index % REACTORS_MAX];
}

static void look_at_pool(struct reserve *r)
{
    struct bufpool *pool = reactor_current()->pool;

    if (list_empty(&r->waiting))
        bufpool_wait_cancel(pool, &r->waiter);
    else if (list_empty(&r->waiter.link))
        bufpool_wait(pool, &r->waiter, SCRATCH_BYTES);
}

/* Somebody is waiting. */
static void give(struct reserve *r, struct buf *buf)
{
    struct scsi_command *cmd =
        list_entry(list_take(&r->waiting), struct scsi_command, scratch_waiter.link);

    cmd->scratch = buf;
    look_at_pool(r);
    scsi_resume(cmd);
}

static void pool_ready(struct bufpool_waiter *waiter, struct buf *buf)
{
    give(container_of(waiter, struct reserve, waiter), buf);
}

static void give_reserve(struct reactor_task *task)
{
    struct reserve *r = container_of(task, struct reserve, task);
    struct buf *buf = r->buf;

    if (!buf || list_empty(&r->waiting))
        return;
    r->buf = NULL;
    give(r, buf);
}

static void prepare(struct reserve *r)
{
    if (r->waiting.next)
        return;
    list_init(&r->waiting);
    bufpool_waiter_init(&r->waiter, pool_ready);
    reactor_task_init(&r->task, give_reserve);
}

void scsi_scratch_reserve(struct reactor *reactor)
{
    struct reserve *r = &reserves[reactor->index % REACTORS_MAX];

    prepare(r);
    r->kept = true;
    r->buf = bufpool_take(reactor->pool, SCRATCH_BYTES);
}

bool scsi_scratch(struct scsi_command *cmd)
{
    struct reserve *r = own();

    if (cmd->scratch)
        return true;
    cmd->scratch = bufpool_take(reactor_current()->pool, SCRATCH_BYTES);
    if (!cmd->scratch && r->buf) {
        cmd->scratch = r->buf;
        r->buf = NULL;
    }
    if (cmd->scratch)
        return true;
    prepare(r);
    list_append(&r->waiting, &cmd->scratch_waiter.link);
    look_at_pool(r);
    return false;
}

bool scsi_scratch_leave(struct scsi_command *cmd)
{
    if (list_empty(&cmd->scratch_waiter.link))
        return false;
    list_remove(&cmd->scratch_waiter.link);
    look_at_pool(own());
    return true;
}

void scsi_scratch_put(struct scsi_command *cmd)
{
    struct reserve *r = own();
    struct buf *buf = cmd->scratch;

    cmd->scratch = NULL;
    if (!buf)
        return;
    if (!r->kept || r->buf || buf_is_shared(buf)) {
        buf_unref(buf);
        return;
    }
    r->buf = buf;
    if (!list_empty(&r->waiting))
        reactor_defer(reactor_current(), &r->task);
}
