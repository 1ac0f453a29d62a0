/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Auth plugin "chap": who may log in, by a secret that both sides know and neither sends. This file
 * is the plugin and its configuration; dialogue.c is the protocol.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chap.h"

/* RFC 7143 9.2.1: 96 bits at least. */
#define SECRET_BYTES_SHORT 12
#define SECRET_BYTES_MAX   255
#define NAME_BYTES_MAX     255
#define USERS_MAX          1024

static const struct hf_host *host;

static const struct hf_option user_options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_STRING,
      .name = "name",
      .help = "the name that goes with the secret (CHAP_N), taken as it is",
      .change = HF_CHANGE_LIVE,
      .flags = HF_OPTION_REQUIRED,
      .min = 1,
      .max = NAME_BYTES_MAX,
      .offset = offsetof(struct chap_user, name) },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_SECRET,
      .name = "secret",
      .help = "the secret; 12 to 16 random bytes or more",
      .change = HF_CHANGE_LIVE,
      .flags = HF_OPTION_REQUIRED,
      .min = 1,
      .max = SECRET_BYTES_MAX,
      .offset = offsetof(struct chap_user, secret) },
    { .size = 0 },
};

static const struct hf_option options[] = {
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_LIST,
      .name = "users",
      .help = "initiators that may log in",
      .change = HF_CHANGE_LIVE,
      .flags = HF_OPTION_REQUIRED,
      .min = 1,
      .max = USERS_MAX,
      .offset = offsetof(struct chap_config, users),
      .table = user_options,
      .table_bytes = sizeof(struct chap_user),
      .item_type = HF_OPTION_TABLE },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_TABLE,
      .name = "mutual",
      .help = "how the target proves itself to an initiator that asks for it",
      .change = HF_CHANGE_LIVE,
      .offset = offsetof(struct chap_config, mutual),
      .table = user_options,
      .table_bytes = sizeof(struct chap_user) },
    { .size = sizeof(struct hf_option),
      .type = HF_OPTION_LIST,
      .name = "algorithms",
      .help = "hash algorithms accepted, all by default; of these the initiator's first is used",
      .change = HF_CHANGE_LIVE,
      .min = 1,
      .max = DIGEST_COUNT,
      .offset = offsetof(struct chap_config, algorithms),
      .choices = digest_words,
      .item_type = HF_OPTION_CHOICE },
    { .size = 0 },
};

static int same_secret(const struct hf_secret *a, const struct hf_secret *b)
{
    return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static int32_t chap_validate(const void *config, struct hf_error *error)
{
    const struct chap_config *c = config;
    const struct chap_user *users = c->users.items;
    for (uint32_t i = 0; i < c->users.count; i++) {
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(users[i].name, users[j].name) == 0)
                return host->fail(error, EINVAL, "users: \"%s\" twice", users[i].name);
        /* RFC 7143 9.2.1: else a response of one direction would do for the other. */
        if (c->mutual && same_secret(&users[i].secret, &c->mutual->secret))
            return host->fail(error, EINVAL, "mutual: the secret is also that of user \"%s\"",
                              users[i].name);
    }
    return 0;
}

static void warn_if_short(const char *what, const struct chap_user *user)
{
    if (user->secret.bytes < SECRET_BYTES_SHORT)
        host->log(host, HF_LOG_WARNING, "%s \"%s\": secret is shorter than %d bytes", what,
                  user->name, SECRET_BYTES_SHORT);
}

static int32_t use_config(struct chap *chap, const struct chap_config *config,
                          struct hf_error *error)
{
    const struct chap_user *users = config->users.items;
    const uint32_t *algorithms = config->algorithms.items;
    int32_t r = chap_validate(config, error);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < config->users.count; i++)
        warn_if_short("user", &users[i]);
    if (config->mutual)
        warn_if_short("mutual", config->mutual);
    for (unsigned d = 0; d < DIGEST_COUNT; d++)
        chap->allowed[d] = config->algorithms.count == 0;
    for (uint32_t i = 0; i < config->algorithms.count; i++)
        if (algorithms[i] < DIGEST_COUNT)
            chap->allowed[algorithms[i]] = true;
    chap->config = config;
    return 0;
}

static int32_t chap_open(const void *config, void **ret_handle, struct hf_error *error)
{
    struct chap *chap = calloc(1, sizeof(*chap));
    if (!chap)
        return host->fail(error, ENOMEM, "no memory");
    int32_t r = use_config(chap, config, error);
    if (r < 0) {
        free(chap);
        return r;
    }
    *ret_handle = chap;
    return 0;
}

static int32_t chap_update(void *handle, const void *config, struct hf_error *error)
{
    return use_config(handle, config, error);
}

static void chap_close(void *handle)
{
    free(handle);
}

static int32_t chap_load(const struct hf_host *the_host, struct hf_error *error)
{
    (void)error;
    host = the_host;
    return 0;
}

static const char *const keys[] = { "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R", NULL };

static const struct hf_auth_ops ops = {
    .size = sizeof(struct hf_auth_ops),
    .method = "CHAP",
    .keys = keys,
    .validate = chap_validate,
    .open = chap_open,
    .update = chap_update,
    .close = chap_close,
    .start = dialogue_start,
    .step = dialogue_step,
    .end = dialogue_end,
};

const struct hf_plugin *hf_plugin_v1(void)
{
    static const struct hf_plugin plugin = {
        .size = sizeof(struct hf_plugin),
        .api_major = HF_API_MAJOR,
        .api_minor = HF_API_MINOR,
        .kind = HF_KIND_AUTH,
        .name = "chap",
        .version = HOLDFAST_VERSION,
        .summary = "CHAP, one way and mutual, with SHA3-256, SHA-256, SHA-1 or MD5",
        .options = options,
        .config_bytes = sizeof(struct chap_config),
        .ops = &ops,
        .load = chap_load,
    };
    return &plugin;
}
