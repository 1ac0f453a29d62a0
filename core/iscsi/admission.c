/* SPDX-License-Identifier: BSD-3-Clause */
/* See admission.h. */
#include "iscsi/admission.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "reactor/counters.h"

#define LOG_EVERY_NS (10 * NS_PER_S)

static const struct {
    const char *label, *text;
} reasons[ADMISSION_REASONS] = {
    [ADMISSION_CONNECTIONS] = { "connections", "too many connections" },
    [ADMISSION_ADDRESS] = { "address", "too many connections from this address" },
    [ADMISSION_LOGINS] = { "logins", "too many logins at a time" },
    [ADMISSION_SILENT] = { "silent", "said nothing, and others wait" },
    [ADMISSION_TURN] = { "turn", "waited too long for its turn" },
    [ADMISSION_STOPPING] = { "stopping", "the target stops" },
    [ADMISSION_OVERFLOW] = { "overflow", "no room even to say that there is none" },
};

const char *admission_label(enum admission_reason reason)
{
    return reasons[reason].label;
}

const char *admission_text(enum admission_reason reason)
{
    return reasons[reason].text;
}

int admission_init(struct admission *a, const struct admission_limits *limits)
{
    *a = (struct admission){ .limits = *limits };
    return hash_table_init(&a->sources, limits->connections);
}

void admission_fini(struct admission *a)
{
    hash_table_fini(&a->sources);
}

/* ---- addresses ---- */

static void address_key(const struct address *peer, uint8_t ret_key[16])
{
    memset(ret_key, 0, 16);
    if (peer->length && peer->any.sa_family == AF_INET6) {
        memcpy(ret_key, &peer->v6.sin6_addr, 16);
    } else if (peer->length && peer->any.sa_family == AF_INET) {
        ret_key[10] = ret_key[11] = 0xff;
        memcpy(ret_key + 12, &peer->v4.sin_addr, 4);
    }
}

static bool has_address(const struct hash_link *link, const void *key)
{
    return !memcmp(container_of((void *)link, struct admission_source, link)->address, key, 16);
}

static struct admission_source *find(const struct admission *a, const uint8_t key[16],
                                     uint64_t hash)
{
    struct hash_link *link = hash_table_find(&a->sources, hash, has_address, key);
    return link ? container_of(link, struct admission_source, link) : NULL;
}

static struct admission_source *find_address(const struct admission *a, const struct address *peer)
{
    uint8_t key[16];
    address_key(peer, key);
    return find(a, key, hash_bytes(a->sources.seed, key, sizeof(key)));
}

enum admission_reason admission_ask(const struct admission *a, const struct address *peer)
{
    const struct admission_source *source = find_address(a, peer);
    /* A reload changes these two meanwhile (acceptor_set_limits()). */
    uint32_t per_address = __atomic_load_n(&a->limits.per_address, __ATOMIC_RELAXED);
    uint32_t logins = __atomic_load_n(&a->limits.logins, __ATOMIC_RELAXED);
    if (per_address && source && source->connections >= per_address)
        return ADMISSION_ADDRESS;
    if (a->connections >= a->limits.connections)
        return ADMISSION_CONNECTIONS;
    if (a->logins >= logins)
        return ADMISSION_LOGINS;
    return ADMISSION_FINE;
}

struct admission_source *admission_enter(struct admission *a, const struct address *peer)
{
    uint8_t key[16];
    address_key(peer, key);
    uint64_t hash = hash_bytes(a->sources.seed, key, sizeof(key));
    struct admission_source *source = find(a, key, hash);
    if (!source) {
        source = g_try_new0(struct admission_source, 1);
        if (!source)
            return NULL;
        memcpy(source->address, key, sizeof(key));
        for (unsigned i = 0; i < G_N_ELEMENTS(source->waiting); i++) {
            list_init(&source->waiting[i]);
            list_init(&source->turn[i]);
        }
        hash_table_add(&a->sources, &source->link, hash);
    }
    source->connections++;
    a->connections++;
    return source;
}

void admission_leave(struct admission *a, struct admission_source *source)
{
    a->connections--;
    if (--source->connections)
        return;
    hash_table_remove(&a->sources, &source->link);
    g_free(source);
}

void admission_count_login(struct admission *a, int change)
{
    __atomic_store_n(&a->logins, a->logins + (uint32_t)change, __ATOMIC_RELAXED);
}

/* ---- refusals ---- */

void admission_refuse(struct admission *a, enum admission_reason reason, uint64_t now_ns,
                      const char *peer)
{
    counter_add(&a->refused[reason], 1);
    a->total++;
    if (reason == ADMISSION_STOPPING || (a->logged_ns && now_ns - a->logged_ns < LOG_EVERY_NS))
        return;
    log_warning("login",
                "connection not let in reason=\"%s\" address=%s connections=%u logins=%u "
                "since-last-line=%llu",
                admission_text(reason), peer, a->connections, a->logins,
                (unsigned long long)(a->total - a->logged_total));
    a->logged_ns = now_ns;
    a->logged_total = a->total;
}
