/* SPDX-License-Identifier: BSD-3-Clause */
/* The login as a dialogue: the ways in, stage by stage, and texts over several PDUs. */
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "login-script.h"

static void straight_to_full_feature_phase(void)
{
    script.target.alias = "build machines";
    g_assert_cmpint(script_step(OPER, FULL,
                                NAMES " HeaderDigest=CRC32C,None InitialR2T=No "
                                      "MaxRecvDataSegmentLength=65536"),
                    ==, LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script_text(), ==,
                    "TargetAlias=build machines TargetPortalGroupTag=7 HeaderDigest=CRC32C "
                    "InitialR2T=No MaxRecvDataSegmentLength=262144");
    script_expect(OPER, FULL);
    struct login *login = &script.login;
    g_assert_cmpstr(login->initiator_name, ==, INITIATOR);
    g_assert_cmpstr(login->target_name, ==, TARGET);
    g_assert_false(login->discovery);
    g_assert_false(login->authenticated);
    g_assert_cmpuint(login->tsih, ==, 0x1234);
    g_assert_cmpuint(login->cid, ==, 9);
    g_assert_cmpuint(login->exp_cmd_sn, ==, 100);
    g_assert_cmpuint(login->params.result.initiator_max_recv, ==, 65536);
    g_assert_cmpuint(login->params.result.target_max_recv, ==, 262144);
    g_assert_cmpuint(login->params.result.header_digest, ==, ISCSI_DIGEST_CRC32C);
    g_assert_cmpuint(login->params.result.initial_r2t, ==, 0);
    g_assert_cmpuint(script.finds, ==, 1);
    g_assert_cmpuint(script.decides, ==, 1);
}

static void both_stages_without_authentication(void)
{
    g_assert_cmpint(script_step(SEC, OPER, NAMES " SessionType=Normal AuthMethod=CHAP,None"), ==,
                    LOGIN_REPLY);
    g_assert_cmpstr(script_text(), ==, "TargetPortalGroupTag=7 AuthMethod=None");
    script_expect(SEC, OPER);
    g_assert_cmpint(script_step(OPER, FULL, "MaxBurstLength=16776192"), ==, LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script_text(), ==, "MaxBurstLength=1048576 MaxRecvDataSegmentLength=262144");
    script_expect(OPER, FULL);
}

static void from_security_straight_to_full_feature_phase(void)
{
    g_assert_cmpint(script_step(SEC, FULL, NAMES " AuthMethod=None"), ==, LOGIN_FULL_FEATURE);
    script_expect(SEC, FULL);
    g_assert_cmpuint(script.login.params.result.target_max_recv, ==, 8192);
}

static void a_stage_may_take_several_exchanges(void)
{
    g_assert_cmpint(script_send(0, SEC, 0, NAMES), ==, LOGIN_REPLY);
    script_expect(SEC, -1);
    g_assert_cmpint(script_send(0, SEC, 0, "AuthMethod=None"), ==, LOGIN_REPLY);
    script_expect(SEC, -1);
    g_assert_cmpint(script_step(SEC, OPER, ""), ==, LOGIN_REPLY);
    script_expect(SEC, OPER);
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *key = g_strdup_printf("X-%u=1", i);
        g_assert_cmpint(script_send(0, OPER, 0, key), ==, LOGIN_REPLY);
        script_expect(OPER, -1);
    }
    g_assert_cmpint(script_step(OPER, FULL, "InitiatorAlias=me"), ==, LOGIN_FULL_FEATURE);
    script_expect(OPER, FULL);
    g_assert_cmpstr(script.login.initiator_alias, ==, "me");
}

/* What libiscsi sends. */
static void an_initiator_may_say_who_it_is_in_each_stage(void)
{
    g_assert_cmpint(
        script_step(SEC, OPER, NAMES " SessionType=Normal InitiatorAlias=q AuthMethod=None"), ==,
        LOGIN_REPLY);
    script_expect(SEC, OPER);
    g_assert_cmpint(
        script_step(OPER, FULL, NAMES " SessionType=Normal InitiatorAlias=q InitialR2T=No"), ==,
        LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script_text(), ==, "InitialR2T=No MaxRecvDataSegmentLength=262144");
    script_expect(OPER, FULL);
    g_assert_cmpuint(script.finds, ==, 1);
}

static void names_are_normalised(void)
{
    g_assert_cmpint(script_step(OPER, FULL,
                                "InitiatorName=IQN.1993-08.org.Debian:01:HOST "
                                "TargetName=iqn.2026-11.ORG.example:Disk"),
                    ==, LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script.asked_initiator, ==, INITIATOR);
    g_assert_cmpstr(script.asked_target, ==, TARGET);
}

static void discovery(void)
{
    g_assert_cmpint(
        script_step(SEC, OPER, "InitiatorName=" INITIATOR " SessionType=Discovery AuthMethod=None"),
        ==, LOGIN_REPLY);
    g_assert_cmpstr(script_text(), ==, "AuthMethod=None");
    g_assert_cmpint(script_step(OPER, FULL, "MaxBurstLength=512 DataDigest=None"), ==,
                    LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script_text(), ==,
                    "MaxBurstLength=Irrelevant DataDigest=None MaxRecvDataSegmentLength=262144");
    g_assert_true(script.login.discovery);
    g_assert_cmpstr(script.asked_target, ==, "");
    g_assert_cmpstr(script.login.target_name, ==, "");
}

