/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets and LUNs set and removed by request: the text of the configuration is changed, reloaded, and
 * takes the place of the file when it is in effect. What is so already is no error, so each verb may be
 * given twice.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/edit.h"
#include "control/plan.h"

struct editing {
    char *text; /* of the slice, or all of it */
    size_t length;
    bool sliced;
    struct config_slice slice;
    const char *target;
};

/* ---- values ---- */

static bool is_plain(const char *text)
{
    if (!g_ascii_isalnum(*text) && *text != '/')
        return false;
    for (; *text; text++)
        if (!g_ascii_isalnum(*text) && !strchr("/._-", *text))
            return false;
    return true;
}

static void put_value(GString *out, JsonNode *node);

static void put_mapping(GString *out, JsonObject *object)
{
    g_autoptr(GList) names = json_object_get_members(object);
    g_string_append(out, "{ ");
    for (GList *n = names; n; n = n->next) {
        g_autoptr(JsonNode) name = json_node_init_string(json_node_alloc(), n->data);
        put_value(out, name);
        g_string_append(out, ": ");
        put_value(out, json_object_get_member(object, n->data));
        g_string_append(out, n->next ? ", " : " ");
    }
    g_string_append_c(out, '}');
}

static void put_value(GString *out, JsonNode *node)
{
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *items = json_node_get_array(node);
        g_string_append_c(out, '[');
        for (guint i = 0; i < json_array_get_length(items); i++) {
            if (i)
                g_string_append(out, ", ");
            put_value(out, json_array_get_element(items, i));
        }
        g_string_append_c(out, ']');
    } else if (JSON_NODE_HOLDS_OBJECT(node)) {
        put_mapping(out, json_node_get_object(node));
    } else if (json_node_get_value_type(node) == G_TYPE_BOOLEAN) {
        g_string_append(out, json_node_get_boolean(node) ? "yes" : "no");
    } else if (json_node_get_value_type(node) == G_TYPE_STRING &&
               is_plain(json_node_get_string(node))) {
        g_string_append(out, json_node_get_string(node));
    } else { /* JSON is YAML */
        g_autofree char *json = json_to_string(node, FALSE);
        g_string_append(out, json);
    }
}

/* ---- edits ---- */

static int edit(struct call *call, struct editing *e, const char *const *path, const char *value)
{
    char *text = NULL;
    size_t length = 0;
    int r = config_edit(e->text, e->length, path, value, &text, &length);
    if (r == -ENOENT)
        return 0; /* it is not there: as wanted */
    if (r < 0)
        return call_fail(
            call, RPC_REFUSED,
            "the configuration is written in a way that is not changed by this program; "
            "change the file by hand and reload it");
    g_free(e->text);
    e->text = text;
    e->length = length;
    return 0;
}

/* One of `keys`, below the path. */
static int edit_key(struct call *call, struct editing *e, const char *const *below, const char *key,
                    JsonNode *node)
{
    const char *path[CONFIG_EDIT_DEPTH + 1] = { NULL };
    g_auto(GStrv) words = g_strsplit(key, ".", 0);
    g_autoptr(GString) value = g_string_new(NULL);
    unsigned n = 0;
    for (; below[n]; n++)
        path[n] = below[n];
    for (unsigned i = 0; words[i]; i++) {
        if (n == CONFIG_EDIT_DEPTH || !is_plain(words[i]))
            return call_fail(call, RPC_PARAMS, "'%.64s' is no key", key);
        path[n++] = words[i];
    }
    if (JSON_NODE_HOLDS_NULL(node))
        return edit(call, e, path, NULL);
    put_value(value, node);
    return edit(call, e, path, value->str);
}

static int edit_keys(struct call *call, struct editing *e, const char *const *below)
{
    JsonNode *node = call->params ? json_object_get_member(call->params, "keys") : NULL;
    if (!node)
        return 0;
    g_autoptr(GList) names = json_object_get_members(json_node_get_object(node));
    int r = 0;
    for (GList *n = names; n && r == 0; n = n->next)
        r = edit_key(call, e, below, n->data,
                     json_object_get_member(json_node_get_object(node), n->data));
    return r;
}

/* ---- carrying it out ---- */

static void done(void *data, const struct plan *plan, unsigned upgrade, const char *why)
{
    struct call *call = data;
    if (why)
        call_fail(call, RPC_REFUSED, "%s", why);
    else
        plan_put(&call->result, plan, NULL, upgrade);
    call_end(call);
}

static int put_nothing(struct call *call)
{
    json_put_open(&call->result, NULL, '{');
    json_put_string(&call->result, "class", "none");
    json_put_open(&call->result, "steps", '[');
    json_put_close(&call->result, ']');
    json_put_close(&call->result, '}');
    return 0;
}

