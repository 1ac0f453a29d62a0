/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The negotiation table, row by row: what the initiator sends, under which limits, what is answered
 * and what the number is in the end. Keys and rules are those of RFC 7143 section 13.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "iscsi/params.h"
#include "iscsi/params_table.h"

static struct params params;
static struct iscsi_limits limits;
static char out_text[4096];
static struct keys_writer out;

/* A text given as "A=1 B=2" (blanks for the NULs). */
static int receive(const char *text)
{
    static char buffer[4096];
    struct keys keys;
    const char *key = NULL;
    size_t bytes = strlen(text);
    memcpy(buffer, text, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        if (buffer[i] == ' ')
            buffer[i] = '\0';
    g_assert_cmpint(keys_decode(buffer, bytes ? (uint32_t)bytes + 1 : 0, &keys), ==, 0);
    int r = params_receive(&params, &keys, &out, &key);
    g_assert_true(r == 0 || key != NULL);
    return r;
}

/* What has been answered since the last call, in the same notation. */
static const char *answered(void)
{
    static char buffer[4096];
    memcpy(buffer, out_text, out.used);
    buffer[out.used ? out.used - 1 : 0] = '\0';
    for (uint32_t i = 0; i + 1 < out.used; i++)
        if (buffer[i] == '\0')
            buffer[i] = ' ';
    out.used = 0;
    return buffer;
}

static void begin(bool discovery, bool leading)
{
    limits = iscsi_limits_default;
    limits.max_connections = 4;
    limits.protocol_level = 1;
    out = (struct keys_writer){ .text = out_text, .size = sizeof(out_text) };
    params_init(&params);
    params_configure(&params, &limits, discovery, leading);
}

static uint32_t result_of(const char *name)
{
    const struct param_row *row = param_find(name);
    return row->bytes ? param_result(&params, row) : 0;
}

/*
 * For an offer of `key`=`value` while our own value is `ours` (a mask for lists, ignored where it
 * is fixed): the answer, and the result.
 */
static const struct row {
    const char *key, *value;
    uint32_t ours;
    const char *answer; /* "" when none is due */
    uint32_t result;
} rows[] = {
    { "HeaderDigest", "None", 3, "None", 0 },
    { "HeaderDigest", "CRC32C", 3, "CRC32C", 1 },
    { "HeaderDigest", "CRC32C,None", 3, "CRC32C", 1 },
    { "HeaderDigest", "None,CRC32C", 3, "None", 0 },
    { "HeaderDigest", "Y-example.md5,CRC32C", 3, "CRC32C", 1 },
    { "HeaderDigest", "CRC32C,None", 1, "None", 0 },
    { "HeaderDigest", "None,CRC32C", 2, "CRC32C", 1 },
    { "HeaderDigest", "CRC32C", 1, "Reject", 0 },
    { "HeaderDigest", "CRC32C", 0, "Reject", 0 },
    { "HeaderDigest", "crc32c", 3, "Reject", 0 },
    { "HeaderDigest", "", 3, "Reject", 0 },
    { "DataDigest", "CRC32C,None", 3, "CRC32C", 1 },
    { "DataDigest", "None", 3, "None", 0 },
    { "DataDigest", "CRC64", 3, "Reject", 0 },
    { "MaxConnections", "1", 4, "1", 1 },
    { "MaxConnections", "65535", 4, "4", 4 },
    { "MaxConnections", "0", 4, "Reject", 1 },
    { "MaxConnections", "65536", 4, "Reject", 1 },
    { "InitialR2T", "Yes", 0, "Yes", 1 },
    { "InitialR2T", "No", 0, "No", 0 },
    { "InitialR2T", "No", 1, "Yes", 1 },
    { "InitialR2T", "Maybe", 0, "Reject", 1 },
    { "ImmediateData", "Yes", 1, "Yes", 1 },
    { "ImmediateData", "No", 1, "No", 0 },
    { "ImmediateData", "Yes", 0, "No", 0 },
    { "ImmediateData", "yes", 1, "Reject", 1 },
    { "MaxRecvDataSegmentLength", "512", 0, "", 512 },
    { "MaxRecvDataSegmentLength", "16777215", 0, "", 16777215 },
    { "MaxRecvDataSegmentLength", "0x10000", 0, "", 65536 },
    { "MaxBurstLength", "512", 1048576, "512", 512 },
    { "MaxBurstLength", "16776192", 1048576, "1048576", 1048576 },
    { "MaxBurstLength", "511", 1048576, "Reject", 262144 },
    { "MaxBurstLength", "16777216", 1048576, "Reject", 262144 },
    { "MaxBurstLength", "1~2", 1048576, "Reject", 262144 },
    { "FirstBurstLength", "65536", 262144, "65536", 65536 },
    { "FirstBurstLength", "262144", 131072, "131072", 131072 },
    { "FirstBurstLength", "1048576", 1048576, "262144", 262144 }, /* MaxBurstLength's default */
    { "FirstBurstLength", "0", 262144, "Reject", 65536 },
    { "DefaultTime2Wait", "0", 2, "2", 2 },
    { "DefaultTime2Wait", "20", 2, "20", 20 },
    { "DefaultTime2Wait", "3600", 2, "3600", 3600 },
    { "DefaultTime2Wait", "3601", 2, "Reject", 2 },
    { "DefaultTime2Retain", "0", 20, "0", 0 },
    { "DefaultTime2Retain", "3600", 20, "20", 20 },
    { "DefaultTime2Retain", "99999", 20, "Reject", 20 },
    { "MaxOutstandingR2T", "1", 16, "1", 1 },
    { "MaxOutstandingR2T", "65535", 16, "16", 16 },
    { "MaxOutstandingR2T", "0", 16, "Reject", 1 },
    { "DataPDUInOrder", "Yes", 0, "Yes", 1 },
    { "DataPDUInOrder", "No", 0, "Yes", 1 },
    { "DataSequenceInOrder", "Yes", 0, "Yes", 1 },
    { "DataSequenceInOrder", "No", 0, "Yes", 1 },
    { "DataSequenceInOrder", "", 0, "Reject", 1 },
    { "ErrorRecoveryLevel", "0", 0, "0", 0 },
    { "ErrorRecoveryLevel", "2", 0, "0", 0 },
    { "ErrorRecoveryLevel", "3", 0, "Reject", 0 },
    { "TaskReporting", "RFC3720", 1, "RFC3720", 0 },
    { "TaskReporting", "FastAbort,ResponseFence,RFC3720", 1, "RFC3720", 0 },
    { "TaskReporting", "FastAbort,ResponseFence,RFC3720", 3, "ResponseFence", 1 },
    { "TaskReporting", "FastAbort", 7, "FastAbort", 2 },
    { "TaskReporting", "FastAbort", 1, "Reject", 0 },
    { "iSCSIProtocolLevel", "1", 1, "1", 1 },
    { "iSCSIProtocolLevel", "2", 1, "1", 1 },
    { "iSCSIProtocolLevel", "2", 2, "2", 2 },
    { "iSCSIProtocolLevel", "0", 2, "0", 0 },
    { "iSCSIProtocolLevel", "32", 2, "Reject", 1 },
    { "X#NodeArchitecture", "linux", 0, "", 0 },
    { "IFMarker", "No", 0, "Reject", 0 },
    { "OFMarker", "Yes", 0, "Reject", 0 },
    { "IFMarkInt", "2048~8192", 0, "Reject", 0 },
    { "OFMarkInt", "2048", 0, "Reject", 0 },
    { "SendTargets", "All", 0, "Reject", 0 },
    { "X-com.example.thing", "1", 0, "NotUnderstood", 0 },
    { "Unheard.of", "", 0, "NotUnderstood", 0 },
};

static void set_limit(const char *key, uint32_t value)
{
    const struct param_row *row = param_find(key);
    if (!row || row->limit_bytes == 0)
        return;
    uint8_t *at = (uint8_t *)&params.limits + row->limit_offset;
    uint16_t half = (uint16_t)value;
    if (row->limit_bytes == 4)
        memcpy(at, &value, 4);
    else if (row->limit_bytes == 2)
        memcpy(at, &half, 2);
    else
        *at = (uint8_t)value;
}

static void every_key_gives_its_result(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *offer = g_strdup_printf("%s=%s", rows[i].key, rows[i].value);
        g_autofree char *answer = g_strdup_printf("%s=%s", rows[i].key, rows[i].answer);
        g_test_message("%s, ours is %u", offer, rows[i].ours);
        begin(/* discovery= */ false, /* leading= */ true);
        set_limit(rows[i].key, rows[i].ours);
        g_assert_cmpint(receive(offer), ==, 0);
        g_assert_cmpstr(answered(), ==, rows[i].answer[0] ? answer : "");
        if (param_find(rows[i].key))
            g_assert_cmpuint(result_of(rows[i].key), ==, rows[i].result);
    }
}

