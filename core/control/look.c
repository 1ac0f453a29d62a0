/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that show the daemon, its targets, LUNs and portals. */
#include "control/look.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/storage.h"

/* ---- shared ---- */

void each_lun(struct call *call, int only_target, lun_visit_fn *visit)
{
    const struct control_services *s = &call->control->services;
    for (unsigned i = 0; i < s->target_count(s->user); i++) {
        struct control_target t;
        struct control_lun l;
        if (only_target >= 0 && (unsigned)only_target != i)
            continue;
        s->target(s->user, i, &t);
        for (unsigned j = 0; j < t.lun_count; j++) {
            s->lun(s->user, i, j, &l);
            if (l.backend && l.unit && visit(call, &t, &l) < 0)
                return;
        }
    }
}

int wanted_target(struct call *call)
{
    if (!call_string(call, "target"))
        return -1;
    int at = call_target(call, "target");
    return at < 0 ? -2 : at;
}

struct session_totals count_sessions(const struct snapshot *snapshot)
{
    struct session_totals n = { 0 };
    for (unsigned i = 0; i < snapshot->part_count; i++) {
        const struct observation *o = &snapshot->part[i].observation;
        n.connections += o->connection_count;
        for (uint32_t j = 0; j < o->session_count; j++) {
            if (o->sessions[j].discovery)
                n.discovery++;
            else
                n.normal++;
        }
    }
    return n;
}

/* ---- status ---- */

static void put_pauses(struct json_writer *w, const char *key, const char *failures,
                       const struct status_pauses *p)
{
    json_put_open(w, key, '{');
    json_put_u64(w, "count", p->count);
    json_put_u64(w, failures, p->failures);
    json_put_double(w, "pause-seconds", seconds_of(p->total_ns));
    json_put_double(w, "last-pause-seconds", seconds_of(p->last_ns));
    json_put_close(w, '}');
}

static void put_take_over(struct json_writer *w, const struct control_take_over *t)
{
    json_put_open(w, "take-over", '{');
    json_put_u64(w, "resumed-sessions", t->sessions);
    json_put_u64(w, "resumed-connections", t->connections);
    json_put_u64(w, "resumed-tasks", t->tasks);
    json_put_u64(w, "dropped-sessions", t->dropped_sessions);
    json_put_u64(w, "quarantined-sessions", t->quarantined_sessions);
    json_put_u64(w, "dropped-connections", t->closed_connections);
    json_put_double(w, "seconds", seconds_of(t->took_ns));
    json_put_close(w, '}');
}

static void put_keeper(struct json_writer *w, const struct control_keeper *k)
{
    json_put_open(w, "keeper", '{');
    json_put_double(w, "uptime-seconds", seconds_of(k->uptime_ns));
    json_put_u64(w, "worker-deaths", k->deaths);
    json_put_string(w, "last-death", k->how[0] ? k->how : NULL);
    json_put_u64(w, "connections-held", k->held);
    json_put_u64(w, "connections-max", k->held_max);
    json_put_u64(w, "connections-refused", k->refused);
    put_pauses(w, "upgrades", "failed", &k->upgrades);
    put_pauses(w, "restarts", "crashes", &k->restarts);
    json_put_string(w, "version", k->version[0] ? k->version : NULL);
    json_put_u64(w, "replaced", k->keepers.count);
    json_put_u64(w, "replacements-failed", k->keepers.failures);
    json_put_close(w, '}');
}

static void put_logins(struct json_writer *w, const struct acceptor *acceptor)
{
    const struct acceptor_counters *c = acceptor_counters(acceptor);
    const struct admission *admission = acceptor_admission(acceptor);
    json_put_open(w, "logins", '{');
    json_put_u64(w, "connections", counter_get(&c->accepted));
    json_put_u64(w, "completed", counter_get(&c->logins));
    json_put_u64(w, "refused", counter_get(&c->refused));
    json_put_u64(w, "timed-out", counter_get(&c->timeouts));
    json_put_u64(w, "in-progress", __atomic_load_n(&admission->logins, __ATOMIC_RELAXED));
    json_put_open(w, "not-let-in", '{');
    for (unsigned i = 0; i < ADMISSION_REASONS; i++)
        json_put_u64(w, admission_label(i), counter_get(&admission->refused[i]));
    json_put_close(w, '}');
    json_put_close(w, '}');
}

