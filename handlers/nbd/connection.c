/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to the server, all its life on the client's thread: made without waiting, looked at after
 * each turn of libnbd, dropped with the first error and made anew after a pause that doubles.
 *
 *   attempt under way   nbd, not up
 *   up                  nbd, up: what the server says of the export has been compared with what is known
 *   none                no nbd; the next attempt is at next_ms
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "nbd.h"

#define PAUSE_FIRST_MS 50u
#define PAUSE_MAX_MS   2000u
#define ATTEMPT_MS     10000u
#define PAYLOAD_MAX                                                                                \
    (UINT32_C(32) << 20) /* what the protocol promises without a word of the server */

/* ------------------------------------------------------------------------------------------ drop */

void connection_drop(struct connection *connection, uint64_t now_ms, int32_t error, const char *why)
{
    struct request *request;
    nbd_close(connection->nbd);
    connection->nbd = NULL;
    connection->up = connection->leaving = 0;
    while ((request = connection->under_way.first)) {
        chain_remove(&connection->under_way, request);
        request->on = NULL;
        request_wait(request);
    }
    connection->under_way_count = 0;
    connection->next_ms = now_ms + connection->pause_ms;
    connection->pause_ms =
        connection->pause_ms * 2 < PAUSE_MAX_MS ? connection->pause_ms * 2 : PAUSE_MAX_MS;
    client_failed(connection->client, error, why);
}

/* Of the last call of libnbd, whose name people can do without. */
static void note_error(struct connection *connection)
{
    int error = nbd_get_errno();
    const char *why = nbd_get_error(), *text = why ? strstr(why, ": ") : NULL;
    connection->error = error > 0 ? error : EIO;
    snprintf(connection->why, sizeof(connection->why), "%s",
             text ? text + 2 : "the connection has ended");
}

void connection_note_death(struct connection *connection)
{
    if (nbd_aio_is_dead(connection->nbd) > 0 && !connection->error)
        note_error(connection);
}

static void drop_failed(struct connection *connection, uint64_t now_ms)
{
    if (!connection->error)
        note_error(connection);
    connection_drop(connection, now_ms, connection->error, connection->why);
}

/* ----------------------------------------------------------------------------------------- start */

static int prepare(const struct config *config, struct nbd_handle *nbd)
{
    if (config->tls_certificates && nbd_set_tls_certificates(nbd, config->tls_certificates) < 0)
        return -1;
    if (config->tls_psk_file && nbd_set_tls_psk_file(nbd, config->tls_psk_file) < 0)
        return -1;
    if (config->tls_username && nbd_set_tls_username(nbd, config->tls_username) < 0)
        return -1;
    return nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION);
}

void connection_start(struct connection *connection, uint64_t now_ms)
{
    const struct config *config = connection->client->config;
    if (!connection->pause_ms)
        connection->pause_ms = PAUSE_FIRST_MS;
    connection->since_ms = now_ms;
    connection->error = 0;
    connection->nbd = nbd_create();
    if (!connection->nbd || prepare(config, connection->nbd) < 0 ||
        nbd_aio_connect_uri(connection->nbd, config->uri) < 0)
        drop_failed(connection, now_ms);
}

/* ---------------------------------------------------------------------------------------- export */

static uint32_t flags_of(struct nbd_handle *nbd)
{
    const struct {
        int answer;
        uint32_t flag;
    } rows[] = {
        { nbd_is_read_only(nbd), EXPORT_READ_ONLY },
        { nbd_can_flush(nbd), EXPORT_FLUSH },
        { nbd_can_fua(nbd), EXPORT_FUA },
        { nbd_can_trim(nbd), EXPORT_TRIM },
        { nbd_can_zero(nbd), EXPORT_ZEROES },
        { nbd_can_multi_conn(nbd), EXPORT_MULTI },
        { nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION), EXPORT_STATUS },
    };
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].answer > 0)
            flags |= rows[i].flag;
    return flags;
}

static int64_t at_least(int64_t value, int64_t least)
{
    return value < least ? least : value;
}

static void ask_export(struct nbd_handle *nbd, struct export *ret_export)
{
    int64_t most = nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);
    *ret_export = (struct export){
        .bytes = (uint64_t)at_least(nbd_get_size(nbd), 0),
        .flags = flags_of(nbd),
        .min_bytes = (uint32_t)at_least(nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM), 1),
        .preferred_bytes = (uint32_t)at_least(nbd_get_block_size(nbd, LIBNBD_SIZE_PREFERRED), 0),
        .max_bytes = most <= 0 || most > PAYLOAD_MAX ? PAYLOAD_MAX : (uint32_t)most,
    };
}

/* A server whose machine is gone is found out by TCP. Other sockets know at once; for them this fails. */
static void keep_alive(int fd, uint64_t dead_ns)
{
    unsigned ms = (unsigned)(dead_ns / 1000000), third = ms / 3000 ? ms / 3000 : 1;
    const struct {
        int level, name;
        unsigned value;
    } rows[] = {
        { SOL_SOCKET, SO_KEEPALIVE, 1 },       { IPPROTO_TCP, TCP_KEEPIDLE, third },
        { IPPROTO_TCP, TCP_KEEPINTVL, third }, { IPPROTO_TCP, TCP_KEEPCNT, 2 },
        { IPPROTO_TCP, TCP_USER_TIMEOUT, ms },
    };
    for (size_t i = 0; ms && i < sizeof(rows) / sizeof(*rows); i++)
        (void)setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof(rows[i].value));
}

static void came_up(struct connection *connection, uint64_t now_ms)
{
    struct export export;
    ask_export(connection->nbd, &export);
    const char *why = client_export(connection->client, &export);
    if (why) {
        connection_drop(connection, now_ms, EINVAL, why);
        return;
    }
    keep_alive(nbd_aio_get_fd(connection->nbd), connection->client->config->dead_ns);
    connection->up = 1;
    connection->pause_ms = PAUSE_FIRST_MS;
}

void connection_look(struct connection *connection, uint64_t now_ms)
{
    struct nbd_handle *nbd = connection->nbd;
    if (!nbd)
        return;
    if (nbd_aio_is_dead(nbd) > 0)
        drop_failed(connection, now_ms);
    else if (nbd_aio_is_closed(nbd) > 0 || connection->leaving)
        connection_drop(connection, now_ms, ESHUTDOWN, "the server has ended the connection");
    else if (connection->up)
        return;
    else if (nbd_aio_is_ready(nbd) > 0 || nbd_aio_is_processing(nbd) > 0)
        came_up(connection, now_ms);
    else if (now_ms - connection->since_ms >= ATTEMPT_MS)
        connection_drop(connection, now_ms, ETIMEDOUT, "the server does not answer");
}
