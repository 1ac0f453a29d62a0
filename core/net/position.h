/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a connected TCP socket stands in both streams, from the kernel's own numbers: bytes that we
 * have read, and bytes that we have given to it. Exact also after the death of the process that
 * used the socket; needs no privilege.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct socket_position {
    uint64_t rx; /* bytes read by us: received - still in the receive queue */
    uint64_t tx; /* bytes written by us: acknowledged + still in the send queue */
    bool open;   /* neither side has sent FIN (a FIN counts as a byte in the numbers above) */
};

/* 0, or negative errno; -EAGAIN when the numbers never stood still for one look. */
int socket_position(int fd, struct socket_position *ret_position);
