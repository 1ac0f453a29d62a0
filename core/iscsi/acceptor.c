/* SPDX-License-Identifier: BSD-3-Clause */
#include "iscsi/acceptor_private.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

/* ---- text exchanges: any reactor ---- */

static void list_target(const struct catalog_target *t, const struct connection *c,
                        struct text_targets *sink)
{
    discovery_target(sink, t->name);
    for (unsigned i = 0; i < t->portal_count; i++) {
        const struct catalog_portal *p = t->portals[i];
        for (unsigned j = 0; j < p->address_count; j++) {
            struct address a;
            if (address_parse(p->addresses[j], &a) < 0)
                continue;
            if (!address_is_wildcard(&a)) {
                discovery_address(sink, p->addresses[j], p->tag);
                continue;
            }
            /* Listening everywhere: the address that the initiator has reached is one that works. */
            struct address local;
            char text[ADDRESS_TEXT_MAX];
            if (address_local(c->fd, &local) < 0)
                continue;
            bool same_family = local.any.sa_family == a.any.sa_family;
            if (same_family || p->address_count == 1)
                discovery_address(sink, address_format(&local, text), p->tag);
        }
    }
}

static void send_targets(void *user, const char *name, struct text_targets *sink)
{
    struct connection *c = user;
    const struct catalog *catalog =
        atomic_load_explicit(&c->acceptor->catalog, memory_order_acquire);
    for (unsigned i = 0; i < catalog->target_count; i++) {
        const struct catalog_target *t = catalog->targets[i];
        if ((!name || !strcmp(name, t->name)) && catalog_on_portal(t, c->session->portal_group_tag) &&
            catalog_admits(t, c->session->initiator, c->peer))
            list_target(t, c, sink);
    }
}

static bool rejects_all(void *user)
{
    struct connection *c = user;
    const struct catalog *catalog =
        atomic_load_explicit(&c->acceptor->catalog, memory_order_acquire);
    const struct catalog_target *t = catalog_find(catalog, c->session->target);
    return t && t->reject_send_targets_all;
}

const struct text_ops *acceptor_text_ops(const struct acceptor *a)
{
    return &a->text_ops;
}

/* ---- life of the acceptor ---- */

int acceptor_create(const struct acceptor_options *options, struct acceptor **ret_acceptor)
{
    struct acceptor *a = g_try_new0(struct acceptor, 1);
    if (!a)
        return -ENOMEM;
    a->options = *options;
    atomic_init(&a->catalog, options->catalog);
    a->options.catalog = NULL; /* it is only the first */
    atomic_init(&a->login_timeout_ns, options->login_timeout_ns);
    catalog_ref(options->catalog);
    a->text_ops.send_targets = send_targets;
    a->text_ops.rejects_all = rejects_all;
    list_init(&a->connections);
    list_init(&a->silent);
    acceptor_stop_init(a);
    login_queue_init(&a->queue, options->login->reactor, options->login_concurrency);
    a->free_index = g_try_new0(uint32_t, options->connections);
    if (!a->free_index || admission_init(&a->admission, &options->limits) < 0) {
        acceptor_free(a);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < options->connections; i++)
        a->free_index[i] = options->connections - 1 - i;
    a->free_count = options->connections;
    *ret_acceptor = a;
    return 0;
}

struct acceptor *acceptor_free(struct acceptor *a)
{
    if (a) {
        login_queue_fini(&a->queue);
        admission_fini(&a->admission);
        catalog_unref(atomic_load(&a->catalog));
        g_free(a->free_index);
        g_free(a);
    }
    return NULL;
}

const struct acceptor_counters *acceptor_counters(const struct acceptor *a)
{
    return &a->counters;
}

const struct admission *acceptor_admission(const struct acceptor *a)
{
    return &a->admission;
}

void acceptor_count_timeout(struct acceptor *a)
{
    counter_add(&a->counters.timeouts, 1);
}

void acceptor_count_refused(struct acceptor *a, uint16_t status)
{
    unsigned class = status >> 8, detail = status & 0xff;
    counter_add(&a->counters.refused, 1);
    if ((class == 2 || class == 3) && detail < ACCEPTOR_DETAILS_MAX)
        counter_add(&a->counters.refused_class[class - 2][detail], 1);
}

/* ---- connections ---- */

static void gone_from_session(struct connection *c)
{
    acceptor_connection_gone(c);
}

