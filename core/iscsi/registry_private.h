/* SPDX-License-Identifier: BSD-3-Clause */
/* Between registry.c (what becomes of sessions) and registry_find.c (which one is meant). */
#pragma once

#include "iscsi/registry.h"

#define TSIH_COUNT UINT16_MAX /* 0 is none */

struct registry {
    struct registry_options options;
    struct list entries;
    struct hash_table by_tsih, by_port; /* by_port: InitiatorName and ISID */
    uint64_t *ended;                    /* hashes of the ports of sessions that ended lately */
    unsigned count;
    uint16_t last_tsih;
    uint32_t *free_index; /* a stack of free session records */
    uint32_t free_count;
    unsigned *load; /* sessions on each data engine */
};

/* 0 or -ENOMEM. */
int registry_find_init(struct registry *r);
void registry_find_fini(struct registry *r);
/* The session's names, ISID and TSIH are set. */
void registry_find_add(struct registry *r, struct registry_entry *e);
void registry_find_remove(struct registry *r, struct registry_entry *e);
struct registry_entry *registry_find_tsih(struct registry *r, uint16_t tsih);
/* The session that this login would replace. */
struct registry_entry *registry_find_nexus(struct registry *r, const struct login *login);
bool registry_same_nexus(const struct session *s, const struct login *login);
/* One that no session has; there are fewer than TSIH_COUNT. */
uint16_t registry_new_tsih(struct registry *r);
