/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Holdfast plugin API: fences (kind HF_KIND_FENCE, files fence-NAME.so).
 *
 * A fence drops the packets to and from a list of portals, so that initiators hear nothing (no RST,
 * no FIN) while sockets have to close. It is a last resort, and must never lock the target out:
 *
 *   - raise() and lower() are idempotent. raise() on a raised fence renews it; the list given then
 *     replaces the earlier one. lower() on a fence that is not there succeeds;
 *   - a fence ends by itself after max_age_ns, also when every process of ours is dead;
 *   - only the pairs (address, port) of the list are touched, and no rule of anybody else's; nothing
 *     is written that outlives a boot.
 *
 * Dropped are TCP packets that come in for a pair (destination) and that go out from it (source). A
 * portal on all addresses (all zero) means its port on every address of this machine, for packets
 * that this machine receives or sends itself, never those it forwards: no other program can listen
 * there while the portal does.
 *
 * Thread: every function runs in a short-lived helper process of its own, in order open, one of
 * raise, lower or clean (and raise after a clean that found a fence up), close. The process has the
 * privilege CAP_NET_ADMIN and no other, but see `flags`. It may block; the daemon kills it, and
 * what it started, after five seconds and goes on.
 */
#ifndef HOLDFAST_FENCE_H
#define HOLDFAST_FENCE_H

#include <holdfast/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_FENCE_IPV4 4u
#define HF_FENCE_IPV6 6u

/* hf_fence_ops.flags: CAP_NET_RAW is needed as well (the older iptables opens a raw socket). */
#define HF_FENCE_NEEDS_NET_RAW 1u
/* It drops nothing at all: the daemon then works as without a fence and calls only validate(). */
#define HF_FENCE_DROPS_NOTHING 2u

/* One listening address; rows are `size` bytes apart. */
struct hf_fence_portal {
    uint32_t size;
    uint16_t family;      /* HF_FENCE_IPV4 or HF_FENCE_IPV6 */
    uint16_t port;        /* host byte order, never 0 */
    uint8_t address[16];  /* network byte order; IPv4 in the first four bytes; all zero: any */
    uint32_t scope;       /* IPv6 link-local: interface index; otherwise 0 */
    uint32_t reserved;
};

struct hf_fence_ops {
    uint32_t size;  /* sizeof(struct hf_fence_ops) */
    uint32_t flags; /* HF_FENCE_NEEDS_NET_RAW, HF_FENCE_DROPS_NOTHING */

    /* Checks a configuration beyond the option table, without side effects; also for --check.
       NULL: nothing to check. 0 or negative errno with host->fail(). */
    int32_t (*validate)(const void *config, struct hf_error *error);
    /* Finds out whether this machine can fence at all. `instance` tells this daemon's rules from
       another's: letters, digits, '-' and '_', at most 32 bytes. config and instance stay valid
       until close(). 0 and *ret_handle, or negative errno with host->fail(). */
    int32_t (*open)(const void *config, const char *instance, void **ret_handle,
                    struct hf_error *error);
    /* Returns 0 only after the rules are seen to be in force. count is at least 1; max_age_ns
       1 s to 60 s, counted from the call. */
    int32_t (*raise)(void *handle, const struct hf_fence_portal *portals, uint32_t count,
                     uint64_t max_age_ns, struct hf_error *error);
    /* Takes away every rule of this instance. */
    int32_t (*lower)(void *handle, struct hf_error *error);
    void (*close)(void *handle);

    /*
     * When the daemon starts: takes away what is left of this instance from an earlier boot, and
     * what is not in force any more. A fence that is still in force (a stop or a crash left it)
     * stays, and *ret_up is 1: the daemon renews it and lowers it when initiators can log in.
     * NULL: the daemon calls lower() instead.
     */
    int32_t (*clean)(void *handle, uint32_t *ret_up, struct hf_error *error);
};

#ifdef __cplusplus
}
#endif

#endif
