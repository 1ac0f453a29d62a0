/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that show sessions: everything about them, or the numbers that `top` wants every second. */
#include <string.h>

#include "base/clock.h"
#include "control/look.h"
#include "plugin/storage.h"

static const char *digest(bool on)
{
    return on ? "crc32c" : "none";
}

static const char *connection_state(uint8_t state)
{
    return state <= CONNECTION_FULL ? "full-feature" : "ending";
}

static void put_isid(struct json_writer *w, const uint8_t *isid)
{
    char text[2 * ISCSI_ISID_BYTES + 1];
    for (unsigned i = 0; i < ISCSI_ISID_BYTES; i++)
        g_snprintf(text + 2 * i, 3, "%02x", isid[i]);
    json_put_string(w, "isid", text);
}

static void put_params(struct json_writer *w, const struct iscsi_params *p)
{
    json_put_open(w, "parameters", '{');
    json_put_bool(w, "initial-r2t", p->initial_r2t);
    json_put_bool(w, "immediate-data", p->immediate_data);
    json_put_u64(w, "max-burst-length", p->max_burst_length);
    json_put_u64(w, "first-burst-length", p->first_burst_length);
    json_put_u64(w, "max-outstanding-r2t", p->max_outstanding_r2t);
    json_put_u64(w, "max-connections", p->max_connections);
    json_put_u64(w, "time2wait", p->time2wait);
    json_put_u64(w, "time2retain", p->time2retain);
    json_put_u64(w, "error-recovery-level", p->error_recovery_level);
    json_put_close(w, '}');
}

static void put_counters(struct json_writer *w, const struct session_counters *c)
{
    json_put_u64(w, "commands", c->commands);
    json_put_u64(w, "answered", c->answered);
    json_put_u64(w, "errors", c->errors);
    json_put_u64(w, "read-bytes", c->read_bytes);
    json_put_u64(w, "written-bytes", c->written_bytes);
    json_put_u64(w, "executed", c->executed);
    json_put_u64(w, "latency-ns", c->latency_ns);
    json_put_u64(w, "window-full", c->window_full);
}

static void put_connection(struct json_writer *w, const struct observed_connection *c)
{
    json_put_open(w, NULL, '{');
    json_put_u64(w, "cid", c->cid);
    json_put_string(w, "address", c->peer);
    json_put_string(w, "portal", c->portal);
    json_put_string(w, "state", connection_state(c->state));
    json_put_string(w, "header-digest", digest(c->header_digest));
    json_put_string(w, "data-digest", digest(c->data_digest));
    json_put_u64(w, "initiator-max-recv", c->initiator_max_recv);
    json_put_u64(w, "target-max-recv", c->target_max_recv);
    json_put_close(w, '}');
}

/* `at`: the first connection of this session; returns the one after its last. */
static uint32_t put_connections(struct json_writer *w, const struct observation *o,
                                uint32_t session, uint32_t at)
{
    json_put_open(w, "connections", '[');
    for (; at < o->connection_count && o->connections[at].session == session; at++)
        put_connection(w, &o->connections[at]);
    json_put_close(w, ']');
    return at;
}

static uint32_t put_session(struct json_writer *w, const struct observation *o, uint32_t i,
                            uint32_t at)
{
    const struct observed_session *s = &o->sessions[i];
    json_put_open(w, NULL, '{');
    json_put_u64(w, "id", s->tsih);
    json_put_string(w, "type", s->discovery ? "discovery" : "normal");
    json_put_string(w, "initiator", s->initiator);
    json_put_string(w, "target", s->discovery ? NULL : s->target);
    put_isid(w, s->isid);
    json_put_u64(w, "portal-group-tag", s->portal_group_tag);
    json_put_u64(w, "reactor", s->reactor);
    json_put_string(w, "state", s->closing ? "ending" : "open");
    json_put_u64(w, "window", s->window);
    json_put_u64(w, "outstanding", s->outstanding);
    put_counters(w, &s->counters);
    put_params(w, &s->params);
    at = put_connections(w, o, i, at);
    json_put_close(w, '}');
    return at;
}

static uint32_t skip_connections(const struct observation *o, uint32_t session, uint32_t at)
{
    while (at < o->connection_count && o->connections[at].session == session)
        at++;
    return at;
}

