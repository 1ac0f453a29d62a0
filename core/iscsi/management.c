/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task management functions (RFC 7143 11.5, 11.6; RFC 7144 6; SAM-5 7). Task sets are per I_T nexus
 * (TST 001b), so only resets concern other sessions: see management_reset.c.
 *
 * A function answers when everything it ended is really over: no aborted write can reach the
 * storage after the response.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/serial.h"
#include "iscsi/management.h"
#include "scsi/nexus.h"

#define TOLD_A_SECOND 16u

static const char *function_name(uint8_t function)
{
    static const char *const names[] = {
        [ISCSI_TMF_ABORT_TASK] = "abort task",
        [ISCSI_TMF_ABORT_TASK_SET] = "abort task set",
        [ISCSI_TMF_CLEAR_ACA] = "clear ACA",
        [ISCSI_TMF_CLEAR_TASK_SET] = "clear task set",
        [ISCSI_TMF_LUN_RESET] = "logical unit reset",
        [ISCSI_TMF_TARGET_WARM_RESET] = "target warm reset",
        [ISCSI_TMF_TARGET_COLD_RESET] = "target cold reset",
        [ISCSI_TMF_TASK_REASSIGN] = "task reassign",
        [ISCSI_TMF_QUERY_TASK] = "query task",
        [ISCSI_TMF_QUERY_TASK_SET] = "query task set",
        [ISCSI_TMF_I_T_NEXUS_RESET] = "I_T nexus reset",
        [ISCSI_TMF_QUERY_ASYNC_EVENT] = "query asynchronous event",
    };
    return function < G_N_ELEMENTS(names) && names[function] ? names[function] : "unknown function";
}

enum pdu_verdict management_receive(struct connection *c, const struct pdu *pdu)
{
    struct session *s = c->session;
    const uint8_t *h = pdu->bhs;
    uint32_t itt = get_be32(h + ISCSI_BHS_ITT);
    if (session_short_of_tasks(s))
        return PDU_STALL;
    if (s->discovery || itt == ISCSI_TAG_NONE) {
        session_take_cmd_sn(c, h);
        reject_send(c, h, ISCSI_REJECT_PROTOCOL);
        return PDU_DISCARD;
    }
    bool in_progress = task_find(s, itt) != NULL;
    enum cmd_sn_verdict order = session_cmd_sn(c, h);
    if (order == CMD_SN_IGNORE)
        return PDU_DISCARD;
    if (in_progress) {
        session_use_cmd_sn(c, h, order);
        reject_send(c, h, ISCSI_REJECT_IN_PROGRESS);
        return PDU_DISCARD;
    }
    struct task *t = task_take(s, c, TASK_MANAGEMENT, itt);
    t->immediate = h[ISCSI_BHS_OPCODE] & ISCSI_IMMEDIATE;
    t->cmd_sn = t->record->cmd_sn = get_be32(h + ISCSI_BHS_CMD_SN);
    t->record->opcode = h[ISCSI_BHS_OPCODE];
    t->record->begun = 0;
    memcpy(t->record->small, h, ISCSI_BHS_BYTES);
    if (order == CMD_SN_HOLD) {
        t->state = TASK_HELD;
        s->held[t->cmd_sn % s->held_size] = (uint16_t)(t->index + 1);
        s->held_count++;
        return PDU_DISCARD;
    }
    management_run(t);
    if (s->held_count)
        command_run_held(s);
    return PDU_DISCARD;
}

/* The answer of a function that ends the session is the last thing that is sent. */
static void end_session(struct connection *c, const char *reason)
{
    c->session->leaving = true;
    list_for_each_safe(pos, &c->session->connections)
    {
        struct connection *each = list_entry(pos, struct connection, link);
        if (each != c)
            connection_leave(each, c, reason);
    }
    connection_drain(c, reason);
}

/* So many lines a second: hosts abort what times out task by task, and a peer that does nothing else must
   not fill the log. *ret_left_out: how many were not told in the last second that had any. */
