/* SPDX-License-Identifier: BSD-3-Clause */
#include "iscsi/registry_private.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"

int registry_create(const struct registry_options *options, struct registry **ret_registry)
{
    struct registry *r = g_try_new0(struct registry, 1);
    if (!r)
        return -ENOMEM;
    r->options = *options;
    list_init(&r->entries);
    r->free_index = g_try_new0(uint32_t, options->sessions);
    r->load = g_try_new0(unsigned, options->data_count);
    if (!r->free_index || !r->load || registry_find_init(r) < 0) {
        registry_free(r);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < options->sessions; i++)
        r->free_index[i] = options->sessions - 1 - i;
    r->free_count = options->sessions;
    *ret_registry = r;
    return 0;
}

struct registry *registry_free(struct registry *r)
{
    if (!r)
        return NULL;
    registry_find_fini(r);
    g_free(r->free_index);
    g_free(r->load);
    g_free(r);
    return NULL;
}

bool registry_empty(const struct registry *r)
{
    return list_empty(&r->entries);
}

unsigned registry_count(const struct registry *r)
{
    return r->count;
}

/* ---- making and ending ---- */

static struct engine *least_loaded(struct registry *r)
{
    unsigned best = 0;
    for (unsigned i = 1; i < r->options.data_count; i++)
        if (r->load[i] < r->load[best])
            best = i;
    r->load[best]++;
    return r->options.data[best];
}

static void unload(struct registry *r, const struct engine *engine)
{
    for (unsigned i = 0; i < r->options.data_count; i++)
        if (r->options.data[i] == engine)
            r->load[i]--;
}

static void wake(struct list *waiters)
{
    struct list *n;
    while ((n = list_take(waiters))) {
        struct registry_wait *w = list_entry(n, struct registry_wait, link);
        w->ready(w);
    }
}

static void entry_free(struct registry *r, struct registry_entry *e)
{
    struct session *s = e->session;
    list_remove(&e->link);
    registry_find_remove(r, e);
    r->count--;
    unload(r, s->engine);
    *state_session_used(s->index) = 0;
    madvise(s->record, STATE_SESSION_STRIDE, MADV_REMOVE);
    r->free_index[r->free_count++] = s->index;
    session_free(s);
    struct list waiters;
    list_init(&waiters);
    list_splice(&waiters, &e->waiters);
    g_free(e);
    wake(&waiters);
}

static void entry_check(struct registry *r, struct registry_entry *e)
{
    if (list_empty(&e->connections) && !e->requests && (e->gone || !e->started))
        entry_free(r, e);
}

static void session_gone(struct session *s)
{
    struct registry_entry *e = s->entry;
    e->gone = true;
    log_info("iscsi", "session ended reason=\"%s\" initiator=%s target=%s tsih=%u",
             s->end_reason ? s->end_reason : "-", s->initiator,
             s->discovery ? "(discovery)" : s->target, s->tsih);
    entry_check(s->registry, e);
}

/*
 * A request travels to the session's reactor and back: until it is back the session is not freed,
 * whatever became of it meanwhile.
 */
static void request_back(struct session *s)
{
    struct registry_entry *e = s->entry;
    e->requests--;
    entry_check(s->registry, e);
}

static void close_back(struct reactor_message *m)
{
    request_back(container_of(m, struct session, command));
}

static void close_run(struct reactor_message *m)
{
    struct session *s = container_of(m, struct session, command);
    session_close(s, s->end_reason);
    m->run = close_back;
    reactor_post(s->home, m);
}

static void stop_back(struct reactor_message *m)
{
    request_back(container_of(m, struct session, stop_command));
}

static void stop_run(struct reactor_message *m)
{
    struct session *s = container_of(m, struct session, stop_command);
    session_stop(s);
    m->run = stop_back;
    reactor_post(s->home, m);
}

static void request(struct registry_entry *e, struct reactor_message *m,
                    void (*run)(struct reactor_message *))
{
    e->requests++;
    m->run = run;
    reactor_post(e->session->engine->reactor, m);
}

