/* SPDX-License-Identifier: BSD-3-Clause */
/* CHAP (RFC 7143 12.1.3, RFC 1994) through the plugin's table: the initiator's side is played here. */
#include <errno.h>
#include <glib.h>
#include <nettle/md5.h>
#include <nettle/nettle-meta.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "chap-plugin.h"

#define SECRET "a secret of sixteen"
#define OURS   "the secret of the target"

#define MISSING HF_AUTH_REJECT_MISSING
#define FOREIGN HF_AUTH_REJECT_FOREIGN

static const struct chap_setup one_way = { .users = { { "host1", SECRET },
                                                      { "0xabcd", "another long secret" },
                                                      { "0bQUJD", "a third long secret" } } };
static const struct chap_setup both_ways = { .users = { { "host1", SECRET } },
                                             .mutual = { "target-1", OURS } };

static const struct {
    const char *number;
    const struct nettle_hash *hash;
    /* Our response to identifier 77 and the challenge 00 01 … 0f. */
    const char *vector;
} algorithms[] = {
    { "8", &nettle_sha3_256, "0x9953888ceae4753fc873972b551c0aad9585a29ab70520ad8f2ec892420be988" },
    { "7", &nettle_sha256, "0x2731fc0af40fb1d932cb9335b23b9618ac0edb3a2c72ed3741361d8aa37341b0" },
    { "6", &nettle_sha1, "0x124e060ca06ad887754980ea6914cc313b308c68" },
    { "5", &nettle_md5, "0x206dfd27d3286acb799cf0bc4384adec" },
};
#define COUNTING_CHALLENGE "0x000102030405060708090a0b0c0d0e0f"

static void *handle;

struct attempt {
    void *conversation;
    struct hf_auth_reply reply;
    uint32_t result;
    uint8_t identifier, challenge[1024];
    size_t challenge_bytes;
    const struct nettle_hash *hash;
    char response[2 * 64 + 3]; /* of the initiator, in hexadecimal */
};

static void begin(const struct chap_setup *setup)
{
    chap_warnings = 0;
    g_assert_cmpint(chap_ops()->open(chap_config(setup), &handle, NULL), ==, 0);
}

static void end(void)
{
    chap_ops()->close(handle);
}

static void start(struct attempt *a)
{
    struct hf_auth_peer peer = { .size = sizeof(peer),
                                 .initiator_name = "iqn.1993-08.org.debian:01:host",
                                 .target_name = "iqn.2026-11.org.example:disk",
                                 .address = "192.0.2.7:1024" };
    memset(a, 0, sizeof(*a));
    g_assert_cmpint(chap_ops()->start(handle, NULL, &peer, &a->conversation), ==, 0);
}

static void stop(struct attempt *a)
{
    chap_ops()->end(a->conversation);
}

/* One round with pairs of name and value, up to a NULL name; a NULL value leaves the key out. */
static uint32_t step(struct attempt *a, const char *const *pairs)
{
    struct hf_key keys[8];
    struct hf_auth_request request = { .size = sizeof(request), .keys = keys };
    for (; pairs[0]; pairs += 2)
        if (pairs[1])
            keys[request.key_count++] = (struct hf_key){ pairs[0], pairs[1] };
    a->reply = (struct hf_auth_reply){ .size = sizeof(a->reply) };
    a->result = chap_ops()->step(a->conversation, &request, &a->reply);
    return a->result;
}

#define STEP(a, ...) step(a, (const char *const[]){ __VA_ARGS__, NULL, NULL })

static const char *replied(const struct attempt *a, const char *name)
{
    for (uint32_t i = 0; i < a->reply.key_count; i++)
        if (strcmp(a->reply.keys[i].name, name) == 0)
            return a->reply.keys[i].value;
    return NULL;
}

static const struct nettle_hash *hash_of(const char *number)
{
    for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++)
        if (strcmp(algorithms[i].number, number) == 0)
            return algorithms[i].hash;
    g_error("CHAP_A=%s", number);
}

