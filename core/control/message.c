/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC 2.0: envelopes of requests and answers. */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/server.h"

#define ID_MAX 256 /* bytes of an id, as JSON */

static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";

/* ---- answers ---- */

GString *message_error(const char *id, int error, const char *text)
{
    GString *out = g_string_new(head);
    struct json_writer w = { .out = out };
    g_string_append(out, id ? id : "null");
    g_string_append(out, ",\"error\":");
    json_put_open(&w, NULL, '{');
    g_string_append_printf(out, "\"code\":%d", error);
    w.comma = true;
    json_put_string(&w, "message", text);
    json_put_close(&w, '}');
    g_string_append(out, "}\n");
    return out;
}

int call_fail(struct call *call, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_free(call->text);
    call->text = g_strdup_vprintf(format, args);
    va_end(args);
    call->error = error;
    return error;
}

void call_queue(struct call *call)
{
    struct control *control = call->control;
    if (control->changing) {
        list_append(&control->changes, &call->waiting);
        return;
    }
    control->changing = call;
    verb_run(call);
}

static void next_change(struct control *control)
{
    struct list *n = list_take(&control->changes);
    control->changing = n ? list_entry(n, struct call, waiting) : NULL;
    if (n)
        turn_queue(control, &control->changing->turn);
}

static void call_free(struct call *call)
{
    turn_cancel(&call->turn);
    list_remove(&call->waiting);
    if (call->control->changing == call)
        next_change(call->control);
    snapshot_unref(call->snapshot);
    g_clear_pointer(&call->params, json_object_unref);
    if (call->out)
        g_string_free(call->out, TRUE);
    if (call->fd >= 0)
        close(call->fd);
    g_free(call->id);
    g_free(call->text);
    g_free(call);
}

void call_end(struct call *call)
{
    struct client *client = call->client;
    GString *line = NULL;
    call->control->count.failed_calls += call->error != 0;
    if (call->id && client) {
        if (call->error) {
            line = message_error(call->id, call->error, call->text);
        } else {
            line = call->out;
            call->out = NULL;
            g_string_append(line, "}\n");
        }
    }
    call_free(call);
    if (client)
        client_answer(client, line);
}

void call_abandon(struct call *call)
{
    call->client = NULL;
    if (!call->acting)
        call_free(call);
}

/* ---- requests ---- */

static void call_turn(struct turn *turn)
{
    verb_run(container_of(turn, struct call, turn));
}

/* An id as JSON again; false: it is not one. Fractions cannot be told apart safely, so they are none. */
static bool take_id(JsonObject *object, char **ret_id)
{
    JsonNode *node = json_object_get_member(object, "id");
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer w = { .out = out };
    *ret_id = NULL;
    if (!node)
        return true;
    if (JSON_NODE_HOLDS_NULL(node))
        json_put_string(&w, NULL, NULL);
    else if (json_node_get_value_type(node) == G_TYPE_STRING)
        json_put_string(&w, NULL, json_node_get_string(node));
    else if (json_node_get_value_type(node) == G_TYPE_INT64)
        g_string_append_printf(out, "%" G_GINT64_FORMAT, json_node_get_int(node));
    if (!out->len || out->len > ID_MAX)
        return false;
    *ret_id = g_strdup(out->str);
    return true;
}

/* Says what is wrong with the request, or fills the call and returns NULL. */
static char *take_request(JsonObject *object, struct call *call, int *ret_error)
{
    JsonNode *version = json_object_get_member(object, "jsonrpc");
    JsonNode *method = json_object_get_member(object, "method");
    JsonNode *params = json_object_get_member(object, "params");
    *ret_error = RPC_REQUEST;
    if (!take_id(object, &call->id))
        return g_strdup("id must be a short string or a whole number");
    if (!version || json_node_get_value_type(version) != G_TYPE_STRING ||
        strcmp(json_node_get_string(version), "2.0") != 0)
        return g_strdup("jsonrpc must be \"2.0\"");
    if (!method || json_node_get_value_type(method) != G_TYPE_STRING)
        return g_strdup("method must be a string");
    const char *name = json_node_get_string(method);
    call->verb = verb_find(name);
    if (!call->verb) {
        const char *near = verb_nearest(name);
        *ret_error = RPC_METHOD;
        return g_strdup_printf("unknown method '%.64s'%s%s%s", name, near ? " (did you mean '" : "",
                               near ? near : "", near ? "'?)" : "");
    }
    *ret_error = RPC_PARAMS;
    if (params && !JSON_NODE_HOLDS_OBJECT(params))
        return g_strdup("params must be an object: parameters are given by name");
    call->params = params ? json_object_ref(json_node_get_object(params)) : NULL;
    return NULL;
}

static void call_start_result(struct call *call)
{
    call->out = g_string_new(head);
    g_string_append(call->out, call->id ? call->id : "null");
    g_string_append(call->out, ",\"result\":");
    call->result.out = call->out;
}

static char *parse(const char *line, size_t bytes, JsonParser *parser)
{
    g_autoptr(GError) error = NULL;
    if (!json_text_is_sane(line, bytes, CONTROL_DEPTH_MAX))
        return g_strdup("this is not a JSON object on a line of its own");
    if (!json_parser_load_from_data(parser, line, (gssize)bytes, &error))
        return g_strdup_printf("not JSON: %s", error->message);
    return NULL;
}

static bool is_blank(const char *line, size_t bytes)
{
    return strspn(line, " \t\r") == bytes;
}

static struct call *call_new(struct control *control, struct client *client)
{
    struct call *call = g_new0(struct call, 1);
    list_init(&call->waiting);
    turn_init(&call->turn, call_turn);
    call->control = control;
    call->client = client;
    call->fd = -1;
    return call;
}

struct call *call_by_itself(struct control *control, const struct verb *verb)
{
    struct call *call = call_new(control, NULL);
    call->verb = verb;
    snapshot_wait(call);
    return call;
}

struct call *call_begin(struct client *client, struct control *control, const char *line,
                        size_t bytes, bool *ending)
{
    if (is_blank(line, bytes)) {
        client_answer(client, NULL);
        return NULL;
    }
    g_autoptr(JsonParser) parser = json_parser_new();
    struct call *call = call_new(control, client);
    int error = RPC_PARSE;
    char *wrong = parse(line, bytes, parser);
    control->count.calls++;
    call->fd = client_take_fd(client);
    if (!wrong && !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser))) {
        error = RPC_REQUEST;
        wrong = g_strdup("a batch: send one request a line instead");
    } else if (!wrong) {
        wrong = take_request(json_node_get_object(json_parser_get_root(parser)), call, &error);
    }
    if (!wrong) {
        call_start_result(call);
        return call;
    }
    bool silent = !call->id && (error == RPC_METHOD || error == RPC_PARAMS); /* a notification */
    GString *answer = silent ? NULL : message_error(call->id, error, wrong);
    control->count.failed_calls++;
    g_free(wrong);
    call_free(call);
    if ((error == RPC_PARSE || error == RPC_REQUEST) && !client_mistake(client))
        *ending = true;
    client_answer(client, answer);
    return NULL;
}
