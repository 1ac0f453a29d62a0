/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance kit: what its parts share. */
#pragma once

#include "rig.h"
#include "run.h"

struct kit {
    const char *path; /* of the plugin */
    bool fence;       /* --fence: fences may be raised */
    bool started;     /* this process has loaded it */
    struct rig rig;
    struct rig_lun lun;
    bool keeps_nothing;       /* --keeps-nothing: reads are always zeroes (handler null) */
    const char *data_finding; /* what wrong data is called; NULL: "wrong-data" */
    bool forgets;             /* --volatile: the contents go when the LUN is closed */
    struct backend *backend;  /* open during a case */
    uint64_t block;           /* bytes */
    uint64_t area;            /* the first bytes of the LUN, in which the cases work */
};

extern struct kit kit;

#define KIT_AREA_MAX (32u << 20)

/* Loads the plugin in this process (main.c); what is wrong is a finding. */
void kit_load(void);
/* Loads it and makes reactors, once a process. */
void kit_start(void);
/* Loads what is not loaded; 0, or negative errno and a text. */
int kit_try_open(struct hf_error *error);
/* The same; a failure is a finding. */
void kit_open(void);
void kit_close(void); /* also judges how the handler answered so far */
/* A finding unless the result is 0. */
void kit_expect_done(int result, const char *what);
/* Ends the case: what was waited for in vain. */
__attribute__((noreturn)) void kit_no_answer(const char *what);
/* Entries of a directory: /proc/self/fd, /proc/self/task. */
unsigned kit_count(const char *directory);
bool kit_has(uint32_t features); /* BACKEND_FEATURE_*, all of them */
bool kit_writable(void);         /* or else skips the case */

/* Page-aligned memory; free(). */
void *kit_buffer(size_t bytes);
/* The pattern of a place: words that no other offset or seed has. */
void kit_pattern(void *data, uint64_t offset, size_t bytes, uint64_t seed);
void kit_expect_pattern(const void *data, uint64_t offset, size_t bytes, uint64_t seed);
void kit_expect_zeroes(const void *data, uint64_t offset, size_t bytes);
void kit_write_pattern(uint64_t offset, size_t bytes, uint64_t seed);
void kit_read_pattern(uint64_t offset, size_t bytes, uint64_t seed);
void kit_read_zeroes(uint64_t offset, size_t bytes);

/* Each adds its cases. */
void kit_add_transfer_cases(void);
void kit_add_provisioning_cases(void);
void kit_add_life_cases(void);
void kit_add_stress_cases(void);
void kit_add_options_cases(void);
void kit_add_auth_cases(void);
void kit_add_fence_cases(void);
void kit_add_process_cases(void);
