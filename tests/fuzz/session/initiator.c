/* SPDX-License-Identifier: BSD-3-Clause */
/* See initiator.h. */
#include "initiator.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/serial.h"

#define PING     0xfeedbeefu
#define PATIENCE (2 * NS_PER_MS)  /* for a target that may have no reason to answer */
#define LOGIN_NS (10 * NS_PER_S)  /* for one that has */
#define STUCK    20               /* looks at a socket that takes nothing, a millisecond each */

/* ---- judging ---- */

static uint32_t digest_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void check_digest(const uint8_t *bytes, uint32_t count)
{
    g_assert_cmphex(crc32c_finish(crc32c(CRC32C_START, bytes, count)), ==, digest_at(bytes + count));
}

static void check_numbers(struct wire *w, const uint8_t *bhs)
{
    uint8_t opcode = bhs[ISCSI_BHS_OPCODE];
    uint32_t exp = get_be32(bhs + ISCSI_BHS_EXP_CMD_SN), max = get_be32(bhs + ISCSI_BHS_MAX_CMD_SN);
    bool status = opcode != ISCSI_OP_R2T && opcode != ISCSI_OP_DATA_IN;
    if (opcode == ISCSI_OP_DATA_IN)
        status = bhs[ISCSI_BHS_FLAGS] & ISCSI_DATA_WITH_STATUS;
    if (opcode == ISCSI_OP_NOP_IN)
        status = get_be32(bhs + ISCSI_BHS_ITT) != ISCSI_TAG_NONE;
    if (w->numbered) {
        g_assert_true(serial_ge(exp, w->exp_cmd_sn));
        g_assert_true(serial_ge(max, w->max_cmd_sn));
        if (opcode != ISCSI_OP_DATA_IN || status)
            g_assert_cmpuint(get_be32(bhs + ISCSI_BHS_STAT_SN), ==, w->stat_sn);
    } else {
        w->stat_sn = get_be32(bhs + ISCSI_BHS_STAT_SN);
    }
    g_assert_true(serial_ge(max, exp - 1));
    w->numbered = true;
    w->exp_cmd_sn = exp;
    w->max_cmd_sn = max;
    w->stat_sn += status;
}

static void keep_r2t(struct initiator *i, unsigned wire, const uint8_t *bhs)
{
    struct asked asked = {.itt = get_be32(bhs + ISCSI_BHS_ITT),
                          .ttt = get_be32(bhs + ISCSI_BHS_TTT),
                          .offset = get_be32(bhs + ISCSI_R2T_OFFSET),
                          .length = get_be32(bhs + ISCSI_R2T_LENGTH),
                          .wire = wire};
    g_assert_cmpuint(asked.length, >, 0);
    g_assert_cmpuint(asked.length, <=, i->max_burst);
    g_assert_cmphex(asked.ttt, !=, ISCSI_TAG_NONE);
    if (i->asked_count < R2TS_KEPT)
        i->asked[i->asked_count++] = asked;
}

static void take(struct initiator *i, unsigned wire, const uint8_t *bhs)
{
    struct wire *w = &i->wires[wire];
    switch (bhs[ISCSI_BHS_OPCODE]) {
    case ISCSI_OP_LOGIN_RESPONSE:
        g_assert_false(w->full_feature);
        if (get_be16(bhs + ISCSI_LOGIN_STATUS_CLASS)) {
            i->login_failed = true;
            return;
        }
        w->full_feature = bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_TRANSIT;
        i->tsih = get_be16(bhs + ISCSI_LOGIN_TSIH);
        break;
    case ISCSI_OP_R2T:
        keep_r2t(i, wire, bhs);
        break;
    case ISCSI_OP_NOP_IN:
        i->pong |= get_be32(bhs + ISCSI_BHS_ITT) == PING;
        break;
    case ISCSI_OP_SCSI_RESPONSE:
    case ISCSI_OP_TASK_MANAGEMENT_RESPONSE:
    case ISCSI_OP_TEXT_RESPONSE:
    case ISCSI_OP_DATA_IN:
    case ISCSI_OP_LOGOUT_RESPONSE:
    case ISCSI_OP_ASYNC:
    case ISCSI_OP_REJECT:
        break;
    default:
        g_error("a PDU that targets do not send: opcode 0x%02x", bhs[ISCSI_BHS_OPCODE]);
    }
    check_numbers(w, bhs);
}

