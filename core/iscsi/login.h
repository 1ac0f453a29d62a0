/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The login phase of one connection (RFC 7143 section 6.3) as a pure state machine: PDUs in, an
 * action and at most one PDU out. It does no I/O, sets no timer and, but for what an authenticator
 * does, allocates nothing. One struct login per connection, on one thread, from the first byte until
 * the connection is closed or in full feature phase.
 *
 * The driver's loop: receive 48 bytes; login_header(); receive that many more bytes (AHS, data and
 * padding: no digests during login); login_receive(); do what the action says. Deadlines are the
 * driver's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "iscsi/authenticator.h"
#include "iscsi/keys.h"
#include "iscsi/params.h"
#include "iscsi/wire.h"

#define LOGIN_TEXT_MAX   16384 /* bytes of text in one exchange, each way, over all its PDUs */
#define LOGIN_PDU_MAX    256   /* PDUs in one login */
#define LOGIN_ALIAS_MAX  255
#define LOGIN_REASON_MAX 128

enum login_action {
    LOGIN_RECEIVE,          /* login_header() only: go on and receive the rest */
    LOGIN_REPLY,            /* send reply_bhs and reply_data, then receive the next PDU */
    LOGIN_REPLY_THEN_CLOSE, /* send it, then close: the login is refused (`status`, `reason`) */
    LOGIN_CLOSE,            /* close at once, nothing to send (`reason`) */
    LOGIN_PENDING,          /* wait for login_resume_…(); receive nothing meanwhile */
    LOGIN_FULL_FEATURE, /* send it; it is the last login PDU: full feature phase starts after it */
};

/* What the configuration says about the target (or about discovery), filled by find_target. */
struct login_target {
    void *target;         /* the driver's own; login does not look at it */
    const char *alias;    /* TargetAlias, or NULL */
    const char *redirect; /* TargetAddress to send with status 0101 or 0102 */
    uint16_t portal_group_tag;
    const struct iscsi_authenticator *auth; /* NULL: open. Must outlive the login. */
    struct iscsi_limits limits;
};

/* The session that a login ends in, decided by the registry. */
struct login_session {
    uint16_t tsih;       /* never 0 */
    uint32_t exp_cmd_sn; /* in: the CmdSN of the login; out: the session's, if it is older */
    uint32_t max_cmd_sn;
};

struct login;

struct login_ops {
    /*
     * Finds the target for a normal session, or with target_name NULL what a discovery session on
     * this portal gets (auth, limits). Names are normalised. Returns a login status: 0000 (found,
     * and this initiator may see it), 0203, 0202, 0301 while not ready, 0101/0102 with `redirect`.
     */
    uint16_t (*find_target)(void *user, const char *initiator_name, const char *target_name,
                            struct login_target *ret_target);
    /*
     * All is negotiated and authenticated: which session is it? Called once, just before the final
     * reply; looks at login->isid, tsih, cid, names, discovery, found.target, params. Returns a login
     * status and fills ret_session; or sets *ret_pending (status ignored) and later calls
     * login_resume_session() on the login's thread.
     */
    uint16_t (*session_decide)(void *user, struct login *login, struct login_session *ret_session,
                               bool *ret_pending);
};

enum login_state {
    LOGIN_STATE_FIRST,  /* nothing received yet */
    LOGIN_STATE_NAMING, /* first text not complete: names not known */
    LOGIN_STATE_RUNNING,
    LOGIN_STATE_AUTH,    /* waits for login_resume_auth() */
    LOGIN_STATE_SESSION, /* waits for login_resume_session() */
    LOGIN_STATE_DONE,
    LOGIN_STATE_FAILED,
};

enum login_auth_state { LOGIN_AUTH_NONE, LOGIN_AUTH_RUNNING, LOGIN_AUTH_DONE };

struct login {
    /* The next PDU to send, after an action that says so. Padding is not in reply_data. */
    uint8_t reply_bhs[ISCSI_BHS_BYTES];
    const char *reply_data;
    uint32_t reply_bytes;

    /* Results: valid in session_decide and after LOGIN_FULL_FEATURE. */
    char initiator_name[ISCSI_NAME_MAX + 1]; /* normalised; "" until known */
    char target_name[ISCSI_NAME_MAX + 1];    /* "" in a discovery session */
    char initiator_alias[LOGIN_ALIAS_MAX + 1];
    bool discovery;
    bool authenticated;              /* an authenticator accepted (false: the target is open) */
    char identity[LOGIN_REASON_MAX]; /* as whom, in the authenticator's words; may be "" */
    uint8_t isid[ISCSI_ISID_BYTES];
    uint16_t tsih; /* 0 until the final reply of a new session */
    uint16_t cid;
    uint32_t itt;
    uint32_t exp_cmd_sn; /* the first CmdSN of full feature phase */
    uint32_t max_cmd_sn;
    uint32_t exp_stat_sn; /* as the initiator last said */
    uint32_t stat_sn;     /* the next to use */
    struct login_target found;
    struct params params; /* .result: the numbers */

    /*
     * Why not: valid after LOGIN_REPLY_THEN_CLOSE and LOGIN_CLOSE. For the log; no secret in it. An op
     * that returns a status other than 0000 may fill `reason`; else it says what the status means.
     */
    uint16_t status;
    char reason[LOGIN_REASON_MAX];

    /* Private from here on. */
    const struct login_ops *ops;
    void *user;
    char peer[ADDRESS_TEXT_MAX];
    uint32_t window;
    enum login_state state;
    enum login_auth_state auth_state;
    bool auth_method_seen; /* AuthMethod has been answered */
    bool ready;            /* nothing on our side forbids the next stage */
    bool transit;          /* T of the last request */
    uint8_t stage, next_stage;
    unsigned pdus;
    void *attempt;
    struct keys keys; /* of the text being answered */
    struct keys_writer out;
    uint32_t in_bytes, out_sent;
    bool out_open; /* part of the reply text is not sent yet */
    char in_text[LOGIN_TEXT_MAX];
    char out_text[LOGIN_TEXT_MAX];
};

/*
 * Starts. `window`: commands the initiator may have open when it enters full feature phase (at least
 * 1). `first_stat_sn`: any number. `peer`: "address:port", copied. `user` goes to the ops.
 */
void login_init(struct login *login, const struct login_ops *ops, void *user, const char *peer,
                uint32_t window, uint32_t first_stat_sn);
/* Ends an authentication that still runs. The struct itself is the caller's. */
void login_fini(struct login *login);

/*
 * Looks at a header before anything else is received: LOGIN_RECEIVE and the number of bytes that
 * follow it (bounded by 8 KiB and padding), or an action that ends the login (not a Login Request,
 * segment too long, too many PDUs).
 */
enum login_action login_header(struct login *login, const uint8_t bhs[ISCSI_BHS_BYTES],
                               uint32_t *ret_bytes);
/* The whole PDU: `data` is the data segment without AHS and padding. */
enum login_action login_receive(struct login *login, const uint8_t bhs[ISCSI_BHS_BYTES],
                                const uint8_t *data, uint32_t data_bytes);
/* Ends the login with that status, in answer to the request whose header login_header() has seen. */
enum login_action login_refuse(struct login *login, uint16_t status, const char *reason);
/* After LOGIN_PENDING for authentication: the authenticator is asked again. */
enum login_action login_resume_auth(struct login *login);
/* The answer after a pending session_decide. */
enum login_action login_resume_session(struct login *login, uint16_t status,
                                       const struct login_session *session);

/* A login status in words, for the log; never NULL. */
const char *login_status_text(uint16_t status);
