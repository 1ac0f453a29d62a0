/* SPDX-License-Identifier: BSD-3-Clause */
#include "handover/thaw.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/serial.h"
#include "handover/plausible.h"
#include "handover/thaw_task.h"
#include "iscsi/session.h"
#include "net/position.h"

#define STATE_SLOTS_MAX (1u << 20) /* more than any max-connections */

struct thaw {
    struct acceptor *acceptor;
    struct registry *registry;
    const struct catalog *catalog;
    uint32_t sessions, connections; /* records */
    struct thaw_socket **by_slot;   /* [slots] */
    uint32_t slots;                 /* the keeper may count further than we have records */
    uint32_t *first;                /* [sessions] of a chain through next; record + 1, 0: end */
    uint32_t *next;                 /* [connections] */
    struct thaw_result *result;
};

static struct session_record *session_record(uint32_t index)
{
    return arena_ptr(state_session_ref(index));
}

static struct connection_record *connection_record(uint32_t index)
{
    return arena_ptr(state_connection_ref(index));
}

static const struct stream_hot *committed(const struct connection_record *r)
{
    const struct stream_state *st = &r->stream;
    return &st->hot[atomic_load_explicit(&st->cur, memory_order_acquire) & 1];
}

static struct thaw_socket *socket_of(const struct thaw *t, uint32_t slot)
{
    struct thaw_socket *socket = slot < t->slots ? t->by_slot[slot] : NULL;
    return socket && socket->fd >= 0 ? socket : NULL;
}

/* ---- one session ---- */

static void give_up(struct thawed *w, struct thaw_socket *sockets[])
{
    for (unsigned i = 0; i < w->connection_count; i++) {
        sockets[i]->fd = w->connections[i]->fd;
        acceptor_unadopt(w->connections[i]);
    }
    if (w->session) {
        thaw_tasks_release(w);
        registry_discard(w->session);
    }
    g_free(w);
}

/* Those of the session are the highest of its connections, also of one that has ended. */
static void take_numbers(struct thawed *w, const struct connection_record *r)
{
    const uint32_t *n = committed(r)->number;
    if (!w->numbers_given || serial_gt(n[STATE_EXP_CMD_SN], w->exp_cmd_sn))
        w->exp_cmd_sn = n[STATE_EXP_CMD_SN];
    if (!w->numbers_given || serial_gt(n[STATE_MAX_CMD_SN], w->max_cmd_sn))
        w->max_cmd_sn = n[STATE_MAX_CMD_SN];
    w->numbers_given = MAX(w->numbers_given, r->number + 1u);
}

/*
 * The connections of the session `index`, but for those that the initiator has closed meanwhile: their tasks end with
 * them, and a session that has no others is over. False: one of them cannot go on.
 */
static bool adopt_connections(struct thaw *t, uint32_t index, struct thawed *w,
                              struct thaw_socket *sockets[], const char **ret_why)
{
    for (uint32_t next = t->first[index]; next; next = t->next[next - 1]) {
        uint32_t i = next - 1;
        if (!plausible_params(&connection_record(i)->params)) {
            *ret_why = "a connection's record is spoilt";
            return false;
        }
        struct thaw_socket *socket = socket_of(t, connection_record(i)->slot);
        if (!socket || w->connection_count == STATE_CONNECTIONS_PER_SESSION) {
            *ret_why = "a connection is not there any more";
            return false;
        }
        int error;
        take_numbers(w, connection_record(i));
        struct connection *c = acceptor_adopt(t->acceptor, i, socket->fd, socket->slot, &error);
        if (!c && error == -EPIPE)
            continue; /* it is closed with all that nobody takes over */
        if (!c) {
            *ret_why = error == -ESTALE ? "records and socket do not fit" : g_strerror(-error);
            return false;
        }
        sockets[w->connection_count] = socket;
        socket->fd = -1;
        w->connections[w->connection_count++] = c;
    }
    return true;
}

static void set_numbers(struct thawed *w)
{
    struct session *s = w->session;
    s->exp_cmd_sn = w->exp_cmd_sn;
    s->max_cmd_sn = w->max_cmd_sn;
    s->numbers_given = w->numbers_given;
}

