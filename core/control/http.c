/* SPDX-License-Identifier: BSD-3-Clause */
/* See http.h. */
#include "control/http.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/openmetrics.h"

#define BACKLOG 64

struct http_client {
    struct list link; /* http->clients */
    int fd;           /* libmicrohttpd's */
    uint64_t since_ns;
};

struct http_request {
    struct list link; /* http->waiting, while it is suspended */
    struct MHD_Connection *connection;
    bool failed; /* there is no text for it */
};

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned code, const char *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return result;
}

struct http_text {
    struct http *http;
    size_t bytes;
    char *bytes_of;
};

static void text_free(void *data)
{
    struct http_text *t = data;
    t->http->out_bytes -= t->bytes;
    g_free(t->bytes_of);
    g_free(t);
}

static void text_replace(struct http *http, char *text)
{
    struct http_text *t = g_new(struct http_text, 1);
    *t = (struct http_text){ .http = http, .bytes = strlen(text), .bytes_of = text };
    http->out_bytes += t->bytes;
    g_clear_pointer(&http->text, MHD_destroy_response);
    http->text =
        MHD_create_response_from_buffer_with_free_callback_cls(t->bytes, text, text_free, t);
    if (!http->text) {
        text_free(t);
        return;
    }
    MHD_add_response_header(http->text, MHD_HTTP_HEADER_CONNECTION, "close");
    MHD_add_response_header(http->text, MHD_HTTP_HEADER_CONTENT_TYPE, METRICS_CONTENT_TYPE);
    http->text_ns = clock_now_ns();
}

/* ---- the text: a call without a client ---- */

static void release(struct http *http, bool failed)
{
    struct list *n;
    while ((n = list_take(&http->waiting))) {
        struct http_request *r = list_entry(n, struct http_request, link);
        r->failed = failed;
        MHD_resume_connection(r->connection);
    }
    turn_queue(http->control, &http->turn);
}

static int gather(struct call *call)
{
    struct http *http = call->control->http;
    http->call = NULL; /* it ends now */
    if (call->snapshot)
        text_replace(http, metrics_text(call));
    release(http, !call->snapshot || !http->text);
    return 0;
}

static const struct verb gathering = { "metrics", VERB_SNAPSHOT_OPTIONAL, gather, { { NULL } } };

static bool is_fresh(const struct http *http)
{
    return http->text && clock_now_ns() - http->text_ns < HTTP_FRESH_MS * NS_PER_MS;
}

/* ---- requests ---- */

static enum MHD_Result serve(struct http *http, struct http_request *r)
{
    if (r->failed)
        return answer(r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "a reactor does not answer\n");
    if (is_fresh(http))
        return MHD_queue_response(r->connection, MHD_HTTP_OK, http->text);
    if (http->out_bytes > HTTP_OUT_MAX)
        return answer(r->connection, MHD_HTTP_SERVICE_UNAVAILABLE, "others do not take theirs\n");
    list_append(&http->waiting, &r->link);
    MHD_suspend_connection(r->connection);
    if (!http->call)
        http->call = call_by_itself(http->control, &gathering);
    return MHD_YES;
}

static enum MHD_Result requested(void *data, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_bytes, void **context)
{
    struct http *http = data;
    struct http_request *r = *context;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (strcmp(url, "/metrics") != 0)
        return answer(c, MHD_HTTP_NOT_FOUND, "only /metrics\n");
    if (*upload_bytes)
        return MHD_NO; /* a GET with a body */
    if (r)
        return serve(http, r);
    *context = r = g_new0(struct http_request, 1);
    r->connection = c;
    list_init(&r->link);
    return MHD_YES; /* called again when the request is complete */
}

static void completed(void *data, struct MHD_Connection *c, void **context,
                      enum MHD_RequestTerminationCode code)
{
    struct http_request *r = *context;
    if (r)
        list_remove(&r->link);
    g_free(r);
    *context = NULL;
}