static bool is_told(struct connection *c, unsigned *ret_left_out)
{
    uint32_t now_s = (uint32_t)(c->engine->reactor->now_ns / 1000000000u);

    *ret_left_out = 0;
    if (c->told_s != now_s) {
        *ret_left_out = c->told > TOLD_A_SECOND ? c->told - TOLD_A_SECOND : 0;
        c->told_s = now_s;
        c->told = 0;
    }
    return c->told++ < TOLD_A_SECOND;
}

static void tell(const struct task *t, uint8_t function)
{
    struct connection *c = t->conn;
    char more[32] = "";
    unsigned left_out = 0;

    if (c && !is_told(c, &left_out))
        return;
    if (left_out)
        snprintf(more, sizeof(more), " left-out=%u", left_out);
    log_notice("iscsi",
               "task management function=\"%s\" response=%u lun=0x%016llx initiator=%s target=%s "
               "address=%s%s",
               function_name(function), t->response,
               (unsigned long long)get_be64(management_request(t) + ISCSI_BHS_LUN),
               t->session->initiator, t->session->target, c ? c->peer : "-", more);
}

void management_finish(struct task *t)
{
    struct connection *c = t->conn;
    if (t->state == TASK_ORPHAN) {
        task_release(t);
        return;
    }
    uint8_t function = management_request(t)[ISCSI_TMF_FUNCTION] & 0x7f;
    tell(t, function);
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_TASK_MANAGEMENT_RESPONSE;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    t->bhs[ISCSI_TMF_RESPONSE] = t->response;
    put_be32(t->bhs + ISCSI_BHS_ITT, t->itt);
    bool last = t->response == ISCSI_TMF_RSP_COMPLETE &&
                (function == ISCSI_TMF_TARGET_COLD_RESET || function == ISCSI_TMF_I_T_NEXUS_RESET);
    if (!last && fence_answer(t))
        return;
    answer_simple(t);
    if (last && c && c->state == CONNECTION_FULL)
        end_session(c, function_name(function));
}

void management_settle(struct task *t)
{
    if (!--t->waits_for)
        management_finish(t);
}

/* ---- abort ---- */

bool management_take_number(struct task *t, uint32_t cmd_sn)
{
    struct session *s = t->session;
    if (serial_lt(cmd_sn, s->exp_cmd_sn) || serial_gt(cmd_sn, s->max_cmd_sn) ||
        !serial_lt(cmd_sn, t->cmd_sn) || s->held[cmd_sn % s->held_size] || !s->free_count)
        return false;
    struct task *number = task_take(s, t->conn, TASK_NUMBER, ISCSI_TAG_NONE);
    number->state = TASK_HELD;
    number->cmd_sn = number->record->cmd_sn = cmd_sn;
    s->held[cmd_sn % s->held_size] = (uint16_t)(number->index + 1);
    s->held_count++;
    command_run_held(s);
    return true;
}

static void abort_one(struct task *t)
{
    const uint8_t *h = management_request(t);
    struct task *x = task_find(t->session, get_be32(h + ISCSI_TMF_REFERENCED_TAG));
    if (!x) {
        /* A worker before this one may have ended it, and died before it could say so. */
        if (!t->record->begun && !management_take_number(t, get_be32(h + ISCSI_TMF_REF_CMD_SN)))
            t->response = ISCSI_TMF_RSP_NO_TASK;
    } else if (x->kind != TASK_SCSI) {
        t->response = ISCSI_TMF_RSP_REJECTED;
    } else if (!management_same_lun(x->cmd.lun, get_be64(h + ISCSI_BHS_LUN)) ||
               x->state == TASK_ANSWER) {
        t->response = ISCSI_TMF_RSP_NO_TASK;
    } else {
        t->record->begun = 1;
        task_abort(x, t);
    }
}