/* On the session's reactor. */
static void go_run(struct reactor_message *m)
{
    struct thawed *w = container_of(m, struct thawed, message);
    struct session *s = w->session;
    session_start(s);
    for (unsigned i = 0; i < w->connection_count; i++)
        connection_resume(w->connections[i], s);
    thaw_tasks_go(w);
    for (unsigned i = 0; i < w->connection_count; i++)
        connection_go_on(w->connections[i]);
    g_free(w->due);
    g_free(w);
}

static void thaw_session(struct thaw *t, uint32_t index)
{
    const struct session_record *r = session_record(index);
    const char *why = "its target or its reactor is not there any more";
    struct { /* what is given up is cleared */
        char initiator[ISCSI_NAME_MAX + 1], target[ISCSI_NAME_MAX + 1];
        uint16_t tsih;
    } who = { .tsih = r->tsih };
    g_strlcpy(who.initiator, r->initiator, sizeof(who.initiator));
    g_strlcpy(who.target, r->discovery ? "(discovery)" : r->target, sizeof(who.target));
    struct thaw_socket *sockets[STATE_CONNECTIONS_PER_SESSION];
    struct thawed *w = g_new0(struct thawed, 1);
    bool fine = plausible_params(&r->params);
    if (!fine)
        why = "its record is spoilt";
    fine = fine && adopt_connections(t, index, w, sockets, &why);
    if (fine && w->connection_count == 0) {
        log_info("iscsi",
                 "session ended reason=\"closed by the initiator\" initiator=%s target=%s tsih=%u",
                 who.initiator, who.target, who.tsih);
        g_free(w);
        return;
    }
    if (fine) {
        w->session = registry_adopt(t->registry, index, t->catalog);
        fine = w->session != NULL;
    }
    if (fine) {
        set_numbers(w);
        fine = thaw_tasks(w, &why);
    }
    if (!fine) {
        log_warning("handover", "session not resumed reason=\"%s\" initiator=%s target=%s tsih=%u",
                    why, who.initiator, who.target, who.tsih);
        t->result->doubtful++;
        give_up(w, sockets);
        return;
    }
    for (unsigned i = 0; i < w->connection_count; i++)
        registry_adopt_seat(w->session, &w->connections[i]->seat);
    t->result->sessions++;
    t->result->connections += w->connection_count;
    t->result->tasks += w->due_count;
    thaw_tasks_resumed(w);
    crash_point("resume");
    w->message.run = go_run;
    reactor_post(w->session->engine->reactor, &w->message);
}

/* ---- all ---- */

static void clear_session(uint32_t index)
{
    *state_session_used(index) = 0;
    madvise(session_record(index), STATE_SESSION_STRIDE, MADV_REMOVE);
}

static void clear_connection(struct thaw *t, uint32_t index)
{
    *state_connection_used(t->sessions, index) = 0;
    madvise(connection_record(index), STATE_CONNECTION_STRIDE, MADV_REMOVE);
}

static bool is_full(const struct connection_record *r)
{
    return r->full && committed(r)->tx_tail >= r->full_pos;
}

/* It has left with another one; or by itself, and there is nobody any more who could hear the answer. */
static bool is_gone(const struct thaw *t, uint32_t index)
{
    const struct connection_record *r = connection_record(index);
    uint32_t with = r->leave.with - 1;
    if (!r->leave.with || with >= t->connections)
        return false;
    if (*state_connection_used(t->sessions, with) &&
        !state_leaves_with(r, with, committed(connection_record(with))->rx_parsed))
        return false;
    if (with != index)
        return true;
    const struct thaw_socket *socket = socket_of(t, r->slot);
    struct socket_position at;
    return !socket || socket_position(socket->fd, &at) < 0 || !at.open;
}

/* Which connections belong to which session; those that belong to none are cleared. */
static void sort_connections(struct thaw *t)
{
    for (uint32_t i = 0; i < t->connections; i++) {
        if (!*state_connection_used(t->sessions, i))
            continue;
        const struct connection_record *r = connection_record(i);
        if (!is_full(r) || r->session >= t->sessions || !*state_session_used(r->session) ||
            is_gone(t, i)) {
            clear_connection(t, i);
            continue;
        }
        t->next[i] = t->first[r->session];
        t->first[r->session] = i + 1;
    }
}

