/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The metrics of the whole daemon; those of sessions are in metrics_sessions.c, those of
 * the service itself in metrics_service.c. Every family is one row of a table with a function that reads its
 * number, so that what there is can be read off the tables. LUNs that no command has reached have
 * no series of commands and latencies.
 */
#include "base/clock.h"
#include "control/look.h"
#include "control/metrics_row.h"
#include "plugin/storage.h"

#define P "holdfast_"

/* ---- LUNs ---- */

struct lun_row {
    char *labels;
    const char *handler;
    struct scsi_counters counters;
    uint64_t bytes, reads, writes, at_handler, waiting, strays, errors, stalls, given_up;
    uint64_t absent, quarantined;
    uint64_t used, available, reached; /* SCSI_SPACE_UNKNOWN: no series */
    double oldest_seconds;
    bool active; /* commands have reached it */
};

#define LUN(member) offsetof(struct lun_row, member)
static const struct row lun_rows[] = {
    { P "lun_size_bytes", "bytes", "Size of the LUN.", false, LUN(bytes) },
    { P "lun_at_handler", NULL, "I/Os that the handler has.", false, LUN(at_handler) },
    { P "lun_waiting", NULL, "I/Os that wait for room at the handler.", false, LUN(waiting) },
    { P "lun_stray_answers", NULL, "Answers of the handler to no I/O.", true, LUN(strays) },
    { P "lun_handler_errors", NULL, "I/Os that the handler failed.", true, LUN(errors) },
    { P "lun_stalls", NULL, "I/Os that the handler left unanswered for too long.", true,
      LUN(stalls) },
    { P "lun_given_up", NULL, "I/Os answered for the handler after the deadline.", true,
      LUN(given_up) },
    { P "lun_absent", NULL, "1: it cannot be opened, or is not to be; its commands wait.", false,
      LUN(absent) },
    { P "lun_quarantined", NULL, "1: workers have crashed over it; it is opened by request alone.",
      false, LUN(quarantined) },
};
static const struct row lun_space_rows[] = {
    { P "lun_space_used_bytes", "bytes", "Room that the LUN takes up in its storage.", false,
      LUN(used) },
    { P "lun_space_available_bytes", "bytes", "Room that its storage has left.", false,
      LUN(available) },
    { P "lun_thresholds_reached", NULL, "Thresholds of the configuration that are reached.", false,
      LUN(reached) },
};
static const struct row lun_active_rows[] = {
    { P "lun_read_bytes", "bytes", "Bytes read.", true, LUN(counters.way[SCSI_COUNT_READ].bytes) },
    { P "lun_written_bytes", "bytes", "Bytes that commands brought to write.", true,
      LUN(counters.way[SCSI_COUNT_WRITE].bytes) },
    { P "lun_other_commands", NULL, "Commands that neither read nor change the medium.", true,
      LUN(counters.others) },
    { P "lun_errors", NULL, "Commands with a status other than GOOD.", true, LUN(counters.errors) },
};

static void lun_row_clear(void *data)
{
    g_free(((struct lun_row *)data)->labels);
}

static int gather_lun(struct call *call, const struct control_target *t,
                      const struct control_lun *l)
{
    struct lun_row row = { .handler = l->config->handler };
    unsigned at_handler, waiting, given_up;
    char number[16];
    g_snprintf(number, sizeof(number), "%u", l->config->number);
    row.labels = metrics_labels("target", t->config->name, "lun", number, NULL);
    scsi_unit_counters(l->unit, &row.counters);
    storage_depth(l->backend, &at_handler, &waiting);
    storage_given_up(l->backend, &given_up, &row.given_up);
    row.bytes = l->backend->info.bytes;
    row.absent = l->is_absent;
    row.quarantined = l->is_absent && l->absent.quarantined;
    row.reads = histogram_count(&row.counters.way[SCSI_COUNT_READ].latency);
    row.writes = histogram_count(&row.counters.way[SCSI_COUNT_WRITE].latency);
    row.at_handler = at_handler;
    row.waiting = waiting;
    row.strays = storage_stray_answers(l->backend);
    row.errors = storage_errors(l->backend);
    row.stalls = storage_stalls(l->backend);
    row.used = atomic_load(&l->unit->fill.used);
    row.available = atomic_load(&l->unit->fill.available);
    row.reached = (uint64_t)__builtin_popcount(scsi_unit_thresholds_reached(l->unit));
    row.oldest_seconds = seconds_of(storage_age_ns(l->backend, clock_now_ns()));
    row.active = row.reads || row.writes || row.counters.others;
    g_array_append_val(call->rows, row);
    return 0;
}

/* ALL: LUNs; ACTIVE: that commands have reached; KNOWN: whose number is known. */
enum which { ALL, ACTIVE, KNOWN };

static bool wanted(const struct lun_row *l, const struct row *r, enum which which)
{
    if (which == KNOWN)
        return number_at(l, r->offset) != SCSI_SPACE_UNKNOWN;
    return which == ALL || l->active;
}

