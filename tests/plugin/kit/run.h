/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runner of the conformance kit: every case is a process of its own, so that a plugin that crashes
 * or hangs in one case is found out there and the others still run. What a case finds is one line:
 * an identifier that stays the same over versions, and a text. Output is TAP.
 */
#pragma once

#include <stdbool.h>

struct kit_case {
    const char *name; /* "/transfer/flush" */
    void (*run)(void);
};

/* At the start; `count` cases are added to those there are. */
void kit_add(const struct kit_case *cases, unsigned count);

/*
 * In a case, on any thread; does not return: the case ends with a finding. `id` is a word of
 * holdfast-plugin(3), FINDINGS.
 */
__attribute__((noreturn, format(printf, 2, 3))) void kit_finding(const char *id, const char *format,
                                                                 ...);
/* In a case, on its main thread: the case has nothing to test here; the caller then returns. */
void kit_skip(const char *why);
/* A line of information. */
__attribute__((format(printf, 1, 2))) void kit_note(const char *format, ...);

/* Runs the cases whose names match the glob (NULL: all). The number of findings. */
unsigned kit_run(const char *glob, unsigned patience_s);
void kit_list(void);
