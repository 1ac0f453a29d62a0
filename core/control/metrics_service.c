/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Metrics of the service itself: who runs, since when and after what; logins; what the keeper knows of
 * pauses, deaths and the fence. Counters of the worker begin anew with each worker, and say when that was;
 * those of the keeper live as long as the daemon.
 */
#include <stddef.h>

#include "base/clock.h"
#include "control/look.h"
#include "control/openmetrics.h"
#include "iscsi/login.h"

#define P "holdfast_"

static void put_refusals(const struct acceptor_counters *c, double since, GString *out)
{
    metrics_family(out, P "login_refusals", "counter", NULL, "Logins refused, by status.");
    for (unsigned class = 0; class < 2; class ++) {
        for (unsigned detail = 0; detail < ACCEPTOR_DETAILS_MAX; detail++) {
            uint64_t n = counter_get(&c->refused_class[class][detail]);
            uint16_t status = (uint16_t)((class + 2) << 8 | detail);
            char code[8];
            if (!n)
                continue;
            g_snprintf(code, sizeof(code), "%04x", status);
            g_autofree char *labels =
                metrics_labels("status", code, "reason", login_status_text(status), NULL);
            metrics_number(out, P "login_refusals", "_total", labels, n);
            metrics_created(out, P "login_refusals", labels, since);
        }
    }
}

static void put_not_let_in(const struct admission *a, double since, GString *out)
{
    metrics_family(out, P "connections_not_let_in", "counter", NULL,
                   "Connections that were not let in, or no longer, by reason.");
    for (unsigned i = 0; i < ADMISSION_REASONS; i++) {
        g_autofree char *labels = metrics_labels("reason", admission_label(i), NULL);
        metrics_number(out, P "connections_not_let_in", "_total", labels,
                       counter_get(&a->refused[i]));
        metrics_created(out, P "connections_not_let_in", labels, since);
    }
    metrics_gauge(out, P "logins_in_progress", "Connections that have not logged in yet.",
                  __atomic_load_n(&a->logins, __ATOMIC_RELAXED));
}

static void put_logins(const struct acceptor *acceptor, double since, GString *out)
{
    const struct acceptor_counters *c = acceptor_counters(acceptor);
    struct histogram duration = { 0 };
    histogram_collect(&duration, &c->duration);
    metrics_counter_since(out, P "connections_accepted", "Connections that came from the keeper.",
                          counter_get(&c->accepted), since);
    put_not_let_in(acceptor_admission(acceptor), since, out);
    metrics_counter_since(out, P "logins", "Logins that reached full feature phase.",
                          counter_get(&c->logins), since);
    metrics_counter_since(out, P "login_timeouts", "Logins not finished in time.",
                          counter_get(&c->timeouts), since);
    put_refusals(c, since, out);
    metrics_family(out, P "login_duration_seconds", "histogram", "seconds",
                   "Time from a connection's arrival to full feature phase.");
    metrics_histogram(out, P "login_duration_seconds", NULL, &duration);
    metrics_created(out, P "login_duration_seconds", NULL, since);
}

static void put_keeper(const struct control_keeper *k, GString *out)
{
    metrics_counter(out, P "worker_deaths", "Workers that ended without having been told to.",
                    k->deaths);
    metrics_counter(out, P "connections_refused", "Connections that the keeper turned away.",
                    k->refused);
    metrics_gauge(out, P "connections_held", "Connections that the keeper has a duplicate of.",
                  k->held);
    metrics_gauge(out, P "connections_limit", "Connections it may have.", k->held_max);
    metrics_family(out, P "keeper_uptime_seconds", "gauge", "seconds", "Age of the keeper.");
    metrics_real(out, P "keeper_uptime_seconds", "", NULL, seconds_of(k->uptime_ns));
}

static const struct status_pauses *pauses_of(const struct control_keeper *k, unsigned cause)
{
    return cause ? &k->restarts : &k->upgrades;
}

