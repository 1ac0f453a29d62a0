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
    AUTH_PENDING, /* nothing to send yet: after login_resume_auth() step() comes again, without keys */
};

/* Login statuses (RFC 7143 11.13.5) that an authenticator may refuse with, besides 0x0201. */
#define AUTH_STATUS_MISSING_KEY 0x0207
#define AUTH_STATUS_FOREIGN_KEY 0x0200

struct auth_step {
    const struct keys_pair *in; /* values are NUL-terminated text, not decoded further */
    unsigned in_count;
    struct keys_writer *out; /* the reply: keys_put() */
    uint16_t status;         /* out, with AUTH_REJECT: login status, preset to 0x0201 */
    const char *identity;    /* out, with AUTH_ACCEPT: who it is, for logs; NULL: not said */
    const char *reason;      /* out, with AUTH_REJECT: why, for logs; NULL: not said */
};

struct iscsi_authenticator;

struct iscsi_authenticator_ops {
    const char *method; /* the AuthMethod it does: "CHAP" */
    /* True when the method's specification defines that key ("CHAP_A"). */
    bool (*owns_key)(const struct iscsi_authenticator *auth, const char *key);
    /*
     * A new attempt; NULL when memory is short (the login is refused with 0302). `target` is NULL in
     * a discovery session; `peer` is "address:port", for logs. The strings live as long as the
     * attempt. `login_user` is login->user, the driver's connection: who must call
     * login_resume_auth() on the login's thread after AUTH_PENDING.
     */
    void *(*begin)(const struct iscsi_authenticator *auth, const char *initiator,
                   const char *target, const char *peer, void *login_user);
    /*
     * One exchange; names in `in` are unique. `identity` and `reason` need live only until the next
     * call for this attempt.
     */
    enum auth_result (*step)(void *attempt, struct auth_step *step);
    /* Ends the attempt in any state, also while pending: no resume may come after it. */
    void (*end)(void *attempt);
};

/* Embedded at the start of the implementation's own struct. */
struct iscsi_authenticator {
    const struct iscsi_authenticator_ops *ops;
};
