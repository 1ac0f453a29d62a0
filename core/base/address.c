/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int port_parse(const char *text, in_port_t *ret_port)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -EINVAL;
    unsigned long v = strtoul(text, &end, 10);
    if (*end || v == 0 || v > 65535)
        return -EINVAL;
    *ret_port = htons((uint16_t)v);
    return 0;
}

static int parse_v6(const char *text, struct address *ret_address)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
    const char *end = strchr(text, ']');
    if (!end || (size_t)(end - text - 1) >= sizeof(host))
        return -EINVAL;
    memcpy(host, text + 1, (size_t)(end - text - 1));
    host[end - text - 1] = '\0';

    struct address a = { .length = sizeof(a.v6) };
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_port = htons(ADDRESS_DEFAULT_PORT);
    if (end[1] == ':') {
        if (port_parse(end + 2, &a.v6.sin6_port) < 0)
            return -EINVAL;
    } else if (end[1]) {
        return -EINVAL;
    }
    char *scope = strchr(host, '%');
    if (scope) {
        *scope++ = '\0';
        a.v6.sin6_scope_id = if_nametoindex(scope);
        if (a.v6.sin6_scope_id == 0)
            return -EINVAL;
    }
    if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1)
        return -EINVAL;
    *ret_address = a;
    return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
    if (text[0] == '[')
        return parse_v6(text, ret_address);

    struct address a = { .length = sizeof(a.v4) };
    char host[INET_ADDRSTRLEN];
    size_t n = strcspn(text, ":");
    if (n >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons(ADDRESS_DEFAULT_PORT);
    if (text[n] == ':' && port_parse(text + n + 1, &a.v4.sin_port) < 0)
        return -EINVAL;
    if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1)
        return -EINVAL;
    *ret_address = a;
    return 0;
}

const char *address_format(const struct address *a, char buf[static ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    switch (a->any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
        snprintf(buf, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->v4.sin_port));
        break;
    case AF_INET6:
        if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
            inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], host, sizeof(host));
            snprintf(buf, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->v6.sin6_port));
        } else {
            inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
            snprintf(buf, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(a->v6.sin6_port));
        }
        break;
    default:
        snprintf(buf, ADDRESS_TEXT_MAX, "unknown");
    }
    return buf;
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

bool address_is_loopback(const struct address *a)
{
    if (a->any.sa_family == AF_INET)
        return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

bool address_is_wildcard(const struct address *a)
{
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

int address_local(int fd, struct address *ret_address)
{
    struct address a = { .length = sizeof(a.v6) };
    if (getsockname(fd, &a.any, &a.length) < 0)
        return -errno;
    *ret_address = a;
    return 0;
}

int address_peer(int fd, struct address *ret_address)
{
    struct address a = { .length = sizeof(a.v6) };
    if (getpeername(fd, &a.any, &a.length) < 0)
        return -errno;
    *ret_address = a;
    return 0;
}