static void a_further_connection_of_a_session(void)
{
    script.tsih = 0x55;
    script.session = (struct login_session){ .tsih = 0x55, .exp_cmd_sn = 90, .max_cmd_sn = 153 };
    g_assert_cmpint(script_step(SEC, OPER, NAMES " AuthMethod=None"), ==, LOGIN_REPLY);
    script_expect(SEC, OPER);
    g_assert_cmpint(script_step(OPER, FULL, "DataDigest=CRC32C MaxConnections=8"), ==,
                    LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script_text(), ==,
                    "DataDigest=CRC32C MaxConnections=Reject MaxRecvDataSegmentLength=262144");
    script_expect(OPER, FULL);
    g_assert_cmpuint(script.login.exp_cmd_sn, ==, 90);
}

/* ---- texts over several PDUs ---- */

static void a_pair_may_be_cut_anywhere(void)
{
    g_assert_cmpint(
        script_send(ISCSI_LOGIN_CONTINUE, OPER, 0, "InitiatorName=iqn.1993-08.org.deb\\"), ==,
        LOGIN_REPLY);
    script_expect(OPER, -1);
    g_assert_cmpuint(script.login.reply_bytes, ==, 0);
    g_assert_cmpuint(script.finds, ==, 0);
    g_assert_cmpint(script_send(ISCSI_LOGIN_CONTINUE, OPER, 0, ""), ==, LOGIN_REPLY);
    script_expect(OPER, -1);
    g_assert_cmpint(
        script_send(ISCSI_LOGIN_CONTINUE, OPER, 0, "ian:01:host TargetName=" TARGET " Init\\"), ==,
        LOGIN_REPLY);
    script_expect(OPER, -1);
    g_assert_cmpint(script_step(OPER, FULL, "ialR2T=No"), ==, LOGIN_FULL_FEATURE);
    script_expect(OPER, FULL);
    g_assert_cmpstr(script.login.initiator_name, ==, INITIATOR);
    g_assert_cmpuint(script.login.params.result.initial_r2t, ==, 0);
}

/* 100 unknown keys of 40 bytes: an answer of about 5500 bytes. */
static char *many_keys(void)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < 100; i++)
        g_string_append_printf(text, " X-%037u=1", i);
    return g_string_free(text, FALSE);
}

static void a_long_answer_comes_in_parts(void)
{
    g_autofree char *keys = many_keys();
    g_autofree char *text = g_strconcat(NAMES " MaxRecvDataSegmentLength=1024", keys, NULL);
    GString *answer = g_string_new(NULL);
    unsigned parts = 1;
    enum login_action action = script_step(OPER, FULL, text);
    while (script.login.reply_bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_CONTINUE) {
        g_assert_cmpint(action, ==, LOGIN_REPLY);
        script_expect(OPER, -1);
        g_assert_cmpuint(script.login.reply_bytes, ==, 1024);
        g_assert_cmpuint(script.decides, ==, 0);
        g_string_append_len(answer, script.login.reply_data, script.login.reply_bytes);
        action = script_step(OPER, FULL, "");
        parts++;
    }
    g_assert_cmpint(action, ==, LOGIN_FULL_FEATURE);
    g_string_append_len(answer, script.login.reply_data, script.login.reply_bytes);
    script_expect(OPER, FULL);
    g_assert_cmpuint(parts, ==, 6);
    unsigned pairs = 0;
    for (size_t at = 0; at < answer->len; at += strlen(answer->str + at) + 1)
        pairs++;
    g_assert_cmpuint(pairs, ==, 102); /* the keys, TargetPortalGroupTag, MaxRecvDataSegmentLength */
    g_string_free(answer, TRUE);
}

static void text_before_the_answer_is_complete_is_refused(void)
{
    g_autofree char *keys = many_keys();
    g_autofree char *text = g_strconcat(NAMES " MaxRecvDataSegmentLength=1024", keys, NULL);
    g_assert_cmpint(script_step(OPER, FULL, text), ==, LOGIN_REPLY);
    script_expect(OPER, -1);
    script_expect_refused(script_step(OPER, FULL, "InitialR2T=No"), ISCSI_LOGIN_INITIATOR_ERROR);
}

static void a_text_has_a_limit(void)
{
    static char block[8192];
    memset(block, 'x', sizeof(block));
    g_assert_cmpint(script_send_raw(ISCSI_LOGIN_CONTINUE, OPER, 0, block, 8192), ==, LOGIN_REPLY);
    script_expect(OPER, -1);
    g_assert_cmpint(script_send_raw(ISCSI_LOGIN_CONTINUE, OPER, 0, block, 8192), ==, LOGIN_REPLY);
    script_expect(OPER, -1);
    script_expect_refused(script_send_raw(ISCSI_LOGIN_CONTINUE, OPER, 0, block, 1),
                          ISCSI_LOGIN_INITIATOR_ERROR);
}