int control_text_fd(const char *text, size_t length)
{
    int fd = memfd_create("holdfast-edited", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < length;) {
        ssize_t n = write(fd, text + at, length - at);
        if (n < 0) {
            close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static bool is_same(struct call *call, const struct editing *e)
{
    const struct control_services *s = &call->control->services;
    size_t length = e->slice.length;
    const char *before = e->sliced ? e->slice.text : s->text(s->user, &length);
    return length == e->length && !memcmp(before, e->text, length);
}

static int hand_in(struct call *call, const struct editing *e, struct control_reload how)
{
    const struct control_services *s = &call->control->services;
    if (e->sliced) {
        call->acting = true;
        s->revise(s->user, &e->slice, e->text, e->length, e->target, &how, done, call);
        return VERB_PENDING;
    }
    how.fd = control_text_fd(e->text, e->length);
    if (how.fd < 0)
        return call_fail(call, RPC_INTERNAL, "no memory");
    call->acting = true;
    s->reload(s->user, &how, done, call);
    close(how.fd);
    return VERB_PENDING;
}

static int carry_out(struct call *call, const struct editing *e)
{
    struct control_reload how;
    if (is_same(call, e))
        return put_nothing(call);
    if (control_reload_how(call, &how) != 0)
        return call->error;
    how.write = true;
    return hand_in(call, e, how);
}

/* `target` stays the caller's. */
static struct editing begin(struct call *call, const char *target)
{
    const struct control_services *s = &call->control->services;
    struct editing e = { .target = target };
    e.sliced = s->slice(s->user, target, &e.slice) == 0;
    e.length = e.slice.length;
    const char *text = e.sliced ? e.slice.text : s->text(s->user, &e.length);
    e.text = g_strndup(text, e.length);
    return e;
}

static void end(struct editing *e)
{
    config_slice_clear(&e->slice);
    g_free(e->text);
}

static int finish(struct call *call, struct editing *e, int r)
{
    if (r == 0)
        r = carry_out(call, e);
    end(e);
    return r;
}

/* The parameter `target` in its normal form; false after call_fail(). */
static bool target_name(struct call *call, char name[static ISCSI_NAME_MAX + 1])
{
    const char *problem, *wanted = call_string(call, "target");
    if (iscsi_name_normalise(wanted, name, &problem) == 0)
        return true;
    call_fail(call, RPC_PARAMS, "'%.64s' is no target name: %s", wanted, problem);
    return false;
}

static const struct config_target *find(struct call *call, const char *name)
{
    const struct control_services *s = &call->control->services;
    return config_find_target(s->config(s->user), name);
}

static bool has_keys(struct call *call)
{
    return call->params && json_object_has_member(call->params, "keys");
}

/* ---- verbs ---- */

int act_target_set(struct call *call)
{
    char name[ISCSI_NAME_MAX + 1];
    const char *path[] = { "targets", name, NULL };
    if (!target_name(call, name))
        return call->error;
    struct editing e = begin(call, name);
    int r = find(call, name) ? 0 : edit(call, &e, path, "{ luns: {} }");
    if (r == 0)
        r = edit_keys(call, &e, path);
    return finish(call, &e, r);
}

int act_target_remove(struct call *call)
{
    char name[ISCSI_NAME_MAX + 1];
    const char *path[] = { "targets", name, NULL };
    if (!target_name(call, name))
        return call->error;
    struct editing e = begin(call, name);
    return finish(call, &e, edit(call, &e, path, NULL));
}

static int edit_lun(struct call *call, bool remove)
{
    char name[ISCSI_NAME_MAX + 1], number[24];
    const char *path[] = { "targets", name, "luns", number, NULL };
    uint64_t lun = 0;
    if (!target_name(call, name))
        return call->error;
    call_number(call, "lun", &lun);
    if (lun > CONFIG_LUN_MAX)
        return call_fail(call, RPC_PARAMS, "lun: %" G_GUINT64_FORMAT " is more than %d", lun,
                         CONFIG_LUN_MAX);
    snprintf(number, sizeof(number), "%u", (unsigned)lun);
    if (!find(call, name))
        return remove ? put_nothing(call)
                      : call_fail(call, RPC_REFUSED, "there is no target '%s'", name);
    if (!remove && !config_find_lun(find(call, name), (unsigned)lun) && !has_keys(call))
        return call_fail(call, RPC_PARAMS,
                         "target %s has no LUN %s; a new one needs its keys, as handler", name,
                         number);
    struct editing e = begin(call, name);
    return finish(call, &e, remove ? edit(call, &e, path, NULL) : edit_keys(call, &e, path));
}

int act_lun_set(struct call *call)
{
    return edit_lun(call, /* remove= */ false);
}

/* The configuration stays as it is. */
int act_lun_reopen(struct call *call)
{
    char name[ISCSI_NAME_MAX + 1];
    struct control_reload how;
    uint64_t lun = 0;
    if (!target_name(call, name) || control_reload_how(call, &how) != 0)
        return call->error;
    call_number(call, "lun", &lun);
    if (lun > CONFIG_LUN_MAX || !find(call, name) ||
        !config_find_lun(find(call, name), (unsigned)lun))
        return call_fail(call, RPC_REFUSED, "target %s has no LUN %" G_GUINT64_FORMAT, name, lun);
    how.reopen_target = name;
    how.reopen_lun = (unsigned)lun;
    struct editing e = begin(call, name);
    int r = hand_in(call, &e, how);
    end(&e);
    return r;
}

int act_lun_remove(struct call *call)
{
    return edit_lun(call, /* remove= */ true);
}
