/* SPDX-License-Identifier: BSD-3-Clause */
#include "handover/freeze.h"

#include "iscsi/session.h"
#include "scsi/copy.h"
#include "scsi/range.h"
#include "scsi/sanitize.h"
#include "scsi/settle.h"
#include "scsi/turns.h"

#define POLL_NS TIMER_TICK_NS

static void each_connection(struct engine *e, void (*visit)(struct connection *c))
{
    list_for_each_safe(s, &e->sessions) {
        struct session *session = list_entry(s, struct session, link);
        list_for_each_safe(c, &session->connections)
            visit(list_entry(c, struct connection, link));
    }
}

static bool is_still(const struct freeze *f)
{
    const struct engine *e = f->engine;
    unsigned waiting = f->waiting ? f->waiting() : 0;
    if (e->executing != scsi_copies_held() + scsi_sanitize_resting() + scsi_standing_count() +
                            scsi_settle_waiting() + scsi_ranges_waiting_absent() + waiting)
        return false;
    list_for_each(s, &e->sessions) {
        struct session *session = list_entry(s, struct session, link);
        list_for_each(c, &session->connections)
            if (!stream_idle(&list_entry(c, struct connection, link)->stream))
                return false;
    }
    return true;
}

static void hold_connection(struct connection *c)
{
    stream_freeze(&c->stream);
}

static void go_on_connection(struct connection *c)
{
    stream_unfreeze(&c->stream);
    if (c->state == CONNECTION_FULL)
        receive_resume_parsing(c);
}

static void go_on(struct engine *e)
{
    e->frozen = false;
    scsi_copies_hold(false);
    scsi_stand_still(false);
    scsi_settle_go_on();
    each_connection(e, go_on_connection);
}

static void over(struct freeze *f, bool still)
{
    struct reactor *r = f->engine->reactor;
    r->each_turn = NULL;
    reactor_timer_stop(r, &f->poll);
    if (!still)
        go_on(f->engine);
    f->done(f, still);
}

/* The last I/O that ends, ends in a turn: initiators wait for that one, and not for a clock. */
static void look(struct reactor_task *task)
{
    struct freeze *f = container_of(task, struct freeze, look);
    if (is_still(f))
        over(f, true);
    else if (f->engine->reactor->now_ns >= f->deadline_ns)
        over(f, false);
}

/* It sees to it that there is a turn. */
static void polled(struct timer *timer)
{
    struct freeze *f = container_of(timer, struct freeze, poll);
    reactor_timer_start(f->engine->reactor, timer, POLL_NS);
}

static void begin_run(struct reactor_message *m)
{
    struct freeze *f = container_of(m, struct freeze, message);
    struct engine *e = f->engine;
    e->frozen = true;
    scsi_copies_hold(true);
    scsi_stand_still(true);
    f->deadline_ns = e->reactor->now_ns + f->timeout_ns;
    timer_init(&f->poll, polled);
    reactor_timer_start(e->reactor, &f->poll, POLL_NS);
    reactor_task_init(&f->look, look);
    each_connection(e, hold_connection);
    e->reactor->each_turn = &f->look;
}

void freeze_begin(struct freeze *f)
{
    f->message.run = begin_run;
    reactor_post(f->engine->reactor, &f->message);
}

static void undo_run(struct reactor_message *m)
{
    go_on(container_of(m, struct freeze, message)->engine);
}

void freeze_undo(struct freeze *f)
{
    f->message.run = undo_run;
    reactor_post(f->engine->reactor, &f->message);
}