static void every_operational_key_is_in_the_table_above(void)
{
    for (unsigned i = 0; i < param_row_count; i++) {
        bool found = param_rows[i].kind != PARAMS_OPERATIONAL;
        for (size_t j = 0; j < G_N_ELEMENTS(rows); j++)
            found |= strcmp(rows[j].key, param_rows[i].name) == 0;
        g_test_message("%s", param_rows[i].name);
        g_assert_true(found);
    }
}

static void a_key_that_comes_twice_in_a_login_is_an_error(void)
{
    for (unsigned i = 0; i < param_row_count; i++) {
        if (param_rows[i].kind != PARAMS_OPERATIONAL)
            continue;
        g_autofree char *text = g_strdup_printf("%s=1024", param_rows[i].name);
        g_test_message("%s", text);
        begin(false, true);
        g_assert_cmpint(receive(text), ==, 0);
        g_assert_cmpint(receive(text), ==, -EPROTO);
    }
}

static void reserved_words_are_no_offers(void)
{
    static const char *const words[] = { "Reject", "Irrelevant", "NotUnderstood" };
    for (unsigned i = 0; i < param_row_count; i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(words); j++) {
            if (param_rows[i].kind != PARAMS_OPERATIONAL)
                continue;
            g_autofree char *text = g_strdup_printf("%s=%s", param_rows[i].name, words[j]);
            begin(false, true);
            g_test_message("%s", text);
            g_assert_cmpint(receive(text), ==, -EPROTO);
        }
    }
}

