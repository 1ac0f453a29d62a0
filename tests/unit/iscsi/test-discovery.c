/* SPDX-License-Identifier: BSD-3-Clause */
/* Text exchanges: SendTargets in both kinds of session, long answers, and what is rejected. */
#include <glib.h>
#include <string.h>

#include "base/bytes.h"
#include "iscsi/discovery.h"

#define OWN "iqn.2026-11.org.example:own"
#define F   ISCSI_FINAL
#define C   ISCSI_TEXT_CONTINUE

static struct text text;
static unsigned asked, targets;
static char asked_name[256];
static uint32_t itt;

static void send_targets(void *user, const char *name, struct text_targets *sink)
{
    g_assert_true(user == &targets);
    asked++;
    g_strlcpy(asked_name, name ? name : "(all)", sizeof(asked_name));
    for (unsigned i = 0; i < targets; i++) {
        g_autofree char *target = g_strdup_printf("iqn.2026-11.org.example:%05u", i);
        if (name && strcmp(name, target) != 0 && strcmp(name, OWN) != 0)
            continue;
        discovery_target(sink, target);
        discovery_address(sink, "192.0.2.1:3260", 1);
        discovery_address(sink, "[2001:db8::1]:3261", 2);
    }
}

static const struct text_ops ops = { .send_targets = send_targets };

static void begin(bool discovery, uint32_t max_recv)
{
    struct iscsi_params params = iscsi_params_default;
    params.initiator_max_recv = max_recv;
    asked = 0;
    targets = 1;
    itt = 77;
    text_init(&text, &ops, &targets, discovery ? NULL : OWN, &params);
}

static enum text_action send_raw(uint8_t flags, uint32_t ttt, const void *data, uint32_t bytes)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = { ISCSI_OP_TEXT, flags };
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    put_be32(bhs + ISCSI_BHS_ITT, itt);
    put_be32(bhs + ISCSI_BHS_TTT, ttt);
    return text_receive(&text, bhs, data, bytes);
}

