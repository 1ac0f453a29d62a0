/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics over HTTP, on a loopback address: GET /metrics and nothing else. libmicrohttpd speaks HTTP; its
 * sockets are served as a turn (server.h), so that all of it together stays below its share of the
 * control thread.
 *
 * What clients can make us spend is bounded: connections, bytes of a request, time to ask, time to take
 * the answer; requests that come together share one text, and texts that nobody takes are given up.
 */
#pragma once

#include <microhttpd.h>

#include "base/address.h"
#include "control/server.h"

#define HTTP_CLIENTS_MAX   64
#define HTTP_REQUEST_MAX   16384u /* bytes of a request, and what libmicrohttpd needs beside */
#define HTTP_IDLE_S        5      /* nothing comes, nothing is taken */
#define HTTP_LIFE_MS       30000  /* of a connection, which has one request */
#define HTTP_LIFE_SHORT_MS 2000   /* while answers not yet taken are more than this: */
#define HTTP_OUT_MAX       (64u << 20)
#define HTTP_FRESH_MS      250 /* as long as a text is given to others, too */

struct http {
    struct control *control;
    struct address address;    /* length 0: off */
    struct MHD_Daemon *daemon; /* NULL: not listening, though it should while there is an address */
    bool complained;
    guint watch;
    struct turn turn;
    struct list clients, waiting; /* connections; requests that wait for a text */
    struct call *call;            /* under way: gathers the next text */
    struct MHD_Response *text;    /* the last one; NULL: none */
    uint64_t text_ns, out_bytes;  /* when it was made; of all texts that are not freed */
};

struct http *http_new(struct control *control);
/* NULL is fine; returns NULL. */
struct http *http_free(struct http *http);
/* Listens there from now on, or again; length 0: no longer. A failure is logged and tried again. */
void http_listen(struct http *http, const struct address *address);
/* Once a second. */
void http_sweep(struct http *http, uint64_t now_ns);
