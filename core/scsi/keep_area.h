/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the kept memory of all units lies (keep.h): a head, the slots, and behind them a place for
 * each slot's keep_rare. A slot belongs to a unit by its name; it is never given up while there are
 * others, so that a unit that is taken away and comes back finds what it had.
 *
 * Control thread.
 */
#pragma once

#include "base/iscsi_name.h"
#include "scsi/keep.h"

struct keep_slot {
    _Atomic uint32_t used; /* the name is whole */
    uint32_t lun;
    char target[ISCSI_NAME_MAX + 1];
    struct keep_data data;
} __attribute__((aligned(64)));

/* The slot of that unit, or a new one; -ENOSPC, or -EBUSY when a unit has it already. */
int keep_area_take(struct keep_area *area, const char *target, unsigned lun, bool *ret_existed);
/* It is filled in: another worker may find it. */
void keep_area_used(struct keep_area *area, uint32_t slot);
void keep_area_leave(struct keep_area *area, uint32_t slot);
/* It has no name any more; the unit that has it may still leave it. */
void keep_area_forget(struct keep_area *area, uint32_t slot);

struct keep_slot *keep_area_slot(struct keep_area *area, uint32_t slot);
struct keep_rare *keep_area_rare(struct keep_area *area, uint32_t slot);
/* One a lane. */
struct scsi_counters *keep_area_counters(struct keep_area *area, uint32_t slot);
/* Slots that were ever taken: those below this number. */
uint32_t keep_area_count(const struct keep_area *area);
unsigned keep_area_lanes(const struct keep_area *area);
/* Forgets all; no unit has a slot. */
void keep_area_clear(struct keep_area *area);

/* Of a unit whose memory nobody keeps: zeroed, costs nothing before it is written. NULL: no memory. */
struct keep_rare *keep_rare_new(void);
void keep_rare_free(struct keep_rare *rare);