static void put_reactor(struct json_writer *w, const struct observation *o, bool login)
{
    const struct engine *e = &o->counters;
    json_put_open(w, NULL, '{');
    json_put_u64(w, "number", o->engine->reactor->index);
    json_put_string(w, "role", login ? "login" : "data");
    json_put_u64(w, "sessions", o->session_count);
    json_put_u64(w, "commands", e->commands);
    json_put_u64(w, "read-bytes", e->read_bytes);
    json_put_u64(w, "written-bytes", e->written_bytes);
    json_put_u64(w, "buffer-bytes", o->buffer_used);
    json_put_u64(w, "buffer-limit", o->buffer_capacity);
    json_put_u64(w, "buffer-waits", e->buffer_waits);
    json_put_u64(w, "rejects", e->rejects);
    json_put_u64(w, "digest-errors", e->digest_errors);
    json_put_u64(w, "aborted-tasks", e->aborted_tasks);
    json_put_u64(w, "nop-timeouts", e->nop_timeouts);
    json_put_u64(w, "turns", o->reactor.turns);
    json_put_u64(w, "sleeps", o->reactor.sleeps);
    json_put_u64(w, "system-calls", o->reactor.enters);
    json_put_close(w, '}');
}

static void put_reactors(struct json_writer *w, const struct snapshot *s)
{
    json_put_open(w, "reactors", '[');
    for (unsigned i = 0; i < s->part_count; i++)
        put_reactor(w, &s->part[i].observation, i == s->part_count - 1);
    json_put_close(w, ']');
}

#define OLD_NS NS_PER_S /* an I/O that the handler has had for so long is worth a line */

/* The I/O that a handler has had for longest, when that is long. */
static void put_oldest(struct json_writer *w, const struct control_services *s)
{
    uint64_t now = clock_now_ns(), most = 0;
    struct control_target t, t_most = { 0 };
    struct control_lun l, l_most = { 0 };
    for (unsigned i = 0; i < s->target_count(s->user); i++) {
        s->target(s->user, i, &t);
        for (unsigned j = 0; j < t.lun_count; j++) {
            s->lun(s->user, i, j, &l);
            uint64_t age = l.backend ? storage_age_ns(l.backend, now) : 0;
            if (age <= most)
                continue;
            most = age;
            t_most = t;
            l_most = l;
        }
    }
    if (most < OLD_NS) {
        json_put_string(w, "oldest-io", NULL);
        return;
    }
    json_put_open(w, "oldest-io", '{');
    json_put_string(w, "target", t_most.config->name);
    json_put_u64(w, "lun", l_most.config->number);
    json_put_string(w, "handler", l_most.config->handler);
    json_put_double(w, "seconds", seconds_of(most));
    json_put_close(w, '}');
}

/* The disk that is absent as an object, or null. */
static void put_absence(struct json_writer *w, const char *key, const struct control_lun *l)
{
    if (!l->is_absent) {
        json_put_string(w, key, NULL);
        return;
    }
    json_put_open(w, key, '{');
    json_put_string(w, "why", l->absent.why);
    json_put_double(w, "seconds", seconds_of(clock_now_ns() - l->absent.since_ns));
    json_put_bool(w, "quarantined", l->absent.quarantined);
    json_put_close(w, '}');
}

static int put_if_absent(struct call *call, const struct control_target *t,
                         const struct control_lun *l)
{
    struct json_writer *w = &call->result;
    if (!l->is_absent)
        return 0;
    json_put_open(w, NULL, '{');
    json_put_string(w, "target", t->config->name);
    json_put_u64(w, "lun", l->config->number);
    put_absence(w, "absent", l);
    json_put_close(w, '}');
    return 0;
}