static void take_challenge(struct attempt *a)
{
    const char *text = replied(a, "CHAP_C");
    g_assert_true(g_str_has_prefix(text, "0x"));
    for (text += 2; text[0]; text += 2)
        a->challenge[a->challenge_bytes++] =
            (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    a->identifier = (uint8_t)g_ascii_strtoull(replied(a, "CHAP_I"), NULL, 10);
    a->hash = hash_of(replied(a, "CHAP_A"));
}

static void compute(const struct attempt *a, const char *secret, uint8_t *out)
{
    g_autofree void *ctx = g_malloc(a->hash->context_size);
    a->hash->init(ctx);
    a->hash->update(ctx, 1, &a->identifier);
    a->hash->update(ctx, strlen(secret), (const uint8_t *)secret);
    a->hash->update(ctx, a->challenge_bytes, a->challenge);
    a->hash->digest(ctx, a->hash->digest_size, out);
}

/* The response to the challenge as `secret` makes it; the text lives in the attempt. */
static const char *response(struct attempt *a, const char *secret)
{
    uint8_t bytes[64];
    compute(a, secret, bytes);
    char *at = a->response + sprintf(a->response, "0x");
    for (unsigned i = 0; i < a->hash->digest_size; i++)
        at += sprintf(at, "%02x", bytes[i]);
    return a->response;
}

/* A new attempt up to the challenge. */
static void challenge(struct attempt *a, const char *offer)
{
    start(a);
    g_assert_cmpuint(STEP(a, "CHAP_A", offer), ==, HF_AUTH_CONTINUE);
    g_assert_cmpuint(a->reply.key_count, ==, 3);
    take_challenge(a);
    g_assert_cmpuint(a->challenge_bytes, >=, 16);
    g_assert_cmpuint(a->challenge_bytes, <=, 1024);
}

/* ---- configuration ---- */

static void the_same_user_twice_is_refused(void)
{
    struct chap_setup setup = { .users = { { "a", SECRET }, { "a", OURS } } };
    g_assert_cmpint(chap_ops()->validate(chap_config(&setup), NULL), ==, -EINVAL);
    g_assert_cmpstr(chap_failure, ==, "users: \"a\" twice");
}

static void one_secret_for_both_directions_is_refused(void)
{
    struct chap_setup setup = { .users = { { "a", OURS } }, .mutual = { "t", OURS } };
    g_assert_cmpint(chap_ops()->validate(chap_config(&setup), NULL), ==, -EINVAL);
    g_assert_null(strstr(chap_failure, OURS));
    g_assert_cmpint(chap_ops()->open(chap_config(&setup), &handle, NULL), ==, -EINVAL);
    g_assert_cmpint(chap_ops()->validate(chap_config(&both_ways), NULL), ==, 0);
}

static void a_short_secret_is_warned_about(void)
{
    struct chap_setup setup = { .users = { { "a", "eleven byte" }, { "b", "twelve bytes" } } };
    begin(&setup);
    g_assert_cmpuint(chap_warnings, ==, 1);
    end();
}

/* ---- one way ---- */

static void the_right_response_is_accepted_with_each_algorithm(void)
{
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++) {
        struct attempt a;
        challenge(&a, algorithms[i].number);
        g_assert_cmpstr(replied(&a, "CHAP_A"), ==, algorithms[i].number);
        g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, SECRET)), ==,
                         HF_AUTH_ACCEPT);
        g_assert_cmpstr(a.reply.identity, ==, "host1");
        g_assert_cmpuint(a.reply.key_count, ==, 0);
        stop(&a);
    }
    end();
}

