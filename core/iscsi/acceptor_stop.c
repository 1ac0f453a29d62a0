/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holding still for an upgrade: connections that come are put aside, logins under way come to their
 * end. Stopping: logins are told to come back later (status 0301h), sessions finish and end.
 */
#include "base/clock.h"
#include "iscsi/acceptor_private.h"

/* ---- hold ---- */

static bool login_under_way(const struct acceptor *a)
{
    list_for_each(
        pos, &a->connections) if (list_entry(pos, struct connection, home_link)->login) return true;
    return false;
}

static void hold_look(struct timer *timer)
{
    struct acceptor *a = container_of(timer, struct acceptor, hold_timer);
    struct reactor *r = a->options.login->reactor;
    if (login_under_way(a) && r->now_ns < a->hold_deadline_ns)
        reactor_timer_start(r, timer, TIMER_TICK_NS);
    else
        a->held(a->held_user);
}

static void hold_run(struct reactor_message *m)
{
    struct acceptor *a = container_of(m, struct acceptor, hold_message);
    a->holding = true;
    a->hold_deadline_ns += a->options.login->reactor->now_ns;
    timer_init(&a->hold_timer, hold_look);
    hold_look(&a->hold_timer);
}

void acceptor_hold(struct acceptor *a, uint64_t timeout_ns, void (*held)(void *user), void *user)
{
    a->hold_deadline_ns = timeout_ns;
    a->held = held;
    a->held_user = user;
    a->hold_message.run = hold_run;
    reactor_post(a->options.login->reactor, &a->hold_message);
}

static void release_run(struct reactor_message *m)
{
    struct acceptor *a = container_of(m, struct acceptor, hold_message);
    struct list *n;
    a->holding = false;
    while ((n = list_take(&a->aside)))
        acceptor_arrive(&list_entry(n, struct arrival, link)->message);
}

void acceptor_release(struct acceptor *a)
{
    a->hold_message.run = release_run;
    reactor_post(a->options.login->reactor, &a->hold_message);
}

/* ---- stop ---- */

static void stop_check_run(struct reactor_task *task)
{
    struct acceptor *a = container_of(task, struct acceptor, stop_check);
    if (a->stopped || !list_empty(&a->connections) || !registry_empty(a->options.registry))
        return;
    a->stopped = true;
    reactor_timer_stop(a->options.login->reactor, &a->stop_timer);
    a->options.stopped(a->options.user);
}

/* Sessions that have not ended by now are ended; and looked at again until they have. */
static void stop_timer_fired(struct timer *timer)
{
    struct acceptor *a = container_of(timer, struct acceptor, stop_timer);
    struct reactor *r = a->options.login->reactor;
    if (r->now_ns >= a->stop_deadline_ns)
        registry_close_all(a->options.registry, "the target stops");
    reactor_timer_start(r, &a->stop_timer, 20 * NS_PER_MS);
    stop_check_run(&a->stop_check);
}

static void stop_run(struct reactor_message *m)
{
    struct acceptor *a = container_of(m, struct acceptor, stop_message);
    struct reactor *r = a->options.login->reactor;
    a->stopping = true;
    list_for_each_safe(pos, &a->connections)
    {
        struct connection *c = list_entry(pos, struct connection, home_link);
        if (c->login)
            login_io_stop(c);
    }
    registry_stop_all(a->options.registry);
    a->stop_deadline_ns += r->now_ns;
    reactor_timer_start(r, &a->stop_timer, TIMER_TICK_NS);
}

void acceptor_stop(struct acceptor *a, uint64_t deadline_ns)
{
    a->stop_deadline_ns = deadline_ns;
    a->stop_message.run = stop_run;
    reactor_post(a->options.login->reactor, &a->stop_message);
}

void acceptor_stop_init(struct acceptor *a)
{
    list_init(&a->aside);
    timer_init(&a->stop_timer, stop_timer_fired);
    reactor_task_init(&a->stop_check, stop_check_run);
}
