/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins are tried before a running service has anything to do with them: the worker's binary is run as
 *   holdfastd --plugin-helper FILE
 * with the configuration at TRIAL_FD_CONFIG. Its exit code is the verdict, its output the line that says
 * why not. One at a time: reload and upgrade exclude each other.
 */
#pragma once

#include <stdint.h>

struct keeper;

#define TRIAL_FD_CONFIG 3
#define TRIAL_TEXT_MAX  512

/* `why` NULL: nothing was found. Never from within trial_start(). */
typedef void trial_done_fn(struct keeper *k, const char *why);

/* 0 or negative errno. `exe_fd`: the binary; `config_fd`: the text, a sealed memfd. */
int trial_start(struct keeper *k, int exe_fd, int config_fd, trial_done_fn *done);
/* Nobody wants to know any more; nothing when there is none. */
void trial_stop(struct keeper *k);
/* When to call it again. */
uint64_t trial_tick(struct keeper *k, uint64_t now);