/*
 * What the reactors were parsing when the worker died. The second time at the same place of the
 * stream it is not resumed; workers that die at different places have another trouble than this.
 */
static void blame(struct thaw *t, bool crashed)
{
    for (uint32_t i = 0; i < STATE_REACTORS_MAX; i++) {
        uint32_t who = *state_working(i);
        *state_working(i) = 0;
        if (!who || who > t->connections || !crashed ||
            !*state_connection_used(t->sessions, who - 1))
            continue;
        struct connection_record *r = connection_record(who - 1);
        uint64_t pos = committed(r)->rx_parsed;
        r->blames = r->blames && r->blamed_pos == pos ? r->blames + 1 : 1;
        r->blamed_pos = pos;
        log_warning("handover", "a worker crashed over what came from address=%s times=%u%s",
                    r->peer, r->blames, r->blames >= THAW_BLAMES_MAX ? "; put aside" : "");
        if (r->blames >= THAW_BLAMES_MAX) {
            r->full = 0;
            t->result->quarantined++;
        }
    }
}

static void queued_stores(const struct connection_record *r, bool named[static ARENA_MAX])
{
    const struct stream_hot *h = committed(r);
    if (h->tx_last - h->tx_first > STREAM_TX_ENTRIES)
        return;
    for (uint32_t i = h->tx_first; i != h->tx_last; i++) {
        const struct stream_tx *e = &r->stream.tx[i % STREAM_TX_ENTRIES];
        uint64_t arena = e->data >> ARENA_OFFSET_BITS;
        if (e->data_bytes && arena >= ARENA_STORE_FIRST && arena < ARENA_MAX)
            named[arena] = true;
    }
}

void thaw_stores(void (*missing)(void *user, unsigned arena), void *user)
{
    const struct state_head *head = state_head();
    bool named[ARENA_MAX] = { false };
    for (uint32_t i = 0; i < head->connections; i++)
        if (*state_connection_used(head->sessions, i))
            queued_stores(connection_record(i), named);
    for (unsigned arena = ARENA_STORE_FIRST; arena < ARENA_MAX; arena++)
        if (named[arena] && !arena_table[arena].base)
            missing(user, arena);
}

static void thaw_sessions(struct thaw *t)
{
    for (uint32_t i = 0; i < t->sessions; i++) {
        if (!*state_session_used(i))
            continue;
        unsigned before = t->result->sessions;
        if (t->first[i]) /* otherwise it was ending, or its first login was under way */
            thaw_session(t, i);
        if (t->result->sessions > before)
            continue;
        for (uint32_t next = t->first[i]; next; next = t->next[next - 1])
            if (*state_connection_used(t->sessions, next - 1))
                clear_connection(t, next - 1);
        clear_session(i);
    }
}

void thaw_all(struct acceptor *acceptor, struct registry *registry, const struct catalog *catalog,
              struct thaw_socket *sockets, unsigned count, bool crashed,
              struct thaw_result *ret_result)
{
    const struct state_head *head = state_head();
    struct thaw t = {
        .acceptor = acceptor,
        .registry = registry,
        .catalog = catalog,
        .sessions = head->sessions,
        .connections = head->connections,
        .first = g_new0(uint32_t, head->sessions),
        .next = g_new0(uint32_t, head->connections),
        .result = ret_result,
    };
    *ret_result = (struct thaw_result){ 0 };
    for (unsigned i = 0; i < count; i++)
        t.slots = MAX(t.slots, MIN(sockets[i].slot, STATE_SLOTS_MAX - 1) + 1);
    t.by_slot = g_new0(struct thaw_socket *, t.slots + 1);
    for (unsigned i = 0; i < count; i++)
        if (sockets[i].slot < t.slots)
            t.by_slot[sockets[i].slot] = &sockets[i];
    blame(&t, crashed);
    sort_connections(&t);
    thaw_sessions(&t);
    g_free(t.by_slot);
    g_free(t.first);
    g_free(t.next);
}
