/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a peer may not put off for ever. One timer a connection: it pings a silent peer (RFC 7143
 * 11.19), and looks whether what the peer owes comes: the answer to a ping, the rest of a PDU, data of
 * a write, the command before one that came early, and that it takes what is sent. All of that
 * holds memory that others wait for.
 *
 * Nothing of it costs anything between two looks. Time in which the connection was not read from
 * (no buffers, a frozen engine) is not the peer's.
 */
#include "base/clock.h"
#include "iscsi/engine.h"
#include "net/position.h"

#define PATIENCE_NS (30 * NS_PER_S)  /* without any progress */
#define BURST_NS    (300 * NS_PER_S) /* for one burst of Data-Out, however slowly it comes */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* How long nothing may come of what is owed: no longer than the peer may be dead. */
static uint64_t patience(const struct connection *c)
{
    uint64_t dead = c->nop_interval_ns + c->nop_timeout_ns;
    return c->nop_interval_ns && dead < PATIENCE_NS ? dead : PATIENCE_NS;
}

static uint64_t interval(const struct connection *c)
{
    return c->nop_interval_ns && c->nop_interval_ns < PATIENCE_NS ? c->nop_interval_ns : PATIENCE_NS;
}

/* What the peer was to send is owed from now on. */
static void excuse(struct connection *c)
{
    c->received_ns = c->excused_ns = c->parsed_ns = c->engine->reactor->now_ns;
}

static void next_look(struct connection *c)
{
    uint64_t now = c->engine->reactor->now_ns, at = now + interval(c);
    uint64_t due = c->received_ns + c->nop_interval_ns + (c->nop_tag ? c->nop_timeout_ns : 0);
    if (c->nop_interval_ns && due > now && due < at)
        at = due;
    reactor_timer_start(c->engine->reactor, &c->timer, at - now);
}

void deadline_start(struct connection *c)
{
    excuse(c);
    c->taken_ns = c->engine->reactor->now_ns;
    next_look(c);
}

/* A PDU has begun and does not end. */
static bool pdu_overdue(struct connection *c, uint64_t now)
{
    const uint8_t *bytes;
    bool inside = c->receive != RECEIVE_HEADER || stream_peek(&c->stream, &bytes);
    uint64_t at = c->stream.next.rx_parsed;
    if (!inside || at != c->parsed_seen) {
        c->parsed_seen = at;
        c->parsed_ns = now;
    }
    return now - c->parsed_ns > patience(c);
}

/* Something is to be sent, and the peer takes nothing. */
static bool reading_overdue(struct connection *c, uint64_t now)
{
    struct socket_position at = {0};
    bool idle = stream_drained(&c->stream) || socket_position(c->fd, &at) < 0;
    if (idle || at.tx != c->taken_seen) {
        c->taken_seen = at.tx;
        c->taken_ns = now;
    }
    return now - c->taken_ns > patience(c);
}

static bool owes_data(const struct task *t)
{
    switch (t->state) {
    case TASK_HELD:
        return t->kind == TASK_SCSI;
    case TASK_BLOCKED:
        return t->unsolicited || t->kind == TASK_MANAGEMENT;
    case TASK_COLLECT:
        return t->unsolicited || t->r2t_sent != t->r2t_done;
    default:
        return false;
    }
}

/* An initiator serves its R2Ts one after the other: data for any of them is progress, for a while. */
static bool data_overdue(const struct connection *c, uint64_t now)
{
    const struct session *s = c->session;
    if (s->free_count == s->task_count)
        return false;
    for (uint16_t i = 0; i < s->task_count; i++) {
        const struct task *t = &s->tasks[i];
        if (t->conn != c || !owes_data(t))
            continue;
        uint64_t since = later(t->waiting_since_ns, c->excused_ns);
        if (now - since > BURST_NS || now - later(since, c->data_out_ns) > patience(c))
            return true;
    }
    return false;
}

static const char *overdue(struct connection *c, uint64_t now)
{
    if (reading_overdue(c, now))
        return "the initiator does not take what is sent";
    if (pdu_overdue(c, now))
        return "the rest of a PDU did not come in time";
    if (data_overdue(c, now))
        return "data of a write, or a command before others, did not come in time";
    if (c->fence != FENCE_NONE && now - later(c->session->fence_since_ns, c->excused_ns) > PATIENCE_NS)
        return "the initiator does not acknowledge responses";
    if (c->nop_tag && now - c->received_ns >= c->nop_interval_ns + c->nop_timeout_ns) {
        c->engine->nop_timeouts++;
        return "no answer to a ping in time";
    }
    return NULL;
}

void deadline_fired(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, timer);
    uint64_t now = c->engine->reactor->now_ns;
    if (c->engine->frozen) {
        deadline_start(c);
        return;
    }
    if (c->state != CONNECTION_FULL) {
        connection_close(c, c->end_reason);
        return;
    }
    if (c->stalled)
        excuse(c);
    const char *reason = overdue(c, now);
    if (reason) {
        connection_close(c, reason);
        return;
    }
    if (c->nop_interval_ns && !c->nop_tag && now - c->received_ns >= c->nop_interval_ns)
        nop_ping(c);
    next_look(c);
}
