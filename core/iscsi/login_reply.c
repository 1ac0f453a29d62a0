/* SPDX-License-Identifier: BSD-3-Clause */
/* Login, the responses: the header (RFC 7143 11.13), the parts of a long answer, the last one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "iscsi/login_private.h"

static const struct {
    uint16_t status;
    const char *text;
} statuses[] = {
    { ISCSI_LOGIN_OK, "success" },
    { ISCSI_LOGIN_MOVED_TEMPORARILY, "target moved temporarily" },
    { ISCSI_LOGIN_MOVED_PERMANENTLY, "target moved permanently" },
    { ISCSI_LOGIN_INITIATOR_ERROR, "initiator error" },
    { ISCSI_LOGIN_AUTHENTICATION_FAILED, "authentication failed" },
    { ISCSI_LOGIN_NOT_AUTHORIZED, "initiator not allowed to use the target" },
    { ISCSI_LOGIN_TARGET_NOT_FOUND, "target not found" },
    { ISCSI_LOGIN_TARGET_REMOVED, "target removed" },
    { ISCSI_LOGIN_UNSUPPORTED_VERSION, "unsupported version" },
    { ISCSI_LOGIN_TOO_MANY_CONNECTIONS, "too many connections" },
    { ISCSI_LOGIN_MISSING_PARAMETER, "missing parameter" },
    { ISCSI_LOGIN_NOT_IN_SESSION, "connection cannot join the session" },
    { ISCSI_LOGIN_SESSION_TYPE, "session type not supported" },
    { ISCSI_LOGIN_NO_SESSION, "session does not exist" },
    { ISCSI_LOGIN_INVALID_DURING_LOGIN, "invalid request during login" },
    { ISCSI_LOGIN_TARGET_ERROR, "target error" },
    { ISCSI_LOGIN_UNAVAILABLE, "service unavailable" },
    { ISCSI_LOGIN_OUT_OF_RESOURCES, "out of resources" },
};

const char *login_status_text(uint16_t status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "unknown status";
}

/*
 * The header of the next response. While a connection joins a session, the session's command
 * window is known only at the end: until then it is a closed one at the login's own CmdSN, which opens
 * nothing (RFC 7143 4.2.2.1).
 */
static void make_header(struct login *login, uint8_t flags, uint16_t status, uint32_t data_bytes)
{
    uint8_t *bhs = login->reply_bhs;
    memset(bhs, 0, ISCSI_BHS_BYTES);
    bhs[ISCSI_BHS_OPCODE] = ISCSI_OP_LOGIN_RESPONSE;
    bhs[ISCSI_BHS_FLAGS] = (uint8_t)(flags | login->stage << ISCSI_LOGIN_CSG_SHIFT);
    bhs[ISCSI_LOGIN_VERSION_MAX] = ISCSI_VERSION;
    bhs[ISCSI_LOGIN_VERSION_ACTIVE] = ISCSI_VERSION;
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, data_bytes);
    memcpy(bhs + ISCSI_LOGIN_ISID, login->isid, ISCSI_ISID_BYTES);
    put_be16(bhs + ISCSI_LOGIN_TSIH, login->tsih);
    put_be32(bhs + ISCSI_BHS_ITT, login->itt);
    put_be32(bhs + ISCSI_BHS_STAT_SN, login->stat_sn++);
    put_be32(bhs + ISCSI_BHS_EXP_CMD_SN, login->exp_cmd_sn);
    put_be32(bhs + ISCSI_BHS_MAX_CMD_SN, login->max_cmd_sn);
    put_be16(bhs + ISCSI_LOGIN_STATUS_CLASS, status);
    login->reply_bytes = data_bytes;
}

static void default_window(struct login *login)
{
    login->max_cmd_sn = login->exp_cmd_sn - 1;
    if (login->params.leading)
        login->max_cmd_sn += login->window;
}

static enum login_action refuse(struct login *login, uint16_t status, uint32_t data_bytes)
{
    login_fini(login);
    login->status = status;
    default_window(login);
    make_header(login, 0, status, data_bytes);
    return LOGIN_REPLY_THEN_CLOSE;
}

enum login_action login_fail(struct login *login, uint16_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(login->reason, sizeof(login->reason), format, arguments);
    va_end(arguments);
    return refuse(login, status, 0);
}

