/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words of the commands. Nothing but numbers, addresses and our own names goes into them, so
 * there is nothing to quote.
 */
#include "nftables.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *type, *incoming, *outgoing;
} sets[SET_COUNT] = {
    [SET_V4] = { "v4", "ipv4_addr . inet_service", "ip daddr . tcp dport", "ip saddr . tcp sport" },
    [SET_V6] = { "v6", "ipv6_addr . inet_service", "ip6 daddr . tcp dport",
                 "ip6 saddr . tcp sport" },
    [SET_LINK] = { "link", "ipv6_addr . inet_service . iface_index", "ip6 daddr . tcp dport . iif",
                   "ip6 saddr . tcp sport . oif" },
    [SET_ANY4] = { "any4", "inet_service", "meta nfproto ipv4 tcp dport",
                   "meta nfproto ipv4 tcp sport" },
    [SET_ANY6] = { "any6", "inet_service", "meta nfproto ipv6 tcp dport",
                   "meta nfproto ipv6 tcp sport" },
};

const char *rules_set_name(enum set set)
{
    return sets[set].name;
}

const struct hf_fence_portal *rules_portal(const struct hf_fence_portal *portals, uint32_t i)
{
    return (const void *)((const char *)portals + (size_t)i * portals->size);
}

enum set rules_set_of(const struct hf_fence_portal *portal)
{
    static const uint8_t any[16];
    bool v4 = portal->family == HF_FENCE_IPV4;

    if (memcmp(portal->address, any, v4 ? 4 : 16) == 0)
        return v4 ? SET_ANY4 : SET_ANY6;
    if (v4)
        return SET_V4;
    return portal->scope != 0 ? SET_LINK : SET_V6;
}

/* "192.0.2.1 . 3260" and so on; the form of the set's members. */
static void put_member(FILE *to, const struct hf_fence_portal *portal, enum set set)
{
    char address[INET6_ADDRSTRLEN] = "";

    inet_ntop(portal->family == HF_FENCE_IPV4 ? AF_INET : AF_INET6, portal->address, address,
              sizeof(address));
    if (set == SET_ANY4 || set == SET_ANY6)
        fprintf(to, "%u", portal->port);
    else if (set == SET_LINK)
        fprintf(to, "%s . %u . %" PRIu32, address, portal->port, portal->scope);
    else
        fprintf(to, "%s . %u", address, portal->port);
}

/* "{ a, b }", nothing at all for an empty set; `suffix` comes behind each. How many there were. */
static uint32_t put_members(FILE *to, const struct hf_fence_portal *portals, uint32_t count,
                            enum set set, const char *before, const char *suffix)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct hf_fence_portal *portal = rules_portal(portals, i);
        if (rules_set_of(portal) != set)
            continue;
        fputs(used++ == 0 ? before : ", ", to);
        put_member(to, portal, set);
        fputs(suffix, to);
    }
    if (used > 0)
        fputs(" }\n", to);
    return used;
}

static void put_chain(FILE *to, const struct fence *f, const char *name, bool outgoing)
{
    fprintf(to, " chain %s {\n  type filter hook %sput priority -300; policy accept\n", name, name);
    for (enum set set = 0; set < SET_COUNT; set++)
        fprintf(to, "  %s @%s counter drop comment \"holdfast boot=%s\"\n",
                outgoing ? sets[set].outgoing : sets[set].incoming, sets[set].name, f->boot);
    fputs(" }\n", to);
}

/* "Add" first: taking away what is not there would be an error. */
static void put_delete(FILE *to, const struct fence *f)
{
    fprintf(to, "add table inet %s\ndelete table inet %s\n", f->table, f->table);
}

static char *finish(FILE *to, char **text)
{
    bool good = ferror(to) == 0;
    if (fclose(to) == 0 && good)
        return *text;
    free(*text);
    return NULL;
}

char *rules_raise(const struct fence *f, const struct hf_fence_portal *portals, uint32_t count,
                  uint64_t max_age_ns)
{
    char *text = NULL, timeout[48];
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    if (!to)
        return NULL;
    snprintf(timeout, sizeof(timeout), " timeout %" PRIu64 "s%" PRIu64 "ms",
             max_age_ns / 1000000000, max_age_ns / 1000000 % 1000);
    put_delete(to, f);
    fprintf(to, "table inet %s {\n", f->table);
    for (enum set set = 0; set < SET_COUNT; set++) {
        fprintf(to, " set %s {\n  type %s; flags timeout\n", sets[set].name, sets[set].type);
        put_members(to, portals, count, set, "  elements = { ", timeout);
        fputs(" }\n", to);
    }
    put_chain(to, f, "in", false);
    put_chain(to, f, "out", true);
    fputs("}\n", to);
    return finish(to, &text);
}

char *rules_lower(const struct fence *f)
{
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    if (!to)
        return NULL;
    put_delete(to, f);
    return finish(to, &text);
}

char *rules_members(const struct fence *f, const struct hf_fence_portal *portals, uint32_t count,
                    enum set set)
{
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);

    if (!to)
        return NULL;
    fprintf(to, "get element inet %s %s ", f->table, sets[set].name);
    put_members(to, portals, count, set, "{ ", "");
    return finish(to, &text);
}

/* Looked for word by word: versions of the library put spaces and counters differently. */
int rules_listed(const char *listing, enum set set, int outgoing)
{
    char name[16];

    snprintf(name, sizeof(name), "@%s ", sets[set].name);
    for (const char *line = listing; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        char one[512];
        size_t length = strcspn(line, "\n");
        length = length < sizeof(one) ? length : sizeof(one) - 1;
        memcpy(one, line, length);
        one[length] = '\0';
        if (strstr(one, name) && strstr(one, outgoing ? "sport" : "dport") && strstr(one, " drop"))
            return 1;
    }
    return 0;
}
