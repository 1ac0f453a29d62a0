/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A login told as a script: what the initiator sends, in a short notation, and what comes back.
 * Texts are written with blanks where the wire has NULs. One login at a time.
 */
#pragma once

#include "iscsi/login.h"

#define INITIATOR "iqn.1993-08.org.debian:01:host"
#define TARGET    "iqn.2026-11.org.example:disk"
#define NAMES     "InitiatorName=" INITIATOR " TargetName=" TARGET

#define SEC  ISCSI_STAGE_SECURITY
#define OPER ISCSI_STAGE_OPERATIONAL
#define FULL ISCSI_STAGE_FULL_FEATURE

/* The world around the login: what the ops answer. script_begin() sets harmless values. */
struct script {
    struct login login;
    struct login_target target;
    uint16_t find_status;
    struct login_session session;
    uint16_t session_status;
    bool session_pending;
    const char *own_reason; /* left in login->reason by session_decide */
    unsigned finds, decides;
    char asked_initiator[ISCSI_NAME_MAX + 1], asked_target[ISCSI_NAME_MAX + 1];

    /* The fake authenticator: AuthMethod=CHAP; CHAP_A=n, then CHAP_R=good or bad or slow. */
    unsigned begins, ends, steps;
    bool no_memory;

    /* Every request of the next sends is built from these. */
    uint8_t isid[6];
    uint16_t tsih, cid;
    uint32_t itt, cmd_sn;
    uint8_t version_min;
    uint8_t bhs[ISCSI_BHS_BYTES]; /* the last one sent */
};

extern struct script script;
extern const struct iscsi_authenticator script_auth;

void script_begin(void);
void script_end(void);

/* One request; flags: ISCSI_LOGIN_TRANSIT, ISCSI_LOGIN_CONTINUE. */
enum login_action script_send(uint8_t flags, unsigned stage, unsigned next_stage, const char *text);
/* The same with bytes as they are. */
enum login_action script_send_raw(uint8_t flags, unsigned stage, unsigned next_stage,
                                  const void *data, uint32_t bytes);
/* The usual request that wants to go on: T set. */
enum login_action script_step(unsigned stage, unsigned next_stage, const char *text);

/* The reply's text in the same notation. */
const char *script_text(void);
/* Checks the reply's header, apart from status and text. */
void script_expect(unsigned stage, int next_stage /* -1: no transit */);
/* The last action must have been a refusal with that status. */
void script_expect_refused(enum login_action action, uint16_t status);
