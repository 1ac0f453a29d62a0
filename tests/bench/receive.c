/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PDU parser that is fed whatever a receive brought and keeps only the header of the PDU under
 * way. All connections therefore share one receive area, which stays in the cache, and the data of
 * a read costs no second copy unless somebody wants it.
 */
#include "load.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static uint8_t scratch[SCRATCH_BYTES];

static bool digest_good(const uint8_t *at, uint32_t crc)
{
    uint32_t wire = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return wire == crc32c_finish(crc);
}

static bool header_complete(struct conn *c)
{
    struct receive *rx = &c->rx;
    bool full_feature = c->state == LOGIN_DONE;

    if (full_feature && c->p.header_digest &&
        !digest_good(rx->header + BHS_BYTES, crc32c(CRC32C_START, rx->header, BHS_BYTES)))
        return fail(c, "header digest is wrong");
    if (rx->header[4])
        return fail(c, "opcode %02x with additional headers", rx->header[0]);
    rx->data = get_be24(rx->header + 5);
    if (rx->data > (full_feature ? opt.receive_segment : 8192))
        return fail(c, "opcode %02x brings %u bytes", rx->header[0], rx->data);
    rx->left = (rx->data + 3) & ~3u;
    rx->crc = CRC32C_START;
    rx->to = NULL;
    rx->have = 0;
    if (!session_header(c))
        return false;
    if (!rx->left)
        return session_pdu(c);
    rx->phase = RX_DATA;
    return true;
}

static bool data_complete(struct conn *c)
{
    c->rx.phase = RX_HEADER;
    c->rx.have = 0;
    return session_pdu(c);
}

bool receive_feed(struct conn *c, const uint8_t *bytes, size_t n)
{
    struct receive *rx = &c->rx;

    while (n) {
        bool full_feature = c->state == LOGIN_DONE;
        uint32_t whole, take;

        switch (rx->phase) {
        case RX_HEADER:
            whole = BHS_BYTES + (full_feature && c->p.header_digest ? 4 : 0);
            take = whole - rx->have < n ? whole - rx->have : (uint32_t)n;
            memcpy(rx->header + rx->have, bytes, take);
            rx->have += take;
            if (rx->have == whole && !header_complete(c))
                return false;
            break;
        case RX_DATA:
            take = rx->left < n ? rx->left : (uint32_t)n;
            if (full_feature && c->p.data_digest)
                rx->crc = crc32c(rx->crc, bytes, take);
            if (rx->to) {
                uint32_t at = ((rx->data + 3) & ~3u) - rx->left;
                uint32_t room = at < rx->data ? rx->data - at : 0;

                memcpy(rx->to + at, bytes, take < room ? take : room);
            }
            rx->left -= take;
            if (rx->left)
                break;
            if (full_feature && c->p.data_digest)
                rx->phase = RX_DIGEST;
            else if (!data_complete(c))
                return false;
            break;
        default:
            take = 4 - rx->have < n ? 4 - rx->have : (uint32_t)n;
            memcpy(rx->digest + rx->have, bytes, take);
            rx->have += take;
            if (rx->have < 4)
                break;
            if (!digest_good(rx->digest, rx->crc))
                return fail(c, "data digest is wrong, opcode %02x", rx->header[0]);
            if (!data_complete(c))
                return false;
        }
        bytes += take;
        n -= take;
    }
    return true;
}

bool receive_some(struct conn *c, bool wait)
{
    ssize_t n;

    uint64_t begin = clock_now_ns();
    do
        n = recv(c->fd, scratch, sizeof(scratch), wait && !opt.poll ? 0 : MSG_DONTWAIT);
    while (n < 0 && (errno == EINTR || (errno == EAGAIN && wait && opt.poll &&
                                        clock_now_ns() - begin < STALL_NS)));
    fig.now = clock_now_ns();
    c->gone = n == 0 || (n < 0 && errno != EAGAIN);
    if (n == 0)
        return fail(c, "the target closed the connection");
    if (n < 0 && errno == EAGAIN)
        return wait ? fail(c, "no answer") : true;
    if (n < 0)
        return fail(c, "receive: %s", strerror(errno));
    return receive_feed(c, scratch, (size_t)n);
}