static void the_first_known_algorithm_of_the_list_is_chosen(void)
{
    static const struct {
        const char *offer, *chosen;
    } rows[] = { { "5,6,7,8", "5" }, { "8,7", "8" }, { "56,7", "7" },     { "99,,6", "6" },
                 { "0x7", "7" },     { "x,5", "5" }, { "5x,05x,6", "6" }, { "256,261,8", "8" } };
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct attempt a;
        g_test_message("%s", rows[i].offer);
        challenge(&a, rows[i].offer);
        g_assert_cmpstr(replied(&a, "CHAP_A"), ==, rows[i].chosen);
        stop(&a);
    }
    end();
}

static void no_known_algorithm_is_refused(void)
{
    static const char *const offers[] = {
        "", "56", "99", "0", ",", "md5", "-5", "+5", " 5", "261"
    };
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(offers); i++) {
        struct attempt a;
        start(&a);
        g_assert_cmpuint(STEP(&a, "CHAP_A", offers[i]), ==, HF_AUTH_REJECT);
        stop(&a);
    }
    end();
}

static void algorithms_can_be_forbidden(void)
{
    struct chap_setup setup = one_way;
    struct attempt a;
    setup.algorithms = "sha256";
    begin(&setup);
    challenge(&a, "5,6,8,7");
    g_assert_cmpstr(replied(&a, "CHAP_A"), ==, "7");
    stop(&a);
    start(&a);
    g_assert_cmpuint(STEP(&a, "CHAP_A", "5,6,8"), ==, HF_AUTH_REJECT);
    stop(&a);
    end();
}

static void wrong_responses_are_refused(void)
{
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++) {
        struct attempt a;
        challenge(&a, algorithms[i].number);
        g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, "wrong")), ==,
                         HF_AUTH_REJECT);
        g_assert_cmpuint(a.reply.key_count, ==, 0);
        g_assert_null(strstr(a.reply.reason, SECRET));
        /* There is no second try. */
        g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, SECRET)), ==,
                         HF_AUTH_REJECT);
        stop(&a);
    }
    end();
}

static void users_are_kept_apart(void)
{
    static const struct {
        const char *name, *secret;
        uint32_t result;
    } rows[] = { { "0xabcd", "another long secret", HF_AUTH_ACCEPT },
                 { "0bQUJD", "a third long secret", HF_AUTH_ACCEPT },
                 { "host1", "another long secret", HF_AUTH_REJECT },
                 { "0xABCD", "another long secret", HF_AUTH_REJECT },
                 { "HOST1", SECRET, HF_AUTH_REJECT },
                 { "", SECRET, HF_AUTH_REJECT },
                 { "nobody", "", HF_AUTH_REJECT },
                 { "nobody\" initiator=\"x", SECRET, HF_AUTH_REJECT },
                 { "nobody", SECRET, HF_AUTH_REJECT } };
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct attempt a;
        g_test_message("%s", rows[i].name);
        challenge(&a, "7");
        g_assert_cmpuint(STEP(&a, "CHAP_N", rows[i].name, "CHAP_R", response(&a, rows[i].secret)),
                         ==, rows[i].result);
        /* A stranger's words do not get into our log. */
        g_assert_null(strstr(a.reply.reason, "nobody"));
        stop(&a);
    }
    end();
}

/* The secret that stands in for an unknown user's is no way in. */
static void the_stand_in_of_an_unknown_user_opens_nothing(void)
{
    struct attempt a;
    uint8_t bytes[64];
    begin(&one_way);
    challenge(&a, "5");
    struct md5_ctx ctx;
    static const uint8_t zeroes[16];
    md5_init(&ctx);
    md5_update(&ctx, 1, &a.identifier);
    md5_update(&ctx, sizeof(zeroes), zeroes);
    md5_update(&ctx, a.challenge_bytes, a.challenge);
    md5_digest(&ctx, 16, bytes);
    g_autofree char *text = g_strdup("0x");
    for (unsigned i = 0; i < 16; i++) {
        char *longer = g_strdup_printf("%s%02x", text, bytes[i]);
        g_free(text);
        text = longer;
    }
    g_assert_cmpuint(STEP(&a, "CHAP_N", "nobody", "CHAP_R", text), ==, HF_AUTH_REJECT);
    stop(&a);
    end();
}

