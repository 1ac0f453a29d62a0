/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bridge from a login to an auth plugin. Everything here runs on the login reactor, but for
 * host->auth_resume(): it may come on any thread, at most one message of an attempt is on its way to
 * the reactor, and the message holds a reference, so that the attempt may end meanwhile.
 */
#include "plugin/authenticator.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>
#include <string.h>

#include "base/list.h"
#include "plugin/host.h"

struct authenticator {
    struct iscsi_authenticator base;
    struct iscsi_authenticator_ops ops; /* base.ops: the method is the plugin's */
    const struct plugin *plugin;
    struct plugin_config *config;
    const struct authenticator_services *services;
    void *handle;
};

/* One attempt. */
struct hf_auth {
    const struct authenticator *authenticator;
    void *conversation;
    void *login_user;
    bool pending, ended;
    _Atomic uint32_t users; /* the attempt, and a message under way */
    _Atomic uint32_t resuming;
    struct reactor_message message;
    struct hf_auth_peer peer;
    struct hf_auth_reply
        reply; /* of the last step: its identity and reason are lent to the login */
};

static bool is_own_key(const struct hf_auth_ops *ops, const char *name)
{
    return g_strv_contains(ops->keys, name);
}

static bool authenticator_owns_key(const struct iscsi_authenticator *auth, const char *key)
{
    const struct authenticator *a = container_of((void *)auth, struct authenticator, base);
    return is_own_key(&a->plugin->auth, key);
}

/* ------------------------------------------------------------------------------------- attempt */

static void attempt_unref(struct hf_auth *attempt)
{
    if (atomic_fetch_sub_explicit(&attempt->users, 1, memory_order_acq_rel) != 1)
        return;
    g_free((char *)attempt->peer.initiator_name);
    g_free((char *)attempt->peer.target_name);
    g_free((char *)attempt->peer.address);
    g_free(attempt);
}

static void resume_message(struct reactor_message *message)
{
    struct hf_auth *attempt = container_of(message, struct hf_auth, message);
    atomic_store_explicit(&attempt->resuming, 0, memory_order_release);
    if (!attempt->ended && attempt->pending) {
        attempt->pending = false;
        attempt->authenticator->services->resume(attempt->login_user);
    }
    attempt_unref(attempt);
}

void auth_host_resume(struct hf_auth *attempt)
{
    if (atomic_exchange_explicit(&attempt->resuming, 1, memory_order_acq_rel) != 0)
        return;
    atomic_fetch_add_explicit(&attempt->users, 1, memory_order_relaxed);
    attempt->message.run = resume_message;
    reactor_post(attempt->authenticator->services->login_reactor, &attempt->message);
}

static void *authenticator_begin(const struct iscsi_authenticator *auth, const char *initiator,
                                 const char *target, const char *peer, void *login_user)
{
    const struct authenticator *a = container_of((void *)auth, struct authenticator, base);
    struct hf_auth *attempt = g_new0(struct hf_auth, 1);
    attempt->authenticator = a;
    attempt->login_user = login_user;
    attempt->users = 1;
    attempt->peer = (struct hf_auth_peer){
        .size = sizeof(attempt->peer),
        .discovery = target == NULL,
        .initiator_name = g_strdup(initiator),
        .target_name = g_strdup(target),
        .address = g_strdup(peer),
    };
    if (a->plugin->auth.start(a->handle, attempt, &attempt->peer, &attempt->conversation) == 0)
        return attempt;
    attempt_unref(attempt);
    return NULL;
}

/* ---------------------------------------------------------------------------------------- step */

static enum auth_result refuse(struct auth_step *step, const char *reason)
{
    step->reason = reason;
    return AUTH_REJECT;
}

/* A plugin's reply is checked like any other bytes from outside. */
static enum auth_result send_reply(struct hf_auth *attempt, struct auth_step *step,
                                   enum auth_result result)
{
    const struct hf_auth_reply *reply = &attempt->reply;
    if (reply->key_count > HF_AUTH_KEYS_MAX)
        return refuse(step, "the plugin answered with too many keys");
    for (uint32_t i = 0; i < reply->key_count; i++) {
        const struct hf_key *key = &reply->keys[i];
        if (!key->name || !key->value ||
            !is_own_key(&attempt->authenticator->plugin->auth, key->name))
            return refuse(step, "the plugin answered with a key that is not its own");
        keys_put(step->out, key->name, key->value);
    }
    return result;
}

