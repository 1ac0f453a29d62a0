/* SPDX-License-Identifier: BSD-3-Clause */
/* The bridge from a login to an auth plugin, with a plugin that was never a file. */
#include "plugin/authenticator.h"

#include <glib.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "plugin/host.h"

/* What the plugin answers next, and what it saw. */
static struct {
    uint32_t result;
    struct hf_auth_reply reply;
    unsigned key_count;
    char first_key[64], first_value[64];
    struct hf_auth *auth;
    unsigned starts, ends, opens, closes;
    struct hf_auth_peer peer;
} script;

static int32_t fake_open(const void *config, void **ret_handle, struct hf_error *error)
{
    script.opens++;
    return 0;
}

static void fake_close(void *handle)
{
    script.closes++;
}

static int32_t fake_start(void *handle, struct hf_auth *auth, const struct hf_auth_peer *peer,
                          void **ret_conversation)
{
    script.starts++;
    script.auth = auth;
    script.peer = *peer;
    *ret_conversation = &script;
    return 0;
}

static uint32_t fake_step(void *conversation, const struct hf_auth_request *request,
                          struct hf_auth_reply *reply)
{
    script.key_count = request->key_count;
    if (request->key_count > 0) {
        g_strlcpy(script.first_key, request->keys[0].name, sizeof(script.first_key));
        g_strlcpy(script.first_value, request->keys[0].value, sizeof(script.first_value));
    }
    *reply = script.reply;
    return script.result;
}

static void fake_end(void *conversation)
{
    script.ends++;
}

static const char *const keys[] = { "CHAP_A", "CHAP_N", NULL };

static const struct plugin plugin = {
    .info = { .name = "fake", .kind = HF_KIND_AUTH },
    .auth = { .size = sizeof(struct hf_auth_ops),
              .method = "CHAP",
              .keys = keys,
              .open = fake_open,
              .close = fake_close,
              .start = fake_start,
              .step = fake_step,
              .end = fake_end },
};

/* ------------------------------------------------------------------------------- the login's side */

static struct authenticator_services services;
static struct iscsi_authenticator *authenticator;
static char text[4096];
static struct keys_writer out;

static void setup(void)
{
    struct config_problems *problems = config_problems_new();
    struct plugin_config *config;
    struct hf_error error = PLUGIN_ERROR_INIT;
    memset(&script, 0, sizeof(script));
    g_assert_cmpint(plugin_config_new(&plugin, NULL, NULL, &config, problems), ==, 0);
    config_problems_free(problems);
    g_assert_cmpint(plugin_authenticator_open(&plugin, config, &services, &authenticator, &error),
                    ==, 0);
}

static void teardown(void)
{
    authenticator = plugin_authenticator_close(authenticator);
    g_assert_cmpuint(script.starts, ==, script.ends);
    g_assert_cmpuint(script.closes, ==, 1);
}

static void *begin(const char *target)
{
    return authenticator->ops->begin(authenticator, "iqn.2026-11.org.example:host", target,
                                     "192.0.2.7:1234", &services);
}

static enum auth_result step(void *attempt, struct auth_step *ret_step)
{
    static const struct keys_pair pair = { "CHAP_A", "7,5", 3 };
    out = (struct keys_writer){ .text = text, .size = sizeof(text) };
    *ret_step = (struct auth_step){ .in = &pair, .in_count = 1, .out = &out, .status = 0x0201 };
    return authenticator->ops->step(attempt, ret_step);
}

static void reply_key(const char *name, const char *value)
{
    script.reply.keys[script.reply.key_count++] = (struct hf_key){ name, value };
}

static void a_dialogue(void)
{
    struct auth_step s;
    setup();
    g_assert_cmpstr(authenticator->ops->method, ==, "CHAP");
    g_assert_true(authenticator->ops->owns_key(authenticator, "CHAP_N"));
    g_assert_false(authenticator->ops->owns_key(authenticator, "CHAP_X"));
    void *attempt = begin("iqn.2026-11.org.example:disk");
    g_assert_cmpstr(script.peer.target_name, ==, "iqn.2026-11.org.example:disk");
    g_assert_cmpuint(script.peer.discovery, ==, 0);
    script.result = HF_AUTH_CONTINUE;
    reply_key("CHAP_A", "7");
    g_assert_cmpint(step(attempt, &s), ==, AUTH_CONTINUE);
    g_assert_cmpstr(script.first_key, ==, "CHAP_A");
    g_assert_cmpstr(script.first_value, ==, "7,5");
    g_assert_cmpmem(out.text, out.used, "CHAP_A=7", 9);
    script.result = HF_AUTH_ACCEPT;
    script.reply = (struct hf_auth_reply){ .identity = "host1" };
    g_assert_cmpint(step(attempt, &s), ==, AUTH_ACCEPT);
    g_assert_cmpstr(s.identity, ==, "host1");
    g_assert_cmpuint(out.used, ==, 0);
    authenticator->ops->end(attempt);
    teardown();
}

