/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins of kind auth: whatever an initiator says, nobody gets in by saying nothing or nonsense, and
 * no answer has a key that is not of the method. What somebody with the right secret is told, only the
 * author can test.
 */
#include "kit.h"

#include <glib.h>
#include <string.h>

#define CONVERSATIONS 64
#define VALUE_MAX     8191

struct talk {
    void *handle, *conversation;
    struct plugin_config *config;
};

static const struct hf_auth_ops *ops(void)
{
    return &kit.lun.plugin->auth;
}

static struct talk open_auth(void)
{
    struct hf_error error = PLUGIN_ERROR_INIT;
    struct talk talk = { NULL };
    kit_load();
    if (rig_config(&kit.lun, &talk.config, &error) < 0)
        kit_finding("options-refused", "%s", error.text);
    if (ops()->open(plugin_config_data(talk.config), &talk.handle, &error) != 0)
        kit_finding("open-failed", "%s", error.text);
    return talk;
}

static void close_auth(struct talk *talk)
{
    ops()->close(talk->handle);
    plugin_config_free(talk->config);
}

static void start(struct talk *talk)
{
    static const struct hf_auth_peer peer = { .size = sizeof(peer),
                                              .initiator_name = "iqn.2026-11.org.example:kit",
                                              .target_name = "iqn.2026-11.org.example:disk",
                                              .address = "192.0.2.7:51234" };
    /* The name for auth_resume(): the kit never resumes, a step that waits is left waiting. */
    if (ops()->start(talk->handle, (struct hf_auth *)talk, &peer, &talk->conversation) != 0)
        kit_finding("start-failed", "a conversation does not begin");
}

static bool is_of_the_method(const char *name)
{
    for (const char *const *key = ops()->keys; *key; key++)
        if (strcmp(*key, name) == 0)
            return true;
    return false;
}

static void judge_reply(const struct hf_auth_reply *reply)
{
    if (reply->key_count > HF_AUTH_KEYS_MAX)
        kit_finding("foreign-key", "an answer with %u keys", reply->key_count);
    for (uint32_t i = 0; i < reply->key_count; i++) {
        const struct hf_key *key = &reply->keys[i];
        if (!key->name || !is_of_the_method(key->name))
            kit_finding("foreign-key", "an answer with the key %s", key->name ? key->name : "NULL");
        if (!key->value || strlen(key->value) > VALUE_MAX)
            kit_finding("foreign-key", "the value of %s is missing or too long", key->name);
    }
}

/* One round; true while the conversation goes on. */
static bool step(struct talk *talk, const struct hf_key *keys, uint32_t count)
{
    const struct hf_auth_request request = { .size = sizeof(request),
                                             .key_count = count,
                                             .keys = keys };
    struct hf_auth_reply reply = { .size = sizeof(reply) };
    uint32_t said = ops()->step(talk->conversation, &request, &reply);
    if (said == HF_AUTH_ACCEPT)
        kit_finding("accepts-nothing", "an initiator is accepted that has said nothing right");
    if (said > HF_AUTH_REJECT_FOREIGN)
        kit_finding("bad-result", "step() returned %u", said);
    judge_reply(&reply);
    return said == HF_AUTH_CONTINUE;
}

static void open_and_close_often(void)
{
    struct talk talk = open_auth();
    close_auth(&talk);
    unsigned files = kit_count("/proc/self/fd");
    for (int i = 0; i < 20; i++) {
        talk = open_auth();
        start(&talk);
        ops()->end(talk.conversation);
        close_auth(&talk);
    }
    if (kit_count("/proc/self/fd") >= files + 20)
        kit_finding("leaked-descriptor", "20 times open and close left descriptors open");
}

static void nothing_is_not_enough(void)
{
    struct talk talk = open_auth();
    start(&talk);
    for (int i = 0; i < 8 && step(&talk, NULL, 0); i++)
        ;
    ops()->end(talk.conversation);
    close_auth(&talk);
}

static char *nonsense(GRand *random)
{
    size_t length = (size_t)g_rand_int_range(random, 0, g_rand_int_range(random, 1, VALUE_MAX));
    char *text = g_malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)g_rand_int_range(random, 1, 256);
    text[length] = '\0';
    return text;
}

static bool step_with_nonsense(struct talk *talk, GRand *random)
{
    struct hf_key keys[HF_AUTH_KEYS_MAX];
    uint32_t count = 0;
    for (const char *const *key = ops()->keys; *key && count < HF_AUTH_KEYS_MAX; key++)
        if (g_rand_boolean(random))
            keys[count++] = (struct hf_key){ *key, nonsense(random) };
    bool goes_on = step(talk, keys, count);
    for (uint32_t i = 0; i < count; i++)
        g_free((char *)keys[i].value);
    return goes_on;
}

static void nonsense_side_by_side(void)
{
    GRand *random = g_rand_new_with_seed(1);
    struct talk talk = open_auth(), talks[CONVERSATIONS];
    bool goes_on[CONVERSATIONS];
    for (int i = 0; i < CONVERSATIONS; i++) {
        talks[i] = talk;
        start(&talks[i]);
        goes_on[i] = true;
    }
    for (int round = 0; round < 16; round++)
        for (int i = 0; i < CONVERSATIONS; i++)
            goes_on[i] = goes_on[i] && step_with_nonsense(&talks[i], random);
    for (int i = 0; i < CONVERSATIONS; i++)
        ops()->end(talks[i].conversation);
    close_auth(&talk);
    g_rand_free(random);
}

static const struct kit_case cases[] = {
    { "/auth/open-and-close-often", open_and_close_often },
    { "/auth/to-say-nothing-is-not-enough", nothing_is_not_enough },
    { "/auth/nonsense-in-conversations-side-by-side", nonsense_side_by_side },
};

void kit_add_auth_cases(void)
{
    kit_add(cases, G_N_ELEMENTS(cases));
}
