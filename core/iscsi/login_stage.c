/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Login, the texts: who is it and which target (first text), proving it (security stage), agreeing
 * on numbers (operational stage). Each takes the decoded keys of one exchange and writes answers.
 */
#include <stdio.h>
#include <string.h>

#include "iscsi/login_private.h"

/* ---- the first text: names and session type (RFC 7143 6.3.1, 13) ---- */

static enum login_action take_name(struct login *login, const char *key,
                                   char out[ISCSI_NAME_MAX + 1])
{
    const char *value = keys_find(&login->keys, key), *problem;
    if (!value)
        return login_fail(login, ISCSI_LOGIN_MISSING_PARAMETER, "no %s in the first request", key);
    if (iscsi_name_normalise(value, out, &problem) < 0)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s %s", key, problem);
    return LOGIN_RECEIVE;
}

static enum login_action take_session_type(struct login *login)
{
    const char *type = keys_find(&login->keys, "SessionType");
    login->discovery = type && strcmp(type, "Discovery") == 0;
    if (type && !login->discovery && strcmp(type, "Normal") != 0)
        return login_fail(login, ISCSI_LOGIN_SESSION_TYPE, "unknown SessionType");
    /* 13.21: a discovery session has one connection. */
    if (login->discovery && login->tsih != 0)
        return login_fail(login, ISCSI_LOGIN_NOT_IN_SESSION,
                          "second connection of a discovery session");
    return LOGIN_RECEIVE;
}

static enum login_action find_target(struct login *login)
{
    const char *name = login->discovery ? NULL : login->target_name;
    login->found.limits = iscsi_limits_default;
    uint16_t status =
        login->ops->find_target(login->user, login->initiator_name, name, &login->found);
    if (status != ISCSI_LOGIN_OK)
        return login_fail_status(login, status);
    params_configure(&login->params, &login->found.limits, login->discovery, login->tsih == 0);
    if (login->discovery)
        return LOGIN_RECEIVE;
    if (login->found.alias)
        keys_put(&login->out, "TargetAlias", login->found.alias);
    /* 13.9: in the first response to a whole text that names the target. */
    keys_put_number(&login->out, "TargetPortalGroupTag", login->found.portal_group_tag);
    return LOGIN_RECEIVE;
}

static enum login_action first_text(struct login *login)
{
    enum login_action action = take_session_type(login);
    if (action == LOGIN_RECEIVE)
        action = take_name(login, "InitiatorName", login->initiator_name);
    if (action == LOGIN_RECEIVE && !login->discovery)
        action = take_name(login, "TargetName", login->target_name);
    if (action == LOGIN_RECEIVE)
        action = find_target(login);
    if (action != LOGIN_RECEIVE)
        return action;
    login->state = LOGIN_STATE_RUNNING;
    if (login->found.auth && login->stage != ISCSI_STAGE_SECURITY)
        return login_fail(login, ISCSI_LOGIN_AUTHENTICATION_FAILED,
                          "authentication is required, but the security stage was left out");
    return LOGIN_RECEIVE;
}

static bool same_name(const char *value, const char *known)
{
    char name[ISCSI_NAME_MAX + 1];
    const char *problem;
    return iscsi_name_normalise(value, name, &problem) == 0 && strcmp(name, known) == 0;
}

/*
 * libiscsi says who it is in the security stage and once more in the operational stage. By the
 * letter (6.3) that is an error; as long as it says the same, and once a stage, we let it.
 */
static bool says_the_same(const struct login *login, const struct keys_pair *pair)
{
    if (strcmp(pair->name, "InitiatorName") == 0)
        return same_name(pair->value, login->initiator_name);
    if (strcmp(pair->name, "TargetName") == 0)
        return !login->discovery && same_name(pair->value, login->target_name);
    if (strcmp(pair->name, "SessionType") == 0)
        return strcmp(pair->value, login->discovery ? "Discovery" : "Normal") == 0;
    return strcmp(pair->name, "InitiatorAlias") == 0; /* without effect */
}

/* Names and the session type belong into the first text; the rest of the kind is the target's. */
static enum login_action check_identity_keys(struct login *login, bool first)
{
    for (unsigned i = 0; i < login->keys.count; i++) {
        const struct keys_pair *pair = &login->keys.pair[i];
        if (params_kind(pair->name) != PARAMS_IDENTITY)
            continue;
        bool ours = params_is_targets_own(pair->name);
        if (pair->value_bytes > KEYS_VALUE_MAX || ours ||
            params_note(&login->params, pair->name) < 0 || (!first && !says_the_same(login, pair)))
            return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s does not belong here",
                              pair->name);
        if (strcmp(pair->name, "InitiatorAlias") == 0)
            snprintf(login->initiator_alias, sizeof(login->initiator_alias), "%s", pair->value);
    }
    return LOGIN_RECEIVE;
}

/* ---- the security stage ---- */

static enum login_action begin_auth(struct login *login)
{
    const struct iscsi_authenticator *auth = login->found.auth;
    login->attempt =
        auth->ops->begin(auth, login->initiator_name, login->discovery ? NULL : login->target_name,
                         login->peer, login->user);
    if (!login->attempt)
        return login_fail(login, ISCSI_LOGIN_OUT_OF_RESOURCES, "cannot begin an authentication");
    login->auth_state = LOGIN_AUTH_RUNNING;
    return LOGIN_RECEIVE;
}

