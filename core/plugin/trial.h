/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What belongs to a plugin is tried in a child process first, so that a constructor that crashes, exits or
 * never returns is a line in `error`, and this process goes on. For processes with one thread.
 */
#pragma once

#include <stdbool.h>

#include "plugin/error.h"

#define TRIAL_MS 5000u /* for one plugin */

/* From now on plugin_load() tries each file before it is loaded here. */
void trial_begin(void);
bool trial_is_on(void);
/*
 * Runs `run` in a child: its result and error; or -ENOTRECOVERABLE when the child ended without one, and
 * -ETIMEDOUT when it was killed after TRIAL_MS. `what`: what is said of it ("its constructor").
 */
int trial_run(int (*run)(void *data, struct hf_error *error), void *data, const char *what,
              struct hf_error *error);
/* Remembers why a file is of no use, by now with its name. */
void trial_note(const struct hf_error *error);
/* The first that was remembered in this process; code 0: none was. */
const struct hf_error *trial_worst(void);
