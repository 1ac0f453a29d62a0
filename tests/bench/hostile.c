/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Those who do not mean to log in: sockets that say nothing, and sockets that send the first Login Request
 * at one byte a second. They are there before the storm begins, and for all of its time.
 */
#include "load.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct conn *conns;
static unsigned count, sent;
static uint64_t next_byte;

void hostile_open(void)
{
    count = opt.silent + opt.drip;
    conns = calloc(count ? count : 1, sizeof(*conns));
    if (!conns)
        abort();
    for (unsigned i = 0; i < count; i++) {
        conns[i] = (struct conn){ .fd = -1, .index = i };
        if (conn_connect(&conns[i], false) < 0)
            fprintf(stderr, "load: hostile connection %u: %s\n", i, conns[i].fault);
    }
    next_byte = clock_now_ns();
}

uint64_t hostile_turn(uint64_t now)
{
    static const uint8_t request[BHS_BYTES] = { 0x43, 0x87 };

    if (!opt.drip)
        return UINT64_MAX;
    if (now < next_byte)
        return next_byte;
    for (unsigned i = opt.silent; i < count && sent < BHS_BYTES; i++)
        if (conns[i].fd >= 0)
            send(conns[i].fd, request + sent, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    sent++;
    next_byte = now + NS_PER_S;
    return next_byte;
}

void hostile_close(void)
{
    unsigned open = 0, closed = 0;

    for (unsigned i = 0; i < count; i++) {
        char byte;

        if (conns[i].fd < 0)
            continue;
        if (recv(conns[i].fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
            open++;
        else
            closed++;
        close(conns[i].fd);
    }
    if (count)
        printf("hostile=%u open=%u closed=%u\n", count, open, closed);
    free(conns);
}