int look_sessions(struct call *call)
{
    const struct control_services *s = &call->control->services;
    int only = wanted_target(call);
    struct control_target t = { 0 };
    if (only == -2)
        return call->error;
    if (only >= 0)
        s->target(s->user, (unsigned)only, &t);
    json_put_open(&call->result, NULL, '[');
    for (unsigned i = 0; i < call->snapshot->part_count; i++) {
        const struct observation *o = &call->snapshot->part[i].observation;
        uint32_t at = 0;
        for (uint32_t j = 0; j < o->session_count; j++) {
            if (!t.config || !strcmp(o->sessions[j].target, t.config->name))
                at = put_session(&call->result, o, j, at);
            else
                at = skip_connections(o, j, at);
        }
    }
    json_put_close(&call->result, ']');
    return 0;
}

/* ---- top ---- */

static void top_session(struct json_writer *w, const struct observation *o, uint32_t i)
{
    const struct observed_session *s = &o->sessions[i];
    json_put_open(w, NULL, '{');
    json_put_u64(w, "id", s->tsih);
    json_put_string(w, "initiator", s->initiator);
    json_put_string(w, "target", s->target);
    json_put_u64(w, "window", s->window);
    json_put_u64(w, "outstanding", s->outstanding);
    put_counters(w, &s->counters);
    json_put_close(w, '}');
}

static void top_way(struct json_writer *w, const char *key, const struct scsi_way_counters *way)
{
    json_put_open(w, key, '{');
    json_put_u64(w, "commands", histogram_count(&way->latency));
    json_put_u64(w, "bytes", way->bytes);
    json_put_u64(w, "latency-ns", way->latency.sum_ns);
    json_put_close(w, '}');
}

static int top_lun(struct call *call, const struct control_target *t, const struct control_lun *l)
{
    struct json_writer *w = &call->result;
    struct scsi_counters c;
    unsigned at_handler, waiting;
    scsi_unit_counters(l->unit, &c);
    storage_depth(l->backend, &at_handler, &waiting);
    if (!histogram_count(&c.way[0].latency) && !histogram_count(&c.way[1].latency) && !c.others)
        return 0; /* never used: nothing to watch */
    json_put_open(w, NULL, '{');
    json_put_string(w, "target", t->config->name);
    json_put_u64(w, "lun", l->config->number);
    top_way(w, "reads", &c.way[SCSI_COUNT_READ]);
    top_way(w, "writes", &c.way[SCSI_COUNT_WRITE]);
    json_put_u64(w, "errors", c.errors);
    json_put_u64(w, "at-handler", at_handler);
    json_put_u64(w, "waiting", waiting);
    json_put_bool(w, "held", atomic_load(&l->unit->not_ready) & UNIT_HELD);
    json_put_close(w, '}');
    return 0;
}

static void top_pauses(struct json_writer *w, const char *key, const struct status_pauses *p)
{
    json_put_open(w, key, '{');
    json_put_u64(w, "count", p->count);
    json_put_double(w, "pause-seconds", seconds_of(p->total_ns));
    json_put_double(w, "last-pause-seconds", seconds_of(p->last_ns));
    json_put_close(w, '}');
}

int look_top(struct call *call)
{
    struct json_writer *w = &call->result;
    const struct snapshot *s = call->snapshot;
    json_put_open(w, NULL, '{');
    json_put_u64(w, "time-ns", s->taken_ns);
    json_put_u64(w, "generation", call->control->services.generation);
    json_put_u64(w, "worker-deaths", s->keeper.deaths);
    top_pauses(w, "upgrades", &s->keeper.upgrades);
    top_pauses(w, "restarts", &s->keeper.restarts);
    json_put_double(w, "fence-up-seconds", seconds_of(s->keeper.fence.up_ns));
    json_put_open(w, "sessions", '[');
    for (unsigned i = 0; i < s->part_count; i++)
        for (uint32_t j = 0; j < s->part[i].observation.session_count; j++)
            if (!s->part[i].observation.sessions[j].discovery)
                top_session(w, &s->part[i].observation, j);
    json_put_close(w, ']');
    json_put_open(w, "luns", '[');
    each_lun(call, -1, top_lun);
    json_put_close(w, ']');
    json_put_close(w, '}');
    return 0;
}
