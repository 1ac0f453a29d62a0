/* SPDX-License-Identifier: BSD-3-Clause */
/* The I/O of a login: bytes from and to login.c's state machine. */
#include "iscsi/login_io.h"

#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

#define GOODBYE_NS  (1 * NS_PER_S) /* for the peer to take a refusal */
#define STOP_NS     (500 * NS_PER_MS) /* for it to say something that can be answered */
#define OWNER_REPLY 1u

static void act(struct connection *c, enum login_action action);

void login_io_end(struct connection *c, const char *reason)
{
    struct login_run *run = c->login;
    if (c->state >= CONNECTION_CLOSING)
        return;
    if (reason)
        log_notice("login", "login refused reason=\"%s\" status=%04x initiator=%s target=%s address=%s",
                   reason, run->login.status,
                   run->login.initiator_name[0] ? run->login.initiator_name : "-",
                   run->login.target_name[0] ? run->login.target_name : "-", c->peer);
    c->state = CONNECTION_CLOSING;
    c->record->full = 0;
    acceptor_let_go(c);
    registry_wait_cancel(&run->wait);
    stream_close(&c->stream);
}

static void deadline(struct timer *timer)
{
    struct login_run *run = container_of(timer, struct login_run, deadline);
    struct connection *c = run->connection;
    if (login_ticket_waits(&run->ticket)) {
        login_io_refuse(c, ADMISSION_TURN);
        return;
    }
    if (!run->closing)
        acceptor_count_timeout(c->acceptor);
    login_io_end(c, run->closing ? NULL : "not finished in time");
}

/* ---- out ---- */

/*
 * The text of a reply lives in a buffer until it is sent; that of the final one behind what was received:
 * a successor that finds it queued knows nothing of buffers of logins, and nothing is received before
 * the initiator has it.
 */
static bool place_text(struct connection *c, struct stream_tx *e, bool final)
{
    struct login_run *run = c->login;
    const struct login *login = &run->login;
    if (final) {
        if (login->reply_bytes > STREAM_WINDOW_BYTES - c->stream.window_end)
            return false;
        memcpy(c->stream.window + c->stream.window_end, login->reply_data, login->reply_bytes);
        e->data = c->stream.window_ref + c->stream.window_end;
        return true;
    }
    run->reply_buf = bufpool_take(c->engine->reactor->pool, login->reply_bytes);
    if (!run->reply_buf)
        return false;
    memcpy(run->reply_buf->data, login->reply_data, login->reply_bytes);
    e->data = buf_arena_ref(run->reply_buf);
    return true;
}

/* Queues the reply of the state machine. */
static bool reply(struct connection *c, bool final)
{
    struct login_run *run = c->login;
    struct login *login = &run->login;
    struct stream_tx *e = stream_tx_next(&c->stream);
    if (!e || run->reply_buf)
        return false; /* one at a time: cannot be */
    memcpy(e->header, login->reply_bhs, ISCSI_BHS_BYTES);
    e->header_bytes = ISCSI_BHS_BYTES;
    e->data = 0;
    e->data_bytes = login->reply_bytes;
    e->trailer_bytes = 0;
    e->owner = final ? 0 : OWNER_REPLY;
    if (login->reply_bytes) {
        if (!place_text(c, e, final))
            return false;
        e->trailer_bytes = (uint8_t)(ISCSI_PAD(login->reply_bytes) - login->reply_bytes);
        memset(e->trailer, 0, sizeof(e->trailer));
    }
    stream_tx_push(&c->stream, e);
    if (final)
        acceptor_login_final(c, c->stream.next.tx_tail);
    stream_commit(&c->stream);
    return true;
}

static void act(struct connection *c, enum login_action action)
{
    struct login_run *run = c->login;
    run->last = action;
    switch (action) {
    case LOGIN_PENDING:
        return; /* resumed by the authenticator or the registry */
    case LOGIN_REPLY:
    case LOGIN_FULL_FEATURE:
        if (!reply(c, action == LOGIN_FULL_FEATURE))
            login_io_end(c, "no memory for the reply");
        return;
    case LOGIN_REPLY_THEN_CLOSE:
        acceptor_count_refused(c->acceptor, run->login.status);
        log_notice("login", "login refused reason=\"%s\" status=%04x initiator=%s target=%s address=%s",
                   run->login.reason, run->login.status,
                   run->login.initiator_name[0] ? run->login.initiator_name : "-",
                   run->login.target_name[0] ? run->login.target_name : "-", c->peer);
        run->closing = true;
        reactor_timer_start(c->engine->reactor, &run->deadline, GOODBYE_NS);
        if (!reply(c, false))
            login_io_end(c, NULL);
        return;
    default:
        acceptor_count_refused(c->acceptor, run->login.status);
        login_io_end(c, run->login.reason);
        return;
    }
}

