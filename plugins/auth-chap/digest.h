/* SPDX-License-Identifier: BSD-3-Clause */
/* The hash algorithms of CHAP, by their IANA number ("PPP Authentication Algorithms"). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES_MAX 32

/* In the order of the option's words. */
enum digest { DIGEST_SHA3_256, DIGEST_SHA256, DIGEST_SHA1, DIGEST_MD5, DIGEST_COUNT };

extern const char *const digest_words[]; /* for YAML; ended by NULL */

unsigned digest_number(enum digest digest); /* 8, 7, 6, 5 */
size_t digest_bytes(enum digest digest);
/* RFC 1994 4.1: hash of identifier, secret, challenge; digest_bytes() bytes. */
void digest_response(enum digest digest, uint8_t identifier, const uint8_t *secret,
                     size_t secret_bytes, const uint8_t *challenge, size_t challenge_bytes,
                     uint8_t *out);
