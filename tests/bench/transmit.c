/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What waits to be sent on a connection. Headers and digests are copied into one buffer, so that a
 * batch of read commands is a single span; write data is only pointed at. Everything leaves in one
 * gathered send.
 */
#include "load.h"

#include "base/bytes.h"
#include "base/crc32c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define IOV_A_SEND 1024u

/* The digest of the payload's first bytes is the same every time; a few lengths are remembered. */
static uint32_t data_digest(const void *data, uint32_t bytes)
{
    static struct {
        uint32_t bytes, crc;
    } known[8];
    unsigned at = (bytes >> 9) % 8;

    if (data != payload)
        return crc32c_finish(crc32c(CRC32C_START, data, bytes));
    if (known[at].bytes != bytes) {
        known[at].bytes = bytes;
        known[at].crc = crc32c_finish(crc32c(CRC32C_START, data, bytes));
    }
    return known[at].crc;
}

static void put_digest(uint8_t *at, uint32_t crc)
{
    at[0] = (uint8_t)crc;
    at[1] = (uint8_t)(crc >> 8);
    at[2] = (uint8_t)(crc >> 16);
    at[3] = (uint8_t)(crc >> 24);
}

static bool in_ring(const struct transmit *tx, const struct iovec *v)
{
    const uint8_t *p = v->iov_base;
    return p >= tx->ring && p < tx->ring + tx->bytes;
}

static void grow_ring(struct transmit *tx)
{
    uint8_t *old = tx->ring;
    uint32_t bytes = tx->bytes ? tx->bytes * 2 : 8192;
    uint8_t *ring = malloc(bytes);

    if (!ring)
        abort();
    for (unsigned i = tx->first; i < tx->last; i++)
        if (in_ring(tx, &tx->iov[i]))
            tx->iov[i].iov_base = ring + ((uint8_t *)tx->iov[i].iov_base - old);
    if (old)
        memcpy(ring, old, tx->used);
    free(old);
    tx->ring = ring;
    tx->bytes = bytes;
}

static void add(struct transmit *tx, const void *base, size_t bytes)
{
    struct iovec *v = &tx->iov[tx->last];

    if (tx->last > tx->first && (uint8_t *)v[-1].iov_base + v[-1].iov_len == base) {
        v[-1].iov_len += bytes;
        return;
    }
    if (tx->last == tx->room) {
        tx->room = tx->room ? tx->room * 2 : 64;
        tx->iov = realloc(tx->iov, tx->room * sizeof(*tx->iov));
        if (!tx->iov)
            abort();
        v = &tx->iov[tx->last];
    }
    *v = (struct iovec){ .iov_base = (void *)base, .iov_len = bytes };
    tx->last++;
}

uint8_t *tx_header(struct conn *c)
{
    if (c->tx.used + BHS_BYTES + 8 > c->tx.bytes)
        grow_ring(&c->tx);
    return memset(c->tx.ring + c->tx.used, 0, BHS_BYTES);
}

void tx_commit(struct conn *c, const void *data, uint32_t bytes)
{
    static const uint8_t pad[4];
    struct transmit *tx = &c->tx;
    uint8_t *header = tx->ring + tx->used;
    uint32_t n = BHS_BYTES, padding = -bytes & 3;
    bool full_feature = c->state == LOGIN_DONE;

    put_be24(header + 5, bytes);
    if (full_feature && c->p.header_digest) {
        put_digest(header + n, crc32c_finish(crc32c(CRC32C_START, header, BHS_BYTES)));
        n += 4;
    }
    tx->used += n;
    add(tx, header, n);
    if (!bytes)
        return;
    add(tx, data, bytes);
    if (padding)
        add(tx, pad, padding);
    if (full_feature && c->p.data_digest) {
        uint8_t *digest = tx->ring + tx->used;
        uint32_t crc = data_digest(data, bytes);

        if (padding)
            crc = crc32c_finish(crc32c(~crc, pad, padding));
        put_digest(digest, crc);
        tx->used += 4;
        add(tx, digest, 4);
    }
}

/* Moves what is unsent to the front, so that the buffers do not grow on a slow connection. */
static void compact(struct transmit *tx)
{
    uint32_t used = 0;
    unsigned n = 0;

    for (unsigned i = tx->first; i < tx->last; i++, n++) {
        struct iovec v = tx->iov[i];

        if (in_ring(tx, &v)) {
            memmove(tx->ring + used, v.iov_base, v.iov_len);
            v.iov_base = tx->ring + used;
            used += (uint32_t)v.iov_len;
        }
        tx->iov[n] = v;
    }
    tx->first = 0;
    tx->last = n;
    tx->used = used;
}

bool tx_flush(struct conn *c)
{
    struct transmit *tx = &c->tx;

    while (tx->first < tx->last) {
        unsigned n = tx->last - tx->first;
        struct msghdr m = { .msg_iov = tx->iov + tx->first,
                            .msg_iovlen = n < IOV_A_SEND ? n : IOV_A_SEND };
        ssize_t sent = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            compact(tx);
            return true;
        }
        c->gone = sent < 0;
        if (sent < 0)
            return fail(c, "send: %s", strerror(errno));
        while (sent && (size_t)sent >= tx->iov[tx->first].iov_len)
            sent -= (ssize_t)tx->iov[tx->first++].iov_len;
        if (sent) {
            struct iovec *v = &tx->iov[tx->first];

            v->iov_base = (uint8_t *)v->iov_base + sent;
            v->iov_len -= (size_t)sent;
        }
    }
    tx->first = tx->last = 0;
    tx->used = 0;
    return true;
}