static void a_login_has_a_limit_of_pdus(void)
{
    for (unsigned i = 0; i < LOGIN_PDU_MAX; i++) {
        g_assert_cmpint(script_send(ISCSI_LOGIN_CONTINUE, OPER, 0, ""), ==, LOGIN_REPLY);
        script_expect(OPER, -1);
    }
    script_expect_refused(script_send(ISCSI_LOGIN_CONTINUE, OPER, 0, ""),
                          ISCSI_LOGIN_INITIATOR_ERROR);
}

/* ---- our own proposals ---- */

static void we_hold_the_stage_until_our_proposal_is_answered(void)
{
    script.target.limits.header_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
    g_assert_cmpint(script_step(OPER, FULL, NAMES), ==, LOGIN_REPLY);
    g_assert_cmpstr(script_text(), ==,
                    "TargetPortalGroupTag=7 MaxRecvDataSegmentLength=262144 HeaderDigest=CRC32C");
    script_expect(OPER, -1);
    g_assert_cmpint(script_step(OPER, FULL, "HeaderDigest=CRC32C"), ==, LOGIN_FULL_FEATURE);
    script_expect(OPER, FULL);
}

static void without_the_digest_we_insist_on_there_is_no_login(void)
{
    script.target.limits.header_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
    script_expect_refused(script_step(OPER, FULL, NAMES " HeaderDigest=None"),
                          ISCSI_LOGIN_INITIATOR_ERROR);
    script_end();
    script_begin();
    script.target.limits.data_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
    script_expect_refused(script_step(SEC, FULL, NAMES " AuthMethod=None"),
                          ISCSI_LOGIN_INITIATOR_ERROR);
}

/* ---- the registry ---- */

static void the_session_may_be_decided_later(void)
{
    script.session_pending = true;
    g_assert_cmpint(script_step(OPER, FULL, NAMES), ==, LOGIN_PENDING);
    struct login_session session = { .tsih = 3, .exp_cmd_sn = 100, .max_cmd_sn = 110 };
    script.session = session;
    g_assert_cmpint(login_resume_session(&script.login, ISCSI_LOGIN_OK, &session), ==,
                    LOGIN_FULL_FEATURE);
    g_assert_cmpstr(script_text(), ==, "TargetPortalGroupTag=7 MaxRecvDataSegmentLength=262144");
    script_expect(OPER, FULL);
}

static void a_late_decision_may_be_a_refusal(void)
{
    script.session_pending = true;
    g_assert_cmpint(script_step(OPER, FULL, NAMES), ==, LOGIN_PENDING);
    script_expect_refused(
        login_resume_session(&script.login, ISCSI_LOGIN_TOO_MANY_CONNECTIONS, NULL),
        ISCSI_LOGIN_TOO_MANY_CONNECTIONS);
}

static void the_registry_refuses(void)
{
    static const uint16_t statuses[] = { ISCSI_LOGIN_NO_SESSION, ISCSI_LOGIN_NOT_IN_SESSION,
                                         ISCSI_LOGIN_TOO_MANY_CONNECTIONS,
                                         ISCSI_LOGIN_OUT_OF_RESOURCES };
    for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++) {
        script_end();
        script_begin();
        script.session_status = statuses[i];
        script_expect_refused(script_step(OPER, FULL, NAMES), statuses[i]);
        g_assert_cmpstr(script.login.reason, ==, login_status_text(statuses[i]));
    }
    script_end();
    script_begin();
    script.session_status = ISCSI_LOGIN_NO_SESSION;
    script.own_reason = "the session ended a moment ago";
    script_expect_refused(script_step(OPER, FULL, NAMES), ISCSI_LOGIN_NO_SESSION);
    g_assert_cmpstr(script.login.reason, ==, "the session ended a moment ago");
}

#define TEST(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }

static void run(gconstpointer test)
{
    script_begin();
    ((void (*)(void))test)();
    script_end();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        TEST(straight_to_full_feature_phase),
        TEST(both_stages_without_authentication),
        TEST(from_security_straight_to_full_feature_phase),
        TEST(a_stage_may_take_several_exchanges),
        TEST(an_initiator_may_say_who_it_is_in_each_stage),
        TEST(names_are_normalised),
        TEST(discovery),
        TEST(a_further_connection_of_a_session),
        TEST(a_pair_may_be_cut_anywhere),
        TEST(a_long_answer_comes_in_parts),
        TEST(text_before_the_answer_is_complete_is_refused),
        TEST(a_text_has_a_limit),
        TEST(a_login_has_a_limit_of_pdus),
        TEST(we_hold_the_stage_until_our_proposal_is_answered),
        TEST(without_the_digest_we_insist_on_there_is_no_login),
        TEST(the_session_may_be_decided_later),
        TEST(a_late_decision_may_be_a_refusal),
        TEST(the_registry_refuses),
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/iscsi/login/%s", tests[i].name);
        g_test_add_data_func(g_strdelimit(path, "_", '-'), (gconstpointer)tests[i].run, run);
    }
    return g_test_run();
}