static enum auth_result take_reply(struct hf_auth *attempt, struct auth_step *step, uint32_t result)
{
    struct hf_auth_reply *reply = &attempt->reply;
    reply->identity[sizeof(reply->identity) - 1] = '\0';
    reply->reason[sizeof(reply->reason) - 1] = '\0';
    switch (result) {
    case HF_AUTH_CONTINUE:
        return send_reply(attempt, step, AUTH_CONTINUE);
    case HF_AUTH_ACCEPT:
        if (reply->identity[0])
            step->identity = reply->identity;
        return send_reply(attempt, step, AUTH_ACCEPT);
    case HF_AUTH_PENDING:
        attempt->pending = true;
        return AUTH_PENDING;
    case HF_AUTH_REJECT:
        return refuse(step, reply->reason[0] ? reply->reason : NULL);
    case HF_AUTH_REJECT_MISSING:
        step->status = AUTH_STATUS_MISSING_KEY;
        return refuse(step, reply->reason[0] ? reply->reason : NULL);
    case HF_AUTH_REJECT_FOREIGN:
        step->status = AUTH_STATUS_FOREIGN_KEY;
        return refuse(step, reply->reason[0] ? reply->reason : NULL);
    default:
        return refuse(step, "the plugin answered with an unknown result");
    }
}

static enum auth_result authenticator_step(void *opaque, struct auth_step *step)
{
    struct hf_auth *attempt = opaque;
    struct hf_key keys[KEYS_MAX];
    struct hf_auth_request request = { .size = sizeof(request), .keys = keys };
    for (unsigned i = 0; i < step->in_count && i < KEYS_MAX; i++)
        keys[request.key_count++] = (struct hf_key){ step->in[i].name, step->in[i].value };
    attempt->reply = (struct hf_auth_reply){ .size = sizeof(attempt->reply) };
    attempt->pending = false;
    return take_reply(attempt, step,
                      attempt->authenticator->plugin->auth.step(attempt->conversation, &request,
                                                                &attempt->reply));
}

static void authenticator_end(void *opaque)
{
    struct hf_auth *attempt = opaque;
    attempt->authenticator->plugin->auth.end(attempt->conversation);
    attempt->ended = true;
    attempt_unref(attempt);
}

/* -------------------------------------------------------------------------------- open and close */

static struct authenticator *authenticator_free(struct authenticator *a)
{
    plugin_config_free(a->config);
    g_free(a);
    return NULL;
}

int plugin_authenticator_open(const struct plugin *plugin, struct plugin_config *config,
                              const struct authenticator_services *services,
                              struct iscsi_authenticator **ret_authenticator,
                              struct hf_error *error)
{
    struct authenticator *a = g_new0(struct authenticator, 1);
    struct hf_error why = PLUGIN_ERROR_INIT;
    a->ops = (struct iscsi_authenticator_ops){
        .method = plugin->auth.method,
        .owns_key = authenticator_owns_key,
        .begin = authenticator_begin,
        .step = authenticator_step,
        .end = authenticator_end,
    };
    a->base.ops = &a->ops;
    a->plugin = plugin;
    a->config = config;
    a->services = services;
    int r = plugin->auth.open(plugin_config_data(config), &a->handle, &why);
    if (r == 0) {
        *ret_authenticator = &a->base;
        return 0;
    }
    authenticator_free(a);
    r = r < 0 ? -r : EIO;
    return plugin_fail(error, r, "%s: %s", plugin->info.name, why.text[0] ? why.text : strerror(r));
}

const struct plugin_config *plugin_authenticator_config(
    const struct iscsi_authenticator *authenticator)
{
    return container_of((void *)authenticator, struct authenticator, base)->config;
}

struct iscsi_authenticator *plugin_authenticator_close(struct iscsi_authenticator *authenticator)
{
    if (!authenticator)
        return NULL;
    struct authenticator *a = container_of(authenticator, struct authenticator, base);
    a->plugin->auth.close(a->handle);
    authenticator_free(a);
    return NULL;
}