static void a_response_may_be_written_in_several_ways(void)
{
    struct attempt a;
    uint8_t bytes[64];
    begin(&one_way);
    challenge(&a, "6");
    compute(&a, SECRET, bytes);
    g_autofree char *base64 = g_base64_encode(bytes, 20);
    g_autofree char *value = g_strconcat("0b", base64, NULL);
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", value), ==, HF_AUTH_ACCEPT);
    stop(&a);
    challenge(&a, "6");
    g_autofree char *upper = g_ascii_strup(response(&a, SECRET), -1);
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", upper), ==, HF_AUTH_ACCEPT);
    stop(&a);
    /* A leading zero may be left out: try until there is one. */
    do {
        challenge(&a, "5");
        response(&a, SECRET);
        if (a.response[2] != '0')
            stop(&a);
    } while (a.response[2] != '0');
    g_autofree char *odd = g_strconcat("0x", a.response + 3, NULL);
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", odd), ==, HF_AUTH_ACCEPT);
    stop(&a);
    end();
}

static void a_response_that_is_no_value_of_the_right_length_is_refused(void)
{
    g_autofree char *endless = g_strnfill(4000, 'a');
    g_autofree char *endless_hex = g_strconcat("0x", endless, NULL);
    g_autofree char *endless_base64 = g_strconcat("0b", endless, NULL);
    const char *const bad[] = { "",     "0x",   "0b",  "0",  "xyz",       "0xzz",
                                "0x00", "0b!!", "0bA", "17", endless_hex, endless_base64 };
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct attempt a;
        challenge(&a, "5");
        g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", bad[i]), ==, HF_AUTH_REJECT);
        stop(&a);
    }
    static const char *const more[] = { "00", "0", NULL };
    for (size_t i = 0; i < G_N_ELEMENTS(more); i++) {
        struct attempt a;
        challenge(&a, "5");
        g_autofree char *longer = g_strconcat(response(&a, SECRET), more[i], NULL);
        g_autofree char *shorter = g_strndup(a.response, strlen(a.response) - 2);
        g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", more[i] ? longer : shorter), ==,
                         HF_AUTH_REJECT);
        stop(&a);
    }
    end();
}

static void every_attempt_has_a_challenge_of_its_own(void)
{
    struct attempt attempts[50];
    begin(&one_way);
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        challenge(&attempts[i], "7");
        for (size_t j = 0; j < i; j++)
            g_assert_cmpint(memcmp(attempts[i].challenge, attempts[j].challenge, 16), !=, 0);
    }
    /* The response of one is none for another. */
    g_assert_cmpuint(
        STEP(&attempts[1], "CHAP_N", "host1", "CHAP_R", response(&attempts[0], SECRET)), ==,
        HF_AUTH_REJECT);
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++)
        stop(&attempts[i]);
    end();
}

/* ---- keys where they belong ---- */

static void keys_missing_or_out_of_place(void)
{
    static const struct {
        bool first;
        const char *keys[8];
        uint32_t result;
    } rows[] = {
        { true, { NULL }, MISSING },
        { true, { "CHAP_A", "5", "CHAP_N", "host1" }, FOREIGN },
        { true, { "CHAP_N", "host1", "CHAP_R", "0x00" }, FOREIGN },
        { true, { "CHAP_I", "1", "CHAP_C", COUNTING_CHALLENGE }, FOREIGN },
        { false, { NULL }, MISSING },
        { false, { "CHAP_N", "host1" }, MISSING },
        { false, { "CHAP_R", "0x00" }, MISSING },
        { false, { "CHAP_N", "host1", "CHAP_I", "1", "CHAP_C", COUNTING_CHALLENGE }, MISSING },
        { false, { "CHAP_N", "host1", "CHAP_R", "0x00", "CHAP_I", "1" }, MISSING },
        { false, { "CHAP_N", "host1", "CHAP_R", "0x00", "CHAP_C", "0x00" }, MISSING },
        { false, { "CHAP_A", "5" }, FOREIGN },
        { false, { "CHAP_A", "5", "CHAP_N", "host1", "CHAP_R", "0x00" }, FOREIGN },
    };
    begin(&both_ways);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct attempt a;
        const char *pairs[10] = { NULL };
        memcpy(pairs, rows[i].keys, sizeof(rows[i].keys));
        g_test_message("row %zu", i);
        if (rows[i].first)
            start(&a);
        else
            challenge(&a, "7");
        g_assert_cmpuint(step(&a, pairs), ==, rows[i].result);
        g_assert_cmpstr(a.reply.reason, !=, "");
        stop(&a);
    }
    end();
}

