/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Response fence (RFC 7143 4.2.2.3): on a session of several connections the answer to a function that
 * ended many tasks must not overtake the answers on other connections, nor be overtaken. So it waits until
 * the initiator has acknowledged all that was sent before (FENCE_BEFORE), and until it has acknowledged the
 * answer itself all others wait (FENCE_AFTER). A ping makes a quiet initiator acknowledge.
 *
 * Only with TaskReporting ResponseFence or FastAbort. Nothing of it outlives the worker: what waits here
 * has no answer yet, so a successor does it again, fence and all.
 */
#include "base/bytes.h"
#include "base/serial.h"
#include "iscsi/engine.h"
#include "scsi/sense.h"

#define KEY_UNIT_ATTENTION 0x06
#define ASC_RESET          0x29 /* POWER ON, RESET, OR BUS DEVICE RESET OCCURRED */
#define ASC_CLEARED        0x2f /* COMMANDS CLEARED BY ANOTHER INITIATOR */

static bool tells_of_aborts(const struct scsi_command *cmd)
{
    if (cmd->status != SCSI_CHECK_CONDITION || cmd->sense_bytes < 4)
        return false;
    bool fixed = cmd->sense[0] < 0x72;
    uint8_t key = cmd->sense[fixed ? 2 : 1] & 0x0f;
    uint8_t asc = fixed ? cmd->sense_bytes > 12 ? cmd->sense[12] : 0 : cmd->sense[2];
    return key == KEY_UNIT_ATTENTION && (asc == ASC_RESET || asc == ASC_CLEARED);
}

/* 4.2.2.3.4; there is no ACA here. */
static bool needs_fence(const struct task *t)
{
    if (t->kind == TASK_SCSI)
        return tells_of_aborts(&t->cmd) ||
               (t->cmd.cdb[0] == 0x5f && (t->cmd.cdb[1] & 0x1f) == 0x05 &&
                t->cmd.status == SCSI_GOOD); /* PREEMPT AND ABORT */
    uint8_t function = t->record->small[ISCSI_TMF_FUNCTION] & 0x7f;
    return t->response == ISCSI_TMF_RSP_COMPLETE &&
           (function == ISCSI_TMF_ABORT_TASK_SET || function == ISCSI_TMF_CLEAR_TASK_SET ||
            function == ISCSI_TMF_LUN_RESET || function == ISCSI_TMF_TARGET_WARM_RESET);
}

static void send_answer(struct task *t)
{
    if (t->kind != TASK_SCSI)
        answer_simple(t);
    else if (t->conn && t->conn->state == CONNECTION_FULL)
        connection_output_task(t);
    else
        task_release(t);
}

static bool answers_wait(const struct connection *c)
{
    list_for_each(pos, &c->output)
    {
        const struct task *t = list_entry(pos, struct task, link);
        if (t->state == TASK_ANSWER && !t->answer_next_status)
            return true;
    }
    return false;
}

/* Whether all that was to be acknowledged on the connection is. */
static bool connection_clear(struct connection *c)
{
    if (c->fence == FENCE_MARK && !answers_wait(c)) {
        c->fence_stat_sn = c->stream.next.number[STATE_STAT_SN];
        c->fence = FENCE_ACKNOWLEDGE;
        if (serial_lt(c->exp_stat_sn, c->fence_stat_sn) && !c->nop_tag)
            nop_ping(c);
    }
    if (c->fence == FENCE_ACKNOWLEDGE && !serial_lt(c->exp_stat_sn, c->fence_stat_sn))
        c->fence = FENCE_NONE;
    return c->fence == FENCE_NONE;
}

static void raise_fence(struct task *t)
{
    struct session *s = t->session;
    s->fence = FENCE_BEFORE;
    s->fence_since_ns = s->engine->reactor->now_ns;
    s->fenced = t;
    t->state = TASK_ANSWER;
    list_for_each_safe(pos, &s->connections) list_entry(pos, struct connection, link)->fence =
        FENCE_MARK;
}

static void lower_fence(struct session *s)
{
    s->fence = FENCE_DOWN;
    s->fenced = NULL;
    while (!s->closing && s->fence == FENCE_DOWN && !list_empty(&s->behind)) {
        struct task *t = list_entry(list_take(&s->behind), struct task, link);
        if (s->connection_count > 1 && needs_fence(t))
            raise_fence(t);
        else
            send_answer(t);
    }
}

void fence_look(struct session *s)
{
    if (s->fence_looking || s->closing)
        return;
    s->fence_looking = true; /* what is sent below comes back here */
    while (s->fence != FENCE_DOWN) {
        bool clear = true;
        list_for_each_safe(pos, &s->connections) clear &=
            connection_clear(list_entry(pos, struct connection, link));
        if (!clear)
            break;
        struct task *t = s->fenced;
        if (s->fence == FENCE_AFTER || !t) {
            lower_fence(s);
            continue;
        }
        s->fence = FENCE_AFTER;
        s->fenced = NULL;
        if (t->conn)
            t->conn->fence = FENCE_MARK;
        send_answer(t);
    }
    s->fence_looking = false;
}

bool fence_answer_slow(struct task *t)
{
    struct session *s = t->session;
    if (s->fence != FENCE_DOWN) {
        t->state = TASK_ANSWER;
        list_append(&s->behind, &t->link);
        return true;
    }
    if (s->connection_count < 2 || s->closing || !needs_fence(t))
        return false;
    raise_fence(t);
    fence_look(s);
    return true;
}
