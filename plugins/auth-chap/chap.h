/* SPDX-License-Identifier: BSD-3-Clause */
/* What chap.c (the plugin) and dialogue.c (one login) share. */
#pragma once

#include <holdfast/auth.h>
#include <stdbool.h>

#include "challenge.h"
#include "digest.h"

/* Filled by the option tables. */
struct chap_user {
    const char *name;
    struct hf_secret secret;
};

struct chap_config {
    struct hf_list users; /* of struct chap_user */
    const struct chap_user
        *mutual;               /* who we are, when the initiator asks; NULL: we are not asked */
    struct hf_list algorithms; /* of uint32_t, enum digest; none: all */
};

/* One entry of `auth:`. */
struct chap {
    const struct chap_config *config;
    bool allowed[DIGEST_COUNT];
};

uint32_t dialogue_step(void *conversation, const struct hf_auth_request *request,
                       struct hf_auth_reply *reply);
int32_t dialogue_start(void *handle, struct hf_auth *auth, const struct hf_auth_peer *peer,
                       void **ret_conversation);
void dialogue_end(void *conversation);
