/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I_T nexus: initiator port, target port, and what a unit keeps for it.
 *
 * Made at login on any thread, then lives on the session's data reactor; freed there after its last
 * command. Holds which units it sees and how far it has read each unit's ring of attentions; no
 * memory is allocated after creation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "scsi/target.h"

/* What a nexus keeps for one unit. */
struct scsi_nexus_unit {
    uint32_t unit_id;      /* 0: not in use */
    uint32_t attention_at; /* next event to read in the unit's ring */
    uint16_t lun;
    uint8_t flags;           /* SCSI_NEXUS_* */
    uint8_t denied;          /* DENY_*, as of … */
    uint32_t access_version; /* … this version of the unit's reservations (home.h) */
    uint32_t prevents;       /* it prevents removal: generation + 1 of unit->prevents; 0: not */
    uint32_t serial;         /* and its unit attentions of them are seen up to here */
};

struct scsi_nexus_config {
    struct scsi_target *target;
    const char *initiator_name;  /* node name, normalised */
    const char *initiator_port;  /* "iqn…,i,0x<ISID, 12 hex digits>" */
    const char *peer;            /* "address:port" of the leading connection; NULL: not known */
    uint16_t tag;                /* target portal group tag, of the login's portal */
    uint16_t version_descriptor; /* 0960h + iSCSIProtocolLevel (RFC 7144 4.2); 0: 0960h */
    /* A unit attention POWER ON OCCURRED (29/00) on each unit. Only for a nexus that is known to be
       new: a returning initiator must not get one (it fails commands older than 180 s). */
    bool announce_reset;
    /* Where the nexus keeps its SCSI_LUNS_MAX entries when they are to outlive the process: zeroed, or
       as an earlier one left them, with the id that the nexus had there. NULL: nowhere. */
    struct scsi_nexus_unit *units;
    uint32_t resumed_id; /* 0: a new nexus */
};

#define SCSI_NEXUS_POWER_ON     1u  /* 29/00 pending */
#define SCSI_NEXUS_LUNS_CHANGED 2u  /* 3F/0E pending */
#define SCSI_NEXUS_LOST         4u  /* 29/07 pending */
#define SCSI_NEXUS_PREEMPTED    8u  /* 2A/03 pending */
#define SCSI_NEXUS_RELEASED     16u /* 2A/04 pending */
#define SCSI_NEXUS_UNREGISTERED 32u /* 2A/05 pending */

struct scsi_nexus {
    struct scsi_target *target;
    uint32_t id; /* unique in this process, not 0; origin of attentions */
    uint16_t relative_port, tag;
    uint16_t version_descriptor;
    struct list census; /* census.h */
    char *initiator_name, *initiator_port, *peer;
    uint32_t active; /* commands between scsi_start() and done() */
    uint32_t map_generation;
    const struct scsi_lun_map *map; /* of that generation, as this initiator sees it */
    uint16_t unit_count;
    bool units_owned;
    struct scsi_nexus_unit *units; /* [SCSI_LUNS_MAX], ascending by LUN, as in the map */
};

/* Any thread. 0 or negative errno. */
int scsi_nexus_create(const struct scsi_nexus_config *config, struct scsi_nexus **ret_nexus);
/* active is 0. NULL is fine; returns NULL. */
struct scsi_nexus *scsi_nexus_free(struct scsi_nexus *nexus);

/* Its session is over: what an I_T nexus holds only as long as it lives (RESERVE(6)) is dropped.
   Nexus's reactor, before scsi_nexus_free(). */
void scsi_nexus_gone(struct scsi_nexus *nexus);

/* I_T NEXUS RESET and session loss without free: pending attentions of the nexus are forgotten and
   29/07 I_T NEXUS LOSS OCCURRED is pending on every unit. Commands are aborted by the transport. */
void scsi_nexus_lost(struct scsi_nexus *nexus);

/* The unit the nexus sees at that LUN, or NULL. Use within this turn only. Nexus's reactor. */
struct scsi_unit *scsi_nexus_unit_at(struct scsi_nexus *nexus, uint64_t wire_lun);
/* Whether commands for that LUN have to wait before they begin (scsi_unit_hold()). Nexus's reactor. */
bool scsi_nexus_held_slow(struct scsi_nexus *nexus, uint64_t wire_lun);
static inline bool scsi_nexus_held(struct scsi_nexus *nexus, uint64_t wire_lun)
{
    return __builtin_expect(
               atomic_load_explicit(&nexus->target->holds, memory_order_relaxed) != 0, 0) &&
           scsi_nexus_held_slow(nexus, wire_lun);
}
/* Calls `visit` for every unit it sees (target resets). */
void scsi_nexus_each_unit(struct scsi_nexus *nexus,
                          void (*visit)(struct scsi_unit *unit, void *data), void *data);

/* The next pending unit attention of (nexus, unit); false: none. `take`: it is reported now. */
bool scsi_nexus_attention(struct scsi_nexus *nexus, struct scsi_unit *unit, bool take,
                          uint8_t *ret_asc, uint8_t *ret_ascq);
