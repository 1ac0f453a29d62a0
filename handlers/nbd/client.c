/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread of a LUN. It sleeps in poll() on the connections and on an eventfd by which the reactors
 * say that there are new I/Os. While no connection is up the I/Os wait; how long is the business of the
 * LUN's deadline.
 *
 * What the server says of the export at a later connection has to be what the LUN was opened with, or more:
 * a smaller disk, or one that cannot do any more what initiators were told, is not taken.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "nbd.h"

#define TOLD_MAX       16u       /* lines in the log while the server is away */
#define KNOWN_NS       100000000 /* for servers of LUNs that can do without at first, all together, */
#define KNOWN_LEAST_NS 2000000   /* and each */

static _Atomic uint64_t waited_in_vain_ns;

static uint64_t ms_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void client_wake(struct client *client)
{
    const uint64_t one = 1;
    while (write(client->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* ---------------------------------------------------------------------------------------- export */

static uint32_t block_bytes(const struct client *client)
{
    if (client->asked_block_bytes)
        return client->asked_block_bytes;
    return client->export.min_bytes <= 512 ? 512 : 4096;
}

void client_fill_info(const struct client *client, struct hf_lun_info *info)
{
    const struct export *e = &client->export;
    uint32_t block = block_bytes(client), wish = e->preferred_bytes;
    if (wish < block || wish > 65536 || wish & (wish - 1))
        wish = 4096;
    info->block_bytes = block;
    info->bytes = e->bytes / block * block;
    info->physical_block_bytes = wish;
    info->unmap_granularity_bytes = wish;
    info->max_io_bytes = e->max_bytes / block * block;
    info->features = request_features(client->config, e);
}

/* Can it be a LUN at all? */
static const char *unfit(const struct client *client, const struct export *e)
{
    uint32_t block = client->asked_block_bytes ? client->asked_block_bytes : 4096;
    if (e->min_bytes > block)
        return "the server wants larger blocks than the LUN has";
    if (e->bytes < 4096 || e->bytes > INT64_MAX)
        return "the export has no size of a disk";
    if (e->max_bytes < 65536)
        return "the server takes no request of 64 KiB";
    if (e->flags & EXPORT_READ_ONLY && !client->read_only)
        return NULL;
    if (client->config->write_through && !(e->flags & EXPORT_FUA))
        return "write-through: the server has no FUA";
    if (client->config->unmap == UNMAP_ZEROES && !(e->flags & EXPORT_ZEROES))
        return "unmap: zeroes: the server has no command for zeroes";
    return NULL;
}

/* Is it still what initiators know? */
static const char *changed(const struct client *client, const struct export *e)
{
    const struct export *was = &client->export;
    struct export as = *e;
    as.flags |= was->flags & EXPORT_READ_ONLY; /* may be written now: the LUN is not */
    uint32_t known = request_features(client->config, was);
    uint32_t now = request_features(client->config, &as);
    if (e->bytes < was->bytes)
        return "the export has shrunk: not taken";
    if (e->flags & EXPORT_READ_ONLY && !(was->flags & EXPORT_READ_ONLY))
        return "the export has become read-only: not taken";
    if (known & ~now || (now & ~known) & HF_FEATURE_VOLATILE_CACHE ||
        e->max_bytes < was->max_bytes || e->min_bytes > block_bytes(client))
        return "the export cannot do any more what it could: not taken";
    return NULL;
}

static void grow(struct client *client, const struct export *e)
{
    struct hf_lun_info info = { .size = sizeof(info), .store_fd = -1 };
    client->export.bytes = e->bytes;
    remember(client->remembered, client);
    client_fill_info(client, &info);
    client->host->log(client->host, HF_LOG_NOTICE, "%s: the export has grown to %" PRIu64 " bytes",
                      client->name, info.bytes);
    client->host->lu_changed(client->lun, &info);
}

static void settle(struct client *client, int32_t error)
{
    client->error = error;
    client->settled = 1;
    pthread_cond_signal(&client->settled_cond);
}

const char *client_export(struct client *client, const struct export *export)
{
    const char *why = unfit(client, export);
    pthread_mutex_lock(&client->lock);
    if (!why && client->known)
        why = changed(client, export);
    if (!why && client->known && export->bytes > client->export.bytes)
        grow(client, export);
    if (!why && !client->known) {
        client->export = *export;
        client->known = 1;
        remember(client->remembered, client);
        settle(client, 0);
    }
    if (!why)
        client->several = export->flags & EXPORT_MULTI;
    pthread_mutex_unlock(&client->lock);
    return why;
}

/* What may be over in a moment: the server is being started. */
static int is_passing(int32_t error)
{
    return error == ECONNREFUSED || error == ECONNRESET || error == ETIMEDOUT ||
           error == EHOSTUNREACH || error == ENETUNREACH || error == ESHUTDOWN;
}

static void tell(struct client *client, const char *why)
{
    if (client->told >= TOLD_MAX || strcmp(why, client->last_told) == 0)
        return;
    client->told++;
    snprintf(client->last_told, sizeof(client->last_told), "%s", why);
    client->host->log(client->host, HF_LOG_WARNING, "%s: no connection to %s, I/O waits: %s",
                      client->name, client->config->uri, why);
}

static uint32_t any_up(const struct client *client)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        if (client->connections[i].up)
            return 1;
    return 0;
}

void client_failed(struct client *client, int32_t error, const char *why)
{
    pthread_mutex_lock(&client->lock);
    uint32_t settled = client->settled;
    if (!settled) {
        snprintf(client->why, sizeof(client->why), "%s", why);
        client->error = error;
        if (!is_passing(error))
            settle(client, error);
    }
    pthread_mutex_unlock(&client->lock);
    if (settled && !any_up(client))
        tell(client, why);
}

/* -------------------------------------------------------------------------------------- the thread */

/* Where there is least to do. NULL: none is up. */
static struct connection *best(struct client *client)
{
    struct connection *found = NULL;
    for (unsigned i = 0; i < client->config->connections; i++) {
        struct connection *c = &client->connections[i];
        if (c->up && !c->leaving && (!found || c->under_way_count < found->under_way_count))
            found = c;
    }
    return found;
}

static void serve_waiting(struct client *client)
{
    struct request *request = client->waiting.first, *next;
    for (; request; request = next) {
        struct connection *connection = best(client);
        uint32_t cancelled = atomic_load_explicit(&request->cancelled, memory_order_relaxed);
        next = request->next;
        if (!connection && !cancelled)
            continue;
        chain_remove(&client->waiting, request);
        if (cancelled)
            request_answer(request, -ECANCELED);
        else
            request_send(request, connection);
    }
}

/* 0: the LUN is being closed. */
static int take_incoming(struct client *client)
{
    struct chain fresh;
    pthread_mutex_lock(&client->lock);
    fresh = client->incoming;
    client->incoming = (struct chain){ NULL, NULL };
    client->asleep = 0;
    int go_on = !client->ending;
    pthread_mutex_unlock(&client->lock);
    for (struct request *r = fresh.first; r; r = r->next)
        r->number = ++client->numbers;
    chain_join(&client->waiting, &fresh);
    return go_on;
}

/* False: there is work. */
static int may_sleep(struct client *client)
{
    pthread_mutex_lock(&client->lock);
    client->asleep = !client->incoming.first && !client->ending;
    int asleep = (int)client->asleep;
    pthread_mutex_unlock(&client->lock);
    return asleep;
}

static unsigned wanted(const struct client *client)
{
    return client->several ? (unsigned)client->config->connections : 1;
}

static void start_due(struct client *client, uint64_t now)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &client->connections[i];
        if (i >= wanted(client) && c->nbd)
            connection_drop(c, now, ESHUTDOWN, "one connection is enough for this server");
        else if (i < wanted(client) && !c->nbd && c->next_ms <= now)
            connection_start(c, now);
    }
}

