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
};

struct top_session {
    guint64 id;
    char *initiator, *target;
    double commands, read_bytes, written_bytes, latency_ns;
    guint64 outstanding, window;
};

struct top_rates {
    double seconds; /* between the looks; 0: they do not fit together */
    GArray *luns;   /* of struct top_lun, busiest first */
    GArray *sessions;
};

struct top_rates *top_rates_new(JsonObject *before, JsonObject *after);
struct top_rates *top_rates_free(struct top_rates *rates);