/* The whole PDU at the start of w->in is taken; its length, or 0: there is none yet. */
static uint32_t take_one(struct initiator *i, unsigned wire)
{
    struct wire *w = &i->wires[wire];
    if (w->used < ISCSI_BHS_BYTES)
        return 0;
    uint32_t head = w->header_digest && w->full_feature ? ISCSI_DIGEST_BYTES : 0;
    uint32_t data = get_be24(w->in + ISCSI_BHS_DATA_LENGTH);
    uint32_t tail = data && w->data_digest && w->full_feature ? ISCSI_DIGEST_BYTES : 0;
    g_assert_cmpuint(w->in[ISCSI_BHS_AHS_WORDS], ==, 0);
    g_assert_cmpuint(data, <=, TAKES);
    uint32_t whole = ISCSI_BHS_BYTES + head + ISCSI_PAD(data) + tail;
    if (w->used < whole)
        return 0;
    if (head)
        check_digest(w->in, ISCSI_BHS_BYTES);
    if (tail)
        check_digest(w->in + ISCSI_BHS_BYTES + head, ISCSI_PAD(data));
    take(i, wire, w->in);
    return whole;
}

/* ---- receiving ---- */

static void pump_wire(struct initiator *i, unsigned wire)
{
    struct wire *w = &i->wires[wire];
    while (w->fd >= 0 && !w->deaf) {
        ssize_t n = recv(w->fd, w->in + w->used, sizeof(w->in) - w->used, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            initiator_close(i, wire, false);
            return;
        }
        w->used += (uint32_t)n;
        for (uint32_t whole; (whole = take_one(i, wire));) {
            w->used -= whole;
            memmove(w->in, w->in + whole, w->used);
        }
    }
}

void initiator_pump(struct initiator *i)
{
    for (unsigned wire = 0; wire < WIRES; wire++)
        pump_wire(i, wire);
}

void initiator_close(struct initiator *i, unsigned wire, bool reset)
{
    struct wire *w = &i->wires[wire];
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (w->fd < 0)
        return;
    if (reset)
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(w->fd);
    w->fd = -1;
}

static bool wait_for(struct initiator *i, unsigned wire, const bool *what, uint64_t limit_ns)
{
    struct wire *w = &i->wires[wire];
    uint64_t end = clock_now_ns() + limit_ns;
    while (!*what && w->fd >= 0 && !i->login_failed && clock_now_ns() < end) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        poll(&p, 1, 1);
        initiator_pump(i);
    }
    return *what;
}

/* ---- sending ---- */