static void written(struct stream *stream, uint32_t owner)
{
    struct connection *c = container_of(stream, struct connection, stream);
    c->login->reply_buf = buf_unref(c->login->reply_buf);
}

static void writable(struct stream *stream)
{
    struct connection *c = container_of(stream, struct connection, stream);
    struct login_run *run = c->login;
    if (!stream_drained(stream))
        return;
    switch (run->last) {
    case LOGIN_REPLY:
        stream_receive(stream);
        break;
    case LOGIN_FULL_FEATURE:
        reactor_defer(c->engine->reactor, &run->leave); /* off the stream's stack */
        break;
    default:
        stream_shutdown_send(stream);
        stream_receive(stream);
        break;
    }
}

/* ---- in ---- */

/* A whole request is in the window. */
static void take_request(struct connection *c)
{
    struct login_run *run = c->login;
    const uint8_t *p;
    stream_peek(&c->stream, &p);
    run->header_seen = false;
    uint32_t ahs = p[ISCSI_BHS_AHS_WORDS] * 4u;
    enum login_action action = login_receive(&run->login, p, p + ISCSI_BHS_BYTES + ahs,
                                             get_be24(p + ISCSI_BHS_DATA_LENGTH));
    stream_consume(&c->stream, ISCSI_BHS_BYTES + run->rest);
    stream_commit(&c->stream);
    act(c, action);
}

/* Its turn: the first request was there. */
static void go(struct login_ticket *ticket)
{
    struct login_run *run = container_of(ticket, struct login_run, ticket);
    if (run->connection->state == CONNECTION_LOGIN)
        take_request(run->connection);
}

void login_io_refuse(struct connection *c, enum admission_reason reason)
{
    struct login_run *run = c->login;
    uint16_t status = reason == ADMISSION_STOPPING ? ISCSI_LOGIN_UNAVAILABLE : ISCSI_LOGIN_OUT_OF_RESOURCES;
    enum login_action action = login_refuse(&run->login, status, admission_text(reason));
    const uint8_t *p;
    acceptor_count_not_let_in(c, reason);
    acceptor_count_refused(c->acceptor, status);
    acceptor_let_go(c);
    registry_wait_cancel(&run->wait);
    stream_consume(&c->stream, stream_peek(&c->stream, &p));
    run->last = action;
    run->closing = true;
    reactor_timer_start(c->engine->reactor, &run->deadline, GOODBYE_NS);
    if (!reply(c, false))
        login_io_end(c, NULL);
}

void login_io_stop(struct connection *c)
{
    struct login_run *run = c->login;
    if (run->closing || c->state != CONNECTION_LOGIN)
        return;
    if (login_ticket_waits(&run->ticket) || run->last == LOGIN_PENDING) {
        login_io_refuse(c, ADMISSION_STOPPING);
    } else if (!run->spoken) {
        login_io_end(c, NULL);
    } else if (run->last != LOGIN_FULL_FEATURE) {
        run->refusal = ADMISSION_STOPPING;
        reactor_timer_start(c->engine->reactor, &run->deadline, STOP_NS);
    }
}

static void received(struct stream *stream)
{
    struct connection *c = container_of(stream, struct connection, stream);
    struct login_run *run = c->login;
    const uint8_t *p;
    uint32_t have = stream_peek(stream, &p);
    if (run->closing) {
        stream_consume(stream, have);
        stream_receive(stream);
        return;
    }
    if (have < ISCSI_BHS_BYTES) {
        stream_receive(stream);
        return;
    }
    if (!run->header_seen) {
        enum login_action action = login_header(&run->login, p, &run->rest);
        if (action != LOGIN_RECEIVE) {
            stream_consume(stream, have);
            act(c, action);
            return;
        }
        run->header_seen = true;
    }
    if (have < ISCSI_BHS_BYTES + run->rest) {
        stream_receive(stream);
        return;
    }
    if (run->refusal != ADMISSION_FINE || !run->spoken) {
        run->spoken = true;
        acceptor_login_spoken(c, p);
        return;
    }
    take_request(c);
}

static void ended(struct stream *stream, int error)
{
    struct connection *c = container_of(stream, struct connection, stream);
    bool silent = c->login->closing || !c->login->login.initiator_name[0];
    login_io_end(c, silent ? NULL : error ? g_strerror(-error) : "closed by the initiator");
}

