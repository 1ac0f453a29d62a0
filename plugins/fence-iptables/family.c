/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One family. What is there is read ("-S"), one batch changes it ("iptables-restore --noflush": both
 * back ends apply a batch as a whole or not at all), and it is read again.
 */
#include "iptables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES  512
#define LOCK_WAIT       "2" /* seconds, for another iptables that is at work */
#define NS              1000000000ull
#define CLOCK_STEP_BACK 2 /* seconds that the clock may be set back under a fence */

/* The two directions, which differ in nothing but words. */
struct direction {
    const char *base, *chain, *address, *port, *interface;
};

static struct direction direction_of(const struct fence *f, bool outgoing)
{
    return outgoing ? (struct direction){ "OUTPUT", f->chain_out, "-s", "--sport", "-o" }
                    : (struct direction){ "INPUT", f->chain_in, "-d", "--dport", "-i" };
}

static int list(const struct family *family, char **ret_listing, struct hf_error *error)
{
    const char *const argv[] = { family->program, "-w", LOCK_WAIT, "-S", NULL };
    return program_run(argv, /* input= */ NULL, ret_listing, error);
}

static bool is_ours(const char *line, const struct direction *d)
{
    char target[NAME_MAX_BYTES + 8];
    snprintf(target, sizeof(target), "-j %s", d->chain);
    return listing_is_rule_of(line, d->base) && listing_has(line, target);
}

static bool has_chain(const char *listing, const char *chain)
{
    char line[LINE_MAX_BYTES], wanted[NAME_MAX_BYTES + 8];

    snprintf(wanted, sizeof(wanted), "-N %s", chain);
    while (listing_next(&listing, line, sizeof(line)))
        if (strcmp(line, wanted) == 0)
            return true;
    return false;
}

/* ---- dates ---- */

static void format_date(time_t at, char date[static DATE_BYTES])
{
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(date, DATE_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
}

/* The rule matches up to the end of the second B, which is therefore the last whole one. */
static void age_dates(uint64_t max_age_ns, char start[static DATE_BYTES],
                      char stop[static DATE_BYTES])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t end_ns = (uint64_t)now.tv_nsec + max_age_ns;
    format_date(now.tv_sec - CLOCK_STEP_BACK, start);
    format_date(now.tv_sec + (time_t)(end_ns / NS) - 1, stop);
}

static bool is_in_force(const char *line)
{
    char start[DATE_BYTES], stop[DATE_BYTES], now[DATE_BYTES];

    format_date(time(NULL), now);
    return listing_value(line, "--datestart", start, sizeof(start)) &&
           listing_value(line, "--datestop", stop, sizeof(stop)) && strcmp(start, now) <= 0 &&
           strcmp(now, stop) <= 0;
}

/* ---- portals ---- */

static const struct hf_fence_portal *portal_at(const struct hf_fence_portal *portals, uint32_t i)
{
    return (const void *)((const char *)portals + (size_t)i * portals->size);
}

