/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection in full feature phase: attach, output, orderly and other ends. Receiving
 * is in receive.c, numbering in transmit.c.
 */
#include "iscsi/session.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"

#define LINGER_NS   (2 * NS_PER_S)  /* for the peer's FIN after ours */
#define DRAIN_NS    (5 * NS_PER_S)  /* for the peer to take what is queued */

/* ---- end ---- */

static void log_end(struct connection *c, const char *reason)
{
    struct session *s = c->session;
    log_info(
        "iscsi", "connection ended reason=\"%s\" initiator=%s target=%s address=%s cid=%u tsih=%u",
        reason, s->initiator, s->discovery ? "(discovery)" : s->target, c->peer, c->cid, s->tsih);
}

static void close_late(struct reactor_task *task)
{
    struct connection *c = container_of(task, struct connection, late);
    crash_point("closing");
    c->record->full = 0;
    stream_close(&c->stream);
}

/* The tasks that belong to this connection alone end with it (RFC 7143 4.2.3, allegiance). */
static void end_tasks(struct connection *c)
{
    struct session *s = c->session;
    for (uint16_t i = 0; i < s->task_count && s->free_count < s->task_count; i++)
        if (s->tasks[i].state != TASK_FREE && s->tasks[i].conn == c)
            task_abort(&s->tasks[i], NULL);
}

static struct connection *another(const struct connection *c)
{
    list_for_each(pos, &c->session->connections) {
        struct connection *each = list_entry(pos, struct connection, link);
        if (each != c && each->state == CONNECTION_FULL)
            return each;
    }
    return NULL;
}

/*
 * A connection is lost, and others are there: its tasks are over, for at error recovery level 0 nobody
 * can take them up again, and the session goes on (RFC 7143 7.5, 7.6 b). The initiator hears that on one of
 * them (7.1.4.3): it may log the connection in anew, and has to fill what is missing of the CmdSNs.
 * The last connection is the session (7.1.4.4).
 */
static void lost(struct connection *c, const char *reason)
{
    struct session *s = c->session;
    struct connection *other = another(c);
    if (!other) {
        session_close(s, reason);
        return;
    }
    c->leaves_session = true;
    async_send(other, ISCSI_ASYNC_DROP_CONNECTION, c->cid, s->params.time2wait, 0);
}

void connection_close(struct connection *c, const char *reason)
{
    if (c->state >= CONNECTION_CLOSING)
        return;
    if (c->state == CONNECTION_FULL) {
        log_end(c, reason);
        c->end_reason = reason;
    }
    c->state = CONNECTION_CLOSING;
    if (!c->record->leave.with) /* otherwise it goes with a commit that is still to come */
        c->record->full = 0;
    reactor_timer_stop(c->engine->reactor, &c->timer);
    reactor_defer(c->engine->reactor, &c->late);
    end_tasks(c);
    if (!c->leaves_session && !c->session->closing)
        lost(c, reason);
}

static void stream_closed(struct stream *stream);

static void leave(struct connection *c, const struct connection *with, bool session)
{
    struct state_leave *l = &c->record->leave;
    c->leaves_session = true;
    l->pos = with->stream.next.rx_parsed;
    l->session = session;
    atomic_signal_fence(memory_order_release);
    l->with = with->index + 1;
}

void connection_leave(struct connection *c, const struct connection *with, const char *reason)
{
    leave(c, with, false);
    connection_close(c, reason);
}

void connection_drain(struct connection *c, const char *reason)
{
    if (c->state != CONNECTION_FULL)
        return;
    log_end(c, reason);
    c->end_reason = reason;
    leave(c, c, c->session->leaving);
    crash_point("leave");
    c->state = CONNECTION_DRAIN;
    end_tasks(c);
    reactor_timer_start(c->engine->reactor, &c->timer, DRAIN_NS);
    connection_output(c);
}

static void drained(struct connection *c)
{
    c->state = CONNECTION_LINGER;
    c->record->full = 0; /* all is sent: nobody has to go on with it */
    crash_point("drained");
    stream_shutdown_send(&c->stream);
    reactor_timer_start(c->engine->reactor, &c->timer, LINGER_NS);
    stream_receive(&c->stream);
}

static void gone_run(struct reactor_message *m)
{
    struct connection *c = container_of(m, struct connection, message);
    c->gone(c);
}

static void stream_closed(struct stream *stream)
{
    struct connection *c = container_of(stream, struct connection, stream);
    struct session *s = c->session;
    c->state = CONNECTION_CLOSED;
    c->receive = RECEIVE_HEADER;
    reactor_timer_stop(c->engine->reactor, &c->timer);
    reactor_task_cancel(&c->more);
    reactor_task_cancel(&c->late);
    text_end(c);
    /* The socket has let go of the buffers of what was being received or answered. */
    for (uint16_t i = 0; i < s->task_count && s->free_count < s->task_count; i++) {
        struct task *t = &s->tasks[i];
        if (t->state == TASK_FREE || t->conn != c)
            continue;
        t->conn = NULL;
        if (t->state == TASK_ANSWER)
            task_release(t);
        else if (c->segment_task == t)
            task_drop(t);
    }
    c->segment_task = NULL;
    list_remove(&c->link);
    s->connection_count--;
    if (!s->connection_count && !s->closing)
        session_close(s, c->end_reason);
    if (s->fence != FENCE_DOWN)
        fence_look(s);
    session_check_gone(s);
    stream_detach(stream);
    c->message.run = gone_run;
    reactor_post(c->home, &c->message);
}