static void entry_close(struct registry_entry *e, const char *reason)
{
    struct session *s = e->session;
    if (e->closing || e->gone)
        return;
    e->closing = true;
    s->end_reason = reason;
    if (e->started)
        request(e, &s->command, close_run);
    else /* its connection has not left the login reactor: it will find the door shut */
        s->closing = true;
}

/* Names, ISID, portal group and parameters of the session are set. */
static int make_nexus(struct session *s, const struct catalog_target *target, uint32_t resumed_id)
{
    char port[ISCSI_NAME_MAX + 32];
    const uint8_t *i = s->isid;
    snprintf(port, sizeof(port), "%s,i,0x%02x%02x%02x%02x%02x%02x", s->initiator, i[0], i[1], i[2],
             i[3], i[4], i[5]);
    struct scsi_nexus_config config = {
        .target = target->scsi,
        .initiator_name = s->initiator,
        .initiator_port = port,
        .peer = s->record->peer,
        .tag = s->portal_group_tag,
        .version_descriptor = (uint16_t)(0x0960 + s->params.protocol_level),
        .units = s->record->nexus_units,
        .resumed_id = resumed_id,
    };
    int r = scsi_nexus_create(&config, &s->nexus);
    if (r == 0)
        s->record->nexus_id = s->nexus->id;
    return r;
}

/* The session's names, ISID and TSIH are set: by them it is found from now on. */
static void enter(struct registry *r, struct registry_entry *e, struct session *s)
{
    r->count++;
    list_init(&e->connections);
    list_init(&e->waiters);
    list_append(&r->entries, &e->link);
    e->session = s;
    registry_find_add(r, e);
    s->entry = e;
    s->registry = r;
    s->home = r->options.login->reactor;
    s->gone = session_gone;
}

static uint16_t make(struct registry *r, const struct login *login,
                     const struct catalog_target *target, struct registry_entry **ret_entry)
{
    if (!r->free_count || r->count >= TSIH_COUNT)
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    if (target && atomic_load(&target->scsi->removed))
        return ISCSI_LOGIN_TARGET_NOT_FOUND;
    uint32_t window = target ? target->window : 4;
    uint32_t index = r->free_index[r->free_count - 1];
    struct registry_entry *e = g_try_new0(struct registry_entry, 1);
    struct session *s = e ? session_new(index, window) : NULL;
    if (!s) {
        g_free(e);
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    }
    s->discovery = login->discovery;
    s->params = login->params.result;
    s->portal_group_tag = login->found.portal_group_tag;
    memcpy(s->isid, login->isid, ISCSI_ISID_BYTES);
    g_strlcpy(s->initiator, login->initiator_name, sizeof(s->initiator));
    g_strlcpy(s->target, login->target_name, sizeof(s->target));
    g_strlcpy(s->record->peer, login->peer, sizeof(s->record->peer));
    if (target && make_nexus(s, target, /* resumed_id= */ 0) < 0) {
        session_free(s);
        g_free(e);
        return ISCSI_LOGIN_OUT_OF_RESOURCES;
    }
    r->free_count--;
    s->engine = target ? least_loaded(r) : r->options.login;
    s->tsih = registry_new_tsih(r);
    enter(r, e, s);
    session_record_fill(s);
    *ret_entry = e;
    return ISCSI_LOGIN_OK;
}

/* ---- sessions of an earlier process ---- */

static bool take_index(struct registry *r, uint32_t index)
{
    for (uint32_t i = r->free_count; i-- > 0;) /* those in use were at the end of the stack */
        if (r->free_index[i] == index) {
            r->free_index[i] = r->free_index[--r->free_count];
            return true;
        }
    return false;
}

static struct engine *engine_of(struct registry *r, const struct session_record *record)
{
    if (record->discovery)
        return r->options.login;
    if (record->engine >= r->options.data_count)
        return NULL;
    r->load[record->engine]++;
    return r->options.data[record->engine];
}

