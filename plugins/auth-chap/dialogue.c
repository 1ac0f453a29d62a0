/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One login's CHAP (RFC 7143 12.1.3, RFC 1994). Two rounds:
 *
 *   initiator CHAP_A=list                          we CHAP_A, CHAP_I, CHAP_C
 *   initiator CHAP_N, CHAP_R [, CHAP_I, CHAP_C]    accepted [, CHAP_N, CHAP_R]
 *
 * We answer the initiator's challenge only after it has answered ours, and never one that is ours.
 * Secrets of both directions differ (chap.c sees to it), so our own response given back is wrong.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binary.h"
#include "chap.h"

#define PEER_CHALLENGE_MAX 1024

enum round { ROUND_ALGORITHM, ROUND_RESPONSE, ROUND_OVER };

struct conversation {
    const struct chap *chap;
    enum round round;
    enum digest digest;
    struct challenge challenge;
    /* Texts of replies: they must live until the next round. */
    char number[4], identifier[4];
    char challenge_text[2 * CHALLENGE_BYTES + 3];
    char response_text[2 * DIGEST_BYTES_MAX + 3];
};

/* The keys of one request, by name; NULL: not sent. */
struct sent {
    const char *algorithms, *name, *response, *identifier, *challenge;
};

int32_t dialogue_start(void *handle, struct hf_auth *auth, const struct hf_auth_peer *peer,
                       void **ret_conversation)
{
    (void)auth;
    (void)peer;
    struct conversation *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->chap = handle;
    *ret_conversation = c;
    return 0;
}

void dialogue_end(void *conversation)
{
    struct conversation *c = conversation;
    challenge_forget(&c->challenge);
    explicit_bzero(c, sizeof(*c));
    free(c);
}

__attribute__((format(printf, 4, 5))) static uint32_t refuse(struct conversation *c,
                                                             struct hf_auth_reply *reply,
                                                             uint32_t result, const char *format,
                                                             ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply->reason, sizeof(reply->reason), format, arguments);
    va_end(arguments);
    reply->key_count = 0;
    c->round = ROUND_OVER;
    return result;
}

static void answer(struct hf_auth_reply *reply, const char *name, const char *value)
{
    reply->keys[reply->key_count++] = (struct hf_key){ .name = name, .value = value };
}

static struct sent sort_keys(const struct hf_auth_request *request)
{
    struct sent sent = { NULL };
    const struct {
        const char *name, **value;
    } keys[] = { { "CHAP_A", &sent.algorithms },
                 { "CHAP_N", &sent.name },
                 { "CHAP_R", &sent.response },
                 { "CHAP_I", &sent.identifier },
                 { "CHAP_C", &sent.challenge } };
    for (uint32_t i = 0; i < request->key_count; i++)
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
            if (strcmp(request->keys[i].name, keys[k].name) == 0)
                *keys[k].value = request->keys[i].value;
    return sent;
}

/* A decimal or 0x number up to 255 that fills the text; -1: it is none. */
static int small_number(const char *text, size_t chars)
{
    char copy[8], *end;
    if (chars == 0 || chars >= sizeof(copy) || text[0] < '0' || text[0] > '9')
        return -1;
    memcpy(copy, text, chars);
    copy[chars] = '\0';
    bool hex = copy[0] == '0' && (copy[1] == 'x' || copy[1] == 'X');
    if (hex && strspn(copy + 2, "0123456789abcdefABCDEF") != chars - 2)
        return -1;
    long value = strtol(copy, &end, hex ? 16 : 10);
    return *end == '\0' && value <= 255 ? (int)value : -1;
}

/* ---- first round ---- */

/* The first of the initiator's list that is known and allowed: the order is the initiator's. */
static bool choose_digest(struct conversation *c, const char *list)
{
    for (const char *item = list; item;) {
        const char *comma = strchr(item, ',');
        int number = small_number(item, comma ? (size_t)(comma - item) : strlen(item));
        for (unsigned d = 0; d < DIGEST_COUNT; d++) {
            if (c->chap->allowed[d] && number == (int)digest_number(d)) {
                c->digest = d;
                return true;
            }
        }
        item = comma ? comma + 1 : NULL;
    }
    return false;
}

static uint32_t algorithm_round(struct conversation *c, const struct sent *sent,
                                struct hf_auth_reply *reply)
{
    if (sent->name || sent->response || sent->identifier || sent->challenge)
        return refuse(c, reply, HF_AUTH_REJECT_FOREIGN, "CHAP: a key that does not go with CHAP_A");
    if (!sent->algorithms)
        return refuse(c, reply, HF_AUTH_REJECT_MISSING, "CHAP: no CHAP_A");
    if (!choose_digest(c, sent->algorithms))
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: no algorithm in common");
    if (challenge_make(&c->challenge) < 0)
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: no random numbers");
    snprintf(c->number, sizeof(c->number), "%u", digest_number(c->digest));
    snprintf(c->identifier, sizeof(c->identifier), "%u", c->challenge.identifier);
    binary_encode(c->challenge.bytes, CHALLENGE_BYTES, c->challenge_text);
    answer(reply, "CHAP_A", c->number);
    answer(reply, "CHAP_I", c->identifier);
    answer(reply, "CHAP_C", c->challenge_text);
    c->round = ROUND_RESPONSE;
    return HF_AUTH_CONTINUE;
}

