/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A way out when all memory is taken by writes whose data cannot come. A connection that waits for memory for
 * the data of one command does not read what is behind it, which may be data of others, who have the
 * memory. When every connection stands so, nothing moves again. So as long as somebody gets memory all is well;
 * when nobody has for a while, those connections pass over the data that they have no room for, its command
 * ends with TASK SET FULL, and for some time no such waiting begins.
 *
 * Nothing of it outlives the worker: whoever waits waits anew under the next one.
 */
#include "base/clock.h"
#include "iscsi/engine.h"

#define STILL_NS (500 * NS_PER_MS)
#define SHORT_NS NS_PER_S

bool relief_wait(struct connection *c)
{
    struct engine *e = c->engine;
    if (e->reactor->now_ns < e->short_until_ns)
        return false;
    if (!timer_armed(&e->relief)) {
        e->granted_seen = e->granted;
        reactor_timer_start(e->reactor, &e->relief, STILL_NS);
    }
    return true;
}

static bool is_stuck(const struct connection *c)
{
    const struct task *t = c->segment_task;
    return c->state == CONNECTION_FULL && c->receive == RECEIVE_WAIT && t && t->kind == TASK_SCSI &&
           t->gather && command_must_pass(c, t);
}

static bool any_stuck(const struct engine *e)
{
    list_for_each(pos, &e->sessions) {
        const struct session *s = list_entry(pos, struct session, link);
        list_for_each(at, &s->connections)
            if (is_stuck(list_entry(at, struct connection, link)))
                return true;
    }
    return false;
}

static void pass(struct engine *e)
{
    e->short_until_ns = e->reactor->now_ns + SHORT_NS;
    list_for_each(pos, &e->sessions) {
        struct session *s = list_entry(pos, struct session, link);
        list_for_each(at, &s->connections) {
            struct connection *c = list_entry(at, struct connection, link);
            if (!is_stuck(c))
                continue;
            command_no_room(c, c->segment_task);
            receive_resume(c);
        }
    }
}

void relief_fired(struct timer *timer)
{
    struct engine *e = container_of(timer, struct engine, relief);
    if (!any_stuck(e))
        return;
    if (e->frozen || e->granted != e->granted_seen) {
        e->granted_seen = e->granted;
        reactor_timer_start(e->reactor, timer, STILL_NS);
        return;
    }
    pass(e);
}
