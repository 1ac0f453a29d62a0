/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network addresses of portals and peers: IPv4 and IPv6 with a TCP port, parsed from and printed as
 * "192.0.2.1:3260" and "[2001:db8::1]:3260". Names are not resolved: a portal is an address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <netinet/in.h>

#define ADDRESS_TEXT_MAX     64
#define ADDRESS_DEFAULT_PORT 3260

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t length;
};

/* 0, or -EINVAL. The port may be left out (3260). A scope id ("[fe80::1%eth0]") is allowed. */
int address_parse(const char *text, struct address *ret_address);
/* Writes "host:port" ("[host]:port" for IPv6; IPv4-mapped IPv6 is printed as IPv4); returns `buf`. */
const char *address_format(const struct address *a, char buf[static ADDRESS_TEXT_MAX]);
bool address_equal(const struct address *a, const struct address *b);
/* True for 0.0.0.0 and [::]. */
bool address_is_wildcard(const struct address *a);
/* True for 127.0.0.0/8 and [::1]. */
bool address_is_loopback(const struct address *a);
/* The address a connected socket has on our side / on the peer's side; 0 or negative errno. */
int address_local(int fd, struct address *ret_address);
int address_peer(int fd, struct address *ret_address);
