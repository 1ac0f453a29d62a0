/* SPDX-License-Identifier: BSD-3-Clause */
/* From two looks (results of the method `top`) to rates. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

struct top_lun {
    char *target;
    guint64 lun;
    double reads, writes, read_bytes, written_bytes; /* a second */
    double read_ns, write_ns;                        /* mean latency; 0: none */
    guint64 queue;
    gboolean held; /* its commands wait for a change of the configuration */
};

struct top_session {
    guint64 id;
    char *initiator, *target;
    double commands, read_bytes, written_bytes, latency_ns;
    guint64 outstanding, window;
};

enum top_order { TOP_BY_COMMANDS, TOP_BY_BYTES, TOP_BY_LATENCY, TOP_BY_QUEUE };

struct top_rates {
    double seconds; /* between the looks; 0: they do not fit together */
    GArray *luns;   /* of struct top_lun */
    GArray *sessions;
};

/* The largest first; what is alike stays in the order of the answer. */
struct top_rates *top_rates_new(JsonObject *before, JsonObject *after, enum top_order order);
struct top_rates *top_rates_free(struct top_rates *rates);
