/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fence helper that drops nothing: the keeper starts it like the real one (this test program again,
 * with `--fence-helper`). It appends its verb to a file and ends as another file says, so that a test
 * sees what the keeper wants and when.
 */
#pragma once

#include "harness.h"

/* What main() does when it is started so. */
int fake_helper_run(int argc, char **argv);

/* Makes the folder of the files; before anything below. */
void fence_prepare(void);
/* Starts a keeper with a fence; as host_start(). */
void fence_host_start(struct host *h);
/* How `verb` ends from now on: an exit code, or -1 to hang. At first all of them end with 0. */
void fence_answer(const char *verb, int code);
/* The verbs so far, from the n-th on, begin with these ("clean raise"); waits for them. */
void fence_expect(unsigned from, const char *verbs);
/* How many there were. */
unsigned fence_count(void);
/* Stops and forgets. */
void fence_host_end(struct host *h, int code);
