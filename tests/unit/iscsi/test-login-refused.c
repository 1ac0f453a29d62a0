/* SPDX-License-Identifier: BSD-3-Clause */
/* Logins that must not succeed, each with the status of RFC 7143 11.13.5; and authentication. */
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "login-script.h"

#define T      ISCSI_LOGIN_TRANSIT
#define C      ISCSI_LOGIN_CONTINUE
#define I_NAME "InitiatorName=" INITIATOR

/* One first request, and the status it gets. */
static const struct row {
    const char *what;
    uint8_t flags;
    unsigned stage, next_stage;
    const char *text;
    uint16_t status;
} rows[] = {
    { "no text at all", T, OPER, FULL, "", 0x0207 },
    { "no InitiatorName", T, OPER, FULL, "TargetName=" TARGET, 0x0207 },
    { "no InitiatorName in discovery", T, OPER, FULL, "SessionType=Discovery", 0x0207 },
    { "no TargetName", T, OPER, FULL, I_NAME, 0x0207 },
    { "no TargetName, Normal by word", T, OPER, FULL, I_NAME " SessionType=Normal", 0x0207 },
    { "a session type nobody knows", T, OPER, FULL, NAMES " SessionType=Other", 0x0209 },
    { "InitiatorName is no iSCSI name", T, OPER, FULL, "InitiatorName=host TargetName=" TARGET,
      0x0200 },
    { "TargetName is no iSCSI name", T, OPER, FULL, I_NAME " TargetName=disk", 0x0200 },
    { "InitiatorName is empty", T, OPER, FULL, "InitiatorName= TargetName=" TARGET, 0x0200 },
    { "a name twice", T, OPER, FULL, NAMES " " I_NAME, 0x0200 },
    { "a number twice", T, OPER, FULL, NAMES " MaxConnections=1 MaxConnections=1", 0x0200 },
    { "text without =", T, OPER, FULL, NAMES " Hello", 0x0200 },
    { "text without a key", T, OPER, FULL, NAMES " =1", 0x0200 },
    { "text without its NUL", T, OPER, FULL, NAMES "\\", 0x0200 },
    { "T and C", T | C, OPER, FULL, NAMES, 0x0200 },
    { "stage 2", 0, 2, 0, NAMES, 0x0200 },
    { "stage 3", 0, FULL, 0, NAMES, 0x0200 },
    { "to stage 2", T, SEC, 2, NAMES, 0x0200 },
    { "to the same stage", T, OPER, OPER, NAMES, 0x0200 },
    { "backwards", T, OPER, SEC, NAMES, 0x0200 },
    { "operational key in the security stage", T, SEC, OPER, NAMES " MaxConnections=1", 0x0200 },
    { "security key in the operational stage", T, OPER, FULL, NAMES " AuthMethod=None", 0x0200 },
    { "CHAP without a method", T, SEC, OPER, NAMES " CHAP_A=5", 0x0200 },
    { "a key of the target's", T, OPER, FULL, NAMES " TargetPortalGroupTag=1", 0x0200 },
    { "an answer that gives up on ours", T, OPER, FULL, NAMES " TargetAlias=NotUnderstood",
      0x0200 },
    { "segment length out of range", T, OPER, FULL, NAMES " MaxRecvDataSegmentLength=511", 0x0200 },
    { "a reserved word as an offer", T, OPER, FULL, NAMES " HeaderDigest=Reject", 0x0200 },
    { "only a method that is not configured", T, SEC, OPER, NAMES " AuthMethod=CHAP", 0x0201 },
    { "an empty list of methods", T, SEC, OPER, NAMES " AuthMethod=", 0x0201 },
};

static void first_requests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const struct row *row = &rows[i];
        script_end();
        script_begin();
        g_test_message("%s", row->what);
        script_expect_refused(script_send(row->flags, row->stage, row->next_stage, row->text),
                              row->status);
        g_assert_cmpuint(script.login.reply_bytes, ==, 0);
        g_assert_cmpuint(script.decides, ==, 0);
    }
}

static void what_find_target_says_is_passed_on(void)
{
    static const uint16_t statuses[] = { 0x0202, 0x0203, 0x0204, 0x0300, 0x0301, 0x0302 };
    for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++) {
        script_end();
        script_begin();
        script.find_status = statuses[i];
        script_expect_refused(script_step(SEC, OPER, NAMES " AuthMethod=None"), statuses[i]);
    }
}

