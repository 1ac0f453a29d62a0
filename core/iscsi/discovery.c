/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text exchanges and SendTargets: see discovery.h. An exchange is open from a Text Request with the
 * reserved TTT until our response with F=1; in between the TTT that we chose names it.
 */
#include "iscsi/discovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define TEXT_FIRST_TTT 1u
#define TEXT_GROW      8192u
#define TEXT_SEGMENT   (64u << 10) /* of a reply, at most, whatever the initiator takes */
/* What the keys other than SendTargets can need: a long key and NotUnderstood for each. */
#define TEXT_ANSWERS_MAX (KEYS_MAX * (KEYS_NAME_MAX + sizeof("=NotUnderstood")))

struct text_targets {
    struct text *text;
};

void text_init(struct text *text, const struct text_ops *ops, void *user, const char *own_target,
               const struct iscsi_params *params)
{
    memset(text, 0, sizeof(*text));
    text->ops = ops;
    text->user = user;
    text->discovery = own_target == NULL;
    text->own_target = own_target;
    text->in_force = *params;
    text->params.result = *params;
    text->ttt = TEXT_FIRST_TTT;
}

static void forget(struct text *text)
{
    free(text->in);
    free(text->out);
    text->in = text->out = NULL;
    text->in_bytes = text->in_size = text->out_bytes = text->out_size = text->out_sent = 0;
    text->running = text->out_open = text->out_failed = false;
}

void text_fini(struct text *text)
{
    forget(text);
}

const struct iscsi_params *text_params(const struct text *text)
{
    return &text->in_force;
}

static enum text_action reject(struct text *text, uint8_t reason, const char *problem)
{
    forget(text);
    text->reject_reason = reason;
    text->problem = problem;
    return TEXT_REJECT;
}

/* Makes room for `more` bytes within `limit`; doubles, so that a long list costs little. */
static int reserve(char **buffer, uint32_t *size, uint32_t used, uint32_t more, uint32_t limit)
{
    if (more > limit - used)
        return -E2BIG;
    if (used + more <= *size)
        return 0;
    uint32_t wanted = *size ? *size * 2 : TEXT_GROW;
    while (wanted < used + more)
        wanted *= 2;
    char *grown = realloc(*buffer, wanted);
    if (!grown)
        return -ENOMEM;
    *buffer = grown;
    *size = wanted;
    return 0;
}

/* ---- the answer ---- */

static void answer(struct text *text, const char *name, const char *value)
{
    uint32_t need = (uint32_t)(strlen(name) + strlen(value) + 2);
    if (text->out_failed ||
        reserve(&text->out, &text->out_size, text->out_bytes, need, TEXT_REPLY_MAX) < 0) {
        text->out_failed = true;
        return;
    }
    struct keys_writer out = { .text = text->out, .size = text->out_size, .used = text->out_bytes };
    keys_put(&out, name, value);
    text->out_bytes = out.used;
}

void discovery_target(struct text_targets *sink, const char *name)
{
    answer(sink->text, "TargetName", name);
}

void discovery_address(struct text_targets *sink, const char *address, uint16_t tag)
{
    char value[KEYS_VALUE_MAX + 1];
    snprintf(value, sizeof(value), "%s,%u", address, tag);
    answer(sink->text, "TargetAddress", value);
}

/*
 * Appendix C. On a normal session "All" is refused by the letter, but initiators and libiscsi's
 * tests expect what it can mean there: the session's own target. The configuration decides.
 */
static void send_targets(struct text *text, const char *value)
{
    struct text_targets sink = { .text = text };
    char name[ISCSI_NAME_MAX + 1];
    const char *problem;
    bool all = strcmp(value, "All") == 0;
    bool rejects = all && text->ops->rejects_all && text->ops->rejects_all(text->user);
    bool own = value[0] == '\0' || (all && !rejects);
    bool is_name = !own && iscsi_name_normalise(value, name, &problem) == 0;
    if (text->discovery && all)
        text->ops->send_targets(text->user, NULL, &sink);
    else if (text->discovery && is_name)
        text->ops->send_targets(text->user, name, &sink);
    else if (!text->discovery && (own || (is_name && strcmp(name, text->own_target) == 0)))
        text->ops->send_targets(text->user, text->own_target, &sink);
    else
        answer(text, "SendTargets", "Reject");
}

/* 4.3: a discovery session is for SendTargets; other keys mean nothing there. */
static void discovery_keys(struct text *text, const struct keys *keys)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct keys_pair *pair = &keys->pair[i];
        bool known = params_kind(pair->name) != PARAMS_UNKNOWN;
        if (strcmp(pair->name, "SendTargets") != 0)
            answer(text, pair->name, known ? "Irrelevant" : "NotUnderstood");
    }
}

static int session_keys(struct text *text, const struct keys *keys)
{
    const char *key;
    if (reserve(&text->out, &text->out_size, text->out_bytes, TEXT_ANSWERS_MAX, TEXT_REPLY_MAX) < 0)
        return -ENOMEM;
    struct keys_writer out = { .text = text->out, .size = text->out_size, .used = text->out_bytes };
    int r = params_receive(&text->params, keys, &out, &key);
    text->out_bytes = out.used;
    return r < 0 ? r : out.overflow ? -ENOMEM : 0;
}

