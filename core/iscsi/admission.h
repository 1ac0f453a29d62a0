/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many connections there may be: in all, from one address, and of those that have not logged in.
 * A connection beyond a limit is not cut off, which some initiators take badly: it is let in as far as its
 * first Login Request, which is answered with status 0302h (out of resources), a reason to try again
 * later for all of them. What is counted is counted by reason.
 *
 * Thread: the login reactor; the counters may be read anywhere. Allocates one object an address, only
 * while there are connections from it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/list.h"

/* Why a connection is not let in, or no longer. */
enum admission_reason {
    ADMISSION_CONNECTIONS, /* too many in all */
    ADMISSION_ADDRESS,     /* too many from its address */
    ADMISSION_LOGINS,      /* too many that have not logged in */
    ADMISSION_SILENT,      /* it had said nothing and gave way to another one */
    ADMISSION_TURN,        /* its login waited too long for its turn */
    ADMISSION_STOPPING,    /* the target stops */
    ADMISSION_OVERFLOW,    /* there was no room even for saying so: it was closed */
    ADMISSION_REASONS,
    ADMISSION_FINE = ADMISSION_REASONS,
};

struct admission_limits {
    uint32_t connections, per_address, logins; /* per_address 0: no limit */
};

/* An address with connections. */
struct admission_source {
    struct hash_link link;
    uint8_t address[16]; /* IPv4 as mapped */
    uint32_t connections;
    struct list waiting[2]; /* login_queue.c: logins that wait, by their class */
    struct list turn[2];    /* ... and its place among the addresses */
};

struct admission {
    struct admission_limits limits;
    struct hash_table sources;
    uint32_t connections, logins;
    uint64_t refused[ADMISSION_REASONS];
    uint64_t logged_ns, logged_total, total;
};

int admission_init(struct admission *a, const struct admission_limits *limits);
void admission_fini(struct admission *a);

/*
 * May one more come from there? Counts nothing. A peer without an
 * address counts as one address.
 */
enum admission_reason admission_ask(const struct admission *a, const struct address *peer);
/* It is in: counted until admission_leave(). NULL: no memory. */
struct admission_source *admission_enter(struct admission *a, const struct address *peer);
void admission_leave(struct admission *a, struct admission_source *source);

/* One more, or one less, that has not logged in yet. */
void admission_count_login(struct admission *a, int change);

/* Counts one that was not let in; a line in the log, at most one in ten seconds. */
void admission_refuse(struct admission *a, enum admission_reason reason, uint64_t now_ns,
                      const char *peer);
/* "connections", "address" …: labels of metrics; and the reason in words. */
const char *admission_label(enum admission_reason reason);
const char *admission_text(enum admission_reason reason);