static void a_declaration_out_of_range_is_an_error(void)
{
    static const char *const values[] = { "511", "0", "16777216", "many", "", "-1" };
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *text = g_strdup_printf("MaxRecvDataSegmentLength=%s", values[i]);
        begin(false, true);
        g_assert_cmpint(receive(text), ==, -EPROTO);
    }
}

static void a_value_of_more_than_255_bytes_is_an_error(void)
{
    g_autofree char *zeroes = g_strnfill(255, '0');
    g_autofree char *longest = g_strdup_printf("DefaultTime2Wait=%s", zeroes);
    g_autofree char *longer = g_strdup_printf("DefaultTime2Wait=%s0", zeroes);
    begin(false, true);
    g_assert_cmpint(receive(longest), ==, 0);
    begin(false, true);
    g_assert_cmpint(receive(longer), ==, -EPROTO);
}

static void an_answer_to_nothing_is_not_answered(void)
{
    begin(false, true);
    g_assert_cmpint(receive("X-a=NotUnderstood X-b=Reject X-c=Irrelevant"), ==, 0);
    g_assert_cmpstr(answered(), ==, "");
}

static void session_keys_are_irrelevant_in_discovery(void)
{
    begin(/* discovery= */ true, true);
    g_assert_cmpint(receive("MaxConnections=1 InitialR2T=No ImmediateData=No MaxBurstLength=1024 "
                            "FirstBurstLength=512 MaxOutstandingR2T=1 DataPDUInOrder=Yes "
                            "DataSequenceInOrder=Yes TaskReporting=RFC3720 iSCSIProtocolLevel=2"),
                    ==, 0);
    g_auto(GStrv) answers = g_strsplit(answered(), " ", -1);
    g_assert_cmpuint(g_strv_length(answers), ==, 10);
    for (unsigned i = 0; answers[i]; i++)
        g_assert_true(g_str_has_suffix(answers[i], "=Irrelevant"));
    g_assert_cmpint(receive("HeaderDigest=CRC32C DefaultTime2Wait=0 ErrorRecoveryLevel=2"), ==, 0);
    g_assert_cmpstr(answered(), ==, "HeaderDigest=CRC32C DefaultTime2Wait=2 ErrorRecoveryLevel=0");
}

