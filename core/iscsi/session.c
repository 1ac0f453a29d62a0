/* SPDX-License-Identifier: BSD-3-Clause */
/* The session: command numbering, window, end. */
#include "iscsi/session.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/serial.h"

static void over_run(struct reactor_task *task);

static uint32_t power_of_two(uint32_t n)
{
    uint32_t p = 1;
    while (p < n)
        p <<= 1;
    return p;
}

struct session *session_new(uint32_t index, uint32_t window)
{
    struct session *s = g_try_new0(struct session, 1);
    if (!s)
        return NULL;
    s->index = index;
    s->record = arena_ptr(state_session_ref(index));
    s->counters = &s->record->counters;
    s->window = window;
    s->task_count = (uint16_t)(window + STATE_TASKS_EXTRA);
    s->held_size = power_of_two(window);
    s->hash_mask = power_of_two(s->task_count) - 1;
    list_init(&s->link);
    list_init(&s->blocked);
    list_init(&s->paused);
    list_init(&s->waiting);
    list_init(&s->behind);
    list_init(&s->connections);
    reactor_task_init(&s->over, over_run);
    /* calloc of this size is untouched memory: tasks never used cost nothing */
    s->tasks = g_try_malloc0_n(s->task_count, sizeof(struct task));
    s->free_tasks = g_try_new0(uint16_t, s->task_count);
    s->held = g_try_new0(uint16_t, s->held_size);
    s->hash = g_try_new0(uint16_t, s->hash_mask + 1);
    if (!s->tasks || !s->free_tasks || !s->held || !s->hash)
        return session_free(s);
    for (uint16_t i = 0; i < s->task_count; i++)
        s->free_tasks[i] = (uint16_t)(s->task_count - 1 - i);
    s->free_count = s->task_count;
    return s;
}

struct session *session_free(struct session *s)
{
    if (!s)
        return NULL;
    scsi_nexus_free(s->nexus);
    g_free(s->tasks);
    g_free(s->free_tasks);
    g_free(s->held);
    g_free(s->hash);
    g_free(s);
    return NULL;
}

void session_record_fill(struct session *s)
{
    struct session_record *r = s->record;
    r->tsih = s->tsih;
    r->portal_group_tag = s->portal_group_tag;
    memcpy(r->isid, s->isid, sizeof(r->isid));
    r->discovery = s->discovery;
    r->window = s->window;
    r->engine = s->engine->reactor->index;
    r->params = s->params;
    g_strlcpy(r->initiator, s->initiator, sizeof(r->initiator));
    g_strlcpy(r->target, s->target, sizeof(r->target));
    *state_session_used(s->index) = 1;
}

uint32_t session_max_cmd_sn(struct session *s)
{
    uint32_t max = s->exp_cmd_sn + (s->window - s->outstanding) - 1;
    if (serial_gt(max, s->max_cmd_sn))
        __atomic_store_n(&s->max_cmd_sn, max, __ATOMIC_RELAXED); /* a login that joins looks at it */
    return s->max_cmd_sn;
}

/*
 * Another connection's commit may have counted a PDU that this connection's did not reach before the
 * worker died. It has come, so it is parsed again now, and is not old.
 */
static bool is_late(const struct connection *c, uint32_t sn)
{
    return c->stream.next.rx_parsed <= c->late_until && serial_ge(sn, c->late_from) &&
           serial_lt(sn, c->session->exp_cmd_sn);
}

enum cmd_sn_verdict session_cmd_sn(struct connection *c, const uint8_t *bhs)
{
    struct session *s = c->session;
    if (bhs[ISCSI_BHS_OPCODE] & ISCSI_IMMEDIATE)
        return CMD_SN_DUE;
    uint32_t sn = get_be32(bhs + ISCSI_BHS_CMD_SN);
    if (__builtin_expect(c->late_until, 0) && is_late(c, sn))
        return CMD_SN_DUE;
    if (serial_lt(sn, s->exp_cmd_sn) || serial_gt(sn, s->max_cmd_sn))
        return CMD_SN_IGNORE;
    if (sn != s->exp_cmd_sn)
        return s->held[sn % s->held_size] ? CMD_SN_IGNORE : CMD_SN_HOLD;
    __atomic_store_n(&s->exp_cmd_sn, sn + 1, __ATOMIC_RELAXED);
    return CMD_SN_DUE;
}

