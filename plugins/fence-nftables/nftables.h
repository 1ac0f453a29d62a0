/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this plugin share. Everything it makes is one table, "inet holdfast_INSTANCE":
 *
 *   set v4    { ipv4_addr . inet_service }               portals, each with a timeout
 *   set v6    { ipv6_addr . inet_service }
 *   set link  { ipv6_addr . inet_service . iface_index } those with a link-local address
 *   set any4  { inet_service }                           portals on all addresses of a family
 *   set any6  { inet_service }
 *   chain in  { hook input }   drops what goes to a member
 *   chain out { hook output }  drops what comes from a member
 *
 * The kernel takes members away when their time is over; without members the table does nothing. It is
 * made and taken away as a whole, in one transaction.
 */
#pragma once

#include <holdfast/fence.h>

#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stddef.h>

#define TABLE_NAME_MAX 48
#define BOOT_ID_MAX    40

extern const struct hf_host *nftables_host;

enum set { SET_V4, SET_V6, SET_LINK, SET_ANY4, SET_ANY6, SET_COUNT };

struct fence {
    struct nft_ctx *nft;
    char table[TABLE_NAME_MAX];
    char boot[BOOT_ID_MAX]; /* of this boot; in the comment of every rule */
};

/* ---- command.c ---- */

/*
 * Runs commands as one transaction. 0 and what they print (*ret_output lives until the next command;
 * may be NULL), or negative errno with the library's words in `error`.
 */
int command_run(struct fence *f, const char *text, const char **ret_output, struct hf_error *error);

/* ---- rules.c ---- */

const char *rules_set_name(enum set set);
enum set rules_set_of(const struct hf_fence_portal *portal);
/* Commands: replaces the table by one with these portals; takes it away. NULL: no memory. free(). */
char *rules_raise(const struct fence *f, const struct hf_fence_portal *portals, uint32_t count,
                  uint64_t max_age_ns);
char *rules_lower(const struct fence *f);
/* A command that fails unless all portals of a set are members now. NULL: no memory. */
char *rules_members(const struct fence *f, const struct hf_fence_portal *portals, uint32_t count,
                    enum set set);
/* The i-th of portals whose rows are as long as they say. */
const struct hf_fence_portal *rules_portal(const struct hf_fence_portal *portals, uint32_t i);
/* True when `listing` of a chain has the rule that drops what is in this set. */
int rules_listed(const char *listing, enum set set, int outgoing);