/* Pushes one piece out; false: the target is gone, or takes no more. */
static bool push(struct initiator *i, struct wire *w, const uint8_t *bytes, size_t count)
{
    for (unsigned stuck = 0; count && w->fd >= 0 && stuck < STUCK;) {
        ssize_t n = send(w->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            bytes += n;
            count -= (size_t)n;
            stuck = 0;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = w->fd, .events = POLLOUT};
            initiator_pump(i);
            poll(&p, w->fd >= 0, 1);
            stuck++;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return !count;
}

void initiator_raw(struct initiator *i, unsigned wire, const void *bytes, size_t count)
{
    struct wire *w = &i->wires[wire];
    const uint8_t *p = bytes;
    while (count && w->fd >= 0) {
        size_t piece = w->chunk && w->chunk < count ? w->chunk : count;
        if (!push(i, w, p, piece)) {
            w->lost = true;
            return;
        }
        p += piece;
        count -= piece;
    }
}

static uint8_t *put_digest(uint8_t *at, const uint8_t *from)
{
    uint32_t crc = crc32c_finish(crc32c(CRC32C_START, from, (size_t)(at - from)));
    for (unsigned n = 0; n < ISCSI_DIGEST_BYTES; n++)
        *at++ = (uint8_t)(crc >> 8 * n);
    return at;
}

void initiator_send(struct initiator *i, unsigned wire, const uint8_t *bhs, const void *data, uint32_t bytes,
                    bool spoil)
{
    static uint8_t out[ISCSI_BHS_BYTES + 2 * ISCSI_DIGEST_BYTES + (1u << 18)];
    const struct wire *w = &i->wires[wire];
    uint8_t *at = out + ISCSI_BHS_BYTES;
    memcpy(out, bhs, ISCSI_BHS_BYTES);
    if (w->header_digest && w->full_feature)
        at = put_digest(at, out);
    if (bytes) {
        uint8_t *begin = at;
        memcpy(at, data, bytes);
        memset(at + bytes, 0, ISCSI_PAD(bytes) - bytes);
        at += ISCSI_PAD(bytes);
        if (w->data_digest && w->full_feature)
            at = put_digest(at, begin);
    }
    at[-1] ^= spoil;
    initiator_raw(i, wire, out, (size_t)(at - out));
}

void initiator_sync(struct initiator *i)
{
    for (unsigned wire = 0; wire < WIRES; wire++) {
        struct wire *w = &i->wires[wire];
        uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_NOP_OUT | ISCSI_IMMEDIATE, ISCSI_FINAL};
        if (w->fd < 0 || w->lost || w->deaf)
            continue;
        put_be32(bhs + ISCSI_BHS_ITT, PING);
        put_be32(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
        put_be32(bhs + ISCSI_BHS_CMD_SN, i->cmd_sn);
        i->pong = false;
        initiator_send(i, wire, bhs, NULL, 0, false);
        wait_for(i, wire, &i->pong, PATIENCE);
    }
}

bool initiator_login(struct initiator *i, unsigned wire, const char *keys, size_t bytes)
{
    static const char names[] = "InitiatorName=" RIG_INITIATOR "\0TargetName=" RIG_TARGET
                                "\0SessionType=Normal\0MaxRecvDataSegmentLength=8192";
    struct wire *w = &i->wires[wire];
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_LOGIN | ISCSI_IMMEDIATE,
                                    ISCSI_LOGIN_TRANSIT | ISCSI_STAGE_OPERATIONAL << ISCSI_LOGIN_CSG_SHIFT |
                                        ISCSI_STAGE_FULL_FEATURE};
    char text[1024];
    memcpy(text, names, sizeof(names));
    memcpy(text + sizeof(names), keys, bytes);
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, (uint32_t)(sizeof(names) + bytes));
    bhs[ISCSI_LOGIN_ISID] = 0x80;
    bhs[ISCSI_LOGIN_ISID + 5] = i->isid_end;
    put_be16(bhs + ISCSI_LOGIN_TSIH, i->tsih);
    put_be16(bhs + ISCSI_LOGIN_CID, (uint16_t)wire);
    put_be32(bhs + ISCSI_BHS_CMD_SN, i->cmd_sn);
    bool header = w->header_digest, data = w->data_digest;
    *w = (struct wire){.fd = engine_rig_connect(i->rig), .header_digest = header, .data_digest = data};
    i->login_failed = false;
    initiator_send(i, wire, bhs, text, (uint32_t)(sizeof(names) + bytes), false);
    if (wait_for(i, wire, &w->full_feature, LOGIN_NS))
        return true;
    g_assert_true(i->login_failed || w->fd < 0); /* an answer there must be */
    initiator_close(i, wire, false);
    return false;
}
