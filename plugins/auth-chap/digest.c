/* SPDX-License-Identifier: BSD-3-Clause */
#include "digest.h"

#include <nettle/md5.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/sha3.h>
#include <string.h>

const char *const digest_words[] = { "sha3-256", "sha256", "sha1", "md5", NULL };

static const struct {
    unsigned number;
    const struct nettle_hash *hash;
} digests[DIGEST_COUNT] = {
    [DIGEST_SHA3_256] = { 8, &nettle_sha3_256 },
    [DIGEST_SHA256] = { 7, &nettle_sha256 },
    [DIGEST_SHA1] = { 6, &nettle_sha1 },
    [DIGEST_MD5] = { 5, &nettle_md5 },
};

union any_ctx {
    struct sha3_256_ctx sha3_256;
    struct sha256_ctx sha256;
    struct sha1_ctx sha1;
    struct md5_ctx md5;
};

unsigned digest_number(enum digest digest)
{
    return digests[digest].number;
}

size_t digest_bytes(enum digest digest)
{
    return digests[digest].hash->digest_size;
}

void digest_response(enum digest digest, uint8_t identifier, const uint8_t *secret,
                     size_t secret_bytes, const uint8_t *challenge, size_t challenge_bytes,
                     uint8_t *out)
{
    const struct nettle_hash *hash = digests[digest].hash;
    union any_ctx ctx;
    hash->init(&ctx);
    hash->update(&ctx, 1, &identifier);
    hash->update(&ctx, secret_bytes, secret);
    hash->update(&ctx, challenge_bytes, challenge);
    hash->digest(&ctx, hash->digest_size, out);
    explicit_bzero(&ctx, sizeof(ctx));
}
