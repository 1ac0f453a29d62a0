/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Login, the flow of PDUs: see login.h. Here a request is checked against those before it and its
 * text is gathered; login_stage.c understands the text, login_reply.c makes the response.
 */
#include "iscsi/login.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "iscsi/login_private.h"

void login_init(struct login *login, const struct login_ops *ops, void *user, const char *peer,
                uint32_t window, uint32_t first_stat_sn)
{
    memset(login, 0, offsetof(struct login, in_text));
    login->ops = ops;
    login->user = user;
    login->window = window ? window : 1;
    login->stat_sn = first_stat_sn;
    snprintf(login->peer, sizeof(login->peer), "%s", peer);
    params_init(&login->params);
}

void login_fini(struct login *login)
{
    if (login->attempt)
        login->found.auth->ops->end(login->attempt);
    login->attempt = NULL;
    login->state = LOGIN_STATE_FAILED;
}

static uint8_t request_stage(const uint8_t *bhs)
{
    return bhs[ISCSI_BHS_FLAGS] >> ISCSI_LOGIN_CSG_SHIFT & ISCSI_LOGIN_STAGE_MASK;
}

/* The first request says who the connection is: all later ones must say the same. */
static void adopt_identity(struct login *login, const uint8_t *bhs)
{
    memcpy(login->isid, bhs + ISCSI_LOGIN_ISID, ISCSI_ISID_BYTES);
    login->tsih = get_be16(bhs + ISCSI_LOGIN_TSIH);
    login->cid = get_be16(bhs + ISCSI_LOGIN_CID);
    login->itt = get_be32(bhs + ISCSI_BHS_ITT);
    login->exp_cmd_sn = get_be32(bhs + ISCSI_BHS_CMD_SN);
    login->stage = request_stage(bhs);
}

static bool same_identity(const struct login *login, const uint8_t *bhs)
{
    return memcmp(login->isid, bhs + ISCSI_LOGIN_ISID, ISCSI_ISID_BYTES) == 0 &&
           login->tsih == get_be16(bhs + ISCSI_LOGIN_TSIH) &&
           login->cid == get_be16(bhs + ISCSI_LOGIN_CID) &&
           login->itt == get_be32(bhs + ISCSI_BHS_ITT);
}

static enum login_action drop(struct login *login, const char *reason)
{
    login->state = LOGIN_STATE_FAILED;
    if (login->reason[0] == '\0')
        snprintf(login->reason, sizeof(login->reason), "%s", reason);
    return LOGIN_CLOSE;
}

static enum login_action not_a_login(struct login *login, unsigned opcode)
{
    /* RFC 7143 6.3: before the login phase starts such a connection is closed without a word. */
    if (login->state == LOGIN_STATE_FIRST)
        return drop(login, "first PDU is not a Login Request");
    return login_fail(login, ISCSI_LOGIN_INVALID_DURING_LOGIN,
                      "PDU with opcode 0x%02x during login", opcode);
}

enum login_action login_header(struct login *login, const uint8_t bhs[ISCSI_BHS_BYTES],
                               uint32_t *ret_bytes)
{
    unsigned opcode = bhs[ISCSI_BHS_OPCODE] & ISCSI_OPCODE_MASK;
    uint32_t data_bytes = get_be24(bhs + ISCSI_BHS_DATA_LENGTH);

    if (login->state > LOGIN_STATE_RUNNING)
        return drop(login, "PDU while none is expected");
    if (opcode != ISCSI_OP_LOGIN)
        return not_a_login(login, opcode);
    if (login->state == LOGIN_STATE_FIRST)
        adopt_identity(login, bhs);
    /* 11.12: always immediate; no AHS is defined for it; 13.12: 8192 bytes until negotiated. */
    if (!(bhs[ISCSI_BHS_OPCODE] & ISCSI_IMMEDIATE) || bhs[ISCSI_BHS_AHS_WORDS] != 0)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR,
                          "Login Request not immediate, or with AHS");
    if (data_bytes > ISCSI_DEFAULT_MAX_RECV_DATA_SEGMENT)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "Login Request of %u bytes",
                          data_bytes);
    *ret_bytes = ISCSI_PAD(data_bytes);
    return LOGIN_RECEIVE;
}

