/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block ranges of a unit that one command has alone: COMPARE AND WRITE and its like must not have
 * another write between their steps, on whatever reactor it runs.
 *
 * An ordinary command is OPEN: it is counted in its lane, and as long as no exclusive range exists
 * (one relaxed load) that is all. An exclusive command first enters the unit's list, which makes
 * every later command look there, then visits the lanes that had open commands at that moment and
 * waits, parked there, until none overlaps. A command that meets an overlapping exclusive range
 * enters the list behind it; whoever leaves the list hands on to those that may go now.
 *
 * Order between "count, then look" of one thread and "enter, then read the counts" of another comes
 * from membarrier(2), paid by the exclusive side alone; without it every lane is visited.
 * The list is guarded by a flag that is only ever tried: who finds it set comes back in the next
 * round of its turn. Waiting is by messages; nobody blocks.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "reactor/reactor.h"

struct scsi_command;
struct scsi_lane;

enum scsi_range_state {
    RANGE_NONE,
    RANGE_OPEN,  /* counted in the lane */
    RANGE_WAITS, /* in the unit's list, not to run yet */
    RANGE_HELD,  /* in the unit's list, running */
};

/* Of a unit. */
struct scsi_ranges {
    _Atomic uint32_t exclusive; /* in the list: held or waited for */
    _Atomic bool taken;         /* somebody is at the list */
    struct list list;           /* struct scsi_range.link, in order of arrival */
};

/* Of a command. */
struct scsi_range {
    _Atomic uint8_t state; /* enum scsi_range_state; its own reactor's, or who has `taken` */
    bool exclusive, ordered;
    uint16_t lane; /* the visit is at this one */
    uint64_t begin, end;
    struct list link, parked;
    struct reactor *reactor;
    struct reactor_message message;
    struct reactor_task task;
    struct scsi_range *next;
    struct scsi_ranges *held_in; /* scsi_range_hold() */
};

/* Early, while the process has one thread: the kernel registers it for membarrier(2) at once then, and
   waits many milliseconds for all CPUs when there are more. scsi_ranges_init() does it otherwise. */
void scsi_ranges_prepare(void);
/* Once, before commands run. Control thread. */
void scsi_ranges_init(struct scsi_ranges *ranges);

/* Slow ways; command.c has the quick ones. False: the command goes on later by itself (or has ended). */
bool scsi_range_wait(struct scsi_command *cmd);
/* A held range is given back. False: scsi_finish() comes again. */
bool scsi_range_release(struct scsi_command *cmd);
/*
 * The command has its blocks before anybody comes: before the reactors start; it is executed, or
 * scsi_range_forget() is called. Control thread.
 */
void scsi_range_hold(struct scsi_command *cmd);
/* Its reactor; nothing when it does not hold any. */
void scsi_range_forget(struct scsi_command *cmd);
/* How many commands of this reactor wait, for units whose storage is absent: those that they wait for may do so for
   ever, and they have changed nothing yet. A hand-over goes on without them, as in settle.h. */
unsigned scsi_ranges_waiting_absent(void);
/* An open command has left the lane, and somebody is parked there. */
void scsi_range_left(struct scsi_lane *lane);
