/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How full the storage of a unit is, and its thresholds (SBC-3 4.7.3.8): who is told when. What is known
 * comes from outside now and then; commands read it as single words. All of it on the control thread but
 * where something else is said.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct scsi_unit;

#define SCSI_THRESHOLDS_MAX 4

/* One of the two is not 0. */
struct scsi_threshold {
    uint64_t used_percent;    /* 1..100: reached when no less than that share of the unit is used */
    uint64_t available_bytes; /* reached when no more than that is left */
};

/* Part of a unit. Which thresholds are reached lies in its kept memory, for the next worker. */
struct scsi_fill {
    _Atomic uint64_t used, available;                 /* bytes; SCSI_SPACE_UNKNOWN */
    _Atomic bool shared;                              /* others may take what is available */
    _Atomic uint64_t thresholds[SCSI_THRESHOLDS_MAX]; /* private; 0: none */
};

#define SCSI_SPACE_UNKNOWN UINT64_MAX

struct scsi_space {
    uint64_t used_bytes, available_bytes; /* SCSI_SPACE_UNKNOWN */
    bool shared;
};

void scsi_space_init(struct scsi_unit *unit);
/* At most SCSI_THRESHOLDS_MAX. Other ones than before have not been reached. */
void scsi_unit_set_thresholds(struct scsi_unit *unit, const struct scsi_threshold *thresholds,
                              unsigned count);
/*
 * What is known now. Thresholds that are reached by it raise the unit attention 38/07 for every nexus;
 * one that was reached is armed again when the storage is away from it by a twentieth. Bits of
 * thresholds, by index: which have been reached by this, and which have been left.
 */
struct scsi_space_news {
    uint32_t reached, left;
};
struct scsi_space_news scsi_unit_set_space(struct scsi_unit *unit, const struct scsi_space *space);
/* Bits of the thresholds that are reached and not armed again. Any thread. */
uint32_t scsi_unit_thresholds_reached(const struct scsi_unit *unit);

/* For commands. One threshold in threshold sets; false: there is none at this index. */
struct scsi_threshold_sets {
    bool used; /* else: available */
    uint32_t count;
};
bool scsi_threshold_at(const struct scsi_unit *unit, unsigned index,
                       struct scsi_threshold_sets *ret_threshold);