static void a_redirection_names_the_other_address(void)
{
    script.find_status = ISCSI_LOGIN_MOVED_TEMPORARILY;
    script.target.redirect = "[2001:db8::1]:3260";
    script_expect_refused(script_step(OPER, FULL, NAMES), ISCSI_LOGIN_MOVED_TEMPORARILY);
    g_assert_cmpstr(script_text(), ==, "TargetAddress=[2001:db8::1]:3260");
}

static void a_version_we_do_not_speak(void)
{
    script.version_min = 1;
    script_expect_refused(script_step(OPER, FULL, NAMES), ISCSI_LOGIN_UNSUPPORTED_VERSION);
}

static void an_isid_of_the_reserved_type(void)
{
    script.isid[0] = 0xc0;
    script_expect_refused(script_step(OPER, FULL, NAMES), ISCSI_LOGIN_INITIATOR_ERROR);
    for (unsigned type = 0; type < 3; type++) {
        script_end();
        script_begin();
        script.isid[0] = (uint8_t)(type << 6);
        g_assert_cmpint(script_step(OPER, FULL, NAMES), ==, LOGIN_FULL_FEATURE);
    }
}

static void a_second_connection_for_discovery(void)
{
    script.tsih = 5;
    script_expect_refused(script_step(OPER, FULL, I_NAME " SessionType=Discovery"),
                          ISCSI_LOGIN_NOT_IN_SESSION);
}

static void who_it_is_must_not_change_on_the_way(void)
{
    for (unsigned what = 0; what < 4; what++) {
        script_end();
        script_begin();
        g_assert_cmpint(script_send(0, OPER, 0, NAMES), ==, LOGIN_REPLY);
        script_expect(OPER, -1);
        struct script before = script;
        script.isid[5] += what == 0;
        script.tsih += what == 1;
        script.cid += what == 2;
        script.itt += what == 3;
        g_assert_cmpint(script_step(OPER, FULL, ""), ==, LOGIN_REPLY_THEN_CLOSE);
        memcpy(script.isid, before.isid, 6);
        script.itt = before.itt;
        script_expect_refused(LOGIN_REPLY_THEN_CLOSE, ISCSI_LOGIN_INITIATOR_ERROR);
    }
}

static void later_names_must_be_those_of_the_beginning(void)
{
    static const char *const later[] = { "InitiatorName=iqn.2001-04.com.example:other",
                                         "InitiatorName=host", "TargetName=" TARGET "2",
                                         "SessionType=Discovery", "TargetAlias=x",
                                         /* the same, but in the same stage */
                                         "TargetName=" TARGET,
                                         "SessionType=Normal SessionType=Normal" };
    for (size_t i = 0; i < G_N_ELEMENTS(later); i++) {
        script_end();
        script_begin();
        g_test_message("%s", later[i]);
        g_assert_cmpint(script_send(0, OPER, 0, NAMES), ==, LOGIN_REPLY);
        script_expect(OPER, -1);
        script_expect_refused(script_step(OPER, FULL, later[i]), ISCSI_LOGIN_INITIATOR_ERROR);
    }
}

static void a_stage_cannot_be_left_by_saying_so(void)
{
    g_assert_cmpint(script_send(0, SEC, 0, NAMES), ==, LOGIN_REPLY);
    script_expect(SEC, -1);
    script_expect_refused(script_step(OPER, FULL, ""), ISCSI_LOGIN_INITIATOR_ERROR);
}

/* ---- headers ---- */

static enum login_action header(uint8_t opcode, uint32_t data_bytes, uint8_t ahs_words)
{
    uint8_t *bhs = script.bhs;
    uint32_t follow = UINT32_MAX;
    memset(bhs, 0, ISCSI_BHS_BYTES);
    bhs[ISCSI_BHS_OPCODE] = opcode;
    bhs[ISCSI_BHS_FLAGS] = T | OPER << 2 | FULL;
    bhs[ISCSI_BHS_AHS_WORDS] = ahs_words;
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, data_bytes);
    memcpy(bhs + ISCSI_LOGIN_ISID, script.isid, 6);
    put_be32(bhs + ISCSI_BHS_ITT, script.itt);
    enum login_action action = login_header(&script.login, bhs, &follow);
    if (action == LOGIN_RECEIVE)
        g_assert_cmpuint(follow, ==, (data_bytes + 3) / 4 * 4);
    return action;
}

static void the_first_pdu_must_be_a_login_or_nobody_answers(void)
{
    for (unsigned opcode = 0; opcode < 0x40; opcode++) {
        if (opcode == ISCSI_OP_LOGIN)
            continue;
        script_end();
        script_begin();
        g_assert_cmpint(header((uint8_t)opcode | ISCSI_IMMEDIATE, 0, 0), ==, LOGIN_CLOSE);
    }
}

