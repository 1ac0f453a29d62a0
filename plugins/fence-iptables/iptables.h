/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this plugin share. In each family it owns two chains of the table "filter" and
 * the two rules that lead there, first in their chains:
 *
 *   INPUT   -m time --datestart A --datestop B -m comment --comment TAG -j holdfast-INSTANCE-in
 *   OUTPUT  the same                                                    -j holdfast-INSTANCE-out
 *
 * The chains drop what goes to, and comes from, each portal. Only between A and B, which are about
 * the maximum age apart, do the rules match: they end by themselves, a clock that is set
 * changes nothing about that, and a copy that a boot script has saved does nothing. TAG names
 * instance and boot.
 */
#pragma once

#include <holdfast/fence.h>

#include <stdbool.h>
#include <stddef.h>

#define NAME_MAX_BYTES 28 /* of a chain: XT_EXTENSION_MAXNAMELEN less NUL */
#define PATH_MAX_BYTES 64
#define TAG_MAX_BYTES  96
#define DATE_BYTES     20 /* "2026-11-25T12:00:00" */

extern const struct hf_host *iptables_host;

enum backend { BACKEND_DEFAULT, BACKEND_NFT, BACKEND_LEGACY };

/* One of iptables and ip6tables. */
struct family {
    uint16_t number; /* HF_FENCE_IPV4, HF_FENCE_IPV6 */
    bool there;      /* the programs are installed, the kernel has the protocol */
    char program[PATH_MAX_BYTES], restore[PATH_MAX_BYTES];
};

struct fence {
    struct family families[2];
    char chain_in[NAME_MAX_BYTES + 1], chain_out[NAME_MAX_BYTES + 1];
    char tag[TAG_MAX_BYTES];
};

/* ---- program.c ---- */

/*
 * Runs argv[0] (an absolute path; no shell) with `input` (may be NULL) and waits for it. 0 and what
 * it wrote to standard output (*ret_output: free(); may be NULL), or negative errno with what it
 * wrote to standard error.
 */
int program_run(const char *const *argv, const char *input, char **ret_output,
                struct hf_error *error);

/* ---- listing.c: what "iptables -S" prints ---- */

/* Copies the next line of *at without its newline; false at the end. Lines that are too long are cut. */
bool listing_next(const char **at, char *line, size_t max);
/* This line has these words one after the other. */
bool listing_has(const char *line, const char *words);
/* "-A CHAIN ..." of this chain. */
bool listing_is_rule_of(const char *line, const char *chain);
/* Copies the word behind `option`; false when there is none. */
bool listing_value(const char *line, const char *option, char *value, size_t max);

/* ---- family.c ---- */

/* The list of portals is that of raise(); those of the other family are passed over. */
int family_raise(const struct fence *f, const struct family *family,
                 const struct hf_fence_portal *portals, uint32_t count, uint64_t max_age_ns,
                 struct hf_error *error);
int family_lower(const struct fence *f, const struct family *family, struct hf_error *error);
/* Lowers unless a fence of this boot is in force now. */
int family_clean(const struct fence *f, const struct family *family, bool *ret_up,
                 struct hf_error *error);
