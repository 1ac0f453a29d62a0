/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task management functions (RFC 7143 11.5, 11.6; SAM-5 7). Task sets are per I_T nexus (TST 001b),
 * so only resets concern other sessions: they walk over all engines, one after the other.
 *
 * A function answers when everything it ended is really over: no aborted write can reach the
 * storage after the response.
 */
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/serial.h"
#include "iscsi/engine.h"
#include "scsi/unit.h"

/* A reset on its way over the engines; rare, so it is made when needed. */
struct walk {
    struct reactor_message message;
    struct scsi_drain drain;
    struct task *task;
    struct scsi_target *target;
    bool cold;
    unsigned engine;                 /* the one it is at */
    unsigned unit, unit_count;
    struct scsi_unit *units[SCSI_LUNS_MAX];
};

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
    };
    return function < G_N_ELEMENTS(names) && names[function] ? names[function] : "unknown function";
}

static const uint8_t *request_of(const struct task *t)
{
    return t->record->small;
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

static void cold_reset_done(struct task *t)
{
    struct connection *c = t->conn;
    c->session->leaving = true;
    list_for_each_safe(pos, &c->session->connections) {
        struct connection *each = list_entry(pos, struct connection, link);
        each->leaves_session = true;
        if (each != c)
            connection_close(each, "target cold reset");
    }
    connection_drain(c, "target cold reset");
}

void management_finish(struct task *t)
{
    struct connection *c = t->conn;
    if (t->state == TASK_ORPHAN) {
        task_release(t);
        return;
    }
    uint8_t function = request_of(t)[ISCSI_TMF_FUNCTION] & 0x7f;
    log_notice("iscsi", "task management function=\"%s\" response=%u lun=0x%016llx initiator=%s target=%s address=%s",
               function_name(function), t->response,
               (unsigned long long)get_be64(request_of(t) + ISCSI_BHS_LUN), t->session->initiator,
               t->session->target, c ? c->peer : "-");
    t->bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_TASK_MANAGEMENT_RESPONSE;
    t->bhs[ISCSI_BHS_FLAGS] = ISCSI_FINAL;
    t->bhs[ISCSI_TMF_RESPONSE] = t->response;
    put_be32(t->bhs + ISCSI_BHS_ITT, t->itt);
    bool cold = function == ISCSI_TMF_TARGET_COLD_RESET && t->response == ISCSI_TMF_RSP_COMPLETE && c;
    answer_simple(t);
    if (cold && c->state == CONNECTION_FULL)
        cold_reset_done(t);
}

static void settle(struct task *t)
{
    if (!--t->waits_for)
        management_finish(t);
}

/* ---- abort ---- */

/* A command that was sent before the function but has not come yet is as good as aborted: its number
   counts as received (RFC 7143 11.6.1). */
static bool abort_unseen(struct task *t, uint32_t ref_cmd_sn)
{
    struct session *s = t->session;
    if (serial_lt(ref_cmd_sn, s->exp_cmd_sn) || serial_gt(ref_cmd_sn, s->max_cmd_sn) ||
        !serial_lt(ref_cmd_sn, t->cmd_sn) || s->held[ref_cmd_sn % s->held_size] || !s->free_count)
        return false;
    struct task *number = task_take(s, t->conn, TASK_NUMBER, ISCSI_TAG_NONE);
    number->state = TASK_HELD;
    number->cmd_sn = number->record->cmd_sn = ref_cmd_sn;
    s->held[ref_cmd_sn % s->held_size] = (uint16_t)(number->index + 1);
    s->held_count++;
    command_run_held(s);
    return true;
}

static void abort_one(struct task *t)
{
    const uint8_t *h = request_of(t);
    struct task *x = task_find(t->session, get_be32(h + ISCSI_TMF_REFERENCED_TAG));
    if (!x) {
        /* A worker before this one may have ended it, and died before it could say so. */
        if (!t->record->begun && !abort_unseen(t, get_be32(h + ISCSI_TMF_REF_CMD_SN)))
            t->response = ISCSI_TMF_RSP_NO_TASK;
    } else if (x->kind != TASK_SCSI) {
        t->response = ISCSI_TMF_RSP_REJECTED;
    } else if (x->cmd.lun != get_be64(h + ISCSI_BHS_LUN) || x->state == TASK_ANSWER) {
        t->response = ISCSI_TMF_RSP_NO_TASK;
    } else {
        t->record->begun = 1;
        task_abort(x, t);
    }
}

/* The commands of this session for the LUN (or for all) that came before the function. */
static void abort_own(struct task *t, bool all_luns)
{
    struct session *s = t->session;
    uint64_t lun = get_be64(request_of(t) + ISCSI_BHS_LUN);
    for (uint16_t i = 0; i < s->task_count; i++) {
        struct task *x = &s->tasks[i];
        if (x->state == TASK_FREE || x->kind != TASK_SCSI || (!all_luns && x->cmd.lun != lun))
            continue;
        if (x->state == TASK_HELD && !serial_lt(x->cmd_sn, t->cmd_sn))
            continue;
        task_abort(x, t);
    }
}

/* ---- resets ---- */

static void walk_run(struct reactor_message *message);

static void walk_post(struct walk *w)
{
    struct task *t = w->task;
    struct engine *home = t->session->engine;
    w->message.run = walk_run;
    reactor_post(w->engine < home->all_count ? home->all[w->engine]->reactor : home->reactor,
                 &w->message);
}

static void walk_drained(struct scsi_drain *drain)
{
    struct walk *w = container_of(drain, struct walk, drain);
    w->unit++;
    walk_post(w); /* off this stack */
}

static void close_others(struct walk *w, struct engine *e)
{
    list_for_each_safe(pos, &e->sessions) {
        struct session *s = list_entry(pos, struct session, link);
        if (s != w->task->session && s->nexus && s->nexus->target == w->target)
            session_close(s, "target cold reset by another initiator");
    }
}

static void walk_run(struct reactor_message *message)
{
    struct walk *w = container_of(message, struct walk, message);
    struct engine *home = w->task->session->engine;
    if (w->engine == home->all_count) {
        struct task *t = w->task;
        g_free(w);
        settle(t);
        return;
    }
    if (w->unit < w->unit_count) {
        struct scsi_unit *unit = w->units[w->unit];
        scsi_unit_abort_all(unit, NULL);
        w->drain.done = walk_drained;
        scsi_unit_drain(unit, &w->drain);
        return;
    }
    if (w->cold)
        close_others(w, home->all[w->engine]);
    w->engine++;
    w->unit = 0;
    walk_post(w);
}

static void add_unit(struct scsi_unit *unit, void *data)
{
    struct walk *w = data;
    w->units[w->unit_count++] = unit;
}

static void reset(struct task *t, uint8_t function)
{
    struct session *s = t->session;
    struct walk *w = g_try_new0(struct walk, 1);
    if (!w) {
        t->response = ISCSI_TMF_RSP_REJECTED;
        return;
    }
    w->task = t;
    w->target = s->nexus->target;
    w->cold = function == ISCSI_TMF_TARGET_COLD_RESET;
    if (function == ISCSI_TMF_LUN_RESET)
        add_unit(scsi_nexus_unit_at(s->nexus, get_be64(request_of(t) + ISCSI_BHS_LUN)), w);
    else
        scsi_nexus_each_unit(s->nexus, add_unit, w);
    abort_own(t, function != ISCSI_TMF_LUN_RESET);
    for (unsigned i = 0; i < w->unit_count; i++)
        scsi_unit_reset(w->units[i], function != ISCSI_TMF_LUN_RESET);
    t->waits_for++;
    walk_post(w);
}

void management_run(struct task *t)
{
    struct session *s = t->session;
    const uint8_t *h = request_of(t);
    uint8_t function = h[ISCSI_TMF_FUNCTION] & 0x7f;
    bool has_lun = scsi_nexus_unit_at(s->nexus, get_be64(h + ISCSI_BHS_LUN)) != NULL;
    t->state = TASK_EXECUTE;
    t->response = ISCSI_TMF_RSP_COMPLETE;
    t->waits_for = 1;
    switch (function) {
    case ISCSI_TMF_ABORT_TASK:
        abort_one(t);
        break;
    case ISCSI_TMF_ABORT_TASK_SET:
    case ISCSI_TMF_CLEAR_TASK_SET:
        if (has_lun)
            abort_own(t, false);
        else
            t->response = ISCSI_TMF_RSP_NO_LUN;
        break;
    case ISCSI_TMF_LUN_RESET:
        if (has_lun)
            reset(t, function);
        else
            t->response = ISCSI_TMF_RSP_NO_LUN;
        break;
    case ISCSI_TMF_TARGET_WARM_RESET:
    case ISCSI_TMF_TARGET_COLD_RESET:
        reset(t, function);
        break;
    case ISCSI_TMF_TASK_REASSIGN:
        t->response = ISCSI_TMF_RSP_NO_REASSIGN;
        break;
    default: /* CLEAR ACA too: NORMACA is 0 */
        t->response = ISCSI_TMF_RSP_NOT_SUPPORTED;
        break;
    }
    settle(t);
}
