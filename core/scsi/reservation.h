/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Persistent reservations (SPC-4 5.12) as data: who is registered, who holds what, and the function
 * that makes a new table from the present one and a PERSISTENT RESERVE OUT. No I/O, no threads.
 *
 * A table is immutable once it is published: reactors read it while the next one is being made. It
 * also says what unit attentions its changes mean for whom; a nexus takes those that are newer than
 * the serial it has seen.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PR_REGISTRATIONS_MAX 256
#define PR_EVENTS_MAX        512
#define PR_PORT_MAX          256 /* an initiator port's name with its NUL: 223 bytes and an ISID */

enum pr_action { /* service actions, SPC-4 table 215 */
                 PR_REGISTER = 0,
                 PR_RESERVE = 1,
                 PR_RELEASE = 2,
                 PR_CLEAR = 3,
                 PR_PREEMPT = 4,
                 PR_PREEMPT_AND_ABORT = 5,
                 PR_REGISTER_AND_IGNORE = 6,
                 PR_REGISTER_AND_MOVE = 7,
                 PR_REPLACE_LOST = 8,
};

enum pr_type {
    PR_NONE = 0,
    PR_WRITE_EXCLUSIVE = 1,
    PR_EXCLUSIVE_ACCESS = 3,
    PR_WRITE_EXCLUSIVE_REGISTRANTS = 5,
    PR_EXCLUSIVE_ACCESS_REGISTRANTS = 6,
    PR_WRITE_EXCLUSIVE_ALL = 7,
    PR_EXCLUSIVE_ACCESS_ALL = 8,
};

/* What a command is denied; an opcode's row says what it needs (opcode.h). */
#define DENY_READ   1u
#define DENY_WRITE  2u
#define DENY_LEGACY 4u /* RESERVE(6) of another nexus: nearly everything */
/* The state of its target port (alua.h): standby, or worse. */
#define DENY_STANDBY     8u
#define DENY_UNAVAILABLE 16u

/* An I_T nexus by its names: the registration outlives sessions. */
struct pr_name {
    uint16_t tag; /* target portal group tag: the target port */
    char port[PR_PORT_MAX];
};

struct pr_registration {
    uint64_t key;
    struct pr_name name;
};

struct pr_event {
    uint32_t serial; /* of the table that it came with */
    uint16_t asc;
    struct pr_name name;
};

struct pr_table {
    uint64_t sequence;   /* of saved states; grows with every change */
    uint32_t serial;     /* of this table: nexuses remember up to which one they have heard */
    uint32_t generation; /* PRGENERATION */
    uint64_t by;         /* id of the command that made it, 48 bits (once.h); 0: unknown */
    bool aptpl;
    uint8_t type; /* enum pr_type */
    int holder;   /* index; -1: there is none, or every registrant is one */
    unsigned count, event_count;
    struct pr_registration *registrations;
    struct pr_event *events; /* oldest first */
};

struct pr_table *pr_table_new(void);
struct pr_table *pr_table_copy(const struct pr_table *table);
/* NULL is fine; returns NULL. */
struct pr_table *pr_table_free(struct pr_table *table);

/* Index of its registration, or -1. `table` may be NULL. */
int pr_find(const struct pr_table *table, const char *port, uint16_t tag);
bool pr_is_holder(const struct pr_table *table, int registration);
bool pr_all_registrants(uint8_t type);
/* DENY_READ and DENY_WRITE for a nexus with that registration (-1: none). `table` may be NULL. */
uint8_t pr_denied(const struct pr_table *table, int registration);

/* A PERSISTENT RESERVE OUT, taken apart. */
struct pr_request_data {
    uint8_t action, scope, type;
    uint64_t key, action_key; /* RESERVATION KEY, SERVICE ACTION RESERVATION KEY */
    bool aptpl, all_ports, spec_ports, unregister;
    const char *port; /* the nexus it came from */
    uint16_t tag;
    const uint16_t *tags; /* all target ports, for ALL_TG_PT */
    unsigned tag_count;
    const struct pr_name *names; /* SPEC_I_PT, REGISTER AND MOVE (one) */
    unsigned name_count;
    bool can_persist;
};

enum pr_verdict {
    PR_UNCHANGED, /* GOOD */
    PR_CHANGED,   /* GOOD, and there is a new table */
    PR_CONFLICT,  /* RESERVATION CONFLICT */
    PR_BAD_CDB,   /* INVALID FIELD IN CDB at `byte`, `bit` */
    PR_BAD_LIST,  /* … IN PARAMETER LIST */
    PR_BAD_RELEASE,
    PR_FULL, /* INSUFFICIENT REGISTRATION RESOURCES */
};

struct pr_result {
    enum pr_verdict verdict;
    uint16_t byte;
    int bit;
    struct pr_table *table; /* PR_CHANGED: the caller's */
};

/* `table` is the present one, or NULL: nothing was ever registered. */
void pr_apply(const struct pr_table *table, const struct pr_request_data *request,
              struct pr_result *ret_result);
