/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before a running service loads plugins: holdfastd --plugin-helper FILE, from the keeper alone
 * (keeper/trial.h), with the text of the configuration at TRIAL_FD_CONFIG. Only what the service would not
 * survive counts: a plugin that crashes, exits or hangs. All other mistakes are found, and said with
 * their places, by the worker.
 */
#pragma once

/* 0; 1 and a line on standard output. */
int plugin_helper_run(int argc, char **argv);