static void note_presence(struct client *client, uint64_t now)
{
    if (!any_up(client)) {
        client->away_ms = client->away_ms ? client->away_ms : now;
        return;
    }
    if (client->told > 0)
        client->host->log(client->host, HF_LOG_NOTICE,
                          "%s: connected to %s again after %" PRIu64 " ms", client->name,
                          client->config->uri, now - client->away_ms);
    client->away_ms = client->told = 0;
    client->last_told[0] = 0;
}

static short events_of(struct nbd_handle *nbd)
{
    unsigned direction = nbd_aio_get_direction(nbd);
    return (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
                   (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
}

/* Milliseconds until a connection is to be made, or an attempt has taken too long. */
static int patience(const struct client *client, uint64_t now)
{
    uint64_t least = 60000;
    for (unsigned i = 0; i < wanted(client); i++) {
        const struct connection *c = &client->connections[i];
        uint64_t due = !c->nbd ? c->next_ms : c->up ? UINT64_MAX : now + 1000;
        if (due <= now)
            return 0;
        if (due - now < least)
            least = due - now;
    }
    return (int)least;
}

static void turn(struct client *client, struct connection *connection, short events, short revents)
{
    if (revents & (POLLIN | POLLHUP | POLLERR) && events & POLLIN)
        (void)nbd_aio_notify_read(connection->nbd);
    else if (revents && events & POLLOUT)
        (void)nbd_aio_notify_write(connection->nbd);
    else if (revents & (POLLERR | POLLNVAL))
        connection->leaving = 1;
    connection_note_death(connection);
    connection_look(connection, ms_now());
}

static void wait(struct client *client)
{
    struct pollfd fds[1 + CONNECTIONS_MAX] = { { .fd = client->wake, .events = POLLIN } };
    uint64_t count;
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct nbd_handle *nbd = client->connections[i].nbd;
        fds[1 + i] = (struct pollfd){ .fd = -1 };
        if (nbd)
            fds[1 + i] = (struct pollfd){ .fd = nbd_aio_get_fd(nbd), .events = events_of(nbd) };
    }
    int patient = may_sleep(client) ? patience(client, ms_now()) : 0;
    if (poll(fds, 1 + CONNECTIONS_MAX, patient) < 0)
        return;
    if (fds[0].revents)
        (void)!read(client->wake, &count, sizeof(count));
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        if (client->connections[i].nbd)
            turn(client, &client->connections[i], fds[1 + i].events, fds[1 + i].revents);
}

static void *run(void *data)
{
    struct client *client = data;
    pthread_setname_np(pthread_self(), "nbd");
    while (take_incoming(client)) {
        start_due(client, ms_now());
        note_presence(client, ms_now());
        serve_waiting(client);
        wait(client);
    }
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &client->connections[i];
        if (c->up)
            (void)nbd_aio_disconnect(c->nbd, 0);
        nbd_close(c->nbd);
    }
    return NULL;
}

