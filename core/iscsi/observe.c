/* SPDX-License-Identifier: BSD-3-Clause */
/* See observe.h. The place in the list of sessions is kept right by session.c when one ends. */
#include "iscsi/observe.h"

#include <glib.h>
#include <string.h>

#include "reactor/bufpool.h"

#define SESSIONS_A_ROUND 8u

static void look_at_connection(struct observation *o, const struct connection *c)
{
    uint32_t at = o->connection_count++;
    if (at >= o->connection_room)
        return;
    struct observed_connection *to = &o->connections[at];
    *to = (struct observed_connection){
        .session = o->session_count,
        .cid = c->cid,
        .state = c->state,
        .header_digest = c->header_digest,
        .data_digest = c->data_digest,
        .initiator_max_recv = c->params.initiator_max_recv,
        .target_max_recv = c->params.target_max_recv,
    };
    g_strlcpy(to->peer, c->peer, sizeof(to->peer));
    g_strlcpy(to->portal, c->portal, sizeof(to->portal));
}

static void look_at_session(struct observation *o, const struct session *s)
{
    list_for_each(pos, &s->connections)
        look_at_connection(o, list_entry(pos, struct connection, link));
    uint32_t at = o->session_count++;
    if (at >= o->session_room)
        return;
    struct observed_session *to = &o->sessions[at];
    *to = (struct observed_session){
        .tsih = s->tsih,
        .portal_group_tag = s->portal_group_tag,
        .reactor = (uint16_t)o->engine->reactor->index,
        .discovery = s->discovery,
        .closing = s->closing || s->stopping,
        .window = s->window,
        .outstanding = s->outstanding,
        .params = s->params,
        .counters = *s->counters,
    };
    memcpy(to->isid, s->isid, sizeof(to->isid));
    g_strlcpy(to->initiator, s->initiator, sizeof(to->initiator));
    if (!s->discovery)
        g_strlcpy(to->target, s->target, sizeof(to->target));
}

static void finish(struct observation *o)
{
    const struct reactor *r = o->engine->reactor;
    o->engine->observed = NULL;
    o->counters = *o->engine;
    reactor_counters_snapshot(r, &o->reactor);
    o->buffer_used = r->pool ? bufpool_used(r->pool) : 0;
    o->buffer_capacity = r->pool ? bufpool_capacity(r->pool) : 0;
    o->done(o);
}

static void round_run(struct reactor_task *task)
{
    struct observation *o = container_of(task, struct observation, round);
    struct engine *e = o->engine;
    for (unsigned i = 0; i < SESSIONS_A_ROUND; i++) {
        if (e->observed == &e->sessions) {
            finish(o);
            return;
        }
        struct session *s = list_entry(e->observed, struct session, link);
        e->observed = e->observed->next;
        look_at_session(o, s);
    }
    reactor_defer(e->reactor, task);
}

static void begin_run(struct reactor_message *m)
{
    struct observation *o = container_of(m, struct observation, message);
    o->engine->observed = o->engine->sessions.next;
    round_run(&o->round);
}

void observe(struct observation *o)
{
    o->session_count = o->connection_count = 0;
    o->message.run = begin_run;
    reactor_task_init(&o->round, round_run);
    reactor_post(o->engine->reactor, &o->message);
}