static void a_refusal(void)
{
    struct auth_step s;
    setup();
    void *attempt = begin(NULL);
    g_assert_cmpuint(script.peer.discovery, ==, 1);
    script.result = HF_AUTH_REJECT;
    memset(script.reply.reason, 'x', sizeof(script.reply.reason)); /* without an end */
    g_assert_cmpint(step(attempt, &s), ==, AUTH_REJECT);
    g_assert_cmpuint(s.status, ==, 0x0201);
    g_assert_cmpuint(strlen(s.reason), ==, sizeof(script.reply.reason) - 1);
    authenticator->ops->end(attempt);
    teardown();
}

static void expect_distrust(const char *reason)
{
    struct auth_step s;
    void *attempt = begin(NULL);
    g_assert_cmpint(step(attempt, &s), ==, AUTH_REJECT);
    g_assert_cmpstr(s.reason, ==, reason);
    authenticator->ops->end(attempt);
    script.reply = (struct hf_auth_reply){ 0 };
}

static void what_a_plugin_must_not_answer(void)
{
    setup();
    script.result = HF_AUTH_CONTINUE;
    reply_key("TargetAddress", "198.51.100.1");
    expect_distrust("the plugin answered with a key that is not its own");
    reply_key("CHAP_A", NULL);
    expect_distrust("the plugin answered with a key that is not its own");
    script.reply.key_count = 1000;
    expect_distrust("the plugin answered with too many keys");
    script.result = 77;
    expect_distrust("the plugin answered with an unknown result");
    teardown();
}

/* ------------------------------------------------------------------------------------- pending */

static sem_t resumed, turned;
static unsigned resume_count;

static void on_resume(void *login_user)
{
    g_assert_true(login_user == &services);
    g_assert_true(reactor_current() == services.login_reactor);
    resume_count++;
    sem_post(&resumed);
}

static void turn_run(struct reactor_message *message)
{
    sem_post(&turned);
}

static void wait_a_turn(void)
{
    struct reactor_message message = { .run = turn_run };
    reactor_post(services.login_reactor, &message);
    while (sem_wait(&turned) != 0)
        ;
}

static void *resume_thread(void *auth)
{
    auth_host_resume(auth);
    auth_host_resume(auth);
    return NULL;
}

static void pending_goes_on(void)
{
    struct auth_step s;
    pthread_t thread;
    setup();
    resume_count = 0;
    void *attempt = begin(NULL);
    script.result = HF_AUTH_PENDING;
    g_assert_cmpint(step(attempt, &s), ==, AUTH_PENDING);
    g_assert_cmpint(pthread_create(&thread, NULL, resume_thread, script.auth), ==, 0);
    pthread_join(thread, NULL);
    while (sem_wait(&resumed) != 0)
        ;
    wait_a_turn();
    g_assert_cmpuint(resume_count, ==, 1); /* though it was told twice */
    script.result = HF_AUTH_ACCEPT;
    g_assert_cmpint(step(attempt, &s), ==, AUTH_ACCEPT);
    authenticator->ops->end(attempt);
    teardown();
}

static sem_t begun, go;

static void block_run(struct reactor_message *message)
{
    sem_post(&begun);
    while (sem_wait(&go) != 0)
        ;
}

struct end_message {
    struct reactor_message message;
    void *attempt;
};

static void end_run(struct reactor_message *message)
{
    authenticator->ops->end(((struct end_message *)message)->attempt);
}

/* The peer goes away while the plugin's answer is on its way. */
static void ended_while_pending(void)
{
    struct auth_step s;
    setup();
    resume_count = 0;
    struct end_message end = { { .run = end_run }, begin(NULL) };
    struct reactor_message block = { .run = block_run };
    script.result = HF_AUTH_PENDING;
    g_assert_cmpint(step(end.attempt, &s), ==, AUTH_PENDING);
    reactor_post(services.login_reactor, &block);
    while (sem_wait(&begun) != 0)
        ;
    reactor_post(services.login_reactor, &end.message);
    auth_host_resume(script.auth);
    sem_post(&go);
    wait_a_turn();
    g_assert_cmpuint(resume_count, ==, 0);
    teardown();
}

int main(int argc, char **argv)
{
    struct reactor_options options = { "login", 0, -1, 0, 0, -1 };
    g_test_init(&argc, &argv, NULL);
    sem_init(&resumed, 0, 0);
    sem_init(&turned, 0, 0);
    sem_init(&begun, 0, 0);
    sem_init(&go, 0, 0);
    services.resume = on_resume;
    g_assert_cmpint(reactor_create(&options, &services.login_reactor), ==, 0);
    g_assert_cmpint(reactor_start(services.login_reactor), ==, 0);
    g_test_add_func("/authenticator/a-dialogue", a_dialogue);
    g_test_add_func("/authenticator/a-refusal", a_refusal);
    g_test_add_func("/authenticator/what-a-plugin-must-not-answer", what_a_plugin_must_not_answer);
    g_test_add_func("/authenticator/pending-goes-on", pending_goes_on);
    g_test_add_func("/authenticator/ended-while-pending", ended_while_pending);
    int r = g_test_run();
    reactor_stop(services.login_reactor);
    reactor_free(services.login_reactor);
    return r;
}
