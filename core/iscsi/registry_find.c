/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions by TSIH and by their initiator's port (InitiatorName and ISID): hash tables made at the start
 * for the configured number of sessions. The ports of sessions that have ended are remembered for a
 * while, as one number each, in a table that forgets the older of two in one place: enough to
 * tell who comes back, which only decides about the order of logins. It ends with the process.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "iscsi/registry_private.h"

static uint64_t ended_mask(const struct registry *r)
{
    return 2 * (r->by_port.mask + 1) - 1;
}

int registry_find_init(struct registry *r)
{
    if (hash_table_init(&r->by_tsih, r->options.sessions) < 0 ||
        hash_table_init(&r->by_port, r->options.sessions) < 0)
        return -ENOMEM;
    r->ended = g_try_new0(uint64_t, ended_mask(r) + 1);
    return r->ended ? 0 : -ENOMEM;
}

void registry_find_fini(struct registry *r)
{
    hash_table_fini(&r->by_tsih);
    hash_table_fini(&r->by_port);
    g_free(r->ended);
}

static uint64_t tsih_hash(const struct registry *r, uint16_t tsih)
{
    return hash_bytes(r->by_tsih.seed, &tsih, sizeof(tsih));
}

static uint64_t port_hash(const struct registry *r, const char *initiator, const uint8_t *isid)
{
    uint64_t h = hash_bytes(r->by_port.seed, isid, ISCSI_ISID_BYTES);
    return hash_bytes(h, initiator, strlen(initiator));
}

void registry_find_add(struct registry *r, struct registry_entry *e)
{
    const struct session *s = e->session;
    hash_table_add(&r->by_tsih, &e->by_tsih, tsih_hash(r, s->tsih));
    hash_table_add(&r->by_port, &e->by_port, port_hash(r, s->initiator, s->isid));
}

void registry_find_remove(struct registry *r, struct registry_entry *e)
{
    hash_table_remove(&r->by_tsih, &e->by_tsih);
    hash_table_remove(&r->by_port, &e->by_port);
    if (!e->session->discovery)
        r->ended[e->by_port.hash & ended_mask(r)] = e->by_port.hash;
}

/* ---- by TSIH ---- */

static bool has_tsih(const struct hash_link *link, const void *key)
{
    const struct registry_entry *e = container_of((void *)link, struct registry_entry, by_tsih);
    return e->session->tsih == *(const uint16_t *)key;
}

struct registry_entry *registry_find_tsih(struct registry *r, uint16_t tsih)
{
    struct hash_link *l = hash_table_find(&r->by_tsih, tsih_hash(r, tsih), has_tsih, &tsih);
    return l ? container_of(l, struct registry_entry, by_tsih) : NULL;
}

uint16_t registry_new_tsih(struct registry *r)
{
    do
        r->last_tsih++;
    while (!r->last_tsih || registry_find_tsih(r, r->last_tsih));
    return r->last_tsih;
}

/* ---- by names ---- */

bool registry_same_nexus(const struct session *s, const struct login *login)
{
    return !memcmp(s->isid, login->isid, ISCSI_ISID_BYTES) && s->discovery == login->discovery &&
           s->portal_group_tag == login->found.portal_group_tag &&
           !strcmp(s->initiator, login->initiator_name) && !strcmp(s->target, login->target_name);
}

static bool has_nexus(const struct hash_link *link, const void *key)
{
    const struct registry_entry *e = container_of((void *)link, struct registry_entry, by_port);
    return registry_same_nexus(e->session, key);
}

struct registry_entry *registry_find_nexus(struct registry *r, const struct login *login)
{
    uint64_t hash = port_hash(r, login->initiator_name, login->isid);
    struct hash_link *l = hash_table_find(&r->by_port, hash, has_nexus, login);
    return l ? container_of(l, struct registry_entry, by_port) : NULL;
}

struct port {
    const char *initiator;
    const uint8_t *isid;
};

static bool has_port(const struct hash_link *link, const void *key)
{
    const struct registry_entry *e = container_of((void *)link, struct registry_entry, by_port);
    const struct port *port = key;
    return !memcmp(e->session->isid, port->isid, ISCSI_ISID_BYTES) &&
           !strcmp(e->session->initiator, port->initiator) && !e->session->discovery;
}

enum registry_knows registry_knows(const struct registry *r, const char *initiator,
                                   const uint8_t *isid)
{
    uint64_t hash = port_hash(r, initiator, isid);
    struct port port = { initiator, isid };
    if (hash_table_find(&r->by_port, hash, has_port, &port))
        return REGISTRY_HAS_SESSION;
    return r->ended[hash & ended_mask(r)] == hash ? REGISTRY_HAD_SESSION : REGISTRY_STRANGER;
}
