/* SPDX-License-Identifier: BSD-3-Clause */
/* See login-script.h. */
#include "login-script.h"

#include <glib.h>
#include <string.h>

#include "base/bytes.h"

struct script script;
static uint32_t expected_stat_sn;

static uint16_t find_target(void *user, const char *initiator, const char *target,
                            struct login_target *ret_target)
{
    g_assert_true(user == &script);
    script.finds++;
    g_strlcpy(script.asked_initiator, initiator, sizeof(script.asked_initiator));
    g_strlcpy(script.asked_target, target ? target : "", sizeof(script.asked_target));
    *ret_target = script.target;
    return script.find_status;
}

static uint16_t session_decide(void *user, struct login *login, struct login_session *ret_session,
                               bool *ret_pending)
{
    g_assert_true(user == &script && login == &script.login);
    script.decides++;
    *ret_pending = script.session_pending;
    if (script.own_reason)
        g_strlcpy(login->reason, script.own_reason, sizeof(login->reason));
    if (script.session.tsih)
        *ret_session = script.session;
    return script.session_status;
}

static const struct login_ops ops = { .find_target = find_target,
                                      .session_decide = session_decide };

static bool auth_owns_key(const struct iscsi_authenticator *auth, const char *key)
{
    return g_str_has_prefix(key, "CHAP_");
}

static void *auth_begin(const struct iscsi_authenticator *auth, const char *initiator,
                        const char *target, const char *peer, void *login_user)
{
    g_assert_true(auth == &script_auth && login_user == &script);
    g_assert_cmpstr(initiator, ==, INITIATOR);
    g_assert_cmpstr(peer, ==, "192.0.2.7:1024");
    script.begins++;
    return script.no_memory ? NULL : &script;
}

static enum auth_result auth_step(void *attempt, struct auth_step *step)
{
    g_assert_true(attempt == &script);
    const char *first = step->in_count ? step->in[0].name : "";
    const char *value = step->in_count ? step->in[0].value : "";
    script.steps++;
    if (strcmp(first, "CHAP_A") == 0) {
        keys_put(step->out, "CHAP_A", value);
        keys_put(step->out, "CHAP_C", "0x0102");
        return AUTH_CONTINUE;
    }
    if (strcmp(value, "slow") == 0)
        return AUTH_PENDING;
    if (strcmp(value, "good") == 0 || step->in_count == 0) {
        step->identity = "host1";
        return AUTH_ACCEPT;
    }
    step->reason = "wrong response";
    if (strcmp(first, "CHAP_R") != 0)
        step->status = ISCSI_LOGIN_MISSING_PARAMETER;
    return AUTH_REJECT;
}

static void auth_end(void *attempt)
{
    g_assert_true(attempt == &script);
    script.ends++;
}

static const struct iscsi_authenticator_ops auth_ops = { .method = "CHAP",
                                                         .owns_key = auth_owns_key,
                                                         .begin = auth_begin,
                                                         .step = auth_step,
                                                         .end = auth_end };
const struct iscsi_authenticator script_auth = { .ops = &auth_ops };

void script_begin(void)
{
    memset(&script, 0, sizeof(script));
    script.target.portal_group_tag = 7;
    script.target.limits = iscsi_limits_default;
    script.session.tsih = 0x1234;
    script.session.exp_cmd_sn = 100;
    script.session.max_cmd_sn = 163;
    memcpy(script.isid, "\x00\x02\x3d\x00\x00\x01", 6);
    script.cid = 9;
    script.itt = 0xabcd0001;
    script.cmd_sn = 100;
    expected_stat_sn = 5000;
    login_init(&script.login, &ops, &script, "192.0.2.7:1024", 64, expected_stat_sn);
}

void script_end(void)
{
    login_fini(&script.login);
    g_assert_cmpuint(script.begins - (script.no_memory ? 1 : 0), ==, script.ends);
}

enum login_action script_send_raw(uint8_t flags, unsigned stage, unsigned next_stage,
                                  const void *data, uint32_t bytes)
{
    uint8_t *bhs = script.bhs;
    memset(bhs, 0, ISCSI_BHS_BYTES);
    bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_LOGIN | ISCSI_IMMEDIATE;
    bhs[ISCSI_BHS_FLAGS] = (uint8_t)(flags | stage << ISCSI_LOGIN_CSG_SHIFT | next_stage);
    bhs[ISCSI_LOGIN_VERSION_MIN] = script.version_min;
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    memcpy(bhs + ISCSI_LOGIN_ISID, script.isid, 6);
    put_be16(bhs + ISCSI_LOGIN_TSIH, script.tsih);
    put_be32(bhs + ISCSI_BHS_ITT, script.itt);
    put_be16(bhs + ISCSI_LOGIN_CID, script.cid);
    put_be32(bhs + ISCSI_BHS_CMD_SN, script.cmd_sn);
    put_be32(bhs + ISCSI_BHS_EXP_STAT_SN, expected_stat_sn);
    uint32_t follow = UINT32_MAX;
    enum login_action action = login_header(&script.login, bhs, &follow);
    if (action != LOGIN_RECEIVE)
        return action;
    g_assert_cmpuint(follow, ==, ISCSI_PAD(bytes));
    return login_receive(&script.login, bhs, data, bytes);
}

