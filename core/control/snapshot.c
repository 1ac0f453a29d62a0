/* SPDX-License-Identifier: BSD-3-Clause */
/* See snapshot.h. */
#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"

#define PAUSE_MIN_MS 20u /* after one, before the next */
#define PAUSE_MAX_MS 1000u
#define PAUSE_FACTOR 9u /* of the time it took: looking is a tenth of what reactors do, at most */
#define ROOM_FIRST   64u

static void part_back(struct control_note *note);

/* On the reactor. */
static void part_done(struct observation *o)
{
    struct snapshot_part *part = container_of(o, struct snapshot_part, observation);
    control_post(part->control, &part->note);
}

static void part_observe(struct snapshot_part *part)
{
    struct observation *o = &part->observation;
    const struct snapshots *all = &part->control->snapshots;
    if (o->session_room < all->session_room) {
        o->session_room = all->session_room;
        o->sessions = g_renew(struct observed_session, o->sessions, o->session_room);
    }
    if (o->connection_room < all->connection_room) {
        o->connection_room = all->connection_room;
        o->connections = g_renew(struct observed_connection, o->connections, o->connection_room);
    }
    observe(o);
}

static void timer_stop_source(struct snapshots *all)
{
    if (all->timer)
        g_source_remove(all->timer);
    all->timer = 0;
}

static void release_calls(struct list *calls, struct snapshot *snapshot)
{
    struct list *n;
    while ((n = list_take(calls))) {
        struct call *call = list_entry(n, struct call, waiting);
        if (snapshot) {
            snapshot->refs++;
            call->snapshot = snapshot;
        }
        turn_queue(call->control, &call->turn);
    }
}

static gboolean limit_reached(gpointer data)
{
    struct control *control = data;
    struct snapshots *all = &control->snapshots;
    all->timer = 0;
    all->late = true;
    log_warning("control", "a reactor or the keeper does not answer for %d ms; going on without it",
                CONTROL_SNAPSHOT_MS);
    release_calls(&all->riding, NULL);
    release_calls(&all->next, NULL);
    return G_SOURCE_REMOVE;
}

static void begin(struct control *control)
{
    struct snapshots *all = &control->snapshots;
    unsigned n = control->services.engine_count;
    struct snapshot *s = g_malloc0(sizeof(*s) + n * sizeof(s->part[0]));
    s->refs = 1;
    s->part_count = n;
    s->pending = n + 1;
    all->current = s;
    all->begun_ns = clock_now_ns();
    all->timer = g_timeout_add(CONTROL_SNAPSHOT_MS, limit_reached, control);
    list_splice(&all->riding, &all->next);
    for (unsigned i = 0; i < n; i++) {
        struct snapshot_part *part = &s->part[i];
        part->control = control;
        part->note.run = part_back;
        part->observation.engine = control->services.engines[i];
        part->observation.done = part_done;
        part_observe(part);
    }
    control->services.ask_keeper(control->services.user);
}

static gboolean pause_over(gpointer data)
{
    struct control *control = data;
    control->snapshots.timer = 0;
    if (!list_empty(&control->snapshots.next))
        begin(control);
    return G_SOURCE_REMOVE;
}

static void one_is_back(struct control *control)
{
    struct snapshots *all = &control->snapshots;
    struct snapshot *s = all->current;
    if (--s->pending)
        return;
    timer_stop_source(all);
    s->taken_ns = clock_now_ns();
    all->current = NULL;
    all->late = false;
    uint64_t pause_ms = PAUSE_FACTOR * (s->taken_ns - all->begun_ns) / NS_PER_MS;
    release_calls(&all->riding, s);
    snapshot_unref(s);
    all->timer =
        g_timeout_add((guint)CLAMP(pause_ms, all->pause_min_ms, PAUSE_MAX_MS), pause_over, control);
}

static void part_back(struct control_note *note)
{
    struct snapshot_part *part = container_of(note, struct snapshot_part, note);
    struct control *control = part->control;
    struct snapshots *all = &control->snapshots;
    const struct observation *o = &part->observation;
    if (control->stopping)
        return; /* snapshots_deinit() frees it */
    if (o->session_count > o->session_room || o->connection_count > o->connection_room) {
        all->session_room = MAX(all->session_room, o->session_count + o->session_count / 4);
        all->connection_room =
            MAX(all->connection_room, o->connection_count + o->connection_count / 4);
        part_observe(part);
        return;
    }
    one_is_back(control);
}

void snapshot_keeper(struct control *control, const struct control_keeper *keeper)
{
    struct snapshot *s = control->snapshots.current;
    if (!s || s->keeper_known)
        return;
    s->keeper = *keeper;
    s->keeper_known = true;
    one_is_back(control);
}

void snapshot_wait(struct call *call)
{
    struct control *control = call->control;
    struct snapshots *all = &control->snapshots;
    if (all->late) {
        turn_queue(control, &call->turn);
        return;
    }
    list_append(&all->next, &call->waiting);
    if (!all->current && !all->timer)
        begin(control);
}

struct snapshot *snapshot_unref(struct snapshot *s)
{
    if (!s || --s->refs)
        return NULL;
    for (unsigned i = 0; i < s->part_count; i++) {
        g_free(s->part[i].observation.sessions);
        g_free(s->part[i].observation.connections);
    }
    g_free(s);
    return NULL;
}

void snapshots_init(struct control *control)
{
    struct snapshots *all = &control->snapshots;
    list_init(&all->next);
    list_init(&all->riding);
    all->session_room = all->connection_room = ROOM_FIRST;
    all->pause_min_ms = PAUSE_MIN_MS;
}

void snapshots_stop(struct control *control)
{
    timer_stop_source(&control->snapshots);
}

void snapshots_deinit(struct control *control)
{
    control->snapshots.current = snapshot_unref(control->snapshots.current);
}
