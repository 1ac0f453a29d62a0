/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole logins from any bytes: the input is a row of requests, each the flags with the stages, a
 * byte that in the first request says what the target is like, and text up to a byte 0xfe. After a
 * login that succeeds the rest is Text Requests. Headers are otherwise right; fuzz-pdu.c plays with
 * them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "iscsi/discovery.h"
#include "iscsi/login.h"

#define NAMES "InitiatorName=iqn.1993-08.org.debian:01:h\0TargetName=iqn.2026-11.org.example:d\0"
/* T and the stages security to operational, security, operational to full feature phase. */
#define SEC_OPER "\x81\x00"
#define SEC      "\x00\x00"
#define OPER_FFP "\x87\x00"

#define END "\xfe"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(OPER_FFP NAMES "HeaderDigest=CRC32C,None\0InitialR2T=No\0" END
                             "\x80\x00SendTargets=All\0" END),
    FUZZ_SEED("\x81\x01" NAMES "AuthMethod=CHAP,None\0" END SEC "CHAP_A=5\0" END SEC_OPER
              "CHAP_R=good\0" END OPER_FFP END),
    FUZZ_SEED("\x81\x25" NAMES "AuthMethod=CHAP\0" END SEC "CHAP_A=5\0" END "\x83\x00"
              "CHAP_R=slow\0" END "\x80\x00MaxRecvDataSegmentLength=4096\0" END),
    FUZZ_SEED("\x44\x02" NAMES END OPER_FFP "MaxBurstLength=16776192\0FirstBurstLength=65536\0"
              "X-a=b\0IFMarker=No\0" END OPER_FFP "HeaderDigest=CRC32C\0ImmediateData=No\0" END),
    FUZZ_SEED(
        SEC_OPER
        "InitiatorName=iqn.1993-08.org.debian:01:h\0SessionType=Discovery\0a=\0b=\0" END OPER_FFP
        "MaxRecvDataSegmentLength=512\0" END "\x80\x00SendTargets=All\0" END "\x80\x01" END
        "\x80\x01" END),
    FUZZ_SEED(
        OPER_FFP NAMES
        "MaxRecvDataSegmentLength=512\0Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=\0"
        "Bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb=\0Cccccccccccccccccccccccccccccc=\0"
        "Dddddddddddddddddddddddddddddddddddddddddddddddddddd=\0Eeeeeeeeeeeeeeeeeeeeeeeeeeeeee=\0"
        "Ffffffffffffffffffffffffffffffffffffffffffffffffffff=\0Gggggggggggggggggggggggggggggg=\0"
        "Hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh=\0Iiiiiiiiiiiiiiiiiiiiiiiiiiiiii="
        "\0" END OPER_FFP END OPER_FFP END),
    { NULL, 0 },
};

const struct fuzz_seed fuzz_words[] = {
    FUZZ_SEED("AuthMethod="),
    FUZZ_SEED("CHAP_A=5\0"),
    FUZZ_SEED("CHAP_R="),
    FUZZ_SEED("good\0"),
    FUZZ_SEED("slow\0"),
    FUZZ_SEED("SessionType=Discovery\0"),
    FUZZ_SEED("HeaderDigest="),
    FUZZ_SEED("DataDigest=CRC32C\0"),
    FUZZ_SEED("MaxConnections=65535\0"),
    FUZZ_SEED("InitialR2T=No\0"),
    FUZZ_SEED("ImmediateData=No\0"),
    FUZZ_SEED("MaxRecvDataSegmentLength=512\0"),
    FUZZ_SEED("MaxBurstLength=512\0"),
    FUZZ_SEED("FirstBurstLength=16777215\0"),
    FUZZ_SEED("DefaultTime2Wait=0xe10\0"),
    FUZZ_SEED("ErrorRecoveryLevel=2\0"),
    FUZZ_SEED("TaskReporting=FastAbort\0"),
    FUZZ_SEED("iSCSIProtocolLevel=2\0"),
    FUZZ_SEED("SendTargets=\0"),
    FUZZ_SEED("TargetName="),
    FUZZ_SEED("Reject\0"),
    FUZZ_SEED("NotUnderstood\0"),
    FUZZ_SEED("Irrelevant\0"),
    FUZZ_SEED("None,"),
    FUZZ_SEED("=\0"),
    FUZZ_SEED("\0"),
    FUZZ_SEED("A=1\0B=2\0C=3\0D=4\0"),
    FUZZ_SEED("0x"),
    FUZZ_SEED("4294967296\0"),
    FUZZ_SEED("\xff\xff"),
    { NULL, 0 },
};

static uint8_t odd; /* of the first request: which target it finds */

/* ---- the world ---- */

static bool owns_key(const struct iscsi_authenticator *auth, const char *key)
{
    return strncmp(key, "CHAP_", 5) == 0;
}

static void *begin(const struct iscsi_authenticator *auth, const char *initiator,
                   const char *target, const char *peer, void *login_user)
{
    return malloc(1); /* a leak is found */
}

static enum auth_result step(void *attempt, struct auth_step *s)
{
    if (s->in_count == 0)
        return AUTH_ACCEPT;
    keys_put(s->out, s->in[0].name, s->in[0].value);
    if (strcmp(s->in[0].value, "good") == 0)
        return AUTH_ACCEPT;
    if (strcmp(s->in[0].value, "slow") == 0)
        return AUTH_PENDING;
    return strcmp(s->in[0].name, "CHAP_A") == 0 ? AUTH_CONTINUE : AUTH_REJECT;
}

