/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as PDUs of a connection: 48 bytes of header, then what the header announces. First a
 * login; once it is through, Text Requests. This is what the first bytes of a stranger meet.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fuzz.h"
#include "iscsi/discovery.h"
#include "iscsi/login.h"

#define ISID   "\x00\x02\x3d\x00\x00\x01"
#define ZERO8  "\0\0\0\0\0\0\0\0"
#define ZERO16 ZERO8 ZERO8
#define LOGIN(flags, length)                                                                       \
    "\x43" flags "\0\0\0" length ISID "\0\0"                                                       \
    "\0\0\0\x07"                                                                                   \
    "\0\x01\0\0"                                                                                   \
    "\0\0\0\x64"                                                                                   \
    "\0\0\0\0" ZERO16
#define TEXT(flags, length, ttt)                                                                   \
    "\x04" flags "\0\0\0" length ZERO8 "\0\0\0\x08" ttt "\0\0\0\x65"                               \
    "\0\0\0\0" ZERO16
#define NAMES "InitiatorName=iqn.2001-04.a.b:c\0TargetName=iqn.2001-04.a.b:d\0\0\0\0" /* 64 */

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(LOGIN("\x87", "\0\0\x40")
                  NAMES TEXT("\x80", "\0\0\x10", "\xff\xff\xff\xff") "SendTargets=All\0"),
    FUZZ_SEED(LOGIN("\x81", "\0\0\x40")
                  NAMES LOGIN("\x44", "\0\0\x04") "X-a=" LOGIN("\x87", "\0\0\x04") "b\0\0\0"),
    FUZZ_SEED(LOGIN("\x87", "\0\0\x40")
                  NAMES TEXT("\x40", "\0\0\x04", "\xff\xff\xff\xff") "Send" TEXT(
                      "\x80", "\0\0\x0c", "\0\0\0\x02") "Targets=All\0"),
    { NULL, 0 },
};

const struct fuzz_seed fuzz_words[] = {
    FUZZ_SEED(LOGIN("\x87", "\0\0\0")),
    FUZZ_SEED(LOGIN("\x44", "\0\x20\0")),
    FUZZ_SEED(TEXT("\x80", "\0\0\0", "\xff\xff\xff\xff")),
    FUZZ_SEED("\xff\xff\xff\xff"),
    FUZZ_SEED("\0\0\0\0"),
    FUZZ_SEED("\x87"),
    FUZZ_SEED("\x43"),
    { NULL, 0 },
};

static uint16_t find_target(void *user, const char *initiator, const char *target,
                            struct login_target *ret)
{
    ret->limits = iscsi_limits_default;
    return ISCSI_LOGIN_OK;
}

static uint16_t session_decide(void *user, struct login *login, struct login_session *ret_session,
                               bool *ret_pending)
{
    ret_session->tsih = 1;
    return ISCSI_LOGIN_OK;
}

static const struct login_ops login_ops = { find_target, session_decide };

static void send_targets(void *user, const char *name, struct text_targets *sink)
{
    discovery_target(sink, name ? name : "iqn.2001-04.a.b:d");
    discovery_address(sink, "192.0.2.1:3260", 1);
}

static const struct text_ops text_ops = { send_targets };

struct input {
    const uint8_t *at, *end;
};

/* Data as announced, or what there is; never more than was asked for. */
static const uint8_t *take(struct input *in, uint32_t announced, uint32_t *ret_bytes)
{
    const uint8_t *data = in->at;
    uint32_t left = (uint32_t)(in->end - in->at);
    *ret_bytes = announced < left ? announced : left;
    in->at += ISCSI_PAD(*ret_bytes) < left ? ISCSI_PAD(*ret_bytes) : left;
    return data;
}

static bool run_login(struct login *login, struct input *in)
{
    while (in->end - in->at >= ISCSI_BHS_BYTES) {
        const uint8_t *bhs = in->at;
        uint32_t follow = UINT32_MAX, bytes;
        in->at += ISCSI_BHS_BYTES;
        enum login_action action = login_header(login, bhs, &follow);
        if (action == LOGIN_RECEIVE) {
            if (follow > ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT)
                abort();
            const uint8_t *data = take(in, get_be24(bhs + ISCSI_BHS_DATA_LENGTH), &bytes);
            action = login_receive(login, bhs, data, bytes);
        }
        if (action == LOGIN_REPLY_THEN_CLOSE && login->status == ISCSI_LOGIN_OK)
            abort();
        if (action != LOGIN_REPLY)
            return action == LOGIN_FULL_FEATURE;
    }
    return false;
}

static void run_text(struct text *text, struct input *in)
{
    while (in->end - in->at >= ISCSI_BHS_BYTES) {
        const uint8_t *bhs = in->at;
        uint32_t bytes;
        in->at += ISCSI_BHS_BYTES;
        const uint8_t *data = take(in, get_be24(bhs + ISCSI_BHS_DATA_LENGTH), &bytes);
        if (text_receive(text, bhs, data, bytes) == TEXT_REJECT && text->reject_reason == 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct login login;
    struct input in = { data, data + size };
    struct text text;
    login_init(&login, &login_ops, NULL, "192.0.2.7:1024", 32, 1);
    if (run_login(&login, &in)) {
        text_init(&text, &text_ops, NULL, login.discovery ? NULL : login.target_name,
                  &login.params.result);
        run_text(&text, &in);
        text_fini(&text);
    }
    login_fini(&login);
    return 0;
}