/*
 * A login takes pages of its own, given back when it is over: the few bytes that stay for each
 * connection would keep a heap from shrinking after a storm. NULL: no memory.
 */
static struct login_run *run_new(void)
{
    void *run = mmap(NULL, sizeof(struct login_run), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return run == MAP_FAILED ? NULL : run;
}

static void run_free(struct login_run *run)
{
    if (run)
        munmap(run, sizeof(*run));
}

struct connection *acceptor_connection_new(struct acceptor *a, const struct arrival *arrival)
{
    if (!a->free_count || arrival->portal >= arrival->catalog->portal_count)
        return NULL;
    struct connection *c = g_try_new0(struct connection, 1);
    struct login_run *run = run_new();
    if (!c || !run)
        goto fail;
    c->index = a->free_index[a->free_count - 1];
    arena_ref ref = state_connection_ref(c->index);
    c->record = arena_ptr(ref);
    if (stream_init(&c->stream, arrival->fd, ref + offsetof(struct connection_record, stream),
                    ref + offsetof(struct connection_record, window), NULL) < 0)
        goto fail;
    a->free_count--;
    c->login = run;
    c->acceptor = a;
    c->engine = a->options.login;
    c->home = c->engine->reactor;
    c->fd = arrival->fd;
    c->slot = arrival->slot;
    c->state = CONNECTION_LOGIN;
    c->seat.connection = c;
    list_init(&c->seat.link);
    list_init(&c->link);
    list_append(&a->connections, &c->home_link);
    c->record->slot = c->slot;
    *state_connection_used(a->options.sessions, c->index) = 1;
    address_format(&arrival->peer, c->peer);
    g_strlcpy(c->portal, arrival->catalog->portals[arrival->portal].name, sizeof(c->portal));
    return c;
fail:
    run_free(run);
    g_free(c);
    return NULL;
}

static bool take_index(struct acceptor *a, uint32_t index)
{
    for (uint32_t i = a->free_count; i-- > 0;) /* those in use were at the end of the stack */
        if (a->free_index[i] == index) {
            a->free_index[i] = a->free_index[--a->free_count];
            return true;
        }
    return false;
}

struct connection *acceptor_adopt(struct acceptor *a, uint32_t index, int fd, uint32_t slot,
                                  int *ret_error)
{
    arena_ref ref = state_connection_ref(index);
    struct connection *c = g_try_new0(struct connection, 1);
    *ret_error = -ENOMEM;
    if (!c || !take_index(a, index)) {
        g_free(c);
        return NULL;
    }
    c->index = index;
    c->record = arena_ptr(ref);
    c->acceptor = a;
    c->fd = fd;
    c->slot = slot;
    c->home = a->options.login->reactor;
    c->gone = gone_from_session;
    c->seat.connection = c;
    list_init(&c->seat.link);
    list_init(&c->link);
    list_append(&a->connections, &c->home_link);
    c->cid = c->record->cid;
    c->number = c->record->number;
    c->params = c->record->params;
    c->nop_interval_ns = c->record->nop_interval_ns;
    c->nop_timeout_ns = c->record->nop_timeout_ns;
    g_strlcpy(c->peer, c->record->peer, sizeof(c->peer));
    g_strlcpy(c->portal, c->record->portal, sizeof(c->portal));
    *ret_error = !acceptor_let_in(c) ? -ENOMEM : stream_resume(&c->stream, fd, ref + offsetof(struct connection_record, stream),
                               ref + offsetof(struct connection_record, window),
                               &connection_stream_ops);
    if (*ret_error == 0)
        return c;
    acceptor_unadopt(c);
    return NULL;
}

void acceptor_received(const struct acceptor *a, uint64_t *received)
{
    list_for_each(pos, &a->connections) {
        const struct connection *c = list_entry(pos, struct connection, home_link);
        received[c->index] = c->stream.rx_pos;
    }
}

static void release_record(struct acceptor *a, struct connection *c)
{
    *state_connection_used(a->options.sessions, c->index) = 0;
    madvise(c->record, STATE_CONNECTION_STRIDE, MADV_REMOVE);
    a->free_index[a->free_count++] = c->index;
}

void acceptor_unadopt(struct connection *c)
{
    acceptor_let_go(c);
    list_remove(&c->home_link);
    list_remove(&c->seat.link);
    release_record(c->acceptor, c);
    g_free(c);
}

struct catalog *acceptor_set_catalog(struct acceptor *a, struct catalog *catalog)
{
    catalog_ref(catalog);
    return atomic_exchange(&a->catalog, catalog);
}

void acceptor_set_limits(struct acceptor *a, uint64_t timeout_ns, uint32_t per_address, uint32_t logins)
{
    atomic_store(&a->login_timeout_ns, timeout_ns);
    __atomic_store_n(&a->admission.limits.per_address, per_address, __ATOMIC_RELAXED);
    __atomic_store_n(&a->admission.limits.logins, logins, __ATOMIC_RELAXED);
}

/* In turn, so that records of a connection that is gone are not taken for this one's; never one in use. */
static uint8_t give_number(struct session *s, struct registry_entry *entry)
{
    for (;;) {
        uint8_t number = (uint8_t)(s->numbers_given++ % STATE_CONNECTIONS_PER_SESSION);
        bool used = false;
        list_for_each(pos, &entry->connections) {
            struct registry_seat *seat = list_entry(pos, struct registry_seat, link);
            used = used || (seat->numbered && seat->connection->number == number);
        }
        if (!used)
            return number;
    }
}

void acceptor_login_final(struct connection *c, uint64_t end_pos)
{
    const struct login_run *run = c->login;
    const struct login *login = &run->login;
    const struct catalog *catalog = run->catalog;
    uint32_t *number = c->stream.next.number;
    c->params = login->params.result;
    c->number = give_number(c->seat.entry->session, c->seat.entry);
    c->seat.numbered = true;
    number[STATE_STAT_SN] = login->stat_sn;
    number[STATE_EXP_CMD_SN] = login->exp_cmd_sn;
    number[STATE_MAX_CMD_SN] = login->max_cmd_sn;
    number[STATE_RECEIVE] = RECEIVE_HEADER;
    c->nop_interval_ns = run->target ? run->target->nop_interval_ns : catalog->nop_interval_ns;
    c->nop_timeout_ns = run->target ? run->target->nop_timeout_ns : catalog->nop_timeout_ns;
    connection_record_fill(c, c->seat.entry->session);
    c->record->full_pos = end_pos;
    atomic_signal_fence(memory_order_release);
    c->record->full = 1;
}

/* The final reply has been taken by the socket: full feature phase begins on the session's reactor. */
void acceptor_login_done(struct connection *c)
{
    struct acceptor *a = c->acceptor;
    struct login_run *run = c->login;
    struct login *login = &run->login;
    if (c->state != CONNECTION_LOGIN)
        return;
    counter_add(&a->counters.logins, 1);
    histogram_add(&a->counters.duration, c->home->now_ns - run->begun_ns);
    log_info("login", "logged in initiator=%s target=%s address=%s portal=%s tsih=%u cid=%u isid=%02x%02x%02x%02x%02x%02x auth=%s header-digest=%s data-digest=%s",
             login->initiator_name, login->discovery ? "(discovery)" : login->target_name, c->peer,
             c->portal, login->tsih, login->cid, login->isid[0], login->isid[1], login->isid[2],
             login->isid[3], login->isid[4], login->isid[5],
             login->authenticated ? login->found.auth->ops->method : "none",
             login->params.result.header_digest ? "crc32c" : "none",
             login->params.result.data_digest ? "crc32c" : "none");
    c->gone = gone_from_session;
    acceptor_login_over(c);
    login_io_fini(c);
    run_free(run);
    c->login = NULL;
    stream_detach(&c->stream);
    registry_attach(&c->seat);
}

/* Login reactor, also as `gone` of a connection that was in a session. */
void acceptor_connection_gone(struct connection *c)
{
    struct acceptor *a = c->acceptor;
    if (c->close_asked) {
        c->gone_waits = true;
        return;
    }
    acceptor_let_go(c);
    if (c->login) {
        login_io_fini(c);
        run_free(c->login);
    }
    list_remove(&c->home_link);
    registry_leave(a->options.registry, &c->seat);
    release_record(a, c);
    close(c->fd);
    a->options.closed(a->options.user, c->slot);
    g_free(c);
    if (a->stopping)
        reactor_defer(a->options.login->reactor, &a->stop_check);
}

void acceptor_auth_resume(void *login_user)
{
    login_io_auth_resume(login_user);
}