/* ---- both ways ---- */

static void we_prove_ourselves_with_each_algorithm(void)
{
    begin(&both_ways);
    for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++) {
        struct attempt a;
        challenge(&a, algorithms[i].number);
        g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, SECRET), "CHAP_I", "77",
                              "CHAP_C", COUNTING_CHALLENGE),
                         ==, HF_AUTH_ACCEPT);
        g_assert_cmpstr(replied(&a, "CHAP_N"), ==, "target-1");
        g_assert_cmpstr(replied(&a, "CHAP_R"), ==, algorithms[i].vector);
        stop(&a);
    }
    end();
}

static void nobody_need_ask_us(void)
{
    struct attempt a;
    begin(&both_ways);
    challenge(&a, "5");
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, SECRET)), ==,
                     HF_AUTH_ACCEPT);
    g_assert_cmpuint(a.reply.key_count, ==, 0);
    stop(&a);
    end();
}

static void we_prove_nothing_to_who_has_not_proved_itself(void)
{
    struct attempt a;
    begin(&both_ways);
    challenge(&a, "7");
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, "wrong"), "CHAP_I", "77",
                          "CHAP_C", COUNTING_CHALLENGE),
                     ==, HF_AUTH_REJECT);
    g_assert_cmpuint(a.reply.key_count, ==, 0);
    stop(&a);
    end();
}

static void our_own_secret_does_not_let_anybody_in(void)
{
    struct attempt a;
    begin(&both_ways);
    challenge(&a, "7");
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, OURS)), ==, HF_AUTH_REJECT);
    stop(&a);
    challenge(&a, "7");
    g_assert_cmpuint(STEP(&a, "CHAP_N", "target-1", "CHAP_R", response(&a, OURS)), ==,
                     HF_AUTH_REJECT);
    stop(&a);
    end();
}

static void asked_without_being_configured_for_it(void)
{
    struct attempt a;
    begin(&one_way);
    challenge(&a, "7");
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, SECRET), "CHAP_I", "77",
                          "CHAP_C", COUNTING_CHALLENGE),
                     ==, HF_AUTH_REJECT);
    stop(&a);
    end();
}

static char *as_text(const struct attempt *a)
{
    GString *text = g_string_new("0x");
    for (size_t i = 0; i < a->challenge_bytes; i++)
        g_string_append_printf(text, "%02X", a->challenge[i]);
    return g_string_free(text, FALSE);
}

static uint32_t ask(struct attempt *a, const char *identifier, const char *value)
{
    return STEP(a, "CHAP_N", "host1", "CHAP_R", response(a, SECRET), "CHAP_I", identifier, "CHAP_C",
                value);
}

static void a_challenge_of_ours_is_not_answered(void)
{
    struct attempt a, other, third;
    begin(&both_ways);
    challenge(&other, "7");
    challenge(&a, "7");
    g_autofree char *own = as_text(&a), *others = as_text(&other);
    g_assert_cmpuint(ask(&a, "1", own), ==, HF_AUTH_REJECT);
    g_assert_cmpuint(a.reply.key_count, ==, 0);
    challenge(&third, "7");
    stop(&a);
    g_assert_cmpuint(ask(&third, "1", others), ==, HF_AUTH_REJECT);
    stop(&third);
    stop(&other);
    end();
}