static bool name_is_plain(const char *name)
{
    return name[strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@")] == '\0';
}

/* "-d 192.0.2.1/32 " or nothing; also "-i eth0 " for a link-local address. */
static int describe_address(const struct hf_fence_portal *portal, const struct direction *d,
                            char *text, size_t max, struct hf_error *error)
{
    static const uint8_t any[16];
    bool v4 = portal->family == HF_FENCE_IPV4;
    char address[INET6_ADDRSTRLEN] = "", name[IF_NAMESIZE];

    text[0] = '\0';
    if (memcmp(portal->address, any, v4 ? 4 : 16) == 0)
        return 0;
    inet_ntop(v4 ? AF_INET : AF_INET6, portal->address, address, sizeof(address));
    int n = snprintf(text, max, "%s %s/%d ", d->address, address, v4 ? 32 : 128);
    if (v4 || portal->scope == 0)
        return 0;
    if (!if_indextoname(portal->scope, name) || !name_is_plain(name))
        return iptables_host->fail(error, ENODEV, "%s: no interface %" PRIu32, address,
                                   portal->scope);
    snprintf(text + n, max - (size_t)n, "%s %s ", d->interface, name);
    return 0;
}

static int put_portals(FILE *to, const struct family *family, const struct direction *d,
                       const struct hf_fence_portal *portals, uint32_t count,
                       struct hf_error *error)
{
    char address[LINE_MAX_BYTES];

    for (uint32_t i = 0; i < count; i++) {
        const struct hf_fence_portal *portal = portal_at(portals, i);
        if (portal->family != family->number)
            continue;
        int r = describe_address(portal, d, address, sizeof(address), error);
        if (r < 0)
            return r;
        fprintf(to, "-A %s %s-p tcp -m tcp %s %u -j DROP\n", d->chain, address, d->port,
                portal->port);
    }
    return 0;
}

/* ---- batches ---- */

/* Our rules of the base chain, as they are listed, with "-D" for "-A". */
static void put_removal(FILE *to, const char *listing, const struct direction *d)
{
    char line[LINE_MAX_BYTES];
    while (listing_next(&listing, line, sizeof(line)))
        if (is_ours(line, d))
            fprintf(to, "-D%s\n", line + 2);
}

static int put_raise(FILE *to, const struct fence *f, const struct family *family,
                     const char *listing, const struct hf_fence_portal *portals, uint32_t count,
                     uint64_t max_age_ns, struct hf_error *error)
{
    char start[DATE_BYTES], stop[DATE_BYTES];
    int r = 0;

    /* Naming a chain makes it, or empties it. */
    fprintf(to, "*filter\n:%s - [0:0]\n:%s - [0:0]\n", f->chain_in, f->chain_out);
    age_dates(max_age_ns, start, stop);
    for (int outgoing = 0; r == 0 && outgoing < 2; outgoing++) {
        struct direction d = direction_of(f, outgoing);
        put_removal(to, listing, &d);
        r = put_portals(to, family, &d, portals, count, error);
        fprintf(to,
                "-I %s 1 -m time --datestart %s --datestop %s -m comment --comment \"%s\" -j %s\n",
                d.base, start, stop, f->tag, d.chain);
    }
    fputs("COMMIT\n", to);
    return r;
}

static void put_lower(FILE *to, const struct fence *f, const char *listing)
{
    fputs("*filter\n", to);
    for (int outgoing = 0; outgoing < 2; outgoing++) {
        struct direction d = direction_of(f, outgoing);
        put_removal(to, listing, &d);
        if (has_chain(listing, d.chain))
            fprintf(to, "-F %s\n-X %s\n", d.chain, d.chain);
    }
    fputs("COMMIT\n", to);
}

/* Closes and runs a batch, or gives it up when r < 0. */
static int finish(const struct family *family, FILE *batch, char **text, int r,
                  struct hf_error *error)
{
    const char *const argv[] = { family->restore, "--noflush", "-w", LOCK_WAIT, NULL };

    if (fclose(batch) != 0 && r == 0)
        r = iptables_host->fail(error, ENOMEM, "no memory");
    if (r == 0)
        r = program_run(argv, *text, /* ret_output= */ NULL, error);
    free(*text);
    return r;
}

/* ---- seen to be in force ---- */

static bool jump_is_first(const char *listing, const struct direction *d)
{
    char line[LINE_MAX_BYTES];
    while (listing_next(&listing, line, sizeof(line)))
        if (listing_is_rule_of(line, d->base))
            return is_ours(line, d);
    return false;
}

/* A rule that drops `number` of this address ("-d 192.0.2.1/32 ...", "": all addresses). */
static bool drops(const char *listing, const struct direction *d, const char *address,
                  uint16_t number)
{
    char line[LINE_MAX_BYTES], port[32], word[8], one[LINE_MAX_BYTES];
    size_t option = strlen(d->address) + 1;
    bool any = address[0] == '\0';

    snprintf(port, sizeof(port), "%s %u", d->port, number);
    snprintf(word, sizeof(word), " %s ", d->address);
    if (!any)
        snprintf(one, sizeof(one), "%.*s", (int)(option + strcspn(address + option, " ")), address);
    while (listing_next(&listing, line, sizeof(line))) {
        if (listing_is_rule_of(line, d->chain) && listing_has(line, port) &&
            listing_has(line, "-j DROP") &&
            (any ? strstr(line, word) == NULL : listing_has(line, one)))
            return true;
    }
    return false;
}

static int check(const struct fence *f, const struct family *family,
                 const struct hf_fence_portal *portals, uint32_t count, struct hf_error *error)
{
    char *listing, address[LINE_MAX_BYTES];
    bool good = true;

    int r = list(family, &listing, error);
    if (r < 0)
        return r;
    for (int outgoing = 0; outgoing < 2; outgoing++) {
        struct direction d = direction_of(f, outgoing);
        good = good && jump_is_first(listing, &d);
        for (uint32_t i = 0; r == 0 && i < count; i++) {
            const struct hf_fence_portal *portal = portal_at(portals, i);
            if (portal->family != family->number)
                continue;
            r = describe_address(portal, &d, address, sizeof(address), error);
            good = good && r == 0 && drops(listing, &d, address, portal->port);
        }
    }
    free(listing);
    if (r == 0 && !good)
        r = iptables_host->fail(error, EIO, "%s: the rules are not as they were made",
                                family->program);
    return r;
}

/* ---- verbs ---- */

int family_raise(const struct fence *f, const struct family *family,
                 const struct hf_fence_portal *portals, uint32_t count, uint64_t max_age_ns,
                 struct hf_error *error)
{
    char *listing, *text = NULL;
    size_t bytes;

    int r = list(family, &listing, error);
    if (r < 0)
        return r;
    FILE *batch = open_memstream(&text, &bytes);
    if (batch) {
        r = put_raise(batch, f, family, listing, portals, count, max_age_ns, error);
        r = finish(family, batch, &text, r, error);
    } else {
        r = iptables_host->fail(error, ENOMEM, "no memory");
    }
    free(listing);
    return r == 0 ? check(f, family, portals, count, error) : r;
}

static bool something_is_left(const struct fence *f, const char *listing)
{
    char line[LINE_MAX_BYTES];
    struct direction in = direction_of(f, false), out = direction_of(f, true);

    if (has_chain(listing, in.chain) || has_chain(listing, out.chain))
        return true;
    while (listing_next(&listing, line, sizeof(line)))
        if (is_ours(line, &in) || is_ours(line, &out))
            return true;
    return false;
}

static int lower_listed(const struct fence *f, const struct family *family, const char *listing,
                        struct hf_error *error)
{
    char *text = NULL;
    size_t bytes;

    if (!something_is_left(f, listing))
        return 0;
    FILE *batch = open_memstream(&text, &bytes);
    if (!batch)
        return iptables_host->fail(error, ENOMEM, "no memory");
    put_lower(batch, f, listing);
    return finish(family, batch, &text, 0, error);
}

int family_lower(const struct fence *f, const struct family *family, struct hf_error *error)
{
    char *listing;
    int r = list(family, &listing, error);

    if (r < 0)
        return r;
    r = lower_listed(f, family, listing, error);
    free(listing);
    return r;
}

int family_clean(const struct fence *f, const struct family *family, bool *ret_up,
                 struct hf_error *error)
{
    struct direction in = direction_of(f, false), out = direction_of(f, true);
    char *listing, line[LINE_MAX_BYTES];
    bool up = false;

    int r = list(family, &listing, error);
    if (r < 0)
        return r;
    for (const char *at = listing; listing_next(&at, line, sizeof(line));) {
        if (is_ours(line, &in) || is_ours(line, &out))
            up = up || (strstr(line, f->tag) && is_in_force(line));
    }
    *ret_up = up;
    if (!up)
        r = lower_listed(f, family, listing, error);
    free(listing);
    return r;
}
