/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A target as SCSI sees it: names, ports and the LUN map.
 *
 * The map is an immutable snapshot. The control thread publishes a new one and frees the old after
 * an epoch; a reactor loads the pointer once a command and never keeps it across turns. Nexuses
 * notice the new generation with their next command: they look again which units they may see and,
 * when that changed, have REPORTED LUNS DATA HAS CHANGED (3F/0E) pending.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "scsi/unit.h"

#define SCSI_LUNS_MAX  256 /* units of one target */
#define SCSI_PORTS_MAX 64  /* target ports (portal group tags) of one target */

struct scsi_lun_view;

struct scsi_lun_map {
    uint32_t generation; /* set when published */
    uint32_t count;
    struct scsi_lun_view
        *views; /* of a published map alone; in the order in which they are tried */
    unsigned view_count;
    uint16_t *luns; /* ascending; of units[] each */
    struct scsi_unit *units[];
};

/* Some initiators see the target's units by other numbers, and only those that are in it. */
struct scsi_lun_view {
    const char *const *initiators; /* base/initiators.h; the caller's, longer than the map */
    struct scsi_lun_map *map;
};

struct scsi_target {
    char *name, *alias; /* alias may be NULL */
    _Atomic(struct scsi_lun_map *) map;
    _Atomic uint32_t holds; /* of its units, by scsi_unit_hold() */
    uint32_t generation;
    uint16_t port_tags[SCSI_PORTS_MAX]; /* by relative target port identifier - 1 */
    uint16_t port_count;
    const void *_Atomic guard; /* who proves initiators' names; NULL: the target is open */
    _Atomic bool removed; /* nobody logs in to it any more */
    void *user; /* the composition root's */
};

/* Control thread. With an empty map. `port_tags`: the portal group tags, relative target port
   identifiers 1, 2, … in this order. -EINVAL: too many. */
int scsi_target_create(const char *name, const char *alias, const uint16_t *port_tags,
                       unsigned port_count, struct scsi_target **ret_target);
/* Other portal group tags; nexuses that are there keep their port. Control thread. -EINVAL: too many. */
int scsi_target_set_ports(struct scsi_target *target, const uint16_t *port_tags, unsigned port_count);
/* Frees the map too, not the units. No nexus refers to it. NULL is fine; returns NULL. */
struct scsi_target *scsi_target_free(struct scsi_target *target);

/* Prepares a map (may fail: -EINVAL too many or a double LUN, -ENOMEM); any order. `luns`: their
   numbers; NULL: their own. */
int scsi_lun_map_create(struct scsi_unit *const *units, const uint16_t *luns, unsigned count,
                        struct scsi_lun_map **ret_map);
/* Adds what those initiators see instead; takes `view` over, also when it fails (-ENOMEM). */
int scsi_lun_map_add_view(struct scsi_lun_map *map, const char *const *initiators,
                          struct scsi_lun_map *view);
struct scsi_lun_map *scsi_lun_map_free(struct scsi_lun_map *map);
/* Cannot fail. Takes `map` over and returns the previous one, to be freed after an epoch. Control
   thread. */
struct scsi_lun_map *scsi_target_publish(struct scsi_target *target, struct scsi_lun_map *map);

/* The map of that initiator: the first view that it matches, or the map itself. */
const struct scsi_lun_map *scsi_lun_map_for(const struct scsi_lun_map *map, const char *initiator,
                                            const char *peer);
/* Its index in the map, or -1. */
int scsi_lun_map_find(const struct scsi_lun_map *map, uint16_t lun);
/* The unit with that LUN in the current map, or NULL. Use it within this turn only. */
struct scsi_unit *scsi_target_unit(const struct scsi_target *target, uint16_t lun);
/* Relative target port identifier of a portal group tag; 0: none. */
uint16_t scsi_target_port(const struct scsi_target *target, uint16_t tag);

/* A LUN from the wire (big-endian value of 8 bytes) to its number; -1: a form we have no unit for.
   Single level, peripheral device (00b) and flat space (01b) addressing. */
int scsi_lun_decode(uint64_t wire);
uint64_t scsi_lun_encode(uint16_t lun);