int look_status(struct call *call)
{
    const struct control_services *s = &call->control->services;
    const struct config *config = s->config(s->user);
    struct json_writer *w = &call->result;
    unsigned targets = s->target_count(s->user), luns = 0;
    for (unsigned i = 0; i < targets; i++) {
        struct control_target t;
        s->target(s->user, i, &t);
        luns += t.lun_count;
    }
    json_put_open(w, NULL, '{');
    json_put_string(w, "version", HOLDFAST_VERSION);
    json_put_string(w, "state",
                    s->stopping(s->user) ? "stopping"
                    : call->snapshot     ? "serving"
                                         : "stuck");
    json_put_string(w, "config-file", config->file);
    json_put_u64(w, "config-values-read", config_nodes_made());
    json_put_string(w, "log-level", log_level_name(log_get_level()));
    json_put_u64(w, "generation", s->generation);
    json_put_double(w, "uptime-seconds", seconds_of(clock_now_ns() - call->control->started_ns));
    json_put_u64(w, "targets", targets);
    json_put_u64(w, "luns", luns);
    json_put_u64(w, "portals", config->portal_count);
    put_oldest(w, s);
    json_put_open(w, "absent-luns", '[');
    each_lun(call, -1, put_if_absent);
    json_put_close(w, ']');
    put_logins(w, s->acceptor);
    put_take_over(w, s->take_over);
    if (call->snapshot) {
        struct session_totals n = count_sessions(call->snapshot);
        json_put_u64(w, "sessions", n.normal);
        json_put_u64(w, "discovery-sessions", n.discovery);
        json_put_u64(w, "connections", n.connections);
        put_keeper(w, &call->snapshot->keeper);
        put_reactors(w, call->snapshot);
    }
    json_put_close(w, '}');
    return 0;
}

/* ---- targets ---- */

static void put_strings(struct json_writer *w, const char *key, const char *const *strings)
{
    if (!strings) {
        json_put_string(w, key, NULL);
        return;
    }
    json_put_open(w, key, '[');
    for (; *strings; strings++)
        json_put_string(w, NULL, *strings);
    json_put_close(w, ']');
}

/* How many sessions each target has, by its (constant) name. */
static GHashTable *sessions_by_target(const struct snapshot *snapshot)
{
    GHashTable *count = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < snapshot->part_count; i++) {
        const struct observation *o = &snapshot->part[i].observation;
        for (uint32_t j = 0; j < o->session_count; j++) {
            char *name = o->sessions[j].target;
            unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(count, name));
            g_hash_table_insert(count, name, GUINT_TO_POINTER(n + 1));
        }
    }
    return count;
}

int look_targets(struct call *call)
{
    const struct control_services *s = &call->control->services;
    struct json_writer *w = &call->result;
    g_autoptr(GHashTable) sessions = sessions_by_target(call->snapshot);
    json_put_open(w, NULL, '[');
    for (unsigned i = 0; i < s->target_count(s->user); i++) {
        struct control_target t;
        s->target(s->user, i, &t);
        const struct config_target *c = t.config;
        json_put_open(w, NULL, '{');
        json_put_string(w, "name", c->name);
        json_put_string(w, "alias", c->alias);
        json_put_open(w, "portals", '[');
        for (unsigned j = 0; j < c->portal_count; j++)
            json_put_string(w, NULL, c->portals[j]->name);
        json_put_close(w, ']');
        json_put_string(w, "auth", c->auth ? c->auth->name : NULL);
        put_strings(w, "initiators", c->initiators);
        json_put_u64(w, "luns", t.lun_count);
        json_put_u64(w, "sessions", GPOINTER_TO_UINT(g_hash_table_lookup(sessions, c->name)));
        json_put_close(w, '}');
    }
    json_put_close(w, ']');
    return 0;
}

/* ---- portals ---- */

static unsigned connections_of_portal(const struct snapshot *snapshot, const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < snapshot->part_count; i++) {
        const struct observation *o = &snapshot->part[i].observation;
        for (uint32_t j = 0; j < o->connection_count; j++)
            n += !strcmp(o->connections[j].portal, name);
    }
    return n;
}

int look_portals(struct call *call)
{
    const struct control_services *s = &call->control->services;
    const struct config *config = s->config(s->user);
    struct json_writer *w = &call->result;
    json_put_open(w, NULL, '[');
    for (unsigned i = 0; i < config->portal_count; i++) {
        const struct config_portal *p = &config->portals[i];
        json_put_open(w, NULL, '{');
        json_put_string(w, "name", p->name);
        json_put_u64(w, "tag", p->tag);
        json_put_open(w, "listen", '[');
        for (unsigned j = 0; j < p->listen_count; j++) {
            char text[ADDRESS_TEXT_MAX];
            json_put_string(w, NULL, address_format(&p->listen[j].address, text));
        }
        json_put_close(w, ']');
        json_put_u64(w, "connections", connections_of_portal(call->snapshot, p->name));
        json_put_close(w, '}');
    }
    json_put_close(w, ']');
    return 0;
}

/* ---- luns ---- */