/* Blanks stand for NULs; the last pair gets its own. */
static enum text_action send(uint8_t flags, uint32_t ttt, const char *pairs)
{
    char wire[1024];
    size_t bytes = strlen(pairs);
    memcpy(wire, pairs, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        if (wire[i] == ' ')
            wire[i] = '\0';
    return send_raw(flags, ttt, wire, bytes ? (uint32_t)bytes + 1 : 0);
}

static uint32_t reply_ttt(void)
{
    return get_be32(text.reply_bhs + ISCSI_BHS_TTT);
}

static const char *reply(uint8_t flags)
{
    static char shown[8192];
    g_assert_cmpuint(text.reply_bhs[ISCSI_BHS_OPCODE], ==, ISCSI_OP_TEXT_RESPONSE);
    g_assert_cmphex(text.reply_bhs[ISCSI_BHS_FLAGS], ==, flags);
    g_assert_cmpuint(get_be32(text.reply_bhs + ISCSI_BHS_ITT), ==, itt);
    g_assert_cmpuint(get_be24(text.reply_bhs + ISCSI_BHS_DATA_LENGTH), ==, text.reply_bytes);
    g_assert_true((reply_ttt() == ISCSI_TAG_NONE) == (flags == F));
    g_assert_true(text.reply_final == (flags == F));
    g_assert_cmpuint(text.reply_bytes, <, sizeof(shown));
    if (text.reply_bytes)
        memcpy(shown, text.reply_data, text.reply_bytes);
    shown[text.reply_bytes] = '\0';
    for (uint32_t i = 0; i + 1 < text.reply_bytes; i++)
        if (shown[i] == '\0')
            shown[i] = ' ';
    return shown;
}

#define RECORD(number)                                                                             \
    "TargetName=iqn.2026-11.org.example:" number " TargetAddress=192.0.2.1:3260,1 "                \
    "TargetAddress=[2001:db8::1]:3261,2"

static void discovery_answers(void)
{
    static const struct {
        const char *value, *asked, *answer;
    } rows[] = {
        { "SendTargets=All", "(all)", RECORD("00000") " " RECORD("00001") },
        { "SendTargets=iqn.2026-11.org.EXAMPLE:00001", "iqn.2026-11.org.example:00001",
          RECORD("00001") },
        { "SendTargets=iqn.2026-11.org.example:no", "iqn.2026-11.org.example:no", "" },
        { "SendTargets=", NULL, "SendTargets=Reject" },
        { "SendTargets=all", NULL, "SendTargets=Reject" },
        { "SendTargets=0123", NULL, "SendTargets=Reject" },
        { "MaxConnections=4", NULL, "MaxConnections=Irrelevant" },
        { "X-a=4", NULL, "X-a=NotUnderstood" },
        { "", NULL, "" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        begin(/* discovery= */ true, 8192);
        targets = 2;
        g_test_message("%s", rows[i].value);
        g_assert_cmpint(send(F, ISCSI_TAG_NONE, rows[i].value), ==, TEXT_REPLY);
        g_assert_cmpstr(reply(F), ==, rows[i].answer);
        g_assert_cmpuint(asked, ==, rows[i].asked != NULL);
        if (rows[i].asked)
            g_assert_cmpstr(asked_name, ==, rows[i].asked);
        text_fini(&text);
    }
}

static void a_normal_session_is_told_of_its_own_target_only(void)
{
    static const struct {
        const char *value;
        bool own;
    } rows[] = {
        { "SendTargets=", true },
        { "SendTargets=All", true },
        { "SendTargets=" OWN, true },
        { "SendTargets=IQN.2026-11.org.example:own", true },
        { "SendTargets=iqn.2026-11.org.example:00000", false },
        { "SendTargets=nonsense", false },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        begin(/* discovery= */ false, 8192);
        g_test_message("%s", rows[i].value);
        g_assert_cmpint(send(F, ISCSI_TAG_NONE, rows[i].value), ==, TEXT_REPLY);
        g_assert_cmpstr(reply(F), ==, rows[i].own ? RECORD("00000") : "SendTargets=Reject");
        if (rows[i].own)
            g_assert_cmpstr(asked_name, ==, OWN);
        text_fini(&text);
    }
}

static void a_long_answer_comes_in_parts(void)
{
    begin(true, 512);
    targets = 1000;
    GString *whole = g_string_new(NULL);
    unsigned records = 0;
    enum text_action action = send(F, ISCSI_TAG_NONE, "SendTargets=All");
    while (!text.reply_final) {
        g_assert_cmpint(action, ==, TEXT_REPLY);
        g_assert_cmphex(text.reply_bhs[ISCSI_BHS_FLAGS], ==, C);
        g_assert_cmpuint(text.reply_bytes, ==, 512);
        g_string_append_len(whole, text.reply_data, text.reply_bytes);
        action = send(F, reply_ttt(), "");
    }
    g_string_append_len(whole, text.reply_data, text.reply_bytes);
    g_assert_cmpuint(asked, ==, 1);
    for (size_t at = 0; at < whole->len; at += strlen(whole->str + at) + 1)
        records += g_str_has_prefix(whole->str + at, "TargetName=");
    g_assert_cmpuint(records, ==, 1000);
    g_string_free(whole, TRUE);
    text_fini(&text);
}

static void an_answer_without_end_is_rejected(void)
{
    begin(true, 8192);
    targets = 50000;
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets=All"), ==, TEXT_REJECT);
    g_assert_cmpuint(text.reject_reason, ==, ISCSI_REJECT_LONG_OPERATION);
    targets = 1;
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets=All"), ==, TEXT_REPLY);
    g_assert_cmpstr(reply(F), ==, RECORD("00000"));
    text_fini(&text);
}

static void a_request_may_come_in_parts(void)
{
    begin(true, 8192);
    g_assert_cmpint(send_raw(C, ISCSI_TAG_NONE, "SendTar", 7), ==, TEXT_REPLY);
    g_assert_cmpstr(reply(0), ==, "");
    g_assert_cmpint(send_raw(F, reply_ttt(), "gets=All", 9), ==, TEXT_REPLY);
    g_assert_cmpstr(reply(F), ==, RECORD("00000"));
    text_fini(&text);
}

static void without_f_the_exchange_stays_open(void)
{
    begin(false, 8192);
    g_assert_cmpint(send(0, ISCSI_TAG_NONE, "MaxRecvDataSegmentLength=4096"), ==, TEXT_REPLY);
    g_assert_cmpstr(reply(0), ==, "");
    g_assert_cmpuint(text_params(&text)->initiator_max_recv, ==, 8192);
    g_assert_cmpint(send(F, reply_ttt(), "SendTargets="), ==, TEXT_REPLY);
    g_assert_cmpstr(reply(F), ==, RECORD("00000"));
    g_assert_cmpuint(text_params(&text)->initiator_max_recv, ==, 4096);
    text_fini(&text);
}

static void the_reserved_ttt_starts_anew(void)
{
    begin(false, 8192);
    g_assert_cmpint(send(0, ISCSI_TAG_NONE, "MaxRecvDataSegmentLength=4096"), ==, TEXT_REPLY);
    uint32_t old = reply_ttt();
    itt = 78;
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets="), ==, TEXT_REPLY);
    g_assert_cmpstr(reply(F), ==, RECORD("00000"));
    g_assert_cmpuint(text_params(&text)->initiator_max_recv, ==, 8192);
    itt = 77;
    g_assert_cmpint(send(F, old, ""), ==, TEXT_REJECT);
    text_fini(&text);
}

static void a_key_twice_in_an_exchange_is_rejected_and_changes_nothing(void)
{
    begin(false, 8192);
    g_assert_cmpint(send(0, ISCSI_TAG_NONE, "MaxRecvDataSegmentLength=4096"), ==, TEXT_REPLY);
    g_assert_cmpint(send(F, reply_ttt(), "MaxRecvDataSegmentLength=2048"), ==, TEXT_REJECT);
    g_assert_cmpuint(text.reject_reason, ==, ISCSI_REJECT_PROTOCOL);
    g_assert_cmpuint(text_params(&text)->initiator_max_recv, ==, 8192);
    text_fini(&text);
}

static void breaches_are_rejected(void)
{
    begin(true, 512);
    targets = 20;
    g_assert_cmpint(send(F | C, ISCSI_TAG_NONE, "SendTargets=All"), ==, TEXT_REJECT);
    g_assert_cmpint(send(F, 1, "SendTargets=All"), ==, TEXT_REJECT);
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets"), ==, TEXT_REJECT);
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets=All SendTargets=All"), ==, TEXT_REJECT);
    itt = ISCSI_TAG_NONE;
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets=All"), ==, TEXT_REJECT);
    itt = 77;
    g_assert_cmpint(send(F, ISCSI_TAG_NONE, "SendTargets=All"), ==, TEXT_REPLY);
    g_assert_cmpint(send(F, reply_ttt(), "X-more=1"), ==, TEXT_REJECT);
    g_assert_cmpuint(text.reject_reason, ==, ISCSI_REJECT_PROTOCOL);
    g_assert_nonnull(text.problem);
    text_fini(&text);
}

static void a_request_has_a_limit(void)
{
    static char block[8192];
    memset(block, 'x', sizeof(block));
    begin(true, 8192);
    uint32_t ttt = ISCSI_TAG_NONE;
    for (unsigned sent = 0; sent < TEXT_REQUEST_MAX; sent += sizeof(block)) {
        g_assert_cmpint(send_raw(C, ttt, block, sizeof(block)), ==, TEXT_REPLY);
        ttt = reply_ttt();
    }
    g_assert_cmpint(send_raw(C, ttt, block, 1), ==, TEXT_REJECT);
    text_fini(&text);
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
        TEST(discovery_answers),
        TEST(a_normal_session_is_told_of_its_own_target_only),
        TEST(a_long_answer_comes_in_parts),
        TEST(an_answer_without_end_is_rejected),
        TEST(a_request_may_come_in_parts),
        TEST(without_f_the_exchange_stays_open),
        TEST(the_reserved_ttt_starts_anew),
        TEST(a_key_twice_in_an_exchange_is_rejected_and_changes_nothing),
        TEST(breaches_are_rejected),
        TEST(a_request_has_a_limit),
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/iscsi/text/%s", tests[i].name);
        g_test_add_func(g_strdelimit(path, "_", '-'), tests[i].run);
    }
    return g_test_run();
}