static void another_pdu_during_login_is_020b(void)
{
    for (unsigned opcode = 0; opcode < 0x40; opcode++) {
        if (opcode == ISCSI_OP_LOGIN)
            continue;
        script_end();
        script_begin();
        g_assert_cmpint(script_send(0, OPER, 0, NAMES), ==, LOGIN_REPLY);
        script_expect(OPER, -1);
        script_expect_refused(header((uint8_t)opcode, 0, 0), ISCSI_LOGIN_INVALID_DURING_LOGIN);
    }
}

static void segments_have_a_limit(void)
{
    g_assert_cmpint(header(ISCSI_OP_LOGIN | ISCSI_IMMEDIATE, 8191, 0), ==, LOGIN_RECEIVE);
    g_assert_cmpint(header(ISCSI_OP_LOGIN | ISCSI_IMMEDIATE, 8192, 0), ==, LOGIN_RECEIVE);
    script_expect_refused(header(ISCSI_OP_LOGIN | ISCSI_IMMEDIATE, 8193, 0),
                          ISCSI_LOGIN_INITIATOR_ERROR);
    script_end();
    script_begin();
    script_expect_refused(header(ISCSI_OP_LOGIN | ISCSI_IMMEDIATE, 0xffffff, 0),
                          ISCSI_LOGIN_INITIATOR_ERROR);
}

static void a_login_is_immediate_and_has_no_ahs(void)
{
    script_expect_refused(header(ISCSI_OP_LOGIN, 0, 0), ISCSI_LOGIN_INITIATOR_ERROR);
    script_end();
    script_begin();
    script_expect_refused(header(ISCSI_OP_LOGIN | ISCSI_IMMEDIATE, 0, 1),
                          ISCSI_LOGIN_INITIATOR_ERROR);
}

/* ---- authentication ---- */

static void challenge(void)
{
    script.target.auth = &script_auth;
    g_assert_cmpint(script_step(SEC, OPER, NAMES " AuthMethod=KRB5,CHAP,None"), ==, LOGIN_REPLY);
    g_assert_cmpstr(script_text(), ==, "TargetPortalGroupTag=7 AuthMethod=CHAP");
    script_expect(SEC, -1);
    g_assert_cmpint(script_send(0, SEC, 0, "CHAP_A=5"), ==, LOGIN_REPLY);
    g_assert_cmpstr(script_text(), ==, "CHAP_A=5 CHAP_C=0x0102");
    script_expect(SEC, -1);
}

static void the_right_response_is_let_in(void)
{
    challenge();
    g_assert_cmpint(script_step(SEC, OPER, "CHAP_R=good X-vendor=1"), ==, LOGIN_REPLY);
    g_assert_cmpstr(script_text(), ==, "X-vendor=NotUnderstood");
    script_expect(SEC, OPER);
    g_assert_true(script.login.authenticated);
    g_assert_cmpstr(script.login.identity, ==, "host1");
    g_assert_cmpuint(script.ends, ==, 1);
    g_assert_cmpint(script_step(OPER, FULL, ""), ==, LOGIN_FULL_FEATURE);
    script_expect(OPER, FULL);
}

static void the_stage_may_end_after_the_proof(void)
{
    challenge();
    g_assert_cmpint(script_send(0, SEC, 0, "CHAP_R=good"), ==, LOGIN_REPLY);
    script_expect(SEC, -1);
    g_assert_cmpint(script_step(SEC, FULL, ""), ==, LOGIN_FULL_FEATURE);
    script_expect(SEC, FULL);
}

static void a_slow_answer(void)
{
    challenge();
    g_assert_cmpint(script_step(SEC, OPER, "CHAP_R=slow"), ==, LOGIN_PENDING);
    g_assert_cmpint(login_resume_auth(&script.login), ==, LOGIN_REPLY);
    script_expect(SEC, OPER);
    g_assert_true(script.login.authenticated);
    g_assert_cmpint(login_resume_auth(&script.login), ==, LOGIN_CLOSE);
}

static void a_request_while_the_answer_is_pending_ends_the_login(void)
{
    challenge();
    g_assert_cmpint(script_step(SEC, OPER, "CHAP_R=slow"), ==, LOGIN_PENDING);
    g_assert_cmpint(script_step(SEC, OPER, ""), ==, LOGIN_CLOSE);
}

