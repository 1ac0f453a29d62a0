/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance kit: what its parts share. */
#pragma once

#include "rig.h"

struct kit {
    struct rig rig;
    struct rig_lun lun;
    bool keeps_nothing;     /* --keeps-nothing: reads are always zeroes (handler null) */
    bool forgets;           /* --volatile: the contents go when the LUN is closed */
    struct backend *backend; /* open during a case */
    uint64_t block;         /* bytes */
    uint64_t area;          /* the first bytes of the LUN, in which the cases work */
};

extern struct kit kit;

#define KIT_AREA_MAX (32u << 20)

void kit_open(void);
void kit_close(void); /* also checks that no answer was a stray */
bool kit_has(uint32_t features); /* BACKEND_FEATURE_*, all of them */
bool kit_writable(void);         /* or else skips the case */

/* Page-aligned memory; free(). */
void *kit_buffer(size_t bytes);
/* The pattern of a place: words that no other offset or seed has. */
void kit_pattern(void *data, uint64_t offset, size_t bytes, uint64_t seed);
void kit_expect_pattern(const void *data, uint64_t offset, size_t bytes, uint64_t seed);
void kit_expect_zeroes(const void *data, size_t bytes);
void kit_write_pattern(uint64_t offset, size_t bytes, uint64_t seed);
void kit_read_pattern(uint64_t offset, size_t bytes, uint64_t seed);
void kit_read_zeroes(uint64_t offset, size_t bytes);

/* Each adds its cases. */
void kit_add_transfer_cases(void);
void kit_add_provisioning_cases(void);
void kit_add_life_cases(void);
void kit_add_stress_cases(void);
