/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A look at all reactors and at the keeper. One is taken at a time, with a pause after it; calls that
 * come meanwhile share the next one. So the cost to the reactors has a bound that no client can move.
 */
#pragma once

#include "control/control.h"
#include "control/notes.h"
#include "iscsi/observe.h"

struct call;

/* One reactor's. */
struct snapshot_part {
    struct observation observation;
    struct control_note note;
    struct control *control;
};

struct snapshot {
    unsigned refs;
    unsigned pending; /* parts, and the keeper's answer */
    bool keeper_known;
    struct control_keeper keeper;
    uint64_t taken_ns;
    unsigned part_count;
    struct snapshot_part part[]; /* one for each engine */
};

struct snapshots {
    struct snapshot *current; /* being taken */
    bool late;                /* it took too long: its calls have failed */
    struct list next, riding; /* calls that wait for the next one, for the current one */
    uint64_t begun_ns;
    unsigned pause_min_ms;
    guint timer;                            /* of the pause, or of the limit */
    uint32_t session_room, connection_room; /* of a part, from experience */
};

void snapshots_init(struct control *control);
/* No more of them; calls that wait are forgotten. */
void snapshots_stop(struct control *control);
/* The reactors have stopped: what they held is freed. */
void snapshots_deinit(struct control *control);
/* The call's turn comes with a snapshot; or without one when a reactor does not answer. */
void snapshot_wait(struct call *call);
/* NULL is fine; returns NULL. */
struct snapshot *snapshot_unref(struct snapshot *snapshot);
void snapshot_keeper(struct control *control, const struct control_keeper *keeper);