static void closed(struct stream *stream)
{
    struct connection *c = container_of(stream, struct connection, stream);
    c->state = CONNECTION_CLOSED;
    stream_detach(stream);
    acceptor_connection_gone(c);
}

static const struct stream_ops login_stream_ops = {
    .received = received,
    .written = written,
    .writable = writable,
    .ended = ended,
    .closed = closed,
};

/* ---- the state machine's questions ---- */

static uint16_t find_target(void *user, const char *initiator, const char *name,
                            struct login_target *ret)
{
    struct connection *c = user;
    struct login_run *run = c->login;
    const struct catalog_portal *portal = &run->catalog->portals[run->portal];
    ret->portal_group_tag = portal->tag;
    if (!name) { /* it shows each initiator what it may use */
        if (!catalog_discovers(run->catalog, initiator, c->peer))
            return ISCSI_LOGIN_NOT_AUTHORIZED;
        ret->auth = run->catalog->discovery_auth;
        ret->limits = iscsi_limits_default;
        return ISCSI_LOGIN_OK;
    }
    const struct catalog_target *target = catalog_find(run->catalog, name);
    if (!target || !catalog_on_portal(target, portal->tag))
        return ISCSI_LOGIN_TARGET_NOT_FOUND;
    if (!catalog_admits(target, initiator, c->peer))
        return ISCSI_LOGIN_NOT_AUTHORIZED;
    const struct catalog_redirect *elsewhere = catalog_redirect(target, portal, initiator, c->peer);
    if (elsewhere) {
        ret->redirect = elsewhere->to;
        return elsewhere->permanent ? ISCSI_LOGIN_MOVED_PERMANENTLY : ISCSI_LOGIN_MOVED_TEMPORARILY;
    }
    run->target = target;
    ret->target = (void *)target;
    ret->alias = target->alias;
    ret->auth = target->auth;
    ret->limits = catalog_limits(target, initiator);
    return ISCSI_LOGIN_OK;
}

static uint16_t session_decide(void *user, struct login *login, struct login_session *ret_session,
                               bool *ret_pending)
{
    struct connection *c = user;
    struct login_run *run = c->login;
    c->cid = login->cid;
    return registry_decide(run->registry, login, run->target, &c->seat, &run->wait, ret_session,
                           ret_pending);
}

static const struct login_ops login_ops = {
    .find_target = find_target,
    .session_decide = session_decide,
};

/* The session or connection in the way is gone: ask again. */
static void wait_ready(struct registry_wait *wait)
{
    struct login_run *run = container_of(wait, struct login_run, wait);
    struct connection *c = run->connection;
    struct login_session session = {.exp_cmd_sn = run->login.exp_cmd_sn};
    bool pending = false;
    if (c->state != CONNECTION_LOGIN)
        return;
    uint16_t status = session_decide(c, &run->login, &session, &pending);
    if (!pending)
        act(c, login_resume_session(&run->login, status, &session));
}

void login_io_auth_resume(void *login_user)
{
    struct connection *c = login_user;
    if (c->state == CONNECTION_LOGIN)
        act(c, login_resume_auth(&c->login->login));
}

/* ---- begin and end ---- */

static void leave_run(struct reactor_task *task)
{
    struct login_run *run = container_of(task, struct login_run, leave);
    acceptor_login_done(run->connection);
}

void login_io_begin(struct connection *c, struct catalog *catalog, struct registry *registry,
                    unsigned portal, uint64_t timeout_ns)
{
    struct login_run *run = c->login;
    run->connection = c;
    run->catalog = catalog;
    run->registry = registry;
    run->portal = portal;
    run->begun_ns = c->engine->reactor->now_ns;
    run->refusal = ADMISSION_FINE;
    list_init(&run->silent);
    login_ticket_init(&run->ticket, go);
    list_init(&run->wait.link);
    run->wait.ready = wait_ready;
    timer_init(&run->deadline, deadline);
    reactor_task_init(&run->leave, leave_run);
    login_init(&run->login, &login_ops, c, c->peer, 1, 1);
    reactor_timer_start(c->engine->reactor, &run->deadline, timeout_ns);
    c->stream.ops = &login_stream_ops;
    stream_attach(&c->stream, c->engine->reactor);
    stream_receive(&c->stream);
}

void login_io_fini(struct connection *c)
{
    struct login_run *run = c->login;
    reactor_timer_stop(c->engine->reactor, &run->deadline);
    reactor_task_cancel(&run->leave);
    registry_wait_cancel(&run->wait);
    run->reply_buf = buf_unref(run->reply_buf);
    login_fini(&run->login);
    catalog_unref(run->catalog);
    run->catalog = NULL;
}
