/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holdfast plugin API: authentication of initiators (kind HF_KIND_AUTH, files auth-NAME.so).
 *
 * One open() for each entry of `auth:` in the configuration; then for each login that uses it one
 * conversation: start(), step() as often as needed, end(). The daemon does the iSCSI part (text
 * keys, stages, limits, AuthMethod negotiation); the plugin sees decoded keys only.
 *
 *   initiator: AuthMethod=CHAP,None      daemon: AuthMethod=CHAP            start()
 *   initiator: CHAP_A=8,7,5              step(): CONTINUE with CHAP_A, CHAP_I, CHAP_C
 *   initiator: CHAP_N, CHAP_R, …         step(): ACCEPT (perhaps with CHAP_N, CHAP_R), or REJECT
 *
 * Threads: validate, open, update, close on the control thread; start, step, end on the login
 * thread, which must never wait: what takes long is started there, answered HF_AUTH_PENDING, and
 * told with host->auth_resume() from any thread. Several conversations run between each other, but
 * no two calls for the same handle at the same time.
 */
#ifndef HOLDFAST_AUTH_H
#define HOLDFAST_AUTH_H

#include <holdfast/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A decoded text key. The value is a C string: a key with a NUL inside never comes here. */
struct hf_key {
    const char *name;
    const char *value;
};

/* Who logs in. Set by the daemon; valid until end(). */
struct hf_auth_peer {
    uint32_t size;
    uint32_t discovery;         /* 1: a discovery session */
    const char *initiator_name; /* normalised */
    const char *target_name;    /* NULL in a discovery session */
    const char *address;        /* "192.0.2.7:51234", for logs */
};

#define HF_AUTH_KEYS_MAX 16u

/* What the initiator sent since the last step. */
struct hf_auth_request {
    uint32_t size;
    uint32_t key_count;        /* 0 is possible: an empty request, or a step after PENDING */
    const struct hf_key *keys; /* in order of arrival; names are unique and of hf_auth_ops.keys;
                                  valid until step() returns */
};

/*
 * What to answer; the daemon hands it in zeroed with its size set. Strings that the plugin puts
 * into keys stay valid until the next step() or end() of this conversation.
 */
struct hf_auth_reply {
    uint32_t size;
    uint32_t key_count;
    struct hf_key keys[HF_AUTH_KEYS_MAX]; /* at most 8191 bytes a value */
    char identity[256]; /* ACCEPT: who it is ("host1"), for logs; may be empty */
    char reason[256];   /* REJECT: why, for the log only, never a secret */
};

#define HF_AUTH_CONTINUE 0u /* send the keys, wait for the initiator */
#define HF_AUTH_ACCEPT   1u /* send the keys, if any: authenticated */
#define HF_AUTH_REJECT   2u /* Login response 0x0201, authentication failure; the connection closes */
#define HF_AUTH_PENDING  3u /* nothing to send yet: step() comes again, with key_count 0, after
                               host->auth_resume(). The login's deadline still runs. */
/* Refusals that say more (RFC 7143 11.13.5): */
#define HF_AUTH_REJECT_MISSING 4u /* a key is missing: Login response 0x0207 */
#define HF_AUTH_REJECT_FOREIGN 5u /* a key has no place here: Login response 0x0200 */

struct hf_auth_ops {
    uint32_t size;      /* sizeof(struct hf_auth_ops) */
    uint32_t reserved;
    const char *method; /* the value of AuthMethod that stands for it: "CHAP" */
    const char *const *keys; /* names of the text keys that belong to the method ("CHAP_A", …), ended
                                by NULL; only these come to step(), and only these it may answer */

    /* Checks a configuration beyond the option table, without side effects; also for --check.
       NULL: nothing to check. 0 or negative errno with host->fail(). */
    int32_t (*validate)(const void *config, struct hf_error *error);
    /* `config` (the struct that the option table fills) stays valid until close() or until
       update() has replaced it. 0 and *ret_handle, or negative errno with host->fail(). */
    int32_t (*open)(const void *config, void **ret_handle, struct hf_error *error);
    /* A new configuration; conversations under way may end by the old or the new one. After 0 the
       old config goes; after a negative errno the old one is still in force. NULL: close and open. */
    int32_t (*update)(void *handle, const void *config, struct hf_error *error);
    /* No conversation of the handle is open any more. */
    void (*close)(void *handle);

    /* Begins a conversation. `auth` is its name for host->auth_resume(), until end(). 0 and
       *ret_conversation, or negative errno (the login is refused with 0x0302, out of resources). */
    int32_t (*start)(void *handle, struct hf_auth *auth, const struct hf_auth_peer *peer,
                     void **ret_conversation);
    /* One round; HF_AUTH_*. After ACCEPT or REJECT only end() follows. An unknown value counts as
       REJECT. */
    uint32_t (*step)(void *conversation, const struct hf_auth_request *request,
                     struct hf_auth_reply *reply);
    /* Always once after start() returned 0, also while PENDING (the peer went away). */
    void (*end)(void *conversation);
};

#ifdef __cplusplus
}
#endif

#endif