/* ---- second round ---- */

static bool equal_in_constant_time(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint8_t difference = 0;
    for (size_t i = 0; i < bytes; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

/* Looks at all users, whichever it is. */
static const struct chap_user *find_user(const struct chap_config *config, const char *name)
{
    const struct chap_user *users = config->users.items, *found = NULL;
    for (uint32_t i = 0; i < config->users.count; i++)
        if (strcmp(users[i].name, name) == 0)
            found = &users[i];
    return found;
}

/* True when the response is the right one for that user. An unknown user costs as much as a known. */
static bool response_is_right(const struct conversation *c, const struct chap_user *user,
                              const uint8_t *response)
{
    static const uint8_t nobody[16];
    uint8_t expected[DIGEST_BYTES_MAX];
    const uint8_t *secret = user ? user->secret.data : nobody;
    size_t secret_bytes = user ? user->secret.bytes : sizeof(nobody);
    digest_response(c->digest, c->challenge.identifier, secret, secret_bytes, c->challenge.bytes,
                    CHALLENGE_BYTES, expected);
    bool equal = equal_in_constant_time(expected, response, digest_bytes(c->digest));
    explicit_bzero(expected, sizeof(expected));
    return equal && user;
}

/* The other direction: the initiator asks who we are. */
static uint32_t prove_ourselves(struct conversation *c, const struct sent *sent,
                                struct hf_auth_reply *reply)
{
    const struct chap_user *self = c->chap->config->mutual;
    uint8_t challenge[PEER_CHALLENGE_MAX], response[DIGEST_BYTES_MAX];
    size_t bytes;
    int identifier = small_number(sent->identifier, strlen(sent->identifier));
    if (!self)
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: mutual authentication is not configured");
    if (identifier < 0 || binary_decode(sent->challenge, challenge, sizeof(challenge), &bytes) < 0)
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: CHAP_I or CHAP_C is no legal value");
    if (challenge_is_ours(challenge, bytes))
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: the challenge is one of ours given back");
    digest_response(c->digest, (uint8_t)identifier, self->secret.data, self->secret.bytes,
                    challenge, bytes, response);
    binary_encode(response, digest_bytes(c->digest), c->response_text);
    answer(reply, "CHAP_N", self->name);
    answer(reply, "CHAP_R", c->response_text);
    return HF_AUTH_ACCEPT;
}

static uint32_t response_round(struct conversation *c, const struct sent *sent,
                               struct hf_auth_reply *reply)
{
    uint8_t response[DIGEST_BYTES_MAX] = { 0 };
    size_t bytes = 0;
    if (sent->algorithms)
        return refuse(c, reply, HF_AUTH_REJECT_FOREIGN, "CHAP: CHAP_A twice");
    if (!sent->name || !sent->response)
        return refuse(c, reply, HF_AUTH_REJECT_MISSING, "CHAP: no %s",
                      sent->name ? "CHAP_R" : "CHAP_N");
    if (!sent->identifier != !sent->challenge)
        return refuse(c, reply, HF_AUTH_REJECT_MISSING, "CHAP: no %s",
                      sent->identifier ? "CHAP_C" : "CHAP_I");
    if (binary_decode(sent->response, response, sizeof(response), &bytes) < 0 ||
        bytes != digest_bytes(c->digest))
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: CHAP_R is no value of the right length");
    const struct chap_user *user = find_user(c->chap->config, sent->name);
    bool right = response_is_right(c, user, response);
    if (!user) /* and not its name: it goes into a log line */
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: unknown user");
    if (!right)
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: wrong response for user %s", user->name);
    snprintf(reply->identity, sizeof(reply->identity), "%s", user->name);
    c->round = ROUND_OVER;
    return sent->challenge ? prove_ourselves(c, sent, reply) : HF_AUTH_ACCEPT;
}

uint32_t dialogue_step(void *conversation, const struct hf_auth_request *request,
                       struct hf_auth_reply *reply)
{
    struct conversation *c = conversation;
    struct sent sent = sort_keys(request);
    switch (c->round) {
    case ROUND_ALGORITHM:
        return algorithm_round(c, &sent, reply);
    case ROUND_RESPONSE:
        return response_round(c, &sent, reply);
    default:
        return refuse(c, reply, HF_AUTH_REJECT, "CHAP: nothing is left to say");
    }
}
