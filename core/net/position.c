/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/position.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LOOKS             64
#define STATE_ESTABLISHED 1 /* TCP_ESTABLISHED of <netinet/tcp.h>, which clashes with <linux/tcp.h> */

static int stream_bytes(int fd, uint64_t *ret_received, uint64_t *ret_acked, bool *ret_open)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return -errno;
    if (n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
        return -EOPNOTSUPP;
    *ret_received = info.tcpi_bytes_received;
    *ret_acked = info.tcpi_bytes_acked;
    *ret_open = info.tcpi_state == STATE_ESTABLISHED;
    return 0;
}

int socket_position(int fd, struct socket_position *ret_position)
{
    for (int look = 0; look < LOOKS; look++) {
        uint64_t received, acked, received_after, acked_after;
        int in_queue, out_queue;
        int r = stream_bytes(fd, &received, &acked, &ret_position->open);
        if (r < 0)
            return r;
        if (ioctl(fd, SIOCINQ, &in_queue) < 0 || ioctl(fd, SIOCOUTQ, &out_queue) < 0)
            return -errno;
        r = stream_bytes(fd, &received_after, &acked_after, &ret_position->open);
        if (r < 0)
            return r;
        if (received != received_after || acked != acked_after)
            continue;
        ret_position->rx = received - (uint64_t)in_queue;
        ret_position->tx = acked + (uint64_t)out_queue;
        return 0;
    }
    return -EAGAIN;
}
