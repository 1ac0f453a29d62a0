/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our challenges of conversations under way, of all `auth` entries. An initiator that gives one of
 * them back as its own wants us to compute the response for it (RFC 7143 9.2.1: reflection). Login
 * thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHALLENGE_BYTES 32

struct challenge {
    uint8_t bytes[CHALLENGE_BYTES];
    uint8_t identifier;
    struct challenge *next, **link; /* link NULL: not made yet */
};

/* A new random one, kept until challenge_forget(); 0 or negative errno. */
int challenge_make(struct challenge *challenge);
/* May be called for one that was never made (zeroed). */
void challenge_forget(struct challenge *challenge);
bool challenge_is_ours(const uint8_t *bytes, size_t count);