static void put_rows(GString *out, const struct row *rows, unsigned count, const GArray *luns,
                     enum which which)
{
    for (unsigned i = 0; i < count; i++) {
        const struct row *r = &rows[i];
        metrics_family(out, r->name, type_of(r->counter), r->unit, r->help);
        for (unsigned j = 0; j < luns->len; j++) {
            const struct lun_row *l = &g_array_index(luns, struct lun_row, j);
            if (wanted(l, r, which))
                metrics_number(out, r->name, suffix_of(r->counter), l->labels,
                               number_at(l, r->offset));
        }
    }
}

static void put_latencies(GString *out, const GArray *luns)
{
    static const char *const ways[] = { "read", "write" };
    metrics_family(out, P "lun_latency_seconds", "histogram", "seconds",
                   "Time of commands from execution to their end, by what they do.");
    for (unsigned j = 0; j < luns->len; j++) {
        const struct lun_row *l = &g_array_index(luns, struct lun_row, j);
        for (unsigned way = 0; way < SCSI_COUNT_WAYS && l->active; way++) {
            g_autofree char *labels = g_strdup_printf("%s,way=\"%s\"", l->labels, ways[way]);
            metrics_histogram(out, P "lun_latency_seconds", labels, &l->counters.way[way].latency);
        }
    }
}

static void put_luns(struct call *call, GString *out)
{
    g_autoptr(GArray) luns = g_array_new(FALSE, FALSE, sizeof(struct lun_row));
    g_array_set_clear_func(luns, lun_row_clear);
    call->rows = luns;
    each_lun(call, -1, gather_lun);
    call->rows = NULL;
    put_rows(out, lun_rows, G_N_ELEMENTS(lun_rows), luns, ALL);
    put_rows(out, lun_space_rows, G_N_ELEMENTS(lun_space_rows), luns, KNOWN);
    metrics_family(out, P "lun_oldest_seconds", "gauge", "seconds",
                   "Age of the oldest I/O that the handler has not answered.");
    for (unsigned j = 0; j < luns->len; j++) {
        const struct lun_row *l = &g_array_index(luns, struct lun_row, j);
        metrics_real(out, P "lun_oldest_seconds", "", l->labels, l->oldest_seconds);
    }
    put_rows(out, lun_active_rows, G_N_ELEMENTS(lun_active_rows), luns, ACTIVE);
    put_latencies(out, luns);
}

/* ---- reactors ---- */

#define PART(member) offsetof(struct observation, member)
static const struct row reactor_rows[] = {
    { P "reactor_commands", NULL, "SCSI commands taken.", true, PART(counters.commands) },
    { P "reactor_read_bytes", "bytes", "Bytes read.", true, PART(counters.read_bytes) },
    { P "reactor_written_bytes", "bytes", "Bytes written.", true, PART(counters.written_bytes) },
    { P "reactor_rejects", NULL, "PDUs rejected.", true, PART(counters.rejects) },
    { P "reactor_digest_errors", NULL, "Digests that did not fit.", true,
      PART(counters.digest_errors) },
    { P "reactor_aborted_tasks", NULL, "Tasks that ended without an answer.", true,
      PART(counters.aborted_tasks) },
    { P "reactor_nop_timeouts", NULL, "Initiators that did not answer a ping.", true,
      PART(counters.nop_timeouts) },
    { P "reactor_buffer_waits", NULL, "Tasks that had to wait for a buffer.", true,
      PART(counters.buffer_waits) },
    { P "reactor_buffer_used_bytes", "bytes", "Data buffers in use.", false, PART(buffer_used) },
    { P "reactor_buffer_limit_bytes", "bytes", "Data buffers there are.", false,
      PART(buffer_capacity) },
    { P "reactor_turns", NULL, "Turns of the loop.", true, PART(reactor.turns) },
    { P "reactor_sleeps", NULL, "Turns that were allowed to end in sleep.", true,
      PART(reactor.sleeps) },
    { P "reactor_system_calls", NULL, "System calls to submit, wait or collect.", true,
      PART(reactor.enters) },
    { P "reactor_operations", NULL, "Ring operations started.", true, PART(reactor.started) },
};

/* Their counters begin anew with each worker. */
static void put_reactors(const struct snapshot *s, double since, GString *out)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(reactor_rows); i++) {
        const struct row *r = &reactor_rows[i];
        metrics_family(out, r->name, type_of(r->counter), r->unit, r->help);
        for (unsigned j = 0; j < s->part_count; j++) {
            char labels[64];
            g_snprintf(labels, sizeof(labels), "reactor=\"%u\",role=\"%s\"", j,
                       j == s->part_count - 1 ? "login" : "data");
            metrics_number(out, r->name, suffix_of(r->counter), labels,
                           number_at(&s->part[j].observation, r->offset));
            if (r->counter)
                metrics_created(out, r->name, labels, since);
        }
    }
}

/* ---- all of it ---- */

char *metrics_text(struct call *call)
{
    GString *out = g_string_new(NULL);
    metrics_service(call, out);
    put_reactors(call->snapshot, call->control->started, out);
    metrics_sessions(call, out);
    put_luns(call, out);
    metrics_end(out);
    return g_string_free(out, FALSE);
}

int look_metrics(struct call *call)
{
    g_autofree char *text = metrics_text(call);
    json_put_open(&call->result, NULL, '{');
    json_put_string(&call->result, "content-type", METRICS_CONTENT_TYPE);
    json_put_string(&call->result, "text", text);
    json_put_close(&call->result, '}');
    return 0;
}