static void connected(void *data, struct MHD_Connection *c, void **socket_context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct http *http = data;
    struct http_client *client = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (client)
            list_remove(&client->link);
        g_free(client);
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context = client = g_new0(struct http_client, 1);
    client->fd = info ? info->connect_fd : -1;
    client->since_ns = clock_now_ns();
    list_append(&http->clients, &client->link);
}

/* ---- the loop ---- */

static gboolean ready(gint fd, GIOCondition condition, gpointer data)
{
    struct http *http = data;
    http->watch = 0; /* until it was its turn */
    turn_queue(http->control, &http->turn);
    return G_SOURCE_REMOVE;
}

static void watch(struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (http->watch || !info)
        return;
    GSource *source = g_unix_fd_source_new(info->epoll_fd, G_IO_IN);
    g_source_set_priority(source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(source, G_SOURCE_FUNC(ready), http, NULL);
    http->watch = g_source_attach(source, NULL);
    g_source_unref(source);
}

static void run(struct turn *turn)
{
    struct http *http = container_of(turn, struct http, turn);
    MHD_UNSIGNED_LONG_LONG ms;
    if (!http->daemon)
        return;
    MHD_run(http->daemon);
    watch(http);
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES && ms == 0)
        turn_queue(http->control, turn); /* sockets that it knows to be ready */
}

void http_sweep(struct http *http, uint64_t now_ns)
{
    uint64_t life_ns =
        (http->out_bytes > HTTP_OUT_MAX ? HTTP_LIFE_SHORT_MS : HTTP_LIFE_MS) * NS_PER_MS;
    if (!http->daemon && http->address.length) {
        struct address again = http->address;
        http_listen(http, &again);
    }
    if (!http->daemon)
        return;
    list_for_each(pos, &http->clients)
    {
        struct http_client *client = list_entry(pos, struct http_client, link);
        if (client->fd >= 0 && now_ns - client->since_ns > life_ns)
            shutdown(client->fd, SHUT_RDWR);
    }
    if (http->text && !is_fresh(http))
        g_clear_pointer(&http->text, MHD_destroy_response);
    turn_queue(http->control, &http->turn); /* it looks at its own times */
}

/* ---- life ---- */

static void stop(struct http *http)
{
    if (http->watch)
        g_source_remove(http->watch);
    http->watch = 0;
    if (http->call)
        call_abandon(http->call);
    http->call = NULL;
    if (http->daemon) {
        release(http, true);
        MHD_stop_daemon(http->daemon); /* nothing may be suspended then */
    }
    turn_cancel(&http->turn);
    g_clear_pointer(&http->text, MHD_destroy_response);
    http->daemon = NULL;
}

static int listen_at(const struct address *address)
{
    static const int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, &address->any, address->length) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static void complain(struct http *http, const char *why)
{
    char text[ADDRESS_TEXT_MAX];
    if (!http->complained)
        log_error("control", "no metrics at %s, tried again: %s",
                  address_format(&http->address, text), why);
    http->complained = true;
}

void http_listen(struct http *http, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    if (http->daemon && address->length && address_equal(address, &http->address))
        return;
    stop(http);
    http->address = *address;
    if (!address->length)
        return;
    int fd = listen_at(address);
    if (fd < 0) {
        complain(http, g_strerror(-fd));
        return;
    }
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, requested, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CLIENTS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_REQUEST_MAX, MHD_OPTION_NOTIFY_COMPLETED, completed, http,
        MHD_OPTION_NOTIFY_CONNECTION, connected, http, MHD_OPTION_END);
    if (!http->daemon) {
        close(fd);
        complain(http, "libmicrohttpd does not start");
        return;
    }
    http->complained = false;
    log_info("control", "metrics at http://%s/metrics", address_format(address, text));
    watch(http);
}

struct http *http_new(struct control *control)
{
    struct http *http = g_new0(struct http, 1);
    http->control = control;
    list_init(&http->clients);
    list_init(&http->waiting);
    turn_init(&http->turn, run);
    return http;
}

struct http *http_free(struct http *http)
{
    if (http)
        stop(http);
    g_free(http);
    return NULL;
}
