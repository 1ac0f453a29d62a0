/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connecting and logging in: the security stage (no authentication), then the operational stage.
 * A state machine that only queues PDUs, so that one login can wait and a thousand can overlap.
 */
#include "load.h"

#include "base/bytes.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

bool fail(struct conn *c, const char *format, ...)
{
    va_list ap;

    if (!c->fault[0]) {
        va_start(ap, format);
        vsnprintf(c->fault, sizeof(c->fault), format, ap);
        va_end(ap);
    }
    return false;
}

void conn_init(struct conn *c, unsigned index)
{
    *c = (struct conn){ .fd = -1, .index = index };
    c->text = malloc(TEXT_BYTES);
    if (!c->text)
        abort();
}

void conn_free(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    if (c->tasks)
        for (unsigned i = 0; i < opt.depth; i++)
            free(c->tasks[i].buffer);
    free(c->tasks);
    free(c->idle);
    free(c->generations);
    free(c->tx.iov);
    free(c->tx.ring);
    free(c->text);
    c->fd = -1;
}

int conn_connect(struct conn *c, bool wait)
{
    static struct addrinfo *found;
    static const int one = 1, receive = 4 << 20;
    struct timeval patience = { .tv_sec = 20 };

    if (!found) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        int e = getaddrinfo(opt.host, opt.port, &hints, &found);

        if (e) {
            fail(c, "%s:%s: %s", opt.host, opt.port, gai_strerror(e));
            return -EINVAL;
        }
    }
    c->fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
    if (c->fd < 0)
        return -errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (wait) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        /* Above rmem_max only for root; elsewhere the kernel's own tuning stays in force. */
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive, sizeof(receive));
    }
    if (opt.addresses && found->ai_family == AF_INET) {
        struct sockaddr_in from = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(0x7f000101 + c->index % opt.addresses) };

        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)))
            return -errno;
    }
    if (connect(c->fd, found->ai_addr, found->ai_addrlen) && errno != EINPROGRESS)
        return -errno;
    return c->fd;
}

static void login_pdu(struct conn *c, unsigned csg, unsigned nsg, char *text, uint32_t bytes)
{
    uint8_t *h = tx_header(c);

    h[0] = 0x43;
    h[1] = (uint8_t)(0x80 | csg << 2 | nsg);
    h[8] = 0x80; /* ISID: random */
    put_be24(h + 9, 0x4846);
    put_be16(h + 12, (uint16_t)(1 + c->index));
    put_be16(h + 14, c->tsih);
    put_be32(h + 16, 0);
    put_be32(h + 24, c->cmd_sn);
    put_be32(h + 28, c->exp_stat_sn);
    tx_commit(c, text, bytes);
}

/* The request just made does not ask for the next stage after all. */
static void stay_in_stage(struct conn *c, unsigned csg)
{
    c->tx.ring[c->tx.used - BHS_BYTES + 1] = (uint8_t)(csg << 2);
}

__attribute__((format(printf, 3, 4))) static uint32_t key(char *text, uint32_t at,
                                                          const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text + at, 1024 - at, format, ap);
    va_end(ap);
    return at + (uint32_t)n + 1;
}

/* The text must stay in place until it is sent; conn->text is free between two answers. */
void login_start(struct conn *c)
{
    char *t = (char *)c->text;
    uint32_t n = 0;

    c->state = LOGIN_SECURITY;
    c->cmd_sn = 1;
    c->exp_stat_sn = 0;
    c->p = (struct params){ .initial_r2t = true,
                            .immediate_data = true,
                            .send_segment = 8192,
                            .first_burst = 65536,
                            .max_burst = 262144 };
    n = key(t, n, "InitiatorName=%s.%u", opt.initiator, c->index);
    n = key(t, n, "TargetName=%s", opt.target);
    n = key(t, n, "SessionType=Normal");
    n = key(t, n, "AuthMethod=%s", opt.chap ? "CHAP" : "None");
    c->chap_step = 0;
    login_pdu(c, 0, 1, t, n);
    if (opt.chap)
        stay_in_stage(c, 0);
}

static void login_operational(struct conn *c)
{
    char *t = (char *)c->text;
    uint32_t n = 0;

    c->state = LOGIN_OPERATIONAL;
    n = key(t, n, "HeaderDigest=%s", opt.header_digest ? "CRC32C" : "None");
    n = key(t, n, "DataDigest=%s", opt.data_digest ? "CRC32C" : "None");
    n = key(t, n, "InitialR2T=%s", opt.initial_r2t ? "Yes" : "No");
    n = key(t, n, "ImmediateData=%s", opt.immediate_data ? "Yes" : "No");
    n = key(t, n, "MaxRecvDataSegmentLength=%u", opt.receive_segment);
    n = key(t, n, "MaxBurstLength=%u", opt.max_burst);
    n = key(t, n, "FirstBurstLength=%u", opt.first_burst);
    n = key(t, n, "MaxOutstandingR2T=4");
    n = key(t, n, "MaxConnections=1");
    n = key(t, n, "DefaultTime2Wait=2");
    n = key(t, n, "DefaultTime2Retain=0");
    n = key(t, n, "DataPDUInOrder=Yes");
    n = key(t, n, "DataSequenceInOrder=Yes");
    n = key(t, n, "ErrorRecoveryLevel=0");
    login_pdu(c, 1, 3, t, n);
}