static void the_peer_may_go_away_while_pending(void)
{
    challenge();
    g_assert_cmpint(script_step(SEC, OPER, "CHAP_R=slow"), ==, LOGIN_PENDING);
    login_fini(&script.login);
    g_assert_cmpuint(script.ends, ==, 1);
}

static void a_wrong_response_is_0201(void)
{
    challenge();
    script_expect_refused(script_step(SEC, OPER, "CHAP_R=bad"), ISCSI_LOGIN_AUTHENTICATION_FAILED);
    g_assert_cmpstr(script.login.reason, ==, "wrong response");
}

static void the_authenticator_may_choose_the_status(void)
{
    challenge();
    script_expect_refused(script_step(SEC, OPER, "CHAP_N=x"), ISCSI_LOGIN_MISSING_PARAMETER);
}

static void a_target_with_authentication_has_no_way_round_it(void)
{
    static const struct {
        unsigned stage, next_stage;
        const char *text;
        uint16_t status;
    } ways[] = {
        { OPER, FULL, NAMES, 0x0201 },
        { OPER, FULL, I_NAME " SessionType=Discovery", 0x0201 },
        { SEC, OPER, NAMES " AuthMethod=None", 0x0201 },
        { SEC, OPER, NAMES " AuthMethod=chap", 0x0201 },
        { SEC, OPER, NAMES, 0x0201 },
        { SEC, FULL, NAMES, 0x0201 },
        { SEC, OPER, NAMES " AuthMethod=CHAP CHAP_A=5", 0x0200 },
        { SEC, OPER, NAMES " AuthMethod=CHAP CHAP_R=good", 0x0200 },
        { SEC, OPER, NAMES " CHAP_R=good", 0x0200 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        script_end();
        script_begin();
        script.target.auth = &script_auth;
        g_test_message("%s", ways[i].text);
        script_expect_refused(script_step(ways[i].stage, ways[i].next_stage, ways[i].text),
                              ways[i].status);
        g_assert_cmpuint(script.steps, ==, 0);
        g_assert_false(script.login.authenticated);
    }
}

static void wanting_to_go_on_does_not_replace_the_proof(void)
{
    challenge();
    g_assert_cmpint(script_step(SEC, FULL, "CHAP_A=5"), ==, LOGIN_REPLY);
    script_expect(SEC, -1);
    script_expect_refused(script_step(OPER, FULL, ""), ISCSI_LOGIN_INITIATOR_ERROR);
    g_assert_cmpuint(script.decides, ==, 0);
}

static void the_method_is_chosen_once(void)
{
    challenge();
    script_expect_refused(script_step(SEC, OPER, "AuthMethod=None"), ISCSI_LOGIN_INITIATOR_ERROR);
}

static void an_authenticator_without_memory_is_0302(void)
{
    script.target.auth = &script_auth;
    script.no_memory = true;
    script_expect_refused(script_step(SEC, OPER, NAMES " AuthMethod=CHAP"),
                          ISCSI_LOGIN_OUT_OF_RESOURCES);
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
        TEST(first_requests),
        TEST(what_find_target_says_is_passed_on),
        TEST(a_redirection_names_the_other_address),
        TEST(a_version_we_do_not_speak),
        TEST(an_isid_of_the_reserved_type),
        TEST(a_second_connection_for_discovery),
        TEST(who_it_is_must_not_change_on_the_way),
        TEST(later_names_must_be_those_of_the_beginning),
        TEST(a_stage_cannot_be_left_by_saying_so),
        TEST(the_first_pdu_must_be_a_login_or_nobody_answers),
        TEST(another_pdu_during_login_is_020b),
        TEST(segments_have_a_limit),
        TEST(a_login_is_immediate_and_has_no_ahs),
        TEST(the_right_response_is_let_in),
        TEST(the_stage_may_end_after_the_proof),
        TEST(a_slow_answer),
        TEST(a_request_while_the_answer_is_pending_ends_the_login),
        TEST(the_peer_may_go_away_while_pending),
        TEST(a_wrong_response_is_0201),
        TEST(the_authenticator_may_choose_the_status),
        TEST(a_target_with_authentication_has_no_way_round_it),
        TEST(wanting_to_go_on_does_not_replace_the_proof),
        TEST(the_method_is_chosen_once),
        TEST(an_authenticator_without_memory_is_0302),
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/iscsi/login-refused/%s", tests[i].name);
        g_test_add_data_func(g_strdelimit(path, "_", '-'), (gconstpointer)tests[i].run, run);
    }
    return g_test_run();
}
