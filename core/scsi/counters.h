/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What has been done to a unit. Every reactor counts for itself, in its lane; a look from outside adds
 * the lanes up. Only commands that the unit has executed and that were not aborted are counted. They
 * lie in the kept memory: a worker goes on from what the one before has counted.
 */
#pragma once

#include <stdint.h>

#include "reactor/histogram.h"

struct scsi_unit;

enum { SCSI_COUNT_READ, SCSI_COUNT_WRITE, SCSI_COUNT_WAYS };

/* A short command touches the first cache line alone. */
struct scsi_way_counters {
    uint64_t bytes;
    struct histogram
        latency; /* from execution to the end, as of turns; also the number of commands */
};

struct scsi_counters {
    struct scsi_way_counters way[SCSI_COUNT_WAYS]; /* write: whatever changes the medium */
    uint64_t others;                               /* neither */
    uint64_t errors;                               /* of all: ended with a status other than GOOD */
} __attribute__((aligned(64)));

static inline void scsi_counters_add(struct scsi_way_counters *way, uint64_t bytes, uint64_t ns)
{
    counter_add(&way->bytes, bytes);
    histogram_add(&way->latency, ns);
}

/* For scsi_unit_create(), after scsi_home_init(): gives every lane its own. 0 or -ENOMEM. */
int scsi_counters_create(struct scsi_unit *unit);
/* The sum over all lanes as of now. Any thread while the unit exists. */
void scsi_unit_counters(const struct scsi_unit *unit, struct scsi_counters *ret_counters);