static enum login_action check_first(struct login *login, const uint8_t *bhs)
{
    if (bhs[ISCSI_LOGIN_VERSION_MIN] > ISCSI_VERSION)
        return login_fail(login, ISCSI_LOGIN_UNSUPPORTED_VERSION,
                          "version %u is the least it speaks", bhs[ISCSI_LOGIN_VERSION_MIN]);
    if ((login->isid[0] & ISCSI_ISID_TYPE_MASK) == ISCSI_ISID_RESERVED)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "ISID of the reserved type");
    if (login->itt == ISCSI_TAG_NONE)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "the reserved initiator task tag");
    login->state = LOGIN_STATE_NAMING;
    return LOGIN_RECEIVE;
}

/* 11.12.2, 11.12.3: what the flags of a request may say where we are. */
static const char *flags_problem(const struct login *login, const uint8_t *bhs)
{
    uint8_t flags = bhs[ISCSI_BHS_FLAGS], next = flags & ISCSI_LOGIN_STAGE_MASK;
    if (request_stage(bhs) != login->stage)
        return "request in another stage than agreed";
    if (login->stage > ISCSI_STAGE_OPERATIONAL)
        return "current stage is not one of login";
    if (!(flags & ISCSI_LOGIN_TRANSIT))
        return NULL;
    if (flags & ISCSI_LOGIN_CONTINUE)
        return "T and C bits together";
    if (next <= login->stage || next == 2)
        return "next stage does not come after the current one";
    return NULL;
}

static enum login_action check_request(struct login *login, const uint8_t *bhs)
{
    if (++login->pdus > LOGIN_PDU_MAX)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "more than %d PDUs in one login",
                          LOGIN_PDU_MAX);
    if (login->state == LOGIN_STATE_FIRST) {
        enum login_action action = check_first(login, bhs);
        if (action != LOGIN_RECEIVE)
            return action;
    } else if (!same_identity(login, bhs)) {
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR,
                          "ISID, TSIH, CID or task tag changed during login");
    }
    const char *problem = flags_problem(login, bhs);
    if (problem)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "%s", problem);
    return LOGIN_RECEIVE;
}

/* Takes a piece of text; more may follow in further requests. */
static enum login_action gather(struct login *login, bool more, const uint8_t *data, uint32_t bytes)
{
    if (login->out_open) {
        /* 6.2: the initiator answers each part but the last with an empty request. */
        if (bytes > 0 || more)
            return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR,
                              "text before the answer was complete");
        return login_reply_text(login);
    }
    if (bytes > LOGIN_TEXT_MAX - login->in_bytes)
        return login_fail(login, ISCSI_LOGIN_INITIATOR_ERROR, "more than %d bytes of text",
                          LOGIN_TEXT_MAX);
    if (bytes > 0)
        memcpy(login->in_text + login->in_bytes, data, bytes);
    login->in_bytes += bytes;
    return more ? login_reply_empty(login) : login_text(login);
}

enum login_action login_receive(struct login *login, const uint8_t bhs[ISCSI_BHS_BYTES],
                                const uint8_t *data, uint32_t data_bytes)
{
    uint32_t follow_bytes;
    enum login_action action = login_header(login, bhs, &follow_bytes);
    if (action != LOGIN_RECEIVE)
        return action;
    action = check_request(login, bhs);
    if (action != LOGIN_RECEIVE)
        return action;
    if (data_bytes > follow_bytes)
        return drop(login, "data longer than the header says");
    login->exp_cmd_sn = get_be32(bhs + ISCSI_BHS_CMD_SN);
    login->exp_stat_sn = get_be32(bhs + ISCSI_BHS_EXP_STAT_SN);
    login->transit = (bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_TRANSIT) != 0;
    login->next_stage = bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_STAGE_MASK;
    return gather(login, (bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_CONTINUE) != 0, data, data_bytes);
}

enum login_action login_resume_auth(struct login *login)
{
    if (login->state != LOGIN_STATE_AUTH)
        return drop(login, "authentication resumed while none waits");
    login->state = LOGIN_STATE_RUNNING;
    return login_auth_step(login, NULL, 0);
}
