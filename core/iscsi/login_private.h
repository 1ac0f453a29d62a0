/* SPDX-License-Identifier: BSD-3-Clause */
/* What login.c (the flow), login_stage.c (the texts) and login_reply.c (the PDUs out) share. */
#pragma once

#include "iscsi/login.h"

/* login_reply.c */
/* Refuses the login: a response with that status, no text, then close. `format` fills the reason. */
enum login_action login_fail(struct login *login, uint16_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a reason that an op may have left, and TargetAddress for a redirection. */
enum login_action login_fail_status(struct login *login, uint16_t status);
/* An answer without text and without transit: the initiator is in the middle of its text. */
enum login_action login_reply_empty(struct login *login);
/* The next part of the answer; with the last one perhaps the transit to the next stage. */
enum login_action login_reply_text(struct login *login);

/* login_stage.c */
/* The whole text of the initiator is in in_text: work through it and answer. */
enum login_action login_text(struct login *login);
/* Asks the authenticator with these pairs and goes on to the answer. */
enum login_action login_auth_step(struct login *login, const struct keys_pair *pairs,
                                  unsigned count);
