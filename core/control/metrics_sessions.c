/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The metrics of sessions. Their number is up to initiators, and a session's name is new with every login: a daemon with many of them can do without
 * the series of each (`metrics-sessions: no`); how many there are is told in any case. Sessions that have executed nothing have no histogram.
 */
#include <string.h>

#include "control/look.h"
#include "control/metrics_row.h"

#define P "holdfast_"

#define SESSION(member) offsetof(struct session_counters, member)
static const struct row session_rows[] = {
    { P "session_commands", NULL, "SCSI commands of the session.", true, SESSION(commands) },
    { P "session_errors", NULL, "Those with a status other than GOOD.", true, SESSION(errors) },
    { P "session_read_bytes", "bytes", "Bytes read.", true, SESSION(read_bytes) },
    { P "session_written_bytes", "bytes", "Bytes written.", true, SESSION(written_bytes) },
    { P "session_window_full", NULL, "Commands that took the last place of the window.", true,
      SESSION(window_full) },
};

static char *session_labels(const struct observed_session *s)
{
    char id[16];
    g_snprintf(id, sizeof(id), "%u", s->tsih);
    return metrics_labels("initiator", s->initiator, "target", s->target, "session", id, NULL);
}

struct labelled {
    const struct observed_session *session;
    char *labels;
};

static void labelled_clear(void *data)
{
    g_free(((struct labelled *)data)->labels);
}

/* Sessions of normal type. */
static GArray *gather(const struct snapshot *snapshot)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct labelled));
    g_array_set_clear_func(all, labelled_clear);
    for (unsigned i = 0; i < snapshot->part_count; i++) {
        const struct observation *o = &snapshot->part[i].observation;
        for (uint32_t j = 0; j < o->session_count; j++) {
            if (o->sessions[j].discovery)
                continue;
            struct labelled one = { &o->sessions[j], session_labels(&o->sessions[j]) };
            g_array_append_val(all, one);
        }
    }
    return all;
}

static void put_row(GString *out, const GArray *all, const struct row *r)
{
    metrics_family(out, r->name, type_of(r->counter), r->unit, r->help);
    for (unsigned i = 0; i < all->len; i++) {
        const struct labelled *s = &g_array_index(all, struct labelled, i);
        metrics_number(out, r->name, suffix_of(r->counter), s->labels,
                       number_at(&s->session->counters, r->offset));
    }
}

static void put_windows(GString *out, const GArray *all)
{
    metrics_family(out, P "session_window", "gauge", NULL, "Commands that may be outstanding.");
    for (unsigned i = 0; i < all->len; i++) {
        const struct labelled *s = &g_array_index(all, struct labelled, i);
        metrics_number(out, P "session_window", "", s->labels, s->session->window);
    }
    metrics_family(out, P "session_outstanding", "gauge", NULL, "Commands not yet answered.");
    for (unsigned i = 0; i < all->len; i++) {
        const struct labelled *s = &g_array_index(all, struct labelled, i);
        metrics_number(out, P "session_outstanding", "", s->labels, s->session->outstanding);
    }
}

static void put_latencies(GString *out, const GArray *all)
{
    metrics_family(out, P "session_latency_seconds", "histogram", "seconds",
                   "Time of commands from execution to their end.");
    for (unsigned i = 0; i < all->len; i++) {
        const struct labelled *s = &g_array_index(all, struct labelled, i);
        const struct session_counters *c = &s->session->counters;
        struct histogram h = { .sum_ns = c->latency_ns };
        memcpy(h.bucket, c->took, sizeof(h.bucket));
        if (histogram_count(&h))
            metrics_histogram(out, P "session_latency_seconds", s->labels, &h);
    }
}

static void put_totals(const struct snapshot *snapshot, GString *out)
{
    struct session_totals n = count_sessions(snapshot);
    metrics_family(out, P "sessions", "gauge", NULL, "Sessions that are open.");
    metrics_number(out, P "sessions", "", "type=\"normal\"", n.normal);
    metrics_number(out, P "sessions", "", "type=\"discovery\"", n.discovery);
    metrics_family(out, P "connections", "gauge", NULL, "Connections in full feature phase.");
    metrics_number(out, P "connections", "", NULL, n.connections);
}

void metrics_sessions(struct call *call, GString *out)
{
    const struct control_services *s = &call->control->services;
    put_totals(call->snapshot, out);
    if (!s->config(s->user)->daemon.metrics_sessions)
        return;
    g_autoptr(GArray) all = gather(call->snapshot);
    for (unsigned i = 0; i < G_N_ELEMENTS(session_rows); i++)
        put_row(out, all, &session_rows[i]);
    put_windows(out, all);
    put_latencies(out, all);
}