static const struct iscsi_authenticator_ops auth_ops = {
    .method = "CHAP", .owns_key = owns_key, .begin = begin, .step = step, .end = free
};
static const struct iscsi_authenticator auth = { .ops = &auth_ops };

static uint16_t find_target(void *user, const char *initiator, const char *target,
                            struct login_target *ret)
{
    ret->limits = iscsi_limits_default;
    if (odd & 1)
        ret->auth = &auth;
    if (odd & 2) {
        ret->limits.header_digests = ISCSI_DIGEST_BIT(ISCSI_DIGEST_CRC32C);
        ret->limits.immediate_data = false;
        ret->limits.max_burst_length = 65536;
        ret->limits.first_burst_length = 512;
    }
    if (odd & 4)
        ret->alias = "an alias";
    ret->redirect = odd & 8 ? "192.0.2.1" : NULL;
    return odd & 16 ? ISCSI_LOGIN_MOVED_TEMPORARILY : ISCSI_LOGIN_OK;
}

static uint16_t session_decide(void *user, struct login *login, struct login_session *ret_session,
                               bool *ret_pending)
{
    ret_session->tsih = 1;
    *ret_pending = (odd & 32) != 0;
    return ISCSI_LOGIN_OK;
}

static const struct login_ops login_ops = { find_target, session_decide };

static void send_targets(void *user, const char *name, struct text_targets *sink)
{
    for (unsigned i = 0; i < 20; i++) {
        discovery_target(sink, name ? name : "iqn.2026-11.org.example:d");
        discovery_address(sink, "[2001:db8::1]:3260", 1);
    }
}

static const struct text_ops text_ops = { send_targets };

/* ---- the input ---- */

struct input {
    const uint8_t *at, *end;
};

/* The next request; false at the end. */
static bool next(struct input *in, uint8_t bhs[ISCSI_BHS_BYTES], const uint8_t **ret_data,
                 uint32_t *ret_bytes)
{
    if (in->end - in->at < 2)
        return false;
    const uint8_t *text = in->at + 2, *end = memchr(text, 0xfe, (size_t)(in->end - text));
    memset(bhs, 0, ISCSI_BHS_BYTES);
    bhs[ISCSI_BHS_FLAGS] = in->at[0];
    *ret_data = text;
    *ret_bytes = (uint32_t)((end ? end : in->end) - text);
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, *ret_bytes);
    in->at = end ? end + 1 : in->end;
    return true;
}

/* What must hold of every reply. */
static void check_reply(const uint8_t *bhs, const char *data, uint32_t bytes, uint32_t limit)
{
    if (get_be24(bhs + ISCSI_BHS_DATA_LENGTH) != bytes || bytes > limit)
        abort();
    static volatile unsigned sum;
    for (uint32_t i = 0; i < bytes; i++)
        sum += (uint8_t)data[i];
}

static bool run_login(struct login *login, struct input *in)
{
    uint8_t bhs[ISCSI_BHS_BYTES];
    const uint8_t *data;
    uint32_t bytes, follow;
    while (next(in, bhs, &data, &bytes)) {
        bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_LOGIN | ISCSI_IMMEDIATE;
        enum login_action action = login_header(login, bhs, &follow);
        if (action == LOGIN_RECEIVE)
            action = login_receive(login, bhs, data, bytes);
        if (action == LOGIN_PENDING && login->state == LOGIN_STATE_AUTH)
            action = login_resume_auth(login);
        if (action == LOGIN_PENDING && login->state == LOGIN_STATE_SESSION)
            action =
                login_resume_session(login, ISCSI_LOGIN_OK, &(struct login_session){ .tsih = 2 });
        if (action != LOGIN_CLOSE)
            check_reply(login->reply_bhs, login->reply_data, login->reply_bytes,
                        ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT);
        if (action != LOGIN_REPLY)
            return action == LOGIN_FULL_FEATURE;
    }
    return false;
}

static void check_result(const struct login *login)
{
    const struct iscsi_params *p = &login->params.result;
    if (p->first_burst_length > p->max_burst_length || p->initiator_max_recv < ISCSI_SEGMENT_MIN ||
        (login->found.auth && !login->authenticated) || login->initiator_name[0] == '\0')
        abort();
}

static void run_text(const struct login *login, struct input *in)
{
    uint8_t bhs[ISCSI_BHS_BYTES];
    const uint8_t *data;
    uint32_t bytes, ttt = ISCSI_TAG_NONE;
    struct text text;
    text_init(&text, &text_ops, NULL, login->discovery ? NULL : login->target_name,
              &login->params.result);
    while (next(in, bhs, &data, &bytes)) {
        bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_TEXT;
        put_be32(bhs + ISCSI_BHS_TTT, ttt);
        ttt = ISCSI_TAG_NONE;
        uint32_t limit = text_params(&text)->initiator_max_recv;
        if (text_receive(&text, bhs, data, bytes) != TEXT_REPLY)
            continue;
        check_reply(text.reply_bhs, text.reply_data, text.reply_bytes, limit);
        ttt = get_be32(text.reply_bhs + ISCSI_BHS_TTT);
    }
    text_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct login login;
    struct input in = { data, data + size };
    odd = size > 1 ? data[1] : 0;
    login_init(&login, &login_ops, NULL, "192.0.2.7:1024", 32, 1);
    if (run_login(&login, &in)) {
        check_result(&login);
        run_text(&login, &in);
    }
    login_fini(&login);
    return 0;
}
