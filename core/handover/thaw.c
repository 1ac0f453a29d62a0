/* SPDX-License-Identifier: BSD-3-Clause */
#include "handover/thaw.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/serial.h"
#include "handover/thaw_task.h"
#include "iscsi/session.h"

struct thaw {
    struct acceptor *acceptor;
    struct registry *registry;
    const struct catalog *catalog;
    struct thaw_socket *sockets;
    unsigned socket_count;
    const struct state_head *head;
    struct thaw_result *result;
};

static struct session_record *session_record(uint32_t index)
{
    return arena_ptr(state_session_ref(index));
}

static struct connection_record *connection_record(const struct thaw *t, uint32_t index)
{
    return arena_ptr(state_connection_ref(t->head->sessions, index));
}

static struct thaw_socket *socket_of(const struct thaw *t, uint32_t slot)
{
    for (unsigned i = 0; i < t->socket_count; i++)
        if (t->sockets[i].slot == slot && t->sockets[i].fd >= 0)
            return &t->sockets[i];
    return NULL;
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

/* The connections of the session `index`; false: one of them cannot go on. */
static bool adopt_connections(struct thaw *t, uint32_t index, struct thawed *w,
                              struct thaw_socket *sockets[], const char **ret_why)
{
    for (uint32_t i = 0; i < t->head->connections; i++) {
        struct connection_record *r = connection_record(t, i);
        if (!r->in_use || !r->full || r->session != index)
            continue;
        struct thaw_socket *socket = socket_of(t, r->slot);
        if (!socket || w->connection_count == STATE_CONNECTIONS_PER_SESSION) {
            *ret_why = "a connection is not there any more";
            return false;
        }
        int error;
        struct connection *c =
            acceptor_adopt(t->acceptor, i, socket->fd, socket->slot, &error);
        if (!c) {
            *ret_why = error == -ESTALE ? "records and socket do not fit" : g_strerror(-error);
            return false;
        }
        sockets[w->connection_count] = socket;
        socket->fd = -1;
        w->connections[w->connection_count++] = c;
    }
    if (!w->connection_count)
        *ret_why = "it was ending";
    return w->connection_count > 0;
}

static void set_numbers(struct thawed *w)
{
    struct session *s = w->session;
    for (unsigned i = 0; i < w->connection_count; i++) {
        const uint32_t *n = w->connections[i]->stream.next.number;
        if (!i || serial_gt(n[STATE_EXP_CMD_SN], s->exp_cmd_sn))
            s->exp_cmd_sn = n[STATE_EXP_CMD_SN];
        if (!i || serial_gt(n[STATE_MAX_CMD_SN], s->max_cmd_sn))
            s->max_cmd_sn = n[STATE_MAX_CMD_SN];
        s->numbers_given = MAX(s->numbers_given, w->connections[i]->number + 1u);
    }
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
    struct thaw_socket *sockets[STATE_CONNECTIONS_PER_SESSION];
    struct thawed *w = g_new0(struct thawed, 1);
    bool fine = adopt_connections(t, index, w, sockets, &why);
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
                    why, r->initiator, r->discovery ? "(discovery)" : r->target, r->tsih);
        t->result->doubtful++;
        give_up(w, sockets);
        return;
    }
    for (unsigned i = 0; i < w->connection_count; i++)
        registry_adopt_seat(w->session, &w->connections[i]->seat);
    t->result->sessions++;
    t->result->connections += w->connection_count;
    t->result->tasks += w->due_count;
    w->message.run = go_run;
    reactor_post(w->session->engine->reactor, &w->message);
}

/* ---- all ---- */

static void clear_session(uint32_t index)
{
    struct session_record *r = session_record(index);
    r->in_use = 0;
    madvise(r, STATE_SESSION_STRIDE, MADV_REMOVE);
}

static void clear_connection(struct thaw *t, uint32_t index)
{
    struct connection_record *r = connection_record(t, index);
    r->in_use = 0;
    madvise(r, STATE_CONNECTION_STRIDE, MADV_REMOVE);
}

void thaw_all(struct acceptor *acceptor, struct registry *registry, const struct catalog *catalog,
              struct thaw_socket *sockets, unsigned count, struct thaw_result *ret_result)
{
    struct thaw t = {acceptor, registry,   catalog, sockets, count,
                     (const struct state_head *)arena_table[ARENA_STATE].base, ret_result};
    *ret_result = (struct thaw_result){0};
    g_autofree bool *kept = g_new0(bool, t.head->sessions);
    for (uint32_t i = 0; i < t.head->sessions; i++) {
        if (!session_record(i)->in_use)
            continue;
        unsigned before = ret_result->sessions;
        thaw_session(&t, i);
        kept[i] = ret_result->sessions > before;
        if (!kept[i])
            clear_session(i);
    }
    for (uint32_t i = 0; i < t.head->connections; i++) {
        const struct connection_record *r = connection_record(&t, i);
        if (r->in_use && !(r->full && r->session < t.head->sessions && kept[r->session]))
            clear_connection(&t, i);
    }
}