enum login_action login_refuse(struct login *login, uint16_t status, const char *reason)
{
    return login_fail(login, status, "%s", reason);
}

enum login_action login_fail_status(struct login *login, uint16_t status)
{
    bool moved = status == ISCSI_LOGIN_MOVED_TEMPORARILY || status == ISCSI_LOGIN_MOVED_PERMANENTLY;
    if (login->reason[0] == '\0')
        snprintf(login->reason, sizeof(login->reason), "%s", login_status_text(status));
    if (!moved)
        return refuse(login, status, 0);
    if (!login->found.redirect)
        return refuse(login, ISCSI_LOGIN_TARGET_ERROR, 0);
    struct keys_writer out = { .text = login->out_text, .size = sizeof(login->out_text) };
    keys_put(&out, "TargetAddress", login->found.redirect);
    login->reply_data = login->out_text;
    return refuse(login, status, out.used);
}

enum login_action login_reply_empty(struct login *login)
{
    default_window(login);
    make_header(login, 0, ISCSI_LOGIN_OK, 0);
    return LOGIN_REPLY;
}

/* The whole text has been sent: the next text of the initiator is a new exchange. */
static void finish_exchange(struct login *login)
{
    login->out_open = false;
    login->in_bytes = 0;
}

static enum login_action full_feature(struct login *login, const struct login_session *session,
                                      uint32_t bytes)
{
    login->tsih = session->tsih;
    login->exp_cmd_sn = session->exp_cmd_sn;
    login->max_cmd_sn = session->max_cmd_sn;
    login->state = LOGIN_STATE_DONE;
    make_header(login, ISCSI_LOGIN_TRANSIT | ISCSI_STAGE_FULL_FEATURE, ISCSI_LOGIN_OK, bytes);
    login->stage = ISCSI_STAGE_FULL_FEATURE;
    finish_exchange(login);
    return LOGIN_FULL_FEATURE;
}

static enum login_action enter_full_feature(struct login *login, uint32_t bytes)
{
    struct login_session session = { .tsih = login->tsih,
                                     .exp_cmd_sn = login->exp_cmd_sn,
                                     .max_cmd_sn = login->max_cmd_sn };
    bool pending = false;
    uint16_t status = login->ops->session_decide(login->user, login, &session, &pending);
    if (pending) {
        login->reply_bytes = bytes;
        login->state = LOGIN_STATE_SESSION;
        return LOGIN_PENDING;
    }
    if (status != ISCSI_LOGIN_OK)
        return login_fail_status(login, status);
    return full_feature(login, &session, bytes);
}

enum login_action login_resume_session(struct login *login, uint16_t status,
                                       const struct login_session *session)
{
    if (login->state != LOGIN_STATE_SESSION) {
        login->state = LOGIN_STATE_FAILED;
        return LOGIN_CLOSE;
    }
    if (status != ISCSI_LOGIN_OK)
        return login_fail_status(login, status);
    return full_feature(login, session, login->reply_bytes);
}

/* 13.12: 8192 bytes are safe during login, unless the initiator has declared less. */
static uint32_t part_limit(const struct login *login)
{
    uint32_t declared = login->params.result.initiator_max_recv;
    return declared < ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT ? declared
                                                          : ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT;
}

enum login_action login_reply_text(struct login *login)
{
    uint32_t left = login->out.used - login->out_sent, limit = part_limit(login);
    login->reply_data = login->out_text + login->out_sent;
    default_window(login);
    if (left > limit) {
        login->out_sent += limit;
        login->out_open = true;
        make_header(login, ISCSI_LOGIN_CONTINUE, ISCSI_LOGIN_OK, limit);
        return LOGIN_REPLY;
    }
    bool transit = login->transit && login->ready;
    if (transit && login->next_stage == ISCSI_STAGE_FULL_FEATURE)
        return enter_full_feature(login, left);
    uint8_t flags = transit ? ISCSI_LOGIN_TRANSIT | login->next_stage : 0;
    make_header(login, flags, ISCSI_LOGIN_OK, left);
    if (transit) {
        login->stage = login->next_stage;
        params_new_stage(&login->params);
    }
    finish_exchange(login);
    return LOGIN_REPLY;
}