/* ---------------------------------------------------------------------------------- start and end */

/* Signals are the daemon's. */
static int start_thread(struct client *client)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&client->thread, NULL, run, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static void wait_settled(struct client *client, uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec += (long)(ns % 1000000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (!client->settled && pthread_cond_clockwait(&client->settled_cond, &client->lock,
                                                      CLOCK_MONOTONIC, &until) == 0)
        ;
}

/* The server is away, but what it had is known: initiators see the LUN as it was, and wait. */
static int32_t go_on_without(struct client *client, const struct export *known)
{
    if (unfit(client, known))
        return -(client->error ? client->error : ETIMEDOUT);
    client->export = *known;
    client->known = client->settled = 1;
    client->host->log(client->host, HF_LOG_WARNING,
                      "%s: %s is away: the LUN is as it was known, I/O waits: %s", client->name,
                      client->config->uri, client->why);
    return 0;
}

/* A worker opens one LUN after the other, and initiators of all wait: those whose servers hang share the time. */
static uint64_t patience_for_known(const struct client *client)
{
    uint64_t before = atomic_load(&waited_in_vain_ns);
    uint64_t ns = before < KNOWN_NS - KNOWN_LEAST_NS ? KNOWN_NS - before : KNOWN_LEAST_NS;
    return ns < client->config->open_ns ? ns : client->config->open_ns;
}

int32_t client_start(struct client *client)
{
    struct export known;
    uint32_t is_known;
    client->remembered = remember_open(client, &known, &is_known);
    snprintf(client->why, sizeof(client->why), "the server does not answer");
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
        client->connections[i].client = client;
    client->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = client->wake < 0 ? errno : start_thread(client);
    if (r != 0) {
        snprintf(client->why, sizeof(client->why), "%s", strerror(r));
        close(client->wake);
        remember_close(client->remembered);
        return -r;
    }
    pthread_mutex_lock(&client->lock);
    uint64_t ns = is_known ? patience_for_known(client) : client->config->open_ns;
    wait_settled(client, ns);
    if (is_known && !client->known)
        atomic_fetch_add(&waited_in_vain_ns, ns);
    int32_t result = client->known ? 0
                     : is_known    ? go_on_without(client, &known)
                                   : -(client->error ? client->error : ETIMEDOUT);
    pthread_mutex_unlock(&client->lock);
    if (result < 0)
        client_end(client);
    return result;
}

void client_end(struct client *client)
{
    pthread_mutex_lock(&client->lock);
    client->ending = 1;
    pthread_mutex_unlock(&client->lock);
    client_wake(client);
    pthread_join(client->thread, NULL);
    close(client->wake);
    remember_close(client->remembered);
}
