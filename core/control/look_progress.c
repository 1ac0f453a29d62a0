/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `progress`: what takes its time and goes on by itself: targets and LUNs that initiators have yet to leave, SANITIZE,
 * EXTENDED COPY. Upgrades are told of by upgrade.show.
 */
#include <string.h>

#include "control/look.h"
#include "scsi/copy_status.h"

/* ---- what goes away ---- */

static void put_action(struct json_writer *w, const char *action, const char *target)
{
    json_put_open(w, NULL, '{');
    json_put_string(w, "action", action);
    json_put_string(w, "target", target);
}

/* Sessions that are on their way out, too, are counted with all they have been asked for. */
static void put_sessions_of(struct call *call, const char *target)
{
    uint64_t sessions = 0, commands = 0;
    for (unsigned i = 0; i < call->snapshot->part_count; i++) {
        const struct observation *o = &call->snapshot->part[i].observation;
        for (uint32_t j = 0; j < o->session_count; j++) {
            if (o->sessions[j].discovery || strcmp(o->sessions[j].target, target) != 0)
                continue;
            sessions++;
            commands += o->sessions[j].outstanding;
        }
    }
    json_put_u64(&call->result, "sessions", sessions);
    json_put_u64(&call->result, "commands", commands);
}

static void put_draining(void *data, const struct control_draining *what)
{
    struct call *call = data;
    struct json_writer *w = &call->result;
    put_action(w, "drain", what->target);
    if (what->whole) {
        put_sessions_of(call, what->target);
    } else {
        json_put_u64(w, "lun", what->lun);
        json_put_u64(w, "commands", what->commands);
    }
    json_put_double(w, "left-seconds", seconds_of(what->left_ns));
    json_put_close(w, '}');
}

/* ---- what goes on in a LUN ---- */

static void put_copies(struct json_writer *w, const struct control_target *t,
                       const struct control_lun *l)
{
    struct copy_progress running[COPY_STATUSES];
    unsigned n = copy_statuses_running(l->unit, running);
    for (unsigned i = 0; i < n; i++) {
        put_action(w, "copy", t->config->name);
        json_put_u64(w, "lun", l->config->number);
        json_put_u64(w, "list-identifier", running[i].id);
        json_put_u64(w, "segments", running[i].segments);
        json_put_u64(w, "bytes", running[i].bytes);
        json_put_close(w, '}');
    }
}

static int put_lun(struct call *call, const struct control_target *t, const struct control_lun *l)
{
    struct json_writer *w = &call->result;
    if (atomic_load(&l->unit->not_ready) & UNIT_SANITIZING) {
        put_action(w, "sanitize", t->config->name);
        json_put_u64(w, "lun", l->config->number);
        json_put_double(w, "percent", atomic_load(&l->unit->sanitize.progress) * 100.0 / 65536);
        json_put_close(w, '}');
    }
    put_copies(w, t, l);
    return 0;
}

int look_progress(struct call *call)
{
    const struct control_services *s = &call->control->services;
    json_put_open(&call->result, NULL, '[');
    s->draining(s->user, put_draining, call);
    each_lun(call, -1, put_lun);
    json_put_close(&call->result, ']');
    return 0;
}
