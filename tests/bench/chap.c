/* SPDX-License-Identifier: BSD-3-Clause */
/* The initiator's side of CHAP (RFC 1994, RFC 7143 12.1.3), MD5 and one way: what every target knows. */
#include "load.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MD5_BYTES 16u

/* The value of a key in a text of `bytes`, or NULL. */
static const char *value_of(const char *text, uint32_t bytes, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = text, *end = text + bytes; at < end;
         at += strnlen(at, (size_t)(end - at)) + 1)
        if (!strncmp(at, name, n) && at[n] == '=')
            return at + n + 1;
    return NULL;
}

/* "0x…" to bytes; 0: not of that form, or too long. */
static size_t from_hex(const char *text, uint8_t *to, size_t room)
{
    size_t n = 0;

    if (strncmp(text, "0x", 2) && strncmp(text, "0X", 2))
        return 0;
    for (text += 2; text[0] && text[1]; text += 2) {
        if (n == room || !g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]))
            return 0;
        to[n++] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
    return n;
}

bool chap_answer(struct conn *c, char *to, size_t room)
{
    const char *text = (const char *)c->text;
    const char *id = value_of(text, c->rx.data, "CHAP_I");
    const char *challenge = value_of(text, c->rx.data, "CHAP_C");
    const char *secret = strchr(opt.chap, ':') + 1;
    uint8_t bytes[1024], first, digest[MD5_BYTES];
    size_t n = challenge ? from_hex(challenge, bytes, sizeof(bytes)) : 0, at;
    gsize digest_bytes = sizeof(digest);

    if (!id || !n)
        return fail(c, "login: no CHAP challenge that we understand");
    first = (uint8_t)strtoul(id, NULL, 0);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_MD5);
    g_checksum_update(sum, &first, 1);
    g_checksum_update(sum, (const guchar *)secret, (gssize)strlen(secret));
    g_checksum_update(sum, bytes, (gssize)n);
    g_checksum_get_digest(sum, digest, &digest_bytes);
    g_checksum_free(sum);
    at = (size_t)snprintf(to, room, "CHAP_N=%.*s%cCHAP_R=0x", (int)(secret - 1 - opt.chap),
                          opt.chap, 0);
    for (unsigned i = 0; i < MD5_BYTES && at + 3 < room; i++)
        at += (size_t)snprintf(to + at, room - at, "%02x", digest[i]);
    c->chap_bytes = (uint32_t)at + 1;
    return true;
}