void management_abort_own(struct task *t, bool all_luns)
{
    struct session *s = t->session;
    uint64_t lun = get_be64(management_request(t) + ISCSI_BHS_LUN);
    management_tell(s, t->conn, /* unit= */ NULL, all_luns ? NULL : &lun);
    for (uint16_t i = 0; i < s->task_count; i++) {
        struct task *x = &s->tasks[i];
        if (x->state == TASK_FREE || x->kind != TASK_SCSI ||
            (!all_luns && !management_same_lun(x->cmd.lun, lun)))
            continue;
        if (x->state == TASK_HELD && !serial_lt(x->cmd_sn, t->cmd_sn))
            continue;
        task_abort(x, t);
    }
}

/* The functions that end many tasks of a unit wait for the commands before them (RFC 7143 4.2.3.3); what
   others hear of has to be known to a successor, who does it again. */
static bool must_wait(const struct task *t, uint8_t function)
{
    if ((function == ISCSI_TMF_LUN_RESET || function == ISCSI_TMF_TARGET_WARM_RESET ||
         function == ISCSI_TMF_TARGET_COLD_RESET) &&
        task_is_unborn(t))
        return true;
    return (function == ISCSI_TMF_ABORT_TASK_SET || function == ISCSI_TMF_CLEAR_TASK_SET ||
            function == ISCSI_TMF_LUN_RESET) &&
           serial_lt(t->session->exp_cmd_sn, t->cmd_sn) &&
           !serial_gt(t->cmd_sn, t->session->max_cmd_sn + 1);
}

void management_run_waiting(struct session *s)
{
    struct list again;
    list_init(&again);
    list_splice(&again, &s->waiting);
    for (struct list *n; (n = list_take(&again));)
        management_run(list_entry(n, struct task, link));
}

void management_run(struct task *t)
{
    struct session *s = t->session;
    const uint8_t *h = management_request(t);
    uint8_t function = h[ISCSI_TMF_FUNCTION] & 0x7f;
    bool has_lun = scsi_nexus_unit_at(s->nexus, get_be64(h + ISCSI_BHS_LUN)) != NULL;
    if (must_wait(t, function)) {
        t->state = TASK_BLOCKED;
        t->waiting_since_ns = s->engine->reactor->now_ns;
        list_append(&s->waiting, &t->link);
        return;
    }
    t->state = TASK_EXECUTE;
    t->response = ISCSI_TMF_RSP_COMPLETE;
    t->waits_for = 1;
    if (function >= ISCSI_TMF_QUERY_TASK && s->params.protocol_level < 2)
        function = 0; /* RFC 7144 6.3: not to be sent there */
    switch (function) {
    case ISCSI_TMF_ABORT_TASK:
        abort_one(t);
        break;
    case ISCSI_TMF_ABORT_TASK_SET:
    case ISCSI_TMF_CLEAR_TASK_SET:
        if (has_lun)
            management_abort_own(t, false);
        else
            t->response = ISCSI_TMF_RSP_NO_LUN;
        break;
    case ISCSI_TMF_LUN_RESET:
        if (has_lun)
            management_reset(t, function);
        else
            t->response = ISCSI_TMF_RSP_NO_LUN;
        break;
    case ISCSI_TMF_TARGET_WARM_RESET:
    case ISCSI_TMF_TARGET_COLD_RESET:
        management_reset(t, function);
        break;
    case ISCSI_TMF_TASK_REASSIGN:
        t->response = ISCSI_TMF_RSP_NO_REASSIGN;
        break;
    case ISCSI_TMF_I_T_NEXUS_RESET:
        management_abort_own(t, true);
        break;
    case ISCSI_TMF_QUERY_TASK:
    case ISCSI_TMF_QUERY_TASK_SET:
    case ISCSI_TMF_QUERY_ASYNC_EVENT:
        if (has_lun)
            management_query(t, function);
        else
            t->response = ISCSI_TMF_RSP_NO_LUN;
        break;
    default: /* CLEAR ACA too: NORMACA is 0 */
        t->response = ISCSI_TMF_RSP_NOT_SUPPORTED;
        break;
    }
    management_settle(t);
}