/* The keys of a whole text, without SendTargets, to the table that knows them. */
static int other_keys(struct text *text, struct keys *keys)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < keys->count; i++)
        if (strcmp(keys->pair[i].name, "SendTargets") != 0)
            keys->pair[kept++] = keys->pair[i];
    keys->count = kept;
    if (!text->discovery)
        return kept ? session_keys(text, keys) : 0;
    discovery_keys(text, keys);
    return 0;
}

/* ---- the PDUs ---- */

static enum text_action reply(struct text *text, uint8_t flags, uint32_t bytes)
{
    uint8_t *bhs = text->reply_bhs;
    bool final = (flags & ISCSI_FINAL) != 0;
    memset(bhs, 0, ISCSI_BHS_BYTES);
    bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_TEXT_RESPONSE;
    bhs[ISCSI_BHS_FLAGS] = flags;
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    put_be32(bhs + ISCSI_BHS_ITT, text->itt);
    put_be32(bhs + ISCSI_BHS_TTT, final ? ISCSI_TAG_NONE : text->ttt);
    text->reply_data = text->out ? text->out + text->out_sent : NULL;
    text->reply_bytes = bytes;
    text->reply_final = final;
    text->out_sent += bytes;
    if (final) {
        /* 13.12: a new value holds when the exchange has ended. */
        text->in_force = text->params.result;
        text->running = false;
    }
    return TEXT_REPLY;
}

static enum text_action reply_part(struct text *text, bool request_final)
{
    uint32_t left = text->out_bytes - text->out_sent, limit = text->in_force.initiator_max_recv;
    if (limit > TEXT_SEGMENT)
        limit = TEXT_SEGMENT;
    text->out_open = left > limit;
    if (text->out_open)
        return reply(text, ISCSI_TEXT_CONTINUE, limit);
    /* 11.11.1: F=1 only in answer to F=1. */
    return reply(text, request_final ? ISCSI_FINAL : 0, left);
}

static enum text_action whole_text(struct text *text, bool request_final)
{
    struct keys keys;
    text->out_bytes = text->out_sent = 0;
    if (keys_decode(text->in, text->in_bytes, &keys) < 0 || keys_find_double(&keys))
        return reject(text, ISCSI_REJECT_PROTOCOL, "text is not a set of key=value pairs");
    const char *targets = keys_find(&keys, "SendTargets");
    if (targets)
        send_targets(text, targets);
    int r = other_keys(text, &keys);
    if (r == -EPROTO)
        return reject(text, ISCSI_REJECT_PROTOCOL, "negotiation against the rules");
    if (r < 0 || text->out_failed)
        return reject(text, ISCSI_REJECT_LONG_OPERATION, "answer too long");
    text->in_bytes = 0;
    return reply_part(text, request_final);
}

/* Opens an exchange, or finds the request to be part of the open one; NULL or what is wrong. */
static const char *place_request(struct text *text, const uint8_t *bhs)
{
    uint32_t itt = get_be32(bhs + ISCSI_BHS_ITT), ttt = get_be32(bhs + ISCSI_BHS_TTT);
    uint8_t flags = bhs[ISCSI_BHS_FLAGS];
    if (itt == ISCSI_TAG_NONE)
        return "the reserved initiator task tag";
    if ((flags & ISCSI_FINAL) && (flags & ISCSI_TEXT_CONTINUE))
        return "F and C bits together";
    if (ttt != ISCSI_TAG_NONE)
        return text->running && ttt == text->ttt && itt == text->itt ? NULL
                                                                     : "no such text exchange";
    /* 11.10.4: the reserved TTT starts anew, whatever was under way. */
    forget(text);
    text->running = true;
    text->itt = itt;
    text->ttt = text->ttt + 1 == ISCSI_TAG_NONE ? TEXT_FIRST_TTT : text->ttt + 1;
    params_init_text(&text->params, &text->in_force);
    return NULL;
}

enum text_action text_receive(struct text *text, const uint8_t bhs[ISCSI_BHS_BYTES],
                              const uint8_t *data, uint32_t data_bytes)
{
    bool final = (bhs[ISCSI_BHS_FLAGS] & ISCSI_FINAL) != 0;
    bool more = (bhs[ISCSI_BHS_FLAGS] & ISCSI_TEXT_CONTINUE) != 0;
    const char *problem = place_request(text, bhs);
    if (problem)
        return reject(text, ISCSI_REJECT_PROTOCOL, problem);
    if (text->out_open) {
        if (data_bytes > 0 || more)
            return reject(text, ISCSI_REJECT_PROTOCOL, "text before the answer was complete");
        return reply_part(text, final);
    }
    if (reserve(&text->in, &text->in_size, text->in_bytes, data_bytes, TEXT_REQUEST_MAX) < 0)
        return reject(text, ISCSI_REJECT_LONG_OPERATION, "text too long");
    if (data_bytes > 0)
        memcpy(text->in + text->in_bytes, data, data_bytes);
    text->in_bytes += data_bytes;
    if (more) {
        text->out_bytes = text->out_sent = 0;
        return reply(text, 0, 0);
    }
    return whole_text(text, final);
}