static void stream_ended(struct stream *stream, int error)
{
    struct connection *c = container_of(stream, struct connection, stream);
    if (c->state == CONNECTION_DRAIN || c->state == CONNECTION_LINGER)
        connection_close(c, c->end_reason);
    else
        connection_close(c, error ? g_strerror(-error) : "closed by the initiator");
}

/* ---- output ---- */

void connection_output_task(struct task *t)
{
    struct connection *c = t->conn;
    list_append(&c->output, &t->link);
    if (c->output.next == &t->link)
        connection_output(c);
}

/* One task's PDUs as far as there is room; true: all of them are queued. */
static bool emit(struct task *t)
{
    if (t->state == TASK_COLLECT)
        return transfer_r2t(t);
    if (t->kind == TASK_SCSI)
        return answer_emit(t);
    return answer_simple_emit(t);
}

void connection_output(struct connection *c)
{
    while (!list_empty(&c->output)) {
        struct task *t = list_entry(c->output.next, struct task, link);
        if (!emit(t))
            return;
        list_remove(&t->link);
    }
    if (c->session->fence != FENCE_DOWN)
        fence_look(c->session);
    if (c->state == CONNECTION_DRAIN && stream_drained(&c->stream))
        drained(c);
}

static void stream_written(struct stream *stream, uint32_t owner)
{
    struct connection *c = container_of(stream, struct connection, stream);
    struct task *t = task_at(c->session, owner);
    t->written = true;
    task_release(t);
}

static void stream_writable(struct stream *stream)
{
    struct connection *c = container_of(stream, struct connection, stream);
    if (c->state <= CONNECTION_DRAIN)
        connection_output(c);
}

static void stream_received(struct stream *stream)
{
    struct connection *c = container_of(stream, struct connection, stream);
    c->received_ns = c->engine->reactor->now_ns;
    c->nop_tag = 0; /* any bytes are a sign of life */
    if (c->state == CONNECTION_LINGER || c->state == CONNECTION_DRAIN) {
        const uint8_t *bytes;
        stream_consume(stream, stream_peek(stream, &bytes));
        stream_commit(stream);
        stream_receive(stream);
        return;
    }
    receive_run(c);
}

const struct stream_ops connection_stream_ops = {
    .received = stream_received,
    .written = stream_written,
    .writable = stream_writable,
    .ended = stream_ended,
    .closed = stream_closed,
};

/* ---- begin ---- */

void connection_apply_params(struct connection *c)
{
    c->header_digest = c->params.header_digest == ISCSI_DIGEST_CRC32C;
    c->data_digest = c->params.data_digest == ISCSI_DIGEST_CRC32C;
    c->record->params = c->params;
}

static void join(struct connection *c, struct session *s)
{
    c->session = s;
    c->engine = s->engine;
    c->stream.ops = &connection_stream_ops;
    list_init(&c->output);
    reactor_task_init(&c->more, receive_more_run);
    reactor_task_init(&c->late, close_late);
    timer_init(&c->timer, deadline_fired);
    list_append(&s->connections, &c->link);
    s->connection_count++;
    c->exp_stat_sn = c->stream.next.number[STATE_STAT_SN] - 1;
    c->state = CONNECTION_FULL;
    stream_attach(&c->stream, s->engine->reactor);
}

void connection_record_fill(struct connection *c, const struct session *s)
{
    c->record->session = s->index;
    c->record->cid = c->cid;
    c->record->number = c->number;
    c->record->nop_interval_ns = c->nop_interval_ns;
    c->record->nop_timeout_ns = c->nop_timeout_ns;
    c->record->params = c->params;
    memcpy(c->record->peer, c->peer, sizeof(c->peer));
    memcpy(c->record->portal, c->portal, sizeof(c->portal));
}

void connection_attach(struct connection *c, struct session *s)
{
    join(c, s);
    connection_apply_params(c);
    c->receive = RECEIVE_HEADER;
    c->stream.next.number[STATE_RECEIVE] = RECEIVE_HEADER;
    stream_commit(&c->stream);
    if (s->closing || s->stopping || s->leaving) {
        c->leaves_session = true;
        connection_close(c, "the session is ending");
        return;
    }
    deadline_start(c);
    receive_run(c);
}

void connection_resume(struct connection *c, struct session *s)
{
    join(c, s);
    c->record->slot = c->slot;
    c->late_from = c->stream.next.number[STATE_EXP_CMD_SN];
    c->late_until = c->stream.rx_pos;
    c->nop_last_tag = c->stream.next.number[STATE_NOP_TAG];
    connection_apply_params(c);
    if (state_leaves_with(c->record, c->index, c->stream.next.rx_parsed)) {
        c->end_reason = c->record->leave.session ? "session logout" : "connection logout";
        c->leaves_session = true;
        s->leaving = c->record->leave.session;
        c->state = CONNECTION_DRAIN;
        reactor_timer_start(c->engine->reactor, &c->timer, DRAIN_NS);
        return;
    }
    c->record->leave.with = 0; /* the PDU that says so is parsed again */
    deadline_start(c);
}

void connection_go_on(struct connection *c)
{
    if (c->state == CONNECTION_DRAIN) {
        stream_send(&c->stream);
        stream_receive(&c->stream);
        connection_output(c);
    }
    if (c->state != CONNECTION_FULL)
        return;
    stream_send(&c->stream);
    receive_run(c);
}
