/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/initiators.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

struct network {
    uint8_t bytes[16];
    unsigned size; /* 4 or 16 bytes */
    unsigned bits;
};

/* IPv4 in IPv6's clothes is IPv4. */
static void unmap(struct network *n)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    if (n->size != 16 || n->bits < 96 || memcmp(n->bytes, mapped, sizeof(mapped)) != 0)
        return;
    memmove(n->bytes, n->bytes + 12, 4);
    n->size = 4;
    n->bits -= 96;
}

static int read_bits(const char *text, unsigned most, unsigned *ret_bits)
{
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    unsigned long bits = strtoul(text, &end, 10);
    if (*end || bits > most)
        return -EINVAL;
    *ret_bits = (unsigned)bits;
    return 0;
}

static int read_network(const char *text, struct network *ret_network)
{
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    char host[INET6_ADDRSTRLEN];
    struct network n = { .size = 4 };

    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (inet_pton(AF_INET, host, n.bytes) != 1) {
        n.size = 16;
        if (inet_pton(AF_INET6, host, n.bytes) != 1)
            return -EINVAL;
    }
    n.bits = 8 * n.size;
    if (slash && read_bits(slash + 1, n.bits, &n.bits) < 0)
        return -EINVAL;
    unmap(&n);
    *ret_network = n;
    return 0;
}

int initiators_check(const char *pattern)
{
    struct network n;

    return strchr(pattern, '/') ? read_network(pattern, &n) : 0;
}

static bool read_peer(const char *peer, struct network *ret_network)
{
    struct address a;
    struct network n = { 0 };

    if (!peer || address_parse(peer, &a) < 0)
        return false;
    n.size = a.any.sa_family == AF_INET ? 4 : 16;
    n.bits = 8 * n.size;
    memcpy(n.bytes, n.size == 4 ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, n.size);
    unmap(&n);
    *ret_network = n;
    return true;
}

static bool lies_in(const struct network *peer, const struct network *network)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    if (peer->size != network->size || memcmp(peer->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || ((peer->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

bool initiators_same_host(const char *peer, const char *other)
{
    struct network a, b;

    return read_peer(peer, &a) && read_peer(other, &b) && a.size == b.size &&
           memcmp(a.bytes, b.bytes, a.size) == 0;
}

bool initiators_match(const char *const *patterns, const char *name, const char *peer)
{
    struct network from, network;
    bool known = read_peer(peer, &from);

    for (const char *const *p = patterns; *p; p++) {
        if (read_network(*p, &network) == 0) {
            if (known && lies_in(&from, &network))
                return true;
        } else if (fnmatch(*p, name, FNM_NOESCAPE | FNM_CASEFOLD) == 0) {
            return true;
        }
    }
    return false;
}