static void leading_only_keys_change_nothing_on_a_further_connection(void)
{
    begin(false, /* leading= */ false);
    g_assert_cmpint(
        receive("HeaderDigest=CRC32C MaxBurstLength=1024 MaxConnections=2 InitialR2T=No"), ==, 0);
    g_assert_cmpstr(
        answered(), ==,
        "HeaderDigest=CRC32C MaxBurstLength=Reject MaxConnections=Reject InitialR2T=Reject");
    g_assert_cmpuint(params.result.header_digest, ==, ISCSI_DIGEST_CRC32C);
    g_assert_cmpuint(params.result.max_burst_length, ==, iscsi_params_default.max_burst_length);
}

static void first_burst_never_exceeds_max_burst_of_the_same_text(void)
{
    const char *key;
    begin(false, true);
    g_assert_cmpint(receive("FirstBurstLength=65536 InitialR2T=No MaxBurstLength=4096"), ==, 0);
    g_assert_cmpstr(answered(), ==, "InitialR2T=No MaxBurstLength=4096 FirstBurstLength=4096");
    g_assert_false(params_propose(&params, &out));
    g_assert_cmpint(params_check(&params, &key), ==, 0);
    g_assert_cmpuint(params.result.first_burst_length, ==, 4096);
}

static void a_max_burst_below_the_agreed_first_burst_is_no_agreement(void)
{
    const char *key = NULL;
    begin(false, true);
    g_assert_cmpint(receive("FirstBurstLength=65536"), ==, 0);
    g_assert_cmpint(receive("MaxBurstLength=4096"), ==, 0);
    g_assert_cmpint(params_check(&params, &key), ==, -EPROTO);
    g_assert_cmpstr(key, ==, "FirstBurstLength");
}

static void first_burst_is_irrelevant_without_unsolicited_data(void)
{
    const char *key;
    begin(false, true);
    g_assert_cmpint(
        receive("FirstBurstLength=65536 ImmediateData=No InitialR2T=Yes MaxBurstLength=512"), ==,
        0);
    g_assert_cmpstr(
        answered(), ==,
        "ImmediateData=No InitialR2T=Yes MaxBurstLength=512 FirstBurstLength=Irrelevant");
    g_assert_cmpint(params_check(&params, &key), ==, 0);
    g_assert_cmpuint(params.result.first_burst_length, <=, params.result.max_burst_length);
}

/* ---- our own side ---- */

static void we_declare_our_segment_length_once(void)
{
    begin(false, true);
    g_assert_false(params_propose(&params, &out));
    g_assert_cmpstr(answered(), ==, "MaxRecvDataSegmentLength=262144");
    g_assert_cmpuint(params.result.target_max_recv, ==, 262144);
    g_assert_false(params_propose(&params, &out));
    g_assert_cmpstr(answered(), ==, "");
}

static void without_the_operational_stage_defaults_hold(void)
{
    const char *key;
    begin(false, true);
    g_assert_cmpint(params_check(&params, &key), ==, 0);
    g_assert_cmpmem(&params.result, sizeof(params.result), &iscsi_params_default,
                    sizeof(iscsi_params_default));
}

static void defaults_that_do_not_fit_are_proposed_by_us(void)
{
    const char *key;
    begin(false, true);
    params.limits.header_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
    params.limits.immediate_data = false;
    params.limits.max_burst_length = 65536;
    params.limits.first_burst_length = 32768;
    g_assert_cmpint(receive("InitialR2T=No"), ==, 0);
    (void)answered();
    g_assert_cmpint(params_check(&params, &key), ==, -EPROTO);
    g_assert_true(params_propose(&params, &out));
    g_assert_cmpstr(answered(), ==,
                    "MaxRecvDataSegmentLength=262144 HeaderDigest=CRC32C ImmediateData=No "
                    "MaxBurstLength=65536 FirstBurstLength=32768");
    g_assert_cmpint(params_check(&params, &key), ==, -EPROTO);
    g_assert_cmpint(receive("HeaderDigest=CRC32C ImmediateData=No MaxBurstLength=4096 "
                            "FirstBurstLength=4096"),
                    ==, 0);
    g_assert_cmpstr(answered(), ==, "");
    g_assert_false(params_propose(&params, &out));
    g_assert_cmpint(params_check(&params, &key), ==, 0);
    g_assert_cmpuint(params.result.header_digest, ==, ISCSI_DIGEST_CRC32C);
    g_assert_cmpuint(params.result.immediate_data, ==, 0);
    g_assert_cmpuint(params.result.max_burst_length, ==, 4096);
    g_assert_cmpuint(params.result.first_burst_length, ==, 4096);
}