struct session *registry_adopt(struct registry *r, uint32_t index, const struct catalog *catalog)
{
    const struct session_record *record = arena_ptr(state_session_ref(index));
    const struct catalog_target *target = catalog_find(catalog, record->target);
    bool fits = record->discovery ? record->discovery == 1 : target != NULL;
    if (!fits || registry_find_tsih(r, record->tsih) || !record->window ||
        record->window > STATE_WINDOW_MAX || !take_index(r, index))
        return NULL;
    struct registry_entry *e = g_try_new0(struct registry_entry, 1);
    struct session *s = e ? session_new(index, record->window) : NULL;
    if (!s) {
        g_free(e);
        return NULL;
    }
    s->engine = engine_of(r, record);
    s->discovery = record->discovery;
    s->params = record->params;
    s->tsih = record->tsih;
    s->portal_group_tag = record->portal_group_tag;
    memcpy(s->isid, record->isid, ISCSI_ISID_BYTES);
    g_strlcpy(s->initiator, record->initiator, sizeof(s->initiator));
    g_strlcpy(s->target, record->target, sizeof(s->target));
    enter(r, e, s);
    if (!s->engine || (target && make_nexus(s, target, record->nexus_id) < 0)) {
        registry_discard(s);
        return NULL;
    }
    r->last_tsih = MAX(r->last_tsih, s->tsih);
    return s;
}

void registry_adopt_seat(struct session *s, struct registry_seat *seat)
{
    seat->entry = s->entry;
    seat->attached = seat->numbered = true;
    s->entry->started = true;
    list_append(&s->entry->connections, &seat->link);
}

void registry_discard(struct session *s)
{
    entry_free(s->registry, s->entry);
}

/* ---- deciding ---- */

/* As whom an authenticator knows the initiator, as a number; 0: it was not asked. */
static uint32_t identity_of(const struct login *login)
{
    return login->authenticated ? g_str_hash(login->identity) | 1 : 0;
}

static void take_seat(struct registry_entry *e, struct registry_seat *seat)
{
    seat->entry = e;
    list_append(&e->connections, &seat->link);
}

static void conn_close_back(struct reactor_message *m)
{
    struct connection *c = container_of(m, struct connection, close_message);
    c->close_asked = false;
    if (c->gone_waits)
        c->gone(c);
}

/* There and back, as a request to a session: the connection is not freed before. */
static void conn_close_run(struct reactor_message *m)
{
    struct connection *c = container_of(m, struct connection, close_message);
    if (c->state < CONNECTION_CLOSED) {
        c->leaves_session = true;
        connection_close(c, "reinstated by a new login");
    }
    m->run = conn_close_back;
    reactor_post(c->home, m);
}

static uint16_t join(struct registry *r, const struct login *login, struct registry_seat *seat,
                     struct registry_wait *wait, struct login_session *ret, bool *ret_pending)
{
    struct registry_entry *e = registry_find_tsih(r, login->tsih);
    if (!e || login->discovery || !registry_same_nexus(e->session, login) || e->closing || e->gone)
        return ISCSI_LOGIN_NO_SESSION;
    if (e->session->identity && e->session->identity != identity_of(login))
        return ISCSI_LOGIN_NOT_IN_SESSION;
    unsigned count = 0;
    list_for_each(pos, &e->connections) {
        struct registry_seat *other = list_entry(pos, struct registry_seat, link);
        count++;
        if (other->connection->cid != login->cid)
            continue;
        /* Connection reinstatement (6.3.6): the old one goes first. */
        if (!other->attached)
            return ISCSI_LOGIN_NOT_IN_SESSION; /* two logins at once with one CID */
        if (!other->connection->close_asked) {
            other->connection->close_asked = true;
            other->connection->close_message.run = conn_close_run;
            reactor_post(e->session->engine->reactor, &other->connection->close_message);
        }
        list_append(&e->waiters, &wait->link);
        *ret_pending = true;
        return ISCSI_LOGIN_OK;
    }
    if (count >= e->session->params.max_connections || count >= STATE_CONNECTIONS_PER_SESSION)
        return ISCSI_LOGIN_TOO_MANY_CONNECTIONS;
    take_seat(e, seat);
    ret->tsih = e->session->tsih;
    ret->exp_cmd_sn = __atomic_load_n(&e->session->exp_cmd_sn, __ATOMIC_RELAXED);
    ret->max_cmd_sn = __atomic_load_n(&e->session->max_cmd_sn, __ATOMIC_RELAXED);
    return ISCSI_LOGIN_OK;
}

