/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An auth plugin: the initiator has to know a word (method X-org.example.word, key X-org.example.word=…).
 * It goes over the wire in clear, so this is an example, not a protection.
 */
#include <holdfast/auth.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "X-org.example.word"

struct config {
    struct hf_secret word;
};

/* What open() returns, and what a conversation points to. */
struct lock {
    const struct config *config;
};

struct conversation {
    const struct lock *lock;
    const struct hf_auth_peer *peer;
    uint32_t asked;
};

static const struct hf_host *host;

static const struct hf_option options[] = {
    {
        .size = sizeof(struct hf_option),
        .type = HF_OPTION_SECRET, /* word-file: PATH, or word: TEXT */
        .name = "word",
        .help = "what an initiator has to say",
        .flags = HF_OPTION_REQUIRED,
        .min = 8,
        .max = 255,
        .offset = offsetof(struct config, word),
    },
    { .size = 0 },
};

static int32_t word_open(const void *config, void **ret_handle, struct hf_error *error)
{
    struct lock *lock = calloc(1, sizeof(*lock));
    if (!lock)
        return host->fail(error, ENOMEM, "no memory");
    lock->config = config;
    *ret_handle = lock;
    return 0;
}

static int32_t word_start(void *handle, struct hf_auth *auth, const struct hf_auth_peer *peer,
                          void **ret_conversation)
{
    struct conversation *talk = calloc(1, sizeof(*talk));
    if (!talk)
        return -ENOMEM;
    talk->lock = handle;
    talk->peer = peer;
    *ret_conversation = talk;
    return 0;
}

/* Takes as long for a wrong word as for the right one. */
static int is_the_word(const struct hf_secret *word, const char *said)
{
    size_t length = strlen(said);
    unsigned char differs = length != word->bytes;
    for (uint32_t i = 0; i < word->bytes; i++)
        differs |= word->data[i] ^ (unsigned char)said[length ? i % length : 0];
    return !differs;
}

static uint32_t word_step(void *conversation, const struct hf_auth_request *request,
                          struct hf_auth_reply *reply)
{
    struct conversation *talk = conversation;
    if (request->key_count == 0 && !talk->asked) {
        talk->asked = 1;
        return HF_AUTH_CONTINUE; /* an empty answer: go on, say it */
    }
    if (request->key_count != 1 || strcmp(request->keys[0].name, KEY) != 0)
        return HF_AUTH_REJECT_MISSING;
    if (!is_the_word(&talk->lock->config->word, request->keys[0].value)) {
        snprintf(reply->reason, sizeof(reply->reason), "wrong word");
        return HF_AUTH_REJECT;
    }
    snprintf(reply->identity, sizeof(reply->identity), "%s", talk->peer->initiator_name);
    return HF_AUTH_ACCEPT;
}

static int32_t word_load(const struct hf_host *the_host, struct hf_error *error)
{
    host = the_host;
    return 0;
}

static const char *const keys[] = { KEY, NULL };

static const struct hf_auth_ops ops = {
    .size = sizeof(ops),
    .method = KEY,
    .keys = keys,
    .open = word_open,
    .close = free,
    .start = word_start,
    .step = word_step,
    .end = free,
};

HF_EXPORT const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_AUTH,
        .name = "word",
        .version = "1.0",
        .summary = "an initiator has to know a word",
        .options = options,
        .config_bytes = sizeof(struct config),
        .ops = &ops,
        .load = word_load,
    };
    return &plugin;
}
