/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods that change something. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "config/scalar.h"
#include "control/server.h"

/* ---- session.drop ---- */

/* Control thread -> login reactor -> (the session has gone) -> control thread. */
struct drop {
    struct reactor_message message;
    struct registry_wait wait;
    struct control_note note;
    struct control *control;
    struct call *call;
    uint16_t tsih;
    int result;
};

static void drop_back(struct control_note *note)
{
    struct drop *drop = container_of(note, struct drop, note);
    struct call *call = drop->call;
    if (drop->result < 0) {
        call_fail(call, RPC_REFUSED, "there is no session %u", drop->tsih);
    } else {
        json_put_open(&call->result, NULL, '{');
        json_put_u64(&call->result, "id", drop->tsih);
        json_put_close(&call->result, '}');
    }
    g_free(drop);
    call_end(call);
}

static void drop_ready(struct registry_wait *wait)
{
    struct drop *drop = container_of(wait, struct drop, wait);
    control_post(drop->control, &drop->note);
}

static void drop_run(struct reactor_message *message)
{
    struct drop *drop = container_of(message, struct drop, message);
    list_init(&drop->wait.link);
    drop->wait.ready = drop_ready;
    drop->result = registry_drop(drop->control->services.registry, drop->tsih,
                                 "dropped by the administrator", &drop->wait);
    if (drop->result < 0)
        drop_ready(&drop->wait);
}

int act_session_drop(struct call *call)
{
    const struct control_services *s = &call->control->services;
    uint64_t id = 0;
    call_number(call, "id", &id);
    if (id == 0 || id > UINT16_MAX)
        return call_fail(call, RPC_REFUSED, "there is no session %" G_GUINT64_FORMAT, id);
    struct drop *drop = g_new0(struct drop, 1);
    drop->message.run = drop_run;
    drop->note.run = drop_back;
    drop->control = call->control;
    drop->call = call;
    drop->tsih = (uint16_t)id;
    call->acting = true;
    log_notice("control", "session is dropped by request tsih=%u", drop->tsih);
    reactor_post(s->engines[s->engine_count - 1]->reactor, &drop->message);
    return VERB_PENDING;
}

/* ---- lun.resize ---- */

static int wanted_bytes(struct call *call, uint64_t *ret_bytes)
{
    const char *text = call_string(call, "size");
    if (!text) {
        call_number(call, "size", ret_bytes);
        return 0;
    }
    int r = config_text_size(text, ret_bytes);
    if (r == -ERANGE)
        return call_fail(call, RPC_PARAMS, "size '%.64s' is too large", text);
    return r < 0 ? call_fail(call, RPC_PARAMS, "'%.64s' is not a size (as 4096, 64K, 20G)", text)
                 : 0;
}

struct resize {
    struct call *call;
    uint64_t bytes, before;
    unsigned lun;
    char target[ISCSI_NAME_MAX + 1];
};

static void put_stale(struct json_writer *w, const struct config_node *stale, uint64_t bytes)
{
    g_autofree char *size = config_format_size(bytes);
    json_put_open(w, "stale", '{');
    json_put_string(w, "file", config_node_file(stale));
    json_put_u64(w, "line", config_node_line(stale));
    json_put_u64(w, "column", stale->column);
    json_put_string(w, "says", stale->text);
    json_put_string(w, "should-say", size);
    json_put_close(w, '}');
}

static void resize_done(void *data, const char *why, const struct config_node *stale)
{
    struct resize *r = data;
    struct call *call = r->call;
    struct json_writer *w = &call->result;
    if (why) {
        call_fail(call, RPC_REFUSED, "%s LUN %u keeps its size: %s", r->target, r->lun, why);
    } else {
        json_put_open(w, NULL, '{');
        json_put_string(w, "target", r->target);
        json_put_u64(w, "lun", r->lun);
        json_put_u64(w, "bytes", r->bytes);
        json_put_u64(w, "bytes-before", r->before);
        if (stale)
            put_stale(w, stale, r->bytes);
        json_put_close(w, '}');
    }
    g_free(r);
    call_end(call);
}

int act_lun_resize(struct call *call)
{
    const struct control_services *s = &call->control->services;
    uint64_t number = 0, bytes = 0;
    int target = call_target(call, "target");
    if (target < 0 || wanted_bytes(call, &bytes) != 0)
        return call->error;
    call_number(call, "lun", &number);
    struct control_target t;
    struct control_lun l = { 0 };
    unsigned at;
    s->target(s->user, (unsigned)target, &t);
    for (at = 0; at < t.lun_count; at++) {
        s->lun(s->user, (unsigned)target, at, &l);
        if (l.config->number == number)
            break;
    }
    if (at == t.lun_count || !l.backend)
        return call_fail(call, RPC_REFUSED, "target %s has no LUN %" G_GUINT64_FORMAT,
                         t.config->name, number);
    struct resize *r = g_new0(struct resize, 1);
    r->call = call;
    r->bytes = bytes;
    r->before = l.backend->info.bytes;
    r->lun = l.config->number;
    g_strlcpy(r->target, t.config->name, sizeof(r->target));
    call->acting = true;
    s->resize(s->user, (unsigned)target, at, bytes, resize_done, r);
    return VERB_PENDING;
}

/* ---- log.level ---- */

int act_log_level(struct call *call)
{
    const char *name = call_string(call, "level");
    enum log_level level = log_get_level();
    if (name && !client_may_change(call->client))
        return call_fail(call, RPC_NOT_PERMITTED,
                         "log.level: only root and the group of the control socket may do this");
    if (name && log_level_parse(name, &level) < 0)
        return call_fail(call, RPC_PARAMS,
                         "unknown level '%.64s' (error, warning, notice, info, debug)", name);
    if (name && level != log_get_level()) {
        log_set_level(LOG_LEVEL_NOTICE); /* the change itself is always worth a line */
        log_notice("control", "log level changed to=%s", log_level_name(level));
        log_set_level(level);
    }
    json_put_open(&call->result, NULL, '{');
    json_put_string(&call->result, "level", log_level_name(level));
    json_put_close(&call->result, '}');
    return 0;
}
