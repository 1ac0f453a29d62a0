/* SPDX-License-Identifier: BSD-3-Clause */
/* The initiator's side of engine-rig.h. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "engine-rig.h"

#define LIMIT_S 30

static void send_all(const struct peer *peer, const void *data, size_t bytes, bool last)
{
    const uint8_t *p = data;
    int flags = MSG_NOSIGNAL | (last && !peer->more ? 0 : MSG_MORE);
    while (bytes) {
        ssize_t n = send(peer->fd, p, bytes, flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* the target has hung up: who reads next will see it */
        p += n;
        bytes -= (size_t)n;
    }
}

void peer_send(struct peer *peer, uint8_t *bhs, const void *data, uint32_t bytes)
{
    static const uint8_t zeroes[4];
    put_be24(bhs + ISCSI_BHS_DATA_LENGTH, bytes);
    put_be32(bhs + ISCSI_BHS_EXP_STAT_SN, peer->exp_stat_sn);
    send_all(peer, bhs, ISCSI_BHS_BYTES, !bytes);
    send_all(peer, data, bytes, bytes == ISCSI_PAD(bytes));
    send_all(peer, zeroes, ISCSI_PAD(bytes) - bytes, true);
}

static bool receive_all(int fd, uint8_t *to, size_t bytes)
{
    while (bytes) {
        ssize_t n = recv(fd, to, bytes, 0);
        if (n < 0 && errno == EINTR) /* io_uring's work for this process */
            continue;
        if (n <= 0) {
            g_assert_cmpint(n == 0 ? ECONNRESET : errno, ==, ECONNRESET); /* not EAGAIN: nothing comes */
            return false;
        }
        to += n;
        bytes -= (size_t)n;
    }
    return true;
}

int peer_receive(struct peer *peer)
{
    if (!receive_all(peer->fd, peer->bhs, ISCSI_BHS_BYTES))
        return -1;
    peer->data_bytes = get_be24(peer->bhs + ISCSI_BHS_DATA_LENGTH);
    g_assert_cmpuint(ISCSI_PAD(peer->data_bytes), <=, sizeof(peer->data));
    if (!receive_all(peer->fd, peer->data, ISCSI_PAD(peer->data_bytes)))
        return -1;
    return peer->bhs[ISCSI_BHS_OPCODE];
}

void peer_login(struct engine_rig *rig, struct peer *peer, const char *keys, size_t keys_bytes)
{
    static const char names[] = "InitiatorName=" RIG_INITIATOR "\0TargetName=" RIG_TARGET
                                "\0SessionType=Normal";
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_LOGIN | ISCSI_IMMEDIATE,
                                    ISCSI_LOGIN_TRANSIT | ISCSI_STAGE_OPERATIONAL << ISCSI_LOGIN_CSG_SHIFT |
                                        ISCSI_STAGE_FULL_FEATURE};
    char text[1024];
    struct timeval limit = {.tv_sec = LIMIT_S};
    g_assert_cmpuint(sizeof(names) + keys_bytes, <, sizeof(text));
    memcpy(text, names, sizeof(names));
    if (keys_bytes)
        memcpy(text + sizeof(names), keys, keys_bytes);
    if (!peer->isid[0])
        peer->isid[0] = 0x80;
    memcpy(bhs + ISCSI_LOGIN_ISID, peer->isid, ISCSI_ISID_BYTES);
    put_be16(bhs + ISCSI_LOGIN_TSIH, peer->tsih);
    put_be16(bhs + ISCSI_LOGIN_CID, peer->cid);
    put_be32(bhs + ISCSI_BHS_ITT, 1);
    put_be32(bhs + ISCSI_BHS_CMD_SN, peer->cmd_sn);
    peer->fd = engine_rig_connect(rig);
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    peer_send(peer, bhs, text, (uint32_t)(sizeof(names) + keys_bytes));
    g_assert_cmpint(peer_receive(peer), ==, ISCSI_OP_LOGIN_RESPONSE);
    g_assert_cmpuint(get_be16(peer->bhs + ISCSI_LOGIN_STATUS_CLASS), ==, ISCSI_LOGIN_OK);
    g_assert_true(peer->bhs[ISCSI_BHS_FLAGS] & ISCSI_LOGIN_TRANSIT);
    peer->tsih = get_be16(peer->bhs + ISCSI_LOGIN_TSIH);
    peer->exp_stat_sn = get_be32(peer->bhs + ISCSI_BHS_STAT_SN) + 1;
}

void peer_command(struct peer *peer, uint32_t itt, uint8_t flags, const uint8_t *cdb, uint32_t expected,
                  const void *data, uint32_t bytes)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_SCSI_COMMAND, flags};
    put_be32(bhs + ISCSI_BHS_ITT, itt);
    put_be32(bhs + ISCSI_CMD_EXPECTED_LENGTH, expected);
    put_be32(bhs + ISCSI_BHS_CMD_SN, peer->cmd_sn++);
    memcpy(bhs + ISCSI_CMD_CDB, cdb, ISCSI_CDB_BYTES);
    peer_send(peer, bhs, data, bytes);
}

void peer_manage(struct peer *peer, uint32_t itt, uint8_t function, uint32_t referenced)
{
    uint8_t bhs[ISCSI_BHS_BYTES] = {ISCSI_OP_TASK_MANAGEMENT | ISCSI_IMMEDIATE, ISCSI_FINAL | function};
    put_be32(bhs + ISCSI_BHS_ITT, itt);
    put_be32(bhs + ISCSI_TMF_REFERENCED_TAG, referenced);
    put_be32(bhs + ISCSI_BHS_CMD_SN, peer->cmd_sn);
    peer_send(peer, bhs, NULL, 0);
}

void peer_close(struct peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
}