/* 12: the first method of the initiator's list that this target accepts; it accepts one. */
static enum login_action choose_method(struct login *login, const struct keys_pair *pair)
{
    const struct iscsi_authenticator *auth = login->found.auth;
    const char *method = auth ? auth->ops->method : "None", *cursor = pair->value, *item;
    uint32_t bytes;
    if (pair->value_bytes > KEYS_VALUE_MAX || params_note(&login->params, pair->name) < 0)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "AuthMethod twice, or too long");
    while (keys_list_next(&cursor, &item, &bytes)) {
        if (!keys_item_is(item, bytes, method))
            continue;
        keys_put(&login->out, "AuthMethod", method);
        login->auth_method_seen = true;
        return auth ? begin_auth(login) : LOGIN_RECEIVE;
    }
    return login_fail(login, ISCSI_LOGIN_AUTHENTICATION_FAILED, "AuthMethod %s is not offered",
                      method);
}

/* Sorts the keys of a security text: the authenticator's into `pairs`, AuthMethod at once. */
static enum login_action sort_security_keys(struct login *login, struct keys_pair *pairs,
                                            unsigned *ret_count)
{
    const struct iscsi_authenticator *auth = login->found.auth;
    bool running = login->auth_state == LOGIN_AUTH_RUNNING;
    unsigned count = 0;
    for (unsigned i = 0; i < login->keys.count; i++) {
        const struct keys_pair *pair = &login->keys.pair[i];
        enum params_kind kind = params_kind(pair->name);
        if (strcmp(pair->name, "AuthMethod") == 0) {
            enum login_action action = choose_method(login, pair);
            if (action != LOGIN_RECEIVE)
                return action;
        } else if (running && auth->ops->owns_key(auth, pair->name)) {
            pairs[count++] = *pair;
        } else if (kind == PARAMS_OPERATIONAL || kind == PARAMS_SECURITY) {
            return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s does not belong here",
                              pair->name);
        } else if (kind == PARAMS_UNKNOWN) {
            params_answer_unknown(pair, &login->out);
        }
    }
    *ret_count = count;
    return LOGIN_RECEIVE;
}

/* The exchange is worked through: may the stage end here, if the initiator wants it to? */
static enum login_action finish_text(struct login *login)
{
    const char *key;
    if (login->out.overflow)
        return login_fail(login, ISCSI_LOGIN_OUT_OF_RESOURCES, "answer of more than %d bytes",
                          LOGIN_TEXT_MAX);
    bool wants_end = login->transit && login->next_stage == ISCSI_STAGE_FULL_FEATURE;
    if (login->ready && wants_end && params_check(&login->params, &key) < 0)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s: no agreement", key);
    return login_reply_text(login);
}

static enum login_action finish_security(struct login *login)
{
    bool proven = !login->found.auth || login->auth_state == LOGIN_AUTH_DONE;
    if (!proven && login->transit && !login->auth_method_seen)
        return login_fail(login, ISCSI_LOGIN_AUTHENTICATION_FAILED,
                          "authentication is required, but no AuthMethod was offered");
    login->ready = proven;
    return finish_text(login);
}

enum login_action login_auth_step(struct login *login, const struct keys_pair *pairs,
                                  unsigned count)
{
    struct auth_step step = { .in = pairs,
                              .in_count = count,
                              .out = &login->out,
                              .status = ISCSI_LOGIN_AUTHENTICATION_FAILED };
    switch (login->found.auth->ops->step(login->attempt, &step)) {
    case AUTH_CONTINUE:
        return finish_security(login);
    case AUTH_ACCEPT:
        login->auth_state = LOGIN_AUTH_DONE;
        login->authenticated = true;
        snprintf(login->identity, sizeof(login->identity), "%s",
                 step.identity ? step.identity : "");
        login->found.auth->ops->end(login->attempt);
        login->attempt = NULL;
        return finish_security(login);
    case AUTH_PENDING:
        login->state = LOGIN_STATE_AUTH;
        return LOGIN_PENDING;
    default:
        return login_fail(login, step.status, "%s", step.reason ? step.reason : "refused");
    }
}

static enum login_action security_text(struct login *login)
{
    struct keys_pair pairs[KEYS_MAX];
    unsigned count = 0;
    bool running = login->auth_state == LOGIN_AUTH_RUNNING;
    enum login_action action = sort_security_keys(login, pairs, &count);
    if (action != LOGIN_RECEIVE)
        return action;
    return running ? login_auth_step(login, pairs, count) : finish_security(login);
}

/* ---- the operational stage ---- */

static enum login_action operational_text(struct login *login)
{
    for (unsigned i = 0; i < login->keys.count; i++)
        if (params_kind(login->keys.pair[i].name) == PARAMS_SECURITY)
            return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s does not belong here",
                              login->keys.pair[i].name);
    const char *key;
    if (params_receive(&login->params, &login->keys, &login->out, &key) < 0)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s: not a legal offer or answer",
                          key);
    login->ready = !params_propose(&login->params, &login->out);
    return finish_text(login);
}

enum login_action login_text(struct login *login)
{
    bool first = login->state == LOGIN_STATE_NAMING;
    const char *twice;
    login->out = (struct keys_writer){ .text = login->out_text, .size = sizeof(login->out_text) };
    login->out_sent = 0;
    login->ready = false;
    if (keys_decode(login->in_text, login->in_bytes, &login->keys) < 0)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "text is not key=value pairs");
    twice = keys_find_double(&login->keys);
    if (twice)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s twice", twice);
    enum login_action action = check_identity_keys(login, first);
    if (action == LOGIN_RECEIVE && first)
        action = first_text(login);
    if (action != LOGIN_RECEIVE)
        return action;
    return login->stage == ISCSI_STAGE_SECURITY ? security_text(login) : operational_text(login);
}