static void illegal_challenges_are_refused(void)
{
    g_autofree char *digits = g_strnfill(2048, '7');
    g_autofree char *longest = g_strconcat("0x", digits, NULL);
    g_autofree char *longer = g_strconcat("0x77", digits, NULL);
    const struct {
        const char *identifier, *challenge;
        uint32_t result;
    } rows[] = {
        { "0", "0x00", HF_AUTH_ACCEPT },      { "255", longest, HF_AUTH_ACCEPT },
        { "0xff", "0bQUJD", HF_AUTH_ACCEPT }, { "256", "0x00", HF_AUTH_REJECT },
        { "-1", "0x00", HF_AUTH_REJECT },     { "", "0x00", HF_AUTH_REJECT },
        { "0x", "0x00", HF_AUTH_REJECT },     { "1a", "0x00", HF_AUTH_REJECT },
        { "1", longer, HF_AUTH_REJECT },      { "1", "0x", HF_AUTH_REJECT },
        { "1", "", HF_AUTH_REJECT },          { "1", "abc", HF_AUTH_REJECT },
    };
    begin(&both_ways);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct attempt a;
        g_test_message("row %zu", i);
        challenge(&a, "7");
        g_assert_cmpuint(ask(&a, rows[i].identifier, rows[i].challenge), ==, rows[i].result);
        stop(&a);
    }
    end();
}

static void a_new_configuration_holds_from_now_on(void)
{
    struct chap_setup other = { .users = { { "host2", "twelve bytes and more" } } };
    struct attempt a;
    begin(&one_way);
    challenge(&a, "7");
    g_assert_cmpint(chap_ops()->update(handle, chap_config(&other), NULL), ==, 0);
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host1", "CHAP_R", response(&a, SECRET)), ==,
                     HF_AUTH_REJECT);
    stop(&a);
    challenge(&a, "7");
    g_assert_cmpuint(STEP(&a, "CHAP_N", "host2", "CHAP_R", response(&a, "twelve bytes and more")),
                     ==, HF_AUTH_ACCEPT);
    stop(&a);
    end();
}

#define TEST(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        TEST(the_same_user_twice_is_refused),
        TEST(one_secret_for_both_directions_is_refused),
        TEST(a_short_secret_is_warned_about),
        TEST(the_right_response_is_accepted_with_each_algorithm),
        TEST(the_first_known_algorithm_of_the_list_is_chosen),
        TEST(no_known_algorithm_is_refused),
        TEST(algorithms_can_be_forbidden),
        TEST(wrong_responses_are_refused),
        TEST(users_are_kept_apart),
        TEST(the_stand_in_of_an_unknown_user_opens_nothing),
        TEST(a_response_may_be_written_in_several_ways),
        TEST(a_response_that_is_no_value_of_the_right_length_is_refused),
        TEST(every_attempt_has_a_challenge_of_its_own),
        TEST(keys_missing_or_out_of_place),
        TEST(we_prove_ourselves_with_each_algorithm),
        TEST(nobody_need_ask_us),
        TEST(we_prove_nothing_to_who_has_not_proved_itself),
        TEST(our_own_secret_does_not_let_anybody_in),
        TEST(asked_without_being_configured_for_it),
        TEST(a_challenge_of_ours_is_not_answered),
        TEST(illegal_challenges_are_refused),
        TEST(a_new_configuration_holds_from_now_on),
    };
    g_test_init(&argc, &argv, NULL);
    chap_plugin(argv[1]);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/auth-chap/%s", tests[i].name);
        g_test_add_func(g_strdelimit(path, "_", '-'), tests[i].run);
    }
    int failed = g_test_run();
    chap_config_free();
    return failed;
}
