/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From one keeper to the next: connections, memory, tombstones and the configuration that workers got,
 * as the service manager has kept them. A new worker then goes on with every session, as after the death
 * of a worker. What does not fit together is closed in order, and its initiator logs in again.
 *
 * The configuration is the file's, unless that is still the text the earlier keeper had read: then what
 * was changed since (the size of a LUN) holds. A text that was patched is the file's and needs no keeping, nor to
 * be summed up, which would take longer than all the rest of a change.
 */
#include "keeper/heritage.h"
#include "keeper/state.h"

#include "base/address.h"
#include "base/log.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *resume_config_sum(struct keeper *k)
{
    if (k->config_sum[0] != '\0')
        return k->config_sum;
    g_autofree char *sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)k->text, k->text_bytes);
    g_strlcpy(k->config_sum, sum, sizeof(k->config_sum));
    return k->config_sum;
}

void resume_begin(struct keeper *k)
{
    store_init(&k->store);
    if (k->args->heritage != NULL)
        heritage_to_inherit(k->args->heritage, &k->inherited);
    else
        inherit_collect(&k->inherited);
    k->record.fd = -1;
}

void resume_config_changed(struct keeper *k)
{
    k->config_sum[0] = '\0';
    spare_config_changed(k);
    k->config_stored = store_let_go(&k->store, k->config_stored);
    k->config_kept = k->config_fd >= 0;
    if (k->config_kept)
        k->config_stored =
            store_keep(&k->store, STORE_CONFIG, 0, 0, k->config_fd, /* inherited= */ false);
}

static void take_config(struct keeper *k, const struct record_text *text)
{
    bool same =
        text != NULL && text->config != NULL && strcmp(text->config, resume_config_sum(k)) == 0;
    int fd = same ? inherit_take(&k->inherited, STORE_CONFIG, 0) : -1;

    if (fd < 0) {
        if (k->inherited.any_ours)
            store_remove_name(&k->store, "config.0");
        resume_config_changed(k);
        return;
    }
    keeper_config_forget(k);
    k->config_fd = fd;
    k->config_kept = true;
    k->config_stored = store_keep(&k->store, STORE_CONFIG, 0, 0, fd, /* inherited= */ true);
}

/* The portal that the connection came to, by its address: the file may have another order now. */
static uint32_t listener_now(const struct keeper *k, const char *before)
{
    struct address address;

    if (before == NULL || address_parse(before, &address) < 0)
        return UINT32_MAX;
    for (unsigned i = 0; i < k->portals.count; i++) {
        const struct portal_listener *l = &k->portals.listeners[i];
        if (address_equal(&address, &l->portal->listen[l->index].address))
            return l->number;
    }
    return UINT32_MAX;
}

static void take_connections(struct keeper *k, const struct record_text *text)
{
    for (unsigned i = 0; i < k->inherited.count; i++) {
        struct inherited *one = &k->inherited.list[i];
        if (one->fd < 0 || !one->ours || one->kind != STORE_CONNECTION)
            continue;
        uint32_t listener = listener_now(k, record_entry(text->listeners, one->more));
        if (listener == UINT32_MAX ||
            connections_restore(&k->connections, one->number, listener, one->fd) < 0)
            continue; /* closed with what is left */
        one->fd = -1;
    }
    connections_restored(&k->connections);
}

static void take_memory(struct keeper *k, const struct record_text *text)
{
    for (unsigned i = 0; i < k->inherited.count; i++) {
        struct inherited *one = &k->inherited.list[i];
        const char *entry = one->ours ? record_entry(text->memory, one->number) : NULL;
        unsigned number;
        int at = 0;
        if (one->fd < 0 || one->kind != STORE_MEMORY || entry == NULL ||
            sscanf(entry, "%u %n", &number, &at) < 1 || at == 0)
            continue;
        memory_restore(&k->memory, one->number, number, entry + at, one->fd);
        one->fd = -1;
    }
}

static void take_tombstones(struct keeper *k)
{
    for (unsigned i = 0; i < k->inherited.count; i++) {
        struct inherited *one = &k->inherited.list[i];
        if (one->fd < 0 || !one->ours || one->kind != STORE_TOMBSTONE)
            continue;
        tombstone_add(k, one->fd, one->number,
                      store_keep(&k->store, STORE_TOMBSTONE, one->number, 0, one->fd,
                                 /* inherited= */ true));
        one->fd = -1;
    }
}

static struct record_text *take_record(struct keeper *k)
{
    int fd = inherit_take(&k->inherited, STORE_STATE, 0);
    bool inherited = fd >= 0;
    int r = record_open(&k->record, fd);

    if (r < 0 && inherited) {
        log_warning("keeper", "what the service manager has kept cannot be read: %s",
                    g_strerror(-r));
        store_remove_name(&k->store, "state.0");
        inherited = false;
        r = record_open(&k->record, -1);
    }
    if (r < 0) {
        log_warning("keeper", "nothing can be kept for the next start: %s", g_strerror(-r));
        return NULL;
    }
    k->record_stored = store_keep(&k->store, STORE_STATE, 0, 0, k->record.fd, inherited);
    return inherited ? record_read(&k->record) : NULL;
}

void resume_finish(struct keeper *k)
{
    struct record_text *text = NULL;

    if (k->store.on || k->inherited.count > 0)
        text = take_record(k);
    take_config(k, text);
    if (text != NULL) {
        k->generation = text->generation;
        k->start_ns = text->start_ns != 0 ? text->start_ns : k->start_ns;
        take_connections(k, text);
        take_memory(k, text);
        k->died = true;
    }
    take_tombstones(k);
    inherit_end(&k->inherited, &k->store);
    if (text != NULL)
        log_notice("keeper", "goes on after an earlier one generation=%u connections=%u memory=%u",
                   k->generation, k->connections.used, k->memory.count);
    record_text_free(text);
    record_write(k);
}