enum login_action script_send(uint8_t flags, unsigned stage, unsigned next_stage, const char *text)
{
    g_autofree char *wire = g_strdup(text);
    size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes; i++)
        if (wire[i] == ' ')
            wire[i] = '\0';
    /* A text that ends in '\\' goes on in the next request without a NUL. */
    if (bytes > 0 && wire[bytes - 1] == '\\')
        return script_send_raw(flags, stage, next_stage, wire, (uint32_t)bytes - 1);
    return script_send_raw(flags, stage, next_stage, wire, (uint32_t)bytes + (bytes > 0));
}

enum login_action script_step(unsigned stage, unsigned next_stage, const char *text)
{
    return script_send(ISCSI_LOGIN_TRANSIT, stage, next_stage, text);
}

const char *script_text(void)
{
    static char text[LOGIN_TEXT_MAX + 1];
    uint32_t bytes = script.login.reply_bytes;
    g_assert_cmpuint(get_be24(script.login.reply_bhs + ISCSI_BHS_DATA_LENGTH), ==, bytes);
    if (bytes > 0)
        memcpy(text, script.login.reply_data, bytes);
    text[bytes] = '\0';
    if (bytes > 0 && text[bytes - 1] == '\0')
        bytes--;
    for (uint32_t i = 0; i < bytes; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    return text;
}

static void expect_header(void)
{
    const uint8_t *bhs = script.login.reply_bhs;
    g_assert_cmpuint(bhs[ISCSI_BHS_OPCODE], ==, ISCSI_OP_LOGIN_RESPONSE);
    g_assert_cmpuint(bhs[ISCSI_LOGIN_VERSION_MAX], ==, 0);
    g_assert_cmpuint(bhs[ISCSI_LOGIN_VERSION_ACTIVE], ==, 0);
    g_assert_cmpmem(bhs + ISCSI_LOGIN_ISID, 6, script.isid, 6);
    g_assert_cmpuint(get_be32(bhs + ISCSI_BHS_ITT), ==, script.itt);
    g_assert_cmpuint(get_be32(bhs + ISCSI_BHS_STAT_SN), ==, expected_stat_sn++);
    g_assert_cmpuint(bhs[ISCSI_BHS_AHS_WORDS], ==, 0);
}

void script_expect(unsigned stage, int next_stage)
{
    const uint8_t *bhs = script.login.reply_bhs;
    unsigned flags = bhs[ISCSI_BHS_FLAGS];
    expect_header();
    g_assert_cmphex(get_be16(bhs + ISCSI_LOGIN_STATUS_CLASS), ==, 0);
    g_assert_cmpuint(flags >> 2 & 3, ==, stage);
    if (next_stage < 0)
        g_assert_cmpuint(flags & ISCSI_LOGIN_TRANSIT, ==, 0);
    else
        g_assert_cmpuint(flags & (ISCSI_LOGIN_TRANSIT | 3), ==,
                         (unsigned)(ISCSI_LOGIN_TRANSIT | next_stage));
    if (next_stage == FULL) {
        g_assert_cmpuint(get_be16(bhs + ISCSI_LOGIN_TSIH), ==, script.session.tsih);
        g_assert_cmpuint(get_be32(bhs + ISCSI_BHS_EXP_CMD_SN), ==, script.session.exp_cmd_sn);
        g_assert_cmpuint(get_be32(bhs + ISCSI_BHS_MAX_CMD_SN), ==, script.session.max_cmd_sn);
        g_assert_cmpuint(script.login.stat_sn, ==, expected_stat_sn);
    } else {
        g_assert_cmpuint(get_be16(bhs + ISCSI_LOGIN_TSIH), ==, script.tsih);
        g_assert_cmpuint(get_be32(bhs + ISCSI_BHS_EXP_CMD_SN), ==, script.cmd_sn);
        g_assert_cmpint((int32_t)(get_be32(bhs + ISCSI_BHS_MAX_CMD_SN) - script.cmd_sn), >=, -1);
    }
}

void script_expect_refused(enum login_action action, uint16_t status)
{
    g_assert_cmpint(action, ==, LOGIN_REPLY_THEN_CLOSE);
    expect_header();
    g_assert_cmphex(get_be16(script.login.reply_bhs + ISCSI_LOGIN_STATUS_CLASS), ==, status);
    g_assert_cmphex(script.login.status, ==, status);
    g_assert_cmpuint(script.login.reply_bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_TRANSIT, ==, 0);
    g_assert_cmpstr(script.login.reason, !=, "");
    /* Whatever comes now, the login is over. */
    uint8_t bhs[ISCSI_BHS_BYTES];
    uint32_t follow;
    memcpy(bhs, script.bhs, sizeof(bhs));
    g_assert_cmpint(login_header(&script.login, bhs, &follow), ==, LOGIN_CLOSE);
    g_assert_cmpuint(script.begins - (script.no_memory ? 1 : 0), ==, script.ends);
}