bool session_use_cmd_sn(struct connection *c, const uint8_t *bhs, enum cmd_sn_verdict verdict)
{
    struct session *s = c->session;
    switch (verdict) {
    case CMD_SN_DUE:
        if (s->held_count)
            command_run_held(s);
        return true;
    case CMD_SN_HOLD: {
        struct task *t = task_take(s, c, TASK_NUMBER, ISCSI_TAG_NONE);
        if (!t)
            return false;
        t->state = TASK_HELD;
        t->cmd_sn = t->record->cmd_sn = get_be32(bhs + ISCSI_BHS_CMD_SN);
        s->held[t->cmd_sn % s->held_size] = (uint16_t)(t->index + 1);
        s->held_count++;
        return true;
    }
    default:
        return false;
    }
}

bool session_take_cmd_sn(struct connection *c, const uint8_t *bhs)
{
    return session_use_cmd_sn(c, bhs, session_cmd_sn(c, bhs));
}

void session_run_other(struct task *t)
{
    if (t->kind == TASK_MANAGEMENT)
        management_run(t);
    else
        task_drop(t);
}

void session_start(struct session *s)
{
    list_append(&s->engine->sessions, &s->link);
}

static void stop_check(struct session *s)
{
    if (s->free_count < s->task_count)
        return;
    list_for_each_safe(pos, &s->connections)
        connection_drain(list_entry(pos, struct connection, link), "the target stops");
}

void session_stop(struct session *s)
{
    if (s->closing || s->stopping)
        return;
    s->stopping = true;
    list_for_each_safe(pos, &s->connections)
        async_send(list_entry(pos, struct connection, link), ISCSI_ASYNC_DROP_SESSION, 0,
                   s->params.time2wait, 0);
    stop_check(s);
}

void session_close(struct session *s, const char *reason)
{
    if (!s->closing) {
        s->closing = true;
        s->end_reason = reason;
        for (uint16_t i = 0; i < s->task_count && s->free_count < s->task_count; i++)
            task_abort(&s->tasks[i], NULL);
    }
    list_for_each_safe(pos, &s->connections)
        connection_close(list_entry(pos, struct connection, link), reason);
    session_check_gone(s);
}

static void gone_run(struct reactor_message *m)
{
    struct session *s = container_of(m, struct session, message);
    s->gone(s);
}

static bool is_over(const struct session *s)
{
    return s->closing && !s->connection_count && s->free_count == s->task_count;
}

/* At the end of the turn: nothing on the stack knows the session any more. */
static void over_run(struct reactor_task *task)
{
    struct session *s = container_of(task, struct session, over);
    if (!is_over(s) || s->told)
        return;
    s->told = true;
    if (s->engine->observed == &s->link)
        s->engine->observed = s->link.next;
    if (s->nexus)
        scsi_nexus_gone(s->nexus);
    list_remove(&s->link);
    s->message.run = gone_run;
    reactor_post(s->home, &s->message);
}

void session_check_gone(struct session *s)
{
    if (is_over(s) && !s->told) /* told: it is the registry's, a late connection has come and gone */
        reactor_defer(s->engine->reactor, &s->over);
}

void session_task_freed(struct session *s)
{
    if (s->closing) {
        session_check_gone(s);
        return;
    }
    if (s->stopping) {
        stop_check(s);
        return;
    }
    list_for_each_safe(pos, &s->connections)
    {
        struct connection *c = list_entry(pos, struct connection, link);
        if (c->stalled)
            receive_resume(c);
    }
}

static void kick_run(struct reactor_task *task)
{
    scsi_kick();
}

/* The state arena is mapped. */
void engine_init(struct engine *e, struct reactor *reactor)
{
    memset(e, 0, sizeof(*e));
    e->reactor = reactor;
    list_init(&e->sessions);
    list_init(&e->gathering);
    bufpool_waiter_init(&e->waiter, buffers_ready);
    reactor_task_init(&e->kick, kick_run);
    timer_init(&e->relief, relief_fired);
    e->working = state_working(reactor->index);
    reactor->user = e;
}
