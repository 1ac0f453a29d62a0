/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is let in, and whose login is worked on. A new connection is judged by the limits (admission.h);
 * one that is not let in is told so in answer to its first Login Request. All others wait with their
 * first request for their turn (login_queue.h). At the limits, who comes back to a session that is still
 * here is let in all the same, since that session goes; and who has said nothing gives way.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "iscsi/acceptor_private.h"

#define REFUSAL_NS (5 * NS_PER_S) /* for one that is not let in to say its first word */
#define SILENCE_NS (1 * NS_PER_S) /* after it one that says nothing gives way */

static void turn_away(struct acceptor *a, const struct arrival *arrival)
{
    char peer[ADDRESS_TEXT_MAX];
    admission_refuse(&a->admission, ADMISSION_OVERFLOW, a->options.login->reactor->now_ns,
                     address_format(&arrival->peer, peer));
    shutdown(arrival->fd, SHUT_RDWR);
    close(arrival->fd);
    a->options.closed(a->options.user, arrival->slot);
}

void acceptor_login_over(struct connection *c)
{
    struct acceptor *a = c->acceptor;
    struct login_run *run = c->login;
    list_remove(&run->silent);
    login_queue_leave(&a->queue, &run->ticket);
    if (run->counted)
        admission_count_login(&a->admission, -1);
    run->counted = false;
}

bool acceptor_let_in(struct connection *c)
{
    struct address peer;
    if (address_peer(c->fd, &peer) < 0)
        peer = (struct address){ .length = 0 };
    c->source = admission_enter(&c->acceptor->admission, &peer);
    return c->source != NULL;
}

static bool let_login_in(struct connection *c)
{
    if (!acceptor_let_in(c))
        return false;
    c->login->refusal = ADMISSION_FINE;
    c->login->counted = true;
    admission_count_login(&c->acceptor->admission, 1);
    return true;
}

void acceptor_let_go(struct connection *c)
{
    if (c->login)
        acceptor_login_over(c);
    if (c->source)
        admission_leave(&c->acceptor->admission, c->source);
    c->source = NULL;
}

/* ---- arrivals ---- */

/* The one that has said nothing for the longest time gives way; false: there is none. */
static bool evict(struct acceptor *a)
{
    if (list_empty(&a->silent))
        return false;
    struct login_run *run = list_entry(a->silent.next, struct login_run, silent);
    uint64_t now = a->options.login->reactor->now_ns;
    if (now - run->begun_ns < SILENCE_NS)
        return false;
    struct connection *c = run->connection;
    admission_refuse(&a->admission, ADMISSION_SILENT, now, c->peer);
    acceptor_let_go(c);
    login_io_end(c, NULL);
    return true;
}

static enum admission_reason judge(struct acceptor *a, const struct address *peer)
{
    if (a->stopping)
        return ADMISSION_STOPPING;
    enum admission_reason reason = admission_ask(&a->admission, peer);
    if ((reason == ADMISSION_CONNECTIONS || reason == ADMISSION_LOGINS) && evict(a))
        reason = admission_ask(&a->admission, peer);
    return reason;
}

void acceptor_arrive(struct reactor_message *m)
{
    struct arrival *arrival = container_of(m, struct arrival, message);
    struct acceptor *a = arrival->acceptor;
    if (a->holding) {
        list_append(&a->aside, &arrival->link);
        return;
    }
    enum admission_reason reason = judge(a, &arrival->peer);
    struct connection *c = acceptor_connection_new(a, arrival);
    counter_add(&a->counters.accepted, 1);
    if (!c) {
        turn_away(a, arrival);
        catalog_unref(arrival->catalog);
        g_free(arrival);
        return;
    }
    uint64_t patience = atomic_load(&a->login_timeout_ns);
    if (reason != ADMISSION_FINE)
        patience = MIN(patience, REFUSAL_NS);
    login_io_begin(c, arrival->catalog, a->options.registry, arrival->portal, patience);
    c->login->refusal = (uint8_t)reason;
    if (reason == ADMISSION_FINE && !let_login_in(c))
        c->login->refusal = ADMISSION_CONNECTIONS;
    list_append(&a->silent, &c->login->silent);
    g_free(arrival);
}

void acceptor_accept(struct acceptor *a, int fd, uint32_t slot, unsigned portal,
                     const struct address *peer)
{
    struct arrival *arrival = g_new0(struct arrival, 1);
    arrival->message.run = acceptor_arrive;
    arrival->acceptor = a;
    arrival->catalog = atomic_load(&a->catalog); /* only this thread puts another in its place */
    catalog_ref(arrival->catalog);
    arrival->fd = fd;
    arrival->slot = slot;
    arrival->portal = portal;
    arrival->peer = *peer;
    list_init(&arrival->link);
    reactor_post(a->options.login->reactor, &arrival->message);
}

/* ---- the first request is there ---- */

/* InitiatorName of the text, normalised; false: it has none in this request. */
static bool initiator_name(const uint8_t *text, uint32_t bytes, char ret_name[ISCSI_NAME_MAX + 1])
{
    static const char key[] = "InitiatorName=";
    const char *problem;
    for (const char *at = (const char *)text, *end = at + bytes; at < end;) {
        size_t length = strnlen(at, (size_t)(end - at));
        char value[ISCSI_NAME_MAX + 1];
        size_t skip = sizeof(key) - 1;
        if (length > skip && length - skip < sizeof(value) && !memcmp(at, key, skip)) {
            memcpy(value, at + skip, length - skip);
            value[length - skip] = '\0';
            return iscsi_name_normalise(value, ret_name, &problem) == 0;
        }
        at += length + 1;
    }
    return false;
}

static enum registry_knows known(const struct acceptor *a, const uint8_t *bhs)
{
    char name[ISCSI_NAME_MAX + 1];
    if (!initiator_name(bhs + ISCSI_BHS_BYTES + bhs[ISCSI_BHS_AHS_WORDS] * 4u,
                        get_be24(bhs + ISCSI_BHS_DATA_LENGTH), name))
        return REGISTRY_STRANGER;
    return registry_knows(a->options.registry, name, bhs + ISCSI_LOGIN_ISID);
}

void acceptor_login_spoken(struct connection *c, const uint8_t *bhs)
{
    struct acceptor *a = c->acceptor;
    struct login_run *run = c->login;
    enum registry_knows who = known(a, bhs);
    list_remove(&run->silent);
    if (who == REGISTRY_HAS_SESSION &&
        (run->refusal == ADMISSION_CONNECTIONS || run->refusal == ADMISSION_LOGINS))
        let_login_in(c);
    if (run->refusal != ADMISSION_FINE)
        login_io_refuse(c, run->refusal);
    else
        login_queue_wait(&a->queue, &run->ticket, c->source, who != REGISTRY_STRANGER);
}

void acceptor_count_not_let_in(struct connection *c, enum admission_reason reason)
{
    struct acceptor *a = c->acceptor;
    admission_refuse(&a->admission, reason, a->options.login->reactor->now_ns, c->peer);
}