/* The upper end of the bucket that the given share of commands does not exceed. */
static uint64_t quantile_ns(const struct histogram *h, double share)
{
    uint64_t below = 0, count = histogram_count(h);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        below += h->bucket[i];
        if ((double)below >= share * (double)count)
            return histogram_bound_ns(i);
    }
    return histogram_bound_ns(HISTOGRAM_BUCKETS - 2);
}

static void put_way(struct json_writer *w, const char *key, const struct scsi_way_counters *way)
{
    uint64_t count = histogram_count(&way->latency);
    json_put_open(w, key, '{');
    json_put_u64(w, "commands", count);
    json_put_u64(w, "bytes", way->bytes);
    json_put_double(w, "mean-us", count ? (double)way->latency.sum_ns / (double)count / 1e3 : 0);
    json_put_double(w, "p99-us", count ? (double)quantile_ns(&way->latency, 0.99) / 1e3 : 0);
    json_put_close(w, '}');
}

static void put_hex(struct json_writer *w, const char *key, const uint8_t *bytes, unsigned count)
{
    char text[33];
    for (unsigned i = 0; i < count && i < 16; i++)
        g_snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    json_put_string(w, key, count ? text : NULL);
}

static void put_space(struct json_writer *w, const char *key, uint64_t bytes)
{
    if (bytes == SCSI_SPACE_UNKNOWN)
        json_put_string(w, key, NULL);
    else
        json_put_u64(w, key, bytes);
}

/* As the configuration says them. */
static void put_thresholds(struct json_writer *w, const struct control_lun *l)
{
    uint32_t reached = scsi_unit_thresholds_reached(l->unit);
    json_put_open(w, "thresholds", '[');
    for (unsigned i = 0; i < l->config->threshold_count; i++) {
        const struct config_threshold *t = &l->config->thresholds[i];
        json_put_open(w, NULL, '{');
        if (t->used_percent)
            json_put_u64(w, "used-percent", t->used_percent);
        else
            json_put_u64(w, "available-bytes", t->available_bytes);
        json_put_bool(w, "reached", reached & 1u << i);
        json_put_close(w, '}');
    }
    json_put_close(w, ']');
}

static const char *const whens[] = { "stall", "busy", "fail" };

static int put_lun(struct call *call, const struct control_target *t, const struct control_lun *l)
{
    struct json_writer *w = &call->result;
    struct scsi_counters c;
    unsigned at_handler, waiting, given_up;
    uint64_t given_up_ever;
    scsi_unit_counters(l->unit, &c);
    storage_depth(l->backend, &at_handler, &waiting);
    storage_given_up(l->backend, &given_up, &given_up_ever);
    json_put_open(w, NULL, '{');
    json_put_string(w, "target", t->config->name);
    json_put_u64(w, "lun", l->config->number);
    json_put_string(w, "handler", l->config->handler);
    json_put_u64(w, "bytes", l->backend->info.bytes);
    json_put_u64(w, "block-bytes", l->backend->info.block_bytes);
    json_put_bool(w, "read-only", l->unit->read_only);
    json_put_bool(w, "thin", l->unit->thin);
    put_space(w, "used-bytes", atomic_load(&l->unit->fill.used));
    put_space(w, "available-bytes", atomic_load(&l->unit->fill.available));
    put_thresholds(w, l);
    json_put_string(w, "serial", l->unit->serial);
    put_hex(w, "naa", l->unit->naa, l->unit->naa_bytes);
    put_way(w, "reads", &c.way[SCSI_COUNT_READ]);
    put_way(w, "writes", &c.way[SCSI_COUNT_WRITE]);
    json_put_u64(w, "other-commands", c.others);
    json_put_u64(w, "errors", c.errors);
    json_put_u64(w, "at-handler", at_handler);
    json_put_u64(w, "waiting", waiting);
    json_put_double(w, "deadline-seconds", seconds_of(l->config->deadline_ns));
    json_put_string(w, "when-late", whens[l->config->when_late]);
    json_put_u64(w, "given-up", given_up);
    json_put_u64(w, "given-up-ever", given_up_ever);
    json_put_double(w, "oldest-seconds", seconds_of(storage_age_ns(l->backend, clock_now_ns())));
    put_absence(w, "absent", l);
    json_put_close(w, '}');
    return 0;
}

int look_luns(struct call *call)
{
    int only = wanted_target(call);
    if (only == -2)
        return call->error;
    json_put_open(&call->result, NULL, '[');
    each_lun(call, only, put_lun);
    json_put_close(&call->result, ']');
    return 0;
}