uint16_t registry_decide(struct registry *r, const struct login *login,
                         const struct catalog_target *target, struct registry_seat *seat,
                         struct registry_wait *wait, struct login_session *ret, bool *ret_pending)
{
    if (login->tsih)
        return join(r, login, seat, wait, ret, ret_pending);

    struct registry_entry *old = registry_find_nexus(r, login);
    if (old) { /* session reinstatement (6.3.5): the old one's tasks must be over first */
        entry_close(old, "reinstated by a new login");
        list_append(&old->waiters, &wait->link);
        *ret_pending = true;
        return ISCSI_LOGIN_OK;
    }
    struct registry_entry *e;
    uint16_t status = make(r, login, target, &e);
    if (status != ISCSI_LOGIN_OK)
        return status;
    struct session *s = e->session;
    s->exp_cmd_sn = ret->exp_cmd_sn;
    s->max_cmd_sn = ret->exp_cmd_sn + s->window - 1;
    s->identity = identity_of(login);
    ret->tsih = s->tsih;
    ret->max_cmd_sn = s->max_cmd_sn;
    take_seat(e, seat);
    return ISCSI_LOGIN_OK;
}

static void attach_run(struct reactor_message *m)
{
    struct connection *c = container_of(m, struct connection, message);
    struct session *s = c->session;
    if (list_empty(&s->link) && !s->closing)
        session_start(s);
    connection_attach(c, s);
}

void registry_attach(struct registry_seat *seat)
{
    struct connection *c = seat->connection;
    struct registry_entry *e = seat->entry;
    c->session = e->session;
    e->started = seat->attached = true;
    c->message.run = attach_run;
    reactor_post(e->session->engine->reactor, &c->message);
}

void registry_leave(struct registry *r, struct registry_seat *seat)
{
    struct registry_entry *e = seat->entry;
    if (!e)
        return;
    seat->entry = NULL;
    list_remove(&seat->link);
    struct list waiters;
    list_init(&waiters);
    if (!e->closing && !e->gone) /* those that waited for this connection only */
        list_splice(&waiters, &e->waiters);
    entry_check(r, e);
    wake(&waiters);
}

void registry_wait_cancel(struct registry_wait *wait)
{
    list_remove(&wait->link);
}

int registry_drop(struct registry *r, uint16_t tsih, const char *reason, struct registry_wait *wait)
{
    struct registry_entry *e = registry_find_tsih(r, tsih);
    if (!e)
        return -ENOENT;
    entry_close(e, reason);
    list_append(&e->waiters, &wait->link);
    return 0;
}

void registry_stop_all(struct registry *r)
{
    list_for_each(pos, &r->entries) {
        struct registry_entry *e = list_entry(pos, struct registry_entry, link);
        struct session *s = e->session;
        if (e->closing || e->gone || e->stopped)
            continue;
        e->stopped = true;
        if (e->started)
            request(e, &s->stop_command, stop_run);
        else
            s->closing = true;
    }
}

void registry_close_all(struct registry *r, const char *reason)
{
    list_for_each_safe(pos, &r->entries)
        entry_close(list_entry(pos, struct registry_entry, link), reason);
}

/* ---- a target that goes away ---- */

static bool is_at(const struct registry_entry *e, const struct scsi_target *target)
{
    return e->session->nexus && e->session->nexus->target == target;
}

void registry_stop_target(struct registry *r, const struct scsi_target *target)
{
    list_for_each(pos, &r->entries) {
        struct registry_entry *e = list_entry(pos, struct registry_entry, link);
        if (!is_at(e, target) || e->closing || e->gone || e->stopped)
            continue;
        e->stopped = true;
        if (e->started)
            request(e, &e->session->stop_command, stop_run);
        else
            e->session->closing = true;
    }
}

void registry_close_target(struct registry *r, const struct scsi_target *target, const char *reason)
{
    list_for_each_safe(pos, &r->entries) {
        struct registry_entry *e = list_entry(pos, struct registry_entry, link);
        if (is_at(e, target))
            entry_close(e, reason);
    }
}

void registry_visit(struct registry *r, void (*visit)(const struct session *s, void *data), void *data)
{
    list_for_each(pos, &r->entries)
        visit(list_entry(pos, struct registry_entry, link)->session, data);
}