/* A pause: no worker could serve. Initiators have waited and lost nothing. */
static void put_pauses(const struct control_keeper *k, GString *out)
{
    static const char *const causes[] = { "cause=\"upgrade\"", "cause=\"death\"" };
    metrics_family(out, P "pauses", "counter", NULL, "Times that no worker could serve.");
    for (unsigned i = 0; i < G_N_ELEMENTS(causes); i++)
        metrics_number(out, P "pauses", "_total", causes[i], pauses_of(k, i)->count);
    metrics_family(out, P "pause_seconds", "counter", "seconds", "How long that took, in all.");
    for (unsigned i = 0; i < G_N_ELEMENTS(causes); i++)
        metrics_real(out, P "pause_seconds", "_total", causes[i],
                     seconds_of(pauses_of(k, i)->total_ns));
    metrics_family(out, P "last_pause_seconds", "gauge", "seconds",
                   "How long it took the last time; 0: never.");
    for (unsigned i = 0; i < G_N_ELEMENTS(causes); i++)
        metrics_real(out, P "last_pause_seconds", "", causes[i],
                     seconds_of(pauses_of(k, i)->last_ns));
    metrics_counter(out, P "keeper_replacements", "Times that the keeper became another binary.",
                    k->keepers.count);
    metrics_counter(out, P "keeper_replacement_failures", "Times that it stayed what it was.",
                    k->keepers.failures);
    metrics_counter(out, P "upgrade_failures", "Upgrades that changed nothing.",
                    k->upgrades.failures);
    metrics_counter(out, P "worker_crashes", "Deaths by a fault of the worker's own.",
                    k->restarts.failures);
}

static void put_take_over(const struct control_take_over *t, GString *out)
{
    metrics_gauge(out, P "resumed_sessions", "Sessions that this worker took over.", t->sessions);
    metrics_gauge(out, P "resumed_connections", "Connections that it took over.", t->connections);
    metrics_gauge(out, P "resumed_tasks", "Commands under way that it took over.", t->tasks);
    metrics_gauge(out, P "dropped_sessions", "Sessions that it could not take over.",
                  t->dropped_sessions);
    metrics_gauge(out, P "quarantined_sessions", "Of them, those a worker had crashed over before.",
                  t->quarantined_sessions);
    metrics_gauge(out, P "dropped_connections", "Connections that it closed instead.",
                  t->closed_connections);
    metrics_family(out, P "take_over_seconds", "gauge", "seconds", "How long taking over took.");
    metrics_real(out, P "take_over_seconds", "", NULL, seconds_of(t->took_ns));
}

static void put_fence(const struct status_fence *f, GString *out)
{
    static const struct {
        const char *labels;
        size_t offset;
    } actions[] = {
        { "action=\"raise\"", offsetof(struct status_fence, raised) },
        { "action=\"renew\"", offsetof(struct status_fence, renewed) },
        { "action=\"lower\"", offsetof(struct status_fence, lowered) },
    };
    metrics_gauge(out, P "fence_configured", "1: there is a fence.", f->configured);
    metrics_gauge(out, P "fence_up", "1: packets of the portals are dropped now.", f->up);
    metrics_family(out, P "fence_age_seconds", "gauge", "seconds",
                   "For how long it has been up; 0: it is not.");
    metrics_real(out, P "fence_age_seconds", "", NULL, seconds_of(f->up_ns));
    metrics_family(out, P "fence_up_seconds", "counter", "seconds", "How long it was up, in all.");
    metrics_real(out, P "fence_up_seconds", "_total", NULL, seconds_of(f->up_total_ns));
    metrics_family(out, P "fence_actions", "counter", NULL, "What its plugin did.");
    for (unsigned i = 0; i < G_N_ELEMENTS(actions); i++)
        metrics_number(out, P "fence_actions", "_total", actions[i].labels,
                       *(const uint64_t *)((const char *)f + actions[i].offset));
    metrics_counter(out, P "fence_failures", "What its plugin could not do, or not in time.",
                    f->failed);
}

static void put_self(const struct control *control, GString *out)
{
    metrics_family(out, P "build", "info", NULL, "The version that runs.");
    metrics_number(out, P "build", "_info", "version=\"" HOLDFAST_VERSION "\"", 1);
    metrics_gauge(out, P "worker_generation", "How many workers there have been.",
                  control->services.generation);
    metrics_family(out, P "worker_uptime_seconds", "gauge", "seconds", "Age of the worker.");
    metrics_real(out, P "worker_uptime_seconds", "", NULL,
                 seconds_of(clock_now_ns() - control->started_ns));
    metrics_gauge(out, P "control_clients", "Clients of the control socket.",
                  control->client_count);
    metrics_counter_since(out, P "control_calls", "Requests of the control socket.",
                          control->count.calls, control->started);
    metrics_counter_since(out, P "control_failed_calls", "Those answered with an error.",
                          control->count.failed_calls, control->started);
}

void metrics_service(struct call *call, GString *out)
{
    const struct control *control = call->control;
    const struct control_keeper *keeper = &call->snapshot->keeper;
    put_self(control, out);
    put_keeper(keeper, out);
    put_pauses(keeper, out);
    put_fence(&keeper->fence, out);
    put_take_over(control->services.take_over, out);
    put_logins(control->services.acceptor, control->started, out);
}