static bool answer_key(struct conn *c, const char *name, const char *value)
{
    bool yes = !strcmp(value, "Yes");
    uint32_t number = (uint32_t)strtoul(value, NULL, 0);
    struct params *w = &c->wanted;

    if (!strcmp(value, "Reject") || !strcmp(value, "NotUnderstood"))
        return fail(c, "login: %s=%s", name, value);
    if (!strcmp(name, "HeaderDigest"))
        w->header_digest = !strcmp(value, "CRC32C");
    else if (!strcmp(name, "DataDigest"))
        w->data_digest = !strcmp(value, "CRC32C");
    else if (!strcmp(name, "InitialR2T"))
        w->initial_r2t = yes;
    else if (!strcmp(name, "ImmediateData"))
        w->immediate_data = yes;
    else if (!strcmp(name, "MaxRecvDataSegmentLength"))
        w->send_segment = number;
    else if (!strcmp(name, "FirstBurstLength"))
        w->first_burst = number;
    else if (!strcmp(name, "MaxBurstLength"))
        w->max_burst = number;
    return true;
}

static bool answer_keys(struct conn *c)
{
    char *at = (char *)c->text, *end = at + c->rx.data;

    if (at < end && end[-1])
        return fail(c, "login: text does not end with a zero byte");
    for (; at < end; at += strlen(at) + 1) {
        char *equal = strchr(at, '=');

        if (!*at)
            continue;
        if (!equal)
            return fail(c, "login: a key without a value");
        *equal = '\0';
        if (!answer_key(c, at, equal + 1))
            return false;
        *equal = '=';
    }
    return true;
}

/* Algorithm, then name and response. */
static bool login_chap(struct conn *c)
{
    char *t = (char *)c->text, answer[512];

    if (c->chap_step++ == 0) {
        login_pdu(c, 0, 1, t, key(t, 0, "CHAP_A=5"));
        stay_in_stage(c, 0);
        return true;
    }
    if (!chap_answer(c, answer, sizeof(answer)))
        return false;
    memcpy(t, answer, c->chap_bytes);
    login_pdu(c, 0, 1, t, c->chap_bytes);
    return true;
}

/* A whole Login Response is in rx.header and conn->text. */
bool login_answer(struct conn *c)
{
    const uint8_t *h = c->rx.header;
    unsigned csg = (h[1] >> 2) & 3, nsg = h[1] & 3;
    bool transit = h[1] & 0x80, more = h[1] & 0x40;

    if ((h[0] & 0x3f) != 0x23)
        return fail(c, "login: answered by opcode %02x", h[0]);
    c->refused_with = get_be16(h + 36);
    if (get_be16(h + 36))
        return fail(c, "login refused with status %04x", get_be16(h + 36));
    c->exp_stat_sn = get_be32(h + 24) + 1;
    c->max_cmd_sn = get_be32(h + 32);
    if (c->state == LOGIN_SECURITY && csg == 0)
        c->wanted = c->p;
    if (!answer_keys(c))
        return false;
    if (more) {
        login_pdu(c, csg, 0, NULL, 0);
        stay_in_stage(c, csg);
        return true;
    }
    if (!transit && c->state == LOGIN_OPERATIONAL) {
        login_pdu(c, 1, 3, NULL, 0);
        return true;
    }
    if (c->state == LOGIN_SECURITY && opt.chap && c->chap_step < 2)
        return login_chap(c);
    if (c->state == LOGIN_SECURITY) {
        if (!transit || nsg != 1)
            return fail(c, "login: the security stage did not end");
        login_operational(c);
        return true;
    }
    if (nsg != 3)
        return fail(c, "login: the operational stage did not end");
    if (opt.header_digest != c->wanted.header_digest || opt.data_digest != c->wanted.data_digest)
        return fail(c, "login: the target did not agree to the digests asked for");
    c->tsih = get_be16(h + 14);
    if (!c->tsih)
        return fail(c, "login: no session handle");
    c->p = c->wanted;
    c->state = LOGIN_DONE;
    return true;
}

bool conn_login(struct conn *c)
{
    int r = conn_connect(c, true);

    if (r < 0)
        return fail(c, "connect %s:%s: %s", opt.host, opt.port, strerror(-r));
    login_start(c);
    while (c->state != LOGIN_DONE)
        if (!tx_flush(c) || !receive_some(c, true))
            return false;
    return true;
}
