/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a login needs from authentication. One authenticator per `auth` entry of the configuration;
 * core/plugin implements it over <holdfast/auth.h>, tests implement it in a few lines.
 *
 * An attempt is a dialogue: the initiator's pairs of one exchange go in, pairs go out, until the
 * answer is ACCEPT or REJECT. The login chooses the AuthMethod; only the keys of the method (those
 * that `owns_key` names) reach step(). All calls come from the thread that runs the login.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "iscsi/keys.h"

enum auth_result {
    AUTH_CONTINUE, /* send the reply, the initiator has the next word */
    AUTH_ACCEPT,   /* send the reply; the initiator is who it says */
    AUTH_REJECT,   /* refuse the login with `status` */
    AUTH_PENDING,  /* the answer comes later, through login_resume_auth() */
};

struct auth_step {
    const struct keys_pair *in; /* values are NUL-terminated text, not decoded further */
    unsigned in_count;
    struct keys_writer *out; /* the reply: keys_put() */
    uint16_t status;         /* out, with AUTH_REJECT: login status, preset to 0x0201 */
};

struct iscsi_authenticator;

struct iscsi_authenticator_ops {
    const char *method; /* the AuthMethod it does: "CHAP" */
    /* True when the method's specification defines that key ("CHAP_A"). */
    bool (*owns_key)(const struct iscsi_authenticator *auth, const char *key);
    /*
     * A new attempt; NULL when memory is short. `target` is NULL in a discovery session. The
     * strings live as long as the attempt. `login` is the cookie for login_resume_auth().
     */
    void *(*begin)(const struct iscsi_authenticator *auth, const char *initiator,
                   const char *target, void *login);
    /*
     * One exchange. After AUTH_PENDING the struct and `out` stay valid until the attempt is resumed
     * (on the login's thread) or ended.
     */
    enum auth_result (*step)(void *attempt, struct auth_step *step);
    /* Ends the attempt in any state, also while pending: no resume may come after it. */
    void (*end)(void *attempt);
};

/* Embedded at the start of the implementation's own struct. */
struct iscsi_authenticator {
    const struct iscsi_authenticator_ops *ops;
};
