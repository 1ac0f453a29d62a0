/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handler nbd: a disk that an NBD server exports, by libnbd. Written against the installed headers alone, as
 * anybody's handler would be.
 *
 * submit() and kick() hand I/Os to the LUN's thread (client.c), which answers them from there. A server
 * that goes away and comes back is not noticed by initiators: their I/O waits, as long as the LUN's
 * `deadline` lets it, and what the server had not answered is sent again.
 *
 * What NBD cannot do: there is no way to keep a server from doing what it had received over a connection
 * that is lost, after it has done the same over the next one. Servers end lost connections at once; where
 * that is not so, a write could be overtaken by one that was begun after it was answered. And a server that
 * forgets answered writes when it restarts looks like one that does not: write-through is for those.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nbd.h"

static const struct hf_host *host;

/* ---------------------------------------------------------------------------------------- queues */

static int32_t nbd_queue_open(void *handle, struct hf_queue *name, void **ret_queue,
                              struct hf_error *error)
{
    struct queue *q = calloc(1, sizeof(*q));
    if (!q)
        return host->fail(error, ENOMEM, "no memory");
    q->client = handle;
    q->name = name;
    *ret_queue = q;
    return 0;
}

static void nbd_submit(void *queue, struct hf_io *io)
{
    struct queue *q = queue;
    struct request *request = io->room;
    memset(request, 0, sizeof(*request));
    request->queue = q;
    request->io = io;
    chain_append(&q->fresh, request);
}

static void nbd_kick(void *queue)
{
    struct queue *q = queue;
    struct client *client = q->client;
    pthread_mutex_lock(&client->lock);
    chain_join(&client->incoming, &q->fresh);
    uint32_t asleep = client->asleep;
    client->asleep = 0;
    pthread_mutex_unlock(&client->lock);
    if (asleep)
        client_wake(client);
}

/* What waits is answered; what the server has been sent is not called back. */
static void nbd_cancel(void *queue, struct hf_io *io)
{
    struct queue *q = queue;
    struct request *request = io->room;
    atomic_store_explicit(&request->cancelled, 1, memory_order_relaxed);
    client_wake(q->client);
}

/* -------------------------------------------------------------------------------- open and close */

static int is_uri(const char *uri)
{
    static const char *const schemes[] = { "nbd://", "nbds://", "nbd+unix://", "nbds+unix://" };
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
        if (strncmp(uri, schemes[i], strlen(schemes[i])) == 0)
            return 1;
    return 0;
}

static int32_t nbd_validate(const void *data, struct hf_error *error)
{
    const struct config *config = data;
    int tls = strncmp(config->uri, "nbds", 4) == 0;
    if (!is_uri(config->uri))
        return host->fail(
            error, EINVAL,
            "uri: %s does not begin with nbd://, nbds://, nbd+unix:// or nbds+unix://",
            config->uri);
    if (strstr(config->uri, "+unix://") && !strstr(config->uri, "socket="))
        return host->fail(error, EINVAL,
                          "uri: %s names no socket (nbd+unix:///EXPORT?socket=/PATH)", config->uri);
    if (!tls && (config->tls_certificates || config->tls_psk_file || config->tls_username))
        return host->fail(
            error, EINVAL,
            "TLS options are for nbds:// and nbds+unix://: with %s nothing is encrypted",
            config->uri);
    if (config->tls_certificates && config->tls_psk_file)
        return host->fail(error, EINVAL, "tls-certificates and tls-psk-file: only one can be used");
    return 0;
}

static void destroy(struct client *client)
{
    pthread_cond_destroy(&client->settled_cond);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static int32_t nbd_open(const struct hf_open *how, const void *data, struct hf_lun_info *info,
                        void **ret_handle, struct hf_error *error)
{
    const struct config *config = data;
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return host->fail(error, ENOMEM, "no memory");
    client->host = host;
    client->config = config;
    client->lun = how->lun;
    client->read_only = how->read_only;
    client->asked_block_bytes = how->block_bytes;
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->settled_cond, NULL);
    snprintf(client->name, sizeof(client->name), "%s LUN %llu", how->target,
             (unsigned long long)how->lun_number);
    int32_t r = client_start(client);
    if (r < 0) {
        host->fail(error, -r, "%s: %s", config->uri, client->why);
        destroy(client);
        return r;
    }
    pthread_mutex_lock(&client->lock);
    client_fill_info(client, info);
    pthread_mutex_unlock(&client->lock);
    *ret_handle = client;
    return 0;
}

static void nbd_end(void *handle)
{
    client_end(handle);
    destroy(handle);
}

static int32_t nbd_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

/* --------------------------------------------------------------------------------------- options */

#define ROW        .size = sizeof(struct hf_option), .change = HF_CHANGE_REOPEN
#define AT(member) .offset = offsetof(struct config, member)

static const char *const unmap_words[] = { "trim", "zeroes", "no", NULL };

static const struct hf_option options[] = {
    { ROW, .type = HF_OPTION_STRING, .name = "uri",
      .help = "the export: nbd://HOST:PORT/EXPORT, nbd+unix:///EXPORT?socket=PATH; nbds: with TLS",
      .flags = HF_OPTION_REQUIRED, .max = 1024, AT(uri) },
    { ROW, .type = HF_OPTION_UNSIGNED, .name = "connections",
      .help = "to the server, if it allows several", .default_value = "4", .min = 1,
      .max = CONNECTIONS_MAX, AT(connections) },
    { ROW, .type = HF_OPTION_CHOICE, .name = "unmap",
      .help = "how: trim leaves anything behind, zeroes leaves zeroes, no: not offered",
      .default_value = "trim", .choices = unmap_words, AT(unmap) },
    { ROW, .type = HF_OPTION_BOOL, .name = "write-through",
      .help = "each write is stable when it is answered; for servers that forget when they restart",
      .default_value = "no", AT(write_through) },
    { ROW, .type = HF_OPTION_DURATION, .name = "open-timeout",
      .help = "how long a start waits for the server", .default_value = "5s", .min = 100000000,
      .max = UINT64_C(60000000000), AT(open_ns) },
    { ROW, .type = HF_OPTION_DURATION, .name = "dead-after",
      .help = "a silent machine is given up, and connected to anew; 0s: never",
      .default_value = "20s", .max = UINT64_C(3600000000000), AT(dead_ns) },
    { ROW, .type = HF_OPTION_PATH, .name = "tls-certificates",
      .help = "folder with ca-cert.pem, client-cert.pem and client-key.pem", AT(tls_certificates) },
    { ROW, .type = HF_OPTION_PATH, .name = "tls-psk-file", .help = "file with USER:KEY",
      AT(tls_psk_file) },
    { ROW, .type = HF_OPTION_STRING, .name = "tls-username", .help = "whose key it is", .max = 255,
      AT(tls_username) },
    { .size = 0 },
};

static const struct hf_handler_ops ops = {
    .size = sizeof(ops),
    .shape = HF_SHAPE_QUEUE,
    .io_bytes = sizeof(struct request),
    .queue_depth = 256,
    .validate = nbd_validate,
    .open = nbd_open,
    .close = nbd_end,
    .queue_open = nbd_queue_open,
    .submit = nbd_submit,
    .kick = nbd_kick,
    .cancel = nbd_cancel,
    .queue_close = free,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_HANDLER,
        .name = "nbd",
        .version = HOLDFAST_VERSION,
        .summary = "a disk of an NBD server",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = nbd_load,
    };
    return &plugin;
}