static void an_answer_that_is_none_to_our_question_is_an_error(void)
{
    static const char *const bad[] = { "HeaderDigest=None", "HeaderDigest=CRC32C,None",
                                       "ImmediateData=Yes", "MaxBurstLength=131072",
                                       "MaxBurstLength=0",  "ImmediateData=maybe" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        begin(false, true);
        params.limits.header_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
        params.limits.immediate_data = false;
        params.limits.max_burst_length = 65536;
        g_assert_true(params_propose(&params, &out));
        g_test_message("%s", bad[i]);
        g_assert_cmpint(receive(bad[i]), ==, -EPROTO);
    }
}

static void an_initiator_may_refuse_our_proposal_and_then_there_is_no_login(void)
{
    const char *key = NULL;
    begin(false, true);
    params.limits.data_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
    g_assert_true(params_propose(&params, &out));
    g_assert_cmpint(receive("DataDigest=Reject"), ==, 0);
    g_assert_false(params_propose(&params, &out));
    g_assert_cmpint(params_check(&params, &key), ==, -EPROTO);
    g_assert_cmpstr(key, ==, "DataDigest");
}

static void in_full_feature_phase_only_the_segment_length_changes(void)
{
    struct iscsi_params in_force = iscsi_params_default;
    in_force.max_burst_length = 4096;
    begin(false, true);
    params_init_text(&params, &in_force);
    g_assert_cmpint(
        receive("MaxRecvDataSegmentLength=65536 MaxBurstLength=1024 HeaderDigest=CRC32C "
                "InitiatorAlias=me TargetName=iqn.2026-11.org.example:x X-y=1"),
        ==, 0);
    g_assert_cmpstr(
        answered(), ==,
        "MaxBurstLength=Reject HeaderDigest=Reject TargetName=Reject X-y=NotUnderstood");
    in_force.initiator_max_recv = 65536;
    g_assert_cmpmem(&params.result, sizeof(in_force), &in_force, sizeof(in_force));
    params_init_text(&params, &in_force);
    g_assert_cmpint(receive("MaxRecvDataSegmentLength=5"), ==, 0);
    g_assert_cmpstr(answered(), ==, "MaxRecvDataSegmentLength=Reject");
    g_assert_cmpuint(params.result.initiator_max_recv, ==, 65536);
}

static void kinds(void)
{
    g_assert_cmpint(params_kind("AuthMethod"), ==, PARAMS_SECURITY);
    g_assert_cmpint(params_kind("CHAP_R"), ==, PARAMS_SECURITY);
    g_assert_cmpint(params_kind("SRP_s"), ==, PARAMS_SECURITY);
    g_assert_cmpint(params_kind("TargetPortalGroupTag"), ==, PARAMS_IDENTITY);
    g_assert_cmpint(params_kind("MaxConnections"), ==, PARAMS_OPERATIONAL);
    g_assert_cmpint(params_kind("maxconnections"), ==, PARAMS_UNKNOWN);
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
        TEST(every_key_gives_its_result),
        TEST(every_operational_key_is_in_the_table_above),
        TEST(a_key_that_comes_twice_in_a_login_is_an_error),
        TEST(reserved_words_are_no_offers),
        TEST(a_declaration_out_of_range_is_an_error),
        TEST(a_value_of_more_than_255_bytes_is_an_error),
        TEST(an_answer_to_nothing_is_not_answered),
        TEST(session_keys_are_irrelevant_in_discovery),
        TEST(leading_only_keys_change_nothing_on_a_further_connection),
        TEST(first_burst_never_exceeds_max_burst_of_the_same_text),
        TEST(a_max_burst_below_the_agreed_first_burst_is_no_agreement),
        TEST(first_burst_is_irrelevant_without_unsolicited_data),
        TEST(we_declare_our_segment_length_once),
        TEST(without_the_operational_stage_defaults_hold),
        TEST(defaults_that_do_not_fit_are_proposed_by_us),
        TEST(an_answer_that_is_none_to_our_question_is_an_error),
        TEST(an_initiator_may_refuse_our_proposal_and_then_there_is_no_login),
        TEST(in_full_feature_phase_only_the_segment_length_changes),
        TEST(kinds),
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/iscsi/params/%s", tests[i].name);
        g_test_add_func(g_strdelimit(path, "_", '-'), tests[i].run);
    }
    return g_test_run();
}
